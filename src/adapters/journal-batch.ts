/** Records and repeats on their way into the journal, until they go to its thread together. */

import type { DecisionRecord } from '../webhook/decision-record.js'
import { keyOfName, keyOfUid } from './journal-index.js'
import type { JournalBatch, JournalRepeat } from './journal-store.js'

/** A reader takes a batch into memory whole. */
const FULL_ROWS = 256
const FULL_BYTES = 1024 * 1024
const MIN_BYTES = 8 * 1024
/** The most that UTF-8 takes for one UTF-16 unit. */
const MAX_BYTES_PER_UNIT = 3
/** Its uid and its name. */
const KEYS_PER_RECORD = 2
const NEWLINE = 0x0a
/** Memory that is kept for later batches: so many pieces, and none that one huge record made larger than this. */
const MAX_SPARE = 6
const MAX_SPARE_BYTES = 2 * FULL_BYTES

/**
 * Fills one batch after the other. The memory of their records goes with them and should come back: what is made anew
 * for each costs a page fault every 4 KiB, and keeps the collector busy.
 */
export class PendingBatch {
  /** Bytes at once, and not strings: those would be copied by the collector again and again until they are sent. */
  #bytes = freshMemory(MIN_BYTES)
  readonly #spare: Buffer<ArrayBuffer>[] = []
  readonly #keys = new Float64Array(FULL_ROWS * KEYS_PER_RECORD)
  #length = 0
  #rows = 0
  #keyCount = 0
  #since = Number.POSITIVE_INFINITY
  #until = 0
  #repeats = new Map<string, JournalRepeat>()

  get rows(): number {
    return this.#rows
  }

  get bytes(): number {
    return this.#length
  }

  get isEmpty(): boolean {
    return this.#rows === 0 && this.#repeats.size === 0
  }

  get isFull(): boolean {
    return this.#rows >= FULL_ROWS || this.#length >= FULL_BYTES
  }

  /** To a batch that is not full. @param at the record's time, in milliseconds since the epoch. */
  add({ objectUid, namespace, name }: DecisionRecord, json: string, at: number): void {
    this.#reserve(json.length * MAX_BYTES_PER_UNIT + 1)
    if (this.#rows > 0) {
      this.#bytes[this.#length] = NEWLINE
      this.#length += 1
    }
    this.#length += this.#bytes.write(json, this.#length)
    this.#rows += 1
    if (objectUid !== null) this.#addKey(keyOfUid(objectUid))
    if (name !== null) this.#addKey(keyOfName(namespace, name))
    if (at < this.#since) this.#since = at
    if (at > this.#until) this.#until = at
  }

  /** Count one more retry of a record. */
  repeat(recordId: string, at: number, lastAt: number): void {
    const count = (this.#repeats.get(recordId)?.count ?? 0) + 1
    this.#repeats.set(recordId, { recordId, at, count, lastAt })
  }

  /** What goes to the thread, and the next batch begins. The memory of `records` is the batch's, that of `keys` is not. */
  seal(): JournalBatch {
    const batch: JournalBatch = {
      records: this.#bytes.subarray(0, this.#length),
      since: this.#since,
      until: this.#until,
      keys: this.#keys.slice(0, this.#keyCount),
      repeats: [...this.#repeats.values()],
    }
    this.#bytes = this.#spare.pop() ?? freshMemory(MIN_BYTES)
    this.#length = 0
    this.#rows = 0
    this.#keyCount = 0
    this.#since = Number.POSITIVE_INFINITY
    this.#until = 0
    this.#repeats.clear()
    return batch
  }

  /** The memory of a batch that is done with. */
  reuse(memory: ArrayBuffer): void {
    if (this.#spare.length < MAX_SPARE && memory.byteLength <= MAX_SPARE_BYTES) this.#spare.push(Buffer.from(memory))
  }

  #addKey(key: number): void {
    this.#keys[this.#keyCount] = key
    this.#keyCount += 1
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes
    if (needed <= this.#bytes.length) return
    const grown = freshMemory(Math.max(needed, 2 * this.#bytes.length))
    this.#bytes.copy(grown, 0, 0, this.#length)
    this.#bytes = grown
  }
}

/** Not of the pool that buffers share: it moves to another thread. */
function freshMemory(bytes: number): Buffer<ArrayBuffer> {
  return Buffer.allocUnsafeSlow(bytes)
}
