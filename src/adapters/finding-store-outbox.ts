/**
 * What waits for the receivers of findings, in the file of the findings: it is put there in the very transaction that
 * saves them, so that no kill can part the two.
 */

import type { Delivery, DeliveryQueue } from '../correlator/delivery.js'
import type { Finding } from '../correlator/finding.js'
import { parseFinding } from '../correlator/finding-schema.js'
import type { TroubleWatch } from './finding-store-trouble.js'
import type { SqliteDatabase } from './sqlite-file.js'

/** One row a sink and fingerprint: the update that waits. Ids are never used again, so a late `settle` hits nothing else. */
export const OUTBOX_TABLES = `
  CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sink TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    finding TEXT NOT NULL,
    UNIQUE (sink, fingerprint)
  );
  CREATE INDEX deliveries_in_order ON deliveries (sink, id);
`

/** So many that wait are at hand in memory too, of some kilobytes each: most are sent at once, and need no reading back. */
const MAX_AT_HAND = 1_000

/** A receiver whose findings wait in the file. */
export interface OutboxSink {
  readonly name: string
  readonly isWanted: (finding: Finding) => boolean
}

export interface Outbox {
  /** Before the transaction that saves the findings. */
  begin(): void
  /** Inside of it. @param json of the finding. */
  put(finding: Finding, json: string): void
  /** After it, when nothing was rolled back. */
  commit(): void
  queueOf(sink: string): DeliveryQueue
  /** See what waits by now: whoever had the state before may have gone on until it was claimed. */
  recount(): void
  /** What waits for sinks that are not there: kept for when they come back. */
  readonly stranded: readonly { readonly sink: string; readonly count: number }[]
}

/** Put there in a transaction that is not over. */
interface Staged extends AtHand {
  readonly sink: string
  readonly id: number
  readonly superseded: number | undefined
}

interface AtHand {
  readonly finding: Finding
  readonly json: string
}

type Guards = Pick<TroubleWatch, 'reading' | 'writing'>

export function createOutbox(database: SqliteDatabase, sinks: readonly OutboxSink[], guards: Guards): Outbox {
  const insert = database.prepare('INSERT OR REPLACE INTO deliveries (sink, fingerprint, finding) VALUES (?, ?, ?)')
  const has = database.prepare('SELECT id FROM deliveries WHERE sink = ? AND fingerprint = ?').raw(true)
  const sizes = new Map<string, number>()
  const recount = (): void => {
    sizes.clear()
    for (const [sink, count] of readSizes(database)) sizes.set(sink, count)
  }
  recount()
  const names = new Set(sinks.map(({ name }) => name))
  const atHand = new Map<number, AtHand>()
  let staged: Staged[] = []
  return {
    begin() {
      staged = []
    },
    put(finding, json) {
      for (const { name: sink, isWanted } of sinks) {
        if (!isWanted(finding)) continue
        const superseded = numberIn(has.get([sink, finding.fingerprint]))
        const { lastInsertRowid } = insert.run([sink, finding.fingerprint, json])
        staged.push({ sink, id: Number(lastInsertRowid), superseded, finding, json })
      }
    },
    commit() {
      for (const { sink, id, superseded, finding, json } of staged) {
        if (superseded === undefined) sizes.set(sink, (sizes.get(sink) ?? 0) + 1)
        else atHand.delete(superseded)
        if (atHand.size < MAX_AT_HAND) atHand.set(id, { finding, json })
      }
      staged = []
    },
    queueOf: sink => guarded(createQueue(database, sink, sizes, atHand), guards),
    recount,
    get stranded() {
      return [...sizes].flatMap(([sink, count]) => (names.has(sink) ? [] : [{ sink, count }]))
    },
  }
}

function createQueue(
  database: SqliteDatabase,
  sink: string,
  sizes: Map<string, number>,
  atHand: Map<number, AtHand>,
): DeliveryQueue {
  const first = database.prepare('SELECT id, finding FROM deliveries WHERE sink = ? ORDER BY id LIMIT ?').raw(true)
  const remove = database.prepare('DELETE FROM deliveries WHERE id = ?')
  const replace = database.prepare(
    `INSERT OR REPLACE INTO deliveries (sink, fingerprint, finding)
      SELECT sink, fingerprint, finding FROM deliveries WHERE id = ?`,
  )
  const drop = (ids: readonly number[]): void => {
    let removed = 0
    database.exec('BEGIN IMMEDIATE')
    try {
      for (const id of ids) removed += remove.run([id]).changes
      database.exec('COMMIT')
    } catch (error) {
      // Of some errors, a full disk among them, SQLite rolls back by itself.
      if (database.inTransaction) database.exec('ROLLBACK')
      throw error
    }
    for (const id of ids) atHand.delete(id)
    sizes.set(sink, Math.max(0, (sizes.get(sink) ?? 0) - removed))
  }
  return {
    get size() {
      return sizes.get(sink) ?? 0
    },
    isDurable: true,
    // It stands there since the findings were saved.
    put() {},
    take(count) {
      const deliveries: Delivery[] = []
      const unreadable: number[] = []
      for (const row of first.iterate([sink, count])) {
        const [id, json]: readonly unknown[] = Array.isArray(row) ? row : []
        if (typeof id !== 'number' || typeof json !== 'string') continue
        const finding = readBack(json, atHand.get(id))
        if (finding === undefined) unreadable.push(id)
        else deliveries.push({ id, finding })
      }
      // Written by another version of this schema: it is sent when it is seen again.
      if (unreadable.length > 0) drop(unreadable)
      // Another process has taken over and sent them: who asks again and again must not be told that they are there.
      else if (deliveries.length === 0) sizes.set(sink, 0)
      return deliveries
    },
    settle: deliveries => drop(deliveries.map(({ id }) => id)),
    postpone({ id }) {
      replace.run([id])
      atHand.delete(id)
    },
  }
}

function guarded(queue: DeliveryQueue, { reading, writing }: Guards): DeliveryQueue {
  return {
    get size() {
      return queue.size
    },
    isDurable: queue.isDurable,
    put: finding => queue.put(finding),
    take: count => reading(() => queue.take(count)),
    settle: deliveries => writing(() => queue.settle(deliveries)),
    postpone: delivery => writing(() => queue.postpone(delivery)),
  }
}

/** What was rolled back may have left its number to another. */
function readBack(json: string, known: AtHand | undefined): Finding | undefined {
  return known?.json === json ? known.finding : parseFinding(JSON.parse(json))
}

function numberIn(row: unknown): number | undefined {
  const value: unknown = Array.isArray(row) ? row[0] : undefined
  return typeof value === 'number' ? value : undefined
}

function readSizes(database: SqliteDatabase): Map<string, number> {
  const sizes = new Map<string, number>()
  for (const row of database.prepare('SELECT sink, count(*) FROM deliveries GROUP BY sink').raw(true).iterate()) {
    const [sink, count]: readonly unknown[] = Array.isArray(row) ? row : []
    if (typeof sink === 'string' && typeof count === 'number') sizes.set(sink, count)
  }
  return sizes
}
