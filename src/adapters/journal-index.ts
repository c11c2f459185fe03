/**
 * How the journal finds the records of an object: hashes of its uid, and of its namespace and name, lead to batches, and
 * the records there confirm it.
 *
 * Hashes have no order in time: entered one by one, each would touch another page of a large index. So they are entered
 * many at once, into generations that a cache holds whole: as rows, or under load as pages, see journal-key-pages.ts.
 * Until then a reader looks through the batch itself.
 */

import type { DecisionRecord } from '../webhook/decision-record.js'
import { hashText } from '../webhook/text-hash.js'
import { createKeyPageFinder, enterKeyPages, type KeyedBatch, type Keys } from './journal-key-pages.js'
import { readNumber, type SqliteDatabase } from './sqlite-file.js'

/** Keys of one generation, some 1.5 MB; the last entry may exceed it. */
const GENERATION_KEYS = 65_536
/** Enter them at once when so many wait. */
const MAX_WAITING_KEYS = 16_384
/** As many at once go onto pages: fewer would leave pages that are hardly filled, each another one to look through. */
const MIN_PAGED_KEYS = 2_048

export interface JournalIndex {
  /** A batch was inserted in this transaction. */
  add(batch: number, keys: Keys): void
  /** There are so many keys that they should be entered now. */
  readonly isDue: boolean
  /** Enter all that wait, in one transaction of the caller's. */
  enter(): void
  /** Forget generations whose batches are all deleted. */
  prune(): void
}

/** The keys of a record. */
export function keysOf({ objectUid, namespace, name }: DecisionRecord): readonly number[] {
  const byUid = objectUid === null ? [] : [keyOfUid(objectUid)]
  return name === null ? byUid : [...byUid, keyOfName(namespace, name)]
}

export function keyOfUid(uid: string): number {
  return hashText('u', uid)
}

export function keyOfName(namespace: string, name: string): number {
  return hashText('n', namespace, '/', name)
}

/** Takes over what a killed run left without keys. Another webhook's may be among it: entering twice does no harm. */
export function openJournalIndex(database: SqliteDatabase): JournalIndex {
  const remember = database.prepare('INSERT INTO unindexed (batch) VALUES (?)')
  let waiting = readUnindexed(database)
  let size = waiting.reduce((sum, { keys }) => sum + keys.length, 0)
  return {
    get isDue() {
      return size >= MAX_WAITING_KEYS
    },
    add(batch, keys) {
      remember.run([batch])
      waiting.push({ batch, keys })
      size += keys.length
    },
    enter() {
      if (waiting.length > 0) enterKeys(database, waiting, size)
      waiting = []
      size = 0
    },
    prune() {
      const first = readNumber(database, 'SELECT min(id) FROM batches')
      const expired = database.prepare('SELECT id FROM generations WHERE last_batch < ?').raw(true)
      for (const id of expired.all([first])) {
        database.prepare('DELETE FROM keys WHERE generation = ?').run(id)
        database.prepare('DELETE FROM key_pages WHERE generation = ?').run(id)
        database.prepare('DELETE FROM generations WHERE id = ?').run(id)
      }
    },
  }
}

/** A function that finds the batches that may hold a record with a key, oldest first. */
export function createBatchFinder(database: SqliteDatabase): (key: number) => readonly number[] {
  const rows = database
    .prepare(
      `SELECT keys.batch FROM generations CROSS JOIN keys ON keys.generation = generations.id AND keys.hash = ?
       UNION SELECT batch FROM unindexed`,
    )
    .raw(true)
  const onPages = createKeyPageFinder(database)
  return key => {
    // Rows first: what goes from `unindexed` onto a page meanwhile is found twice, and not never.
    const found = (rows.all([key]) as [number][]).map(([batch]) => batch)
    return [...new Set([...found, ...onPages(key)])].toSorted((one, other) => one - other)
  }
}

function readUnindexed(database: SqliteDatabase): KeyedBatch[] {
  const select = database.prepare('SELECT id, records FROM unindexed JOIN batches ON id = batch').raw(true)
  // The decode edge of our own tables and lines.
  return (select.all([]) as [number, Buffer][]).map(([batch, records]) => ({
    batch,
    keys: records
      .toString()
      .split('\n')
      .flatMap(line => keysOf(JSON.parse(line) as DecisionRecord)),
  }))
}

function enterKeys(database: SqliteDatabase, waiting: readonly KeyedBatch[], size: number): void {
  const lastBatch = Math.max(...waiting.map(({ batch }) => batch))
  const generation = openGeneration(database)
  if (size >= MIN_PAGED_KEYS) enterKeyPages(database, generation, waiting)
  else enterRows(database, generation, waiting)
  database
    .prepare('UPDATE generations SET size = size + ?, last_batch = max(last_batch, ?) WHERE id = ?')
    .run([size, lastBatch, generation])
  const batches = JSON.stringify(waiting.map(({ batch }) => batch))
  database.prepare('DELETE FROM unindexed WHERE batch IN (SELECT value FROM json_each(?))').run([batches])
}

function enterRows(database: SqliteDatabase, generation: number, waiting: readonly KeyedBatch[]): void {
  const pairs = waiting.flatMap(({ batch, keys }) => Array.from(keys, key => [key, batch] as const))
  pairs.sort(([one], [other]) => one - other)
  // One statement and one value: a bound value costs more than a row.
  database
    .prepare(
      `INSERT OR IGNORE INTO keys (generation, hash, batch)
       SELECT ?1, value ->> 0, value ->> 1 FROM json_each(?2)`,
    )
    .run([generation, JSON.stringify(pairs)])
}

/** The youngest generation, or a new one when it is full. */
function openGeneration(database: SqliteDatabase): number {
  const sql = `SELECT id FROM generations WHERE id = (SELECT max(id) FROM generations) AND size < ${GENERATION_KEYS}`
  const generation = readNumber(database, sql)
  if (generation > 0) return generation
  return Number(database.prepare('INSERT INTO generations DEFAULT VALUES').run([]).lastInsertRowid)
}
