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
const NEWLINE = 0x0a

export class PendingBatch {
  /** Bytes at once, and not strings: those would be copied by the collector again and again until they are sent. */
  #bytes: Buffer<ArrayBuffer>
  #length = 0
  #rows = 0
  #keys: number[] = []
  #since = Number.POSITIVE_INFINITY
  #until = 0
  #repeats = new Map<string, JournalRepeat>()

  /** @param expectedBytes what the batch before held: growing copies, and keeps the collector busy. */
  constructor(expectedBytes = 0) {
    const size = Math.min(FULL_BYTES, Math.ceil(expectedBytes * 1.25))
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(MIN_BYTES, size))
  }

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

  /** @param at the record's time, in milliseconds since the epoch. */
  add({ objectUid, namespace, name }: DecisionRecord, json: string, at: number): void {
    this.#reserve(json.length * MAX_BYTES_PER_UNIT + 1)
    if (this.#rows > 0) {
      this.#bytes[this.#length] = NEWLINE
      this.#length += 1
    }
    this.#length += this.#bytes.write(json, this.#length)
    this.#rows += 1
    if (objectUid !== null) this.#keys.push(keyOfUid(objectUid))
    if (name !== null) this.#keys.push(keyOfName(namespace, name))
    this.#since = Math.min(this.#since, at)
    this.#until = Math.max(this.#until, at)
  }

  /** Count one more retry of a record. */
  repeat(recordId: string, at: number, lastAt: number): void {
    const count = (this.#repeats.get(recordId)?.count ?? 0) + 1
    this.#repeats.set(recordId, { recordId, at, count, lastAt })
  }

  /** What goes to the thread; the bytes' memory goes with it, so this is the end. */
  seal(): JournalBatch {
    const records = this.#bytes.subarray(0, this.#length)
    const [since, until, keys] = [this.#since, this.#until, this.#keys]
    return { records, since, until, keys, repeats: [...this.#repeats.values()] }
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes
    if (needed <= this.#bytes.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#bytes.length))
    this.#bytes.copy(grown, 0, 0, this.#length)
    this.#bytes = grown
  }
}
