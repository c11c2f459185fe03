/** How far one file was read, and how it begins: what its checkpoint is made from. */

import { type FileMark, HEAD_BYTES, type Head, headOf } from './checkpoint.js'

const NEWLINE = 0x0a
const NUL = 0

export class Cursor {
  readonly identity: string
  /** Where the first byte stands that is not NUL: copytruncate leaves a run of NUL bytes in front. */
  start = 0
  /** Behind the last byte that was read. */
  offset = 0
  /** Behind the last complete line that was read. */
  lineEnd = 0
  /** The first bytes from `start` on, as far as they are known, up to `HEAD_BYTES`. */
  head: Buffer = Buffer.alloc(0)
  #hashed: Head | undefined

  constructor(identity: string) {
    this.identity = identity
  }

  /** Go on behind a complete line of a file that begins like this. */
  moveTo(start: number, head: Buffer, offset: number): void {
    this.start = start
    this.head = head
    this.offset = offset
    this.lineEnd = offset
  }

  /** Take in the bytes that stand at `offset`. */
  advance(bytes: Buffer): void {
    if (this.offset === this.start) this.start += countLeadingNuls(bytes)
    const newline = bytes.lastIndexOf(NEWLINE)
    this.lineEnd = Math.max(this.start, newline === -1 ? this.lineEnd : this.offset + newline + 1)
    const next = this.start + this.head.length - this.offset
    if (this.head.length < HEAD_BYTES && next >= 0 && next < bytes.length) {
      this.head = Buffer.concat([this.head, bytes.subarray(next, next + HEAD_BYTES - this.head.length)])
    }
    this.offset += bytes.length
  }

  /** Undefined while no complete line was read. */
  get mark(): FileMark | undefined {
    const bytes = Math.min(this.head.length, this.lineEnd - this.start)
    if (bytes === 0) return undefined
    if (this.#hashed?.bytes !== bytes) this.#hashed = headOf(this.head.subarray(0, bytes))
    return { identity: this.identity, offset: this.lineEnd, head: this.#hashed }
  }
}

export function countLeadingNuls(bytes: Buffer): number {
  let count = 0
  while (count < bytes.length && bytes[count] === NUL) count += 1
  return count
}
