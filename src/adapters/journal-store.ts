/** The journal's writes, a transaction for each lot of batches. Synchronous: it runs in the journal's own thread. */

import { openJournalIndex } from './journal-index.js'
import type { Keys } from './journal-key-pages.js'
import { JOURNAL, journalPath } from './journal-schema.js'
import { inTransaction, openForWriting, readNumber, type SqliteDatabase, unusable } from './sqlite-file.js'

/** Batches that one DELETE takes at most: a short transaction each. */
const PRUNE_STEP = 250
/** Deletes of one pruning: far more than is written meanwhile, so that deleting keeps up with writing. */
const MAX_PRUNE_STEPS = 20

/** A retry of a record that was written before. */
export interface JournalRepeat {
  readonly recordId: string
  /** When the first one was decided. Milliseconds since the epoch. */
  readonly at: number
  /** How many more there were. */
  readonly count: number
  /** Milliseconds since the epoch. */
  readonly lastAt: number
}

export interface JournalBatch {
  /** Decision records, one JSON a line, in UTF-8; empty when there are only repeats. */
  readonly records: Uint8Array<ArrayBuffer>
  /** When the first and the last of them were decided. Milliseconds since the epoch. */
  readonly since: number
  readonly until: number
  /** What the records are found by, see journal-index.ts. */
  readonly keys: Keys
  readonly repeats: readonly JournalRepeat[]
}

/** Whichever is reached first; the oldest records go. */
export interface Retention {
  readonly maxAgeMs: number
  /** Of pages in use. The file itself keeps its greatest size; its free pages are used again. */
  readonly maxBytes: number
}

export interface JournalStore {
  /** All of them or nothing. */
  write(...batches: readonly JournalBatch[]): void
  /** This run was recording at `now`; `dropped` counts its records that were lost so far. */
  beat(now: number, dropped: number): void
  /** Delete what is too old or too much, in bounded steps; what is left over goes the next time. */
  prune(now: number): void
  close(now: number): void
}

/** @throws KnownError JOURNAL_UNUSABLE, see `openForWriting`; also when the journal knows a run of that id. */
export function openJournalStore(
  directory: string,
  runId: string,
  started: number,
  retention: Retention,
): JournalStore {
  const database = openForWriting(journalPath(directory), JOURNAL)
  beginRun(database, directory, runId, started)
  const insertBatch = database.prepare('INSERT INTO batches (since, until, size, records) VALUES (?, ?, ?, ?)')
  const index = openJournalIndex(database)
  const repeat = database.prepare(
    `INSERT INTO repeats (at, record_id, count, last_at) VALUES (?1, ?2, ?3, ?4)
     ON CONFLICT DO UPDATE SET count = count + ?3, last_at = max(last_at, ?4)`,
  )
  const beat = database.prepare('UPDATE runs SET last_seen = max(last_seen, ?), dropped = ? WHERE id = ?')
  const stop = database.prepare('UPDATE runs SET last_seen = max(last_seen, ?1), stopped = ?1 WHERE id = ?2')
  const insert = ({ records, since, until, keys, repeats }: JournalBatch): void => {
    if (records.length > 0) {
      const bytes = Buffer.from(records.buffer, records.byteOffset, records.length)
      index.add(Number(insertBatch.run([since, until, records.length, bytes]).lastInsertRowid), keys)
    }
    for (const { count, lastAt, at, recordId } of repeats) repeat.run([at, recordId, count, lastAt])
  }
  return {
    write(...batches) {
      inTransaction(database, () => {
        for (const batch of batches) insert(batch)
      })
      if (index.isDue) inTransaction(database, () => index.enter())
    },
    beat(now, dropped) {
      inTransaction(database, () => {
        beat.run([now, dropped, runId])
        index.enter()
      })
    },
    prune(now) {
      prune(database, retention, now)
      inTransaction(database, () => index.prune())
    },
    close(now) {
      inTransaction(database, () => index.enter())
      stop.run([now, runId])
      database.close()
    },
  }
}

function beginRun(database: SqliteDatabase, directory: string, runId: string, started: number): void {
  const insert = database.prepare('INSERT INTO runs (id, started, last_seen) VALUES (?, ?, ?) ON CONFLICT DO NOTHING')
  if (insert.run([runId, started, started]).changes > 0) return
  database.close()
  // Two runs of one id would vouch for each other's losses.
  throw unusable(journalPath(directory), JOURNAL, `it holds a run ${JSON.stringify(runId)} already`)
}

function prune(database: SqliteDatabase, { maxAgeMs, maxBytes }: Retention, now: number): void {
  const tooOld = now - maxAgeMs
  let excess = bytesInUse(database) - maxBytes
  const oldest = database.prepare('SELECT until, size FROM batches ORDER BY until LIMIT ?').raw(true)
  for (let step = 0; step < MAX_PRUNE_STEPS; step += 1) {
    // The decode edge of our own table.
    const batches = oldest.all([PRUNE_STEP]) as [until: number, size: number][]
    let upTo: number | undefined
    for (const [until, size] of batches) {
      if (until >= tooOld && excess <= 0) break
      upTo = until
      excess -= size
    }
    if (upTo === undefined) break
    deleteUpTo(database, upTo)
  }
  database.prepare('DELETE FROM runs WHERE last_seen < ?').run([tooOld])
}

/** Batches that end in the same millisecond go together, so that `pruned_before` is exact. */
function deleteUpTo(database: SqliteDatabase, upTo: number): void {
  inTransaction(database, () => {
    database.prepare('DELETE FROM batches WHERE until <= ?').run([upTo])
    database.prepare('DELETE FROM repeats WHERE at <= ?').run([upTo])
    database
      .prepare(
        `INSERT INTO bounds (name, value) VALUES ('pruned_before', ?1)
         ON CONFLICT (name) DO UPDATE SET value = max(value, ?1)`,
      )
      .run([upTo + 1])
  })
}

function bytesInUse(database: SqliteDatabase): number {
  const pages = readNumber(database, 'PRAGMA page_count') - readNumber(database, 'PRAGMA freelist_count')
  return pages * readNumber(database, 'PRAGMA page_size')
}
