/** What waits for the journal's thread: batches that fill, full ones, and those that it has not answered yet. */

import type { DecisionRecord } from '../webhook/decision-record.js'
import { PendingBatch } from './journal-batch.js'
import type { JournalBatch } from './journal-store.js'
import type { SettledBatches, ToJournalThread } from './journal-worker.js'

/** A record is durable after this long at the latest, when the disk keeps up. */
const FLUSH_INTERVAL_MS = 50
/** So many full batches go at once, and are written in one transaction. */
const BATCHES_AT_ONCE = 4
/** Records that may wait for the thread, whichever is reached first; more are dropped and counted. */
const MAX_WAITING_ROWS = 20_000
const MAX_WAITING_BYTES = 32 * 1024 * 1024
/** Lots of batches that the thread has not answered yet. */
const MAX_IN_FLIGHT = 2

interface SealedBatch {
  readonly batch: JournalBatch
  readonly rows: number
}

export class JournalQueue {
  readonly #post: (message: ToJournalThread, memory: readonly ArrayBuffer[]) => void
  readonly #pending = new PendingBatch()
  /** Those that wait for the thread to catch up: here they are bounded, in its message queue they would not be. */
  #sealed: SealedBatch[] = []
  /** What is sealed, here or in the thread. */
  #sealedBytes = 0
  /** Rows that wait here or in the thread. */
  #unwritten = 0
  #inFlight = 0
  #flushTimer: NodeJS.Timeout | undefined

  /** @param post hands a message to the thread, and the memory that it names. */
  constructor(post: (message: ToJournalThread, memory: readonly ArrayBuffer[]) => void) {
    this.#post = post
  }

  get isOverfull(): boolean {
    return this.#unwritten >= MAX_WAITING_ROWS || this.#sealedBytes >= MAX_WAITING_BYTES
  }

  /** @param at the record's time, in milliseconds since the epoch. */
  add(decisionRecord: DecisionRecord, json: string, at: number): void {
    this.#pending.add(decisionRecord, json, at)
    this.#unwritten += 1
    if (this.#pending.isFull) this.#seal()
    if (this.#sealed.length >= BATCHES_AT_ONCE) this.#flush()
    else this.#flushSoon()
  }

  /** Count one more retry of a record. */
  repeat(recordId: string, at: number, lastAt: number): void {
    this.#pending.repeat(recordId, at, lastAt)
    this.#flushSoon()
  }

  /** The thread has written a lot of batches, or lost it. */
  settle({ rows, bytes, memory }: SettledBatches): void {
    this.#inFlight -= 1
    this.#unwritten -= rows
    this.#sealedBytes -= bytes
    for (const one of memory) this.#pending.reuse(one)
    if (this.#sealed.length > 0) this.#flush()
    else if (!this.#pending.isEmpty) this.#flushSoon()
  }

  /** Send everything, whatever is in flight: these are the last batches. */
  close(): void {
    this.#inFlight = Number.NEGATIVE_INFINITY
    this.#flush()
  }

  /** @returns how many rows will never be written. */
  abandon(): number {
    const lost = this.#unwritten
    this.#unwritten = 0
    return lost
  }

  #flushSoon(): void {
    this.#flushTimer ??= setTimeout(() => this.#flush(), FLUSH_INTERVAL_MS).unref()
  }

  #flush(): void {
    clearTimeout(this.#flushTimer)
    this.#flushTimer = undefined
    // While the thread is behind, what waits here grows to a full batch first.
    if (this.#inFlight >= MAX_IN_FLIGHT) return
    this.#seal()
    while (this.#inFlight < MAX_IN_FLIGHT && this.#sealed.length > 0)
      this.#send(this.#sealed.splice(0, BATCHES_AT_ONCE))
  }

  #seal(): void {
    const pending = this.#pending
    if (pending.isEmpty) return
    const { rows, bytes } = pending
    this.#sealedBytes += bytes
    this.#sealed.push({ batch: pending.seal(), rows })
  }

  #send(sealed: readonly SealedBatch[]): void {
    this.#inFlight += 1
    const batches = sealed.map(({ batch }) => batch)
    const rows = sealed.reduce((sum, one) => sum + one.rows, 0)
    // The records' memory moves to the thread, and comes back with its answer; nothing is copied.
    this.#post(
      { type: 'write', batches, rows },
      batches.map(({ records }) => records.buffer),
    )
  }
}
