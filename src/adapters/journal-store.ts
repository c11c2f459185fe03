/** The journal's writes, one transaction a batch. Synchronous: it runs in the journal's own thread. */

import type { JournalDatabase } from './journal-schema.js'
import { openForWriting, readNumber } from './journal-schema.js'

/** How many rows one INSERT takes: half the CPU of as many single ones. */
const ROWS_PER_INSERT = 32
const CELLS_PER_ROW = 6
/** Rows that one DELETE takes at most: a short transaction each. */
const PRUNE_STEP = 1_000
/** Deletes of one pruning: far more than a batch adds, so that deleting keeps up with writing. */
const MAX_PRUNE_STEPS = 20
const COLUMNS = 'record_id, at, last_at, uid, namespace, name, record'
const ROW = '(?1, ?2, ?2, ?3, ?4, ?5, ?6)'

/** `[recordId, at, uid, namespace, name, record]` of each row, one after the other: cheap to hand to a thread. */
export type JournalCells = readonly (string | number | null)[]

/** A retry of a record that was written before. */
export interface JournalRepeat {
  readonly recordId: string
  /** When the first one was decided: finds the row among the few of its millisecond. Milliseconds since the epoch. */
  readonly at: number
  /** How many more there were. */
  readonly count: number
  /** Milliseconds since the epoch. */
  readonly lastAt: number
}

export interface JournalBatch {
  readonly cells: JournalCells
  readonly repeats: readonly JournalRepeat[]
}

/** Whichever is reached first; the oldest records go. */
export interface Retention {
  readonly maxAgeMs: number
  /** Of pages in use. The file itself keeps its greatest size; its free pages are used again. */
  readonly maxBytes: number
}

export interface JournalStore {
  /** All or nothing. */
  write(batch: JournalBatch): void
  /** This run was recording at `now`; `dropped` counts its records that were lost so far. */
  beat(now: number, dropped: number): void
  /** Delete what is too old or too much, in bounded steps; what is left over goes the next time. */
  prune(now: number): void
  close(now: number): void
}

/** @throws KnownError JOURNAL_UNUSABLE, see `openForWriting`. */
export function openJournalStore(
  directory: string,
  runId: string,
  started: number,
  retention: Retention,
): JournalStore {
  const database = openForWriting(directory)
  database.prepare('INSERT INTO runs (id, started, last_seen) VALUES (?, ?, ?)').run([runId, started, started])
  const insertOne = database.prepare(`INSERT INTO admissions (${COLUMNS}) VALUES ${ROW}`)
  const insertMany = database.prepare(`INSERT INTO admissions (${COLUMNS}) VALUES ${manyRows()}`)
  const repeat = database.prepare(
    'UPDATE admissions SET count = count + ?, last_at = max(last_at, ?) WHERE at = ? AND record_id = ?',
  )
  const beat = database.prepare('UPDATE runs SET last_seen = max(last_seen, ?), dropped = ? WHERE id = ?')
  const stop = database.prepare('UPDATE runs SET last_seen = max(last_seen, ?1), stopped = ?1 WHERE id = ?2')
  return {
    write({ cells, repeats }) {
      inTransaction(database, () => {
        const step = ROWS_PER_INSERT * CELLS_PER_ROW
        let at = 0
        for (; at + step <= cells.length; at += step) insertMany.run([...cells.slice(at, at + step)])
        for (; at < cells.length; at += CELLS_PER_ROW) insertOne.run([...cells.slice(at, at + CELLS_PER_ROW)])
        for (const { count, lastAt, at, recordId } of repeats) repeat.run([count, lastAt, at, recordId])
      })
    },
    beat: (now, dropped) => {
      beat.run([now, dropped, runId])
    },
    prune: now => prune(database, retention, now),
    close(now) {
      stop.run([now, runId])
      database.close()
    },
  }
}

/** `(?1, ?2, ?2, ?3, …), (?7, ?8, ?8, ?9, …)`: `at` is also the first `last_at`. */
function manyRows(): string {
  const rows = Array.from({ length: ROWS_PER_INSERT }, (_, row) =>
    ROW.replaceAll(/\?(\d)/g, (_match, digit: string) => `?${Number(digit) + row * CELLS_PER_ROW}`),
  )
  return rows.join(', ')
}

function inTransaction(database: JournalDatabase, work: () => void): void {
  database.exec('BEGIN IMMEDIATE')
  try {
    work()
    database.exec('COMMIT')
  } catch (error) {
    database.exec('ROLLBACK')
    throw error
  }
}

function prune(database: JournalDatabase, { maxAgeMs, maxBytes }: Retention, now: number): void {
  const oldest = now - maxAgeMs
  let excess = excessRows(database, maxBytes)
  const tooOld = database.prepare('SELECT max(at) FROM (SELECT at FROM admissions WHERE at < ? ORDER BY at LIMIT ?)')
  const tooMuch = database.prepare('SELECT max(at) FROM (SELECT at FROM admissions ORDER BY at LIMIT ?)')
  for (let step = 0; step < MAX_PRUNE_STEPS; step += 1) {
    const rows = Math.min(excess, PRUNE_STEP)
    const row: unknown = rows > 0 ? tooMuch.raw(true).get([rows]) : tooOld.raw(true).get([oldest, PRUNE_STEP])
    const upTo: unknown = Array.isArray(row) ? row[0] : undefined
    if (typeof upTo !== 'number') break
    deleteUpTo(database, upTo)
    excess -= rows
  }
  database.prepare('DELETE FROM runs WHERE last_seen < ?').run([oldest])
}

/** How many of the oldest rows must go for the rest to fit. Rows go in order, so that their ids count them. */
function excessRows(database: JournalDatabase, maxBytes: number): number {
  const used = bytesInUse(database)
  if (used <= maxBytes) return 0
  const rows = readNumber(database, 'SELECT max(id) - min(id) + 1 FROM admissions')
  return Math.ceil((rows * (used - maxBytes)) / used)
}

/** Records of the same millisecond go together, so that `pruned_before` is exact. */
function deleteUpTo(database: JournalDatabase, upTo: number): void {
  inTransaction(database, () => {
    database.prepare('DELETE FROM admissions WHERE at <= ?').run([upTo])
    database
      .prepare(
        `INSERT INTO bounds (name, value) VALUES ('pruned_before', ?1)
         ON CONFLICT (name) DO UPDATE SET value = max(value, ?1)`,
      )
      .run([upTo + 1])
  })
}

function bytesInUse(database: JournalDatabase): number {
  const pages = readNumber(database, 'PRAGMA page_count') - readNumber(database, 'PRAGMA freelist_count')
  return pages * readNumber(database, 'PRAGMA page_size')
}
