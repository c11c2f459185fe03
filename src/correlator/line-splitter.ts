/**
 * From chunks of bytes to lines, whatever the chunking.
 *
 * Only byte 0x0A ends a line: U+2028 and U+0085 are raw text in Tetragon's export. NUL bytes in front of a line are
 * what copytruncate leaves behind; they are dropped and count neither as a line nor towards its length.
 */

const NEWLINE = 0x0a
const NUL = 0
const NOTHING = Buffer.alloc(0)
const TOO_LONG = { type: 'too-long' } as const

/** 16 MiB; the longest line seen from an agent has 3.93 MB. */
export const MAX_LINE_BYTES = 16 * 1024 * 1024
const SHORT_BYTES = 256 * 1024

export type SplitLine =
  /** The chunk's bytes from `start` to `end`. */
  | { readonly type: 'line'; readonly chunk: Buffer; readonly start: number; readonly end: number }
  /** It was longer than the limit and is gone. */
  | { readonly type: 'too-long' }

/** What a line holds, in the memory of its chunk. */
export function bytesOf({ chunk, start, end }: Extract<SplitLine, { type: 'line' }>): Buffer {
  return chunk.subarray(start, end)
}

export class LineSplitter {
  readonly #maxLineBytes: number
  /** Holds the unfinished line, as far as it is kept; a new one for each, because lines are given away in it. */
  #room = NOTHING
  /** Bytes of the unfinished line so far, also of those that were not kept. */
  #length = 0

  constructor(maxLineBytes: number = MAX_LINE_BYTES) {
    this.#maxLineBytes = maxLineBytes
  }

  /** Whether the last chunk ended inside a line. */
  get isInLine(): boolean {
    return this.#length > 0
  }

  /** The lines that this chunk completes. They share its memory: decode them before it is filled anew. */
  push(chunk: Buffer): SplitLine[] {
    const lines: SplitLine[] = []
    let start = 0
    for (let newline = chunk.indexOf(NEWLINE); newline !== -1; newline = chunk.indexOf(NEWLINE, start)) {
      lines.push(
        this.#length === 0 ? this.whole(chunk, start, newline) : this.#complete(chunk.subarray(start, newline)),
      )
      start = newline + 1
    }
    if (start < chunk.length) this.#append(chunk.subarray(start))
    return lines
  }

  /** The line that stands in a chunk from its beginning to its newline. */
  whole(chunk: Buffer, from: number, newline: number): SplitLine {
    const start = skipNuls(chunk, from, newline)
    return newline - start > this.#maxLineBytes ? TOO_LONG : { type: 'line', chunk, start, end: newline }
  }

  /** What stands after the last newline of a source that is complete, if anything does. */
  end(): SplitLine[] {
    return this.#length === 0 ? [] : [this.#complete(NOTHING)]
  }

  /** Forget an unfinished line: its source was replaced. */
  reset(): void {
    this.#room = NOTHING
    this.#length = 0
  }

  #append(piece: Buffer): void {
    const part = this.#length === 0 ? piece.subarray(skipNuls(piece, 0, piece.length)) : piece
    const end = this.#length + part.length
    if (end > this.#maxLineBytes) this.#room = NOTHING
    else if (part.length > 0) {
      if (end > this.#room.length) this.#grow(end)
      // A copy: the chunk may be filled anew before the line is complete.
      part.copy(this.#room, this.#length)
    }
    this.#length = end
  }

  #grow(length: number): void {
    // Memory that is not written to costs nothing: a long line is moved once, not each time it doubles.
    const room = Buffer.allocUnsafeSlow(length <= SHORT_BYTES ? Math.min(2 * length, SHORT_BYTES) : this.#maxLineBytes)
    this.#room.copy(room, 0, 0, this.#length)
    this.#room = room
  }

  #complete(piece: Buffer): SplitLine {
    this.#append(piece)
    const isTooLong = this.#length > this.#maxLineBytes
    const chunk = this.#room.subarray(0, this.#length)
    this.reset()
    return isTooLong ? TOO_LONG : { type: 'line', chunk, start: 0, end: chunk.length }
  }
}

/** Where something stands that is not NUL. */
function skipNuls(bytes: Buffer, from: number, end: number): number {
  let start = from
  while (start < end && bytes[start] === NUL) start += 1
  return start
}
