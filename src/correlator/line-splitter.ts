/**
 * From chunks of bytes to lines, whatever the chunking.
 *
 * Only byte 0x0A ends a line: U+2028 and U+0085 are raw text in Tetragon's export. NUL bytes in front of a line are
 * what copytruncate leaves behind; they are dropped and count neither as a line nor towards its length.
 */

const NEWLINE = 0x0a
const NUL = 0

/** 16 MiB; the longest line seen from an agent has 3.93 MB. */
export const MAX_LINE_BYTES = 16 * 1024 * 1024

export type SplitLine =
  | { readonly type: 'line'; readonly bytes: Buffer }
  /** It was longer than the limit and is gone. */
  | { readonly type: 'too-long' }

export class LineSplitter {
  readonly #maxLineBytes: number
  #parts: Buffer[] = []
  /** Bytes of the unfinished line so far, also of those that were not kept. */
  #length = 0

  constructor(maxLineBytes: number = MAX_LINE_BYTES) {
    this.#maxLineBytes = maxLineBytes
  }

  /** The lines that this chunk completes. A line may share the chunk's memory: decode it before the next read. */
  push(chunk: Buffer): SplitLine[] {
    const lines: SplitLine[] = []
    let start = 0
    for (let newline = chunk.indexOf(NEWLINE); newline !== -1; newline = chunk.indexOf(NEWLINE, start)) {
      this.#append(chunk.subarray(start, newline))
      lines.push(this.#take())
      start = newline + 1
    }
    if (start < chunk.length) this.#append(chunk.subarray(start))
    return lines
  }

  /** What stands after the last newline of a source that is complete, if anything does. */
  end(): SplitLine[] {
    return this.#length === 0 ? [] : [this.#take()]
  }

  /** Forget an unfinished line: its source was replaced. */
  reset(): void {
    this.#parts = []
    this.#length = 0
  }

  #append(piece: Buffer): void {
    const part = this.#length === 0 ? withoutLeadingNuls(piece) : piece
    this.#length += part.length
    if (this.#length > this.#maxLineBytes) this.#parts = []
    else if (part.length > 0) this.#parts.push(part)
  }

  #take(): SplitLine {
    const isTooLong = this.#length > this.#maxLineBytes
    const [first, ...rest] = this.#parts
    this.reset()
    if (isTooLong) return { type: 'too-long' }
    if (first === undefined) return { type: 'line', bytes: Buffer.alloc(0) }
    return { type: 'line', bytes: rest.length === 0 ? first : Buffer.concat([first, ...rest]) }
  }
}

function withoutLeadingNuls(piece: Buffer): Buffer {
  let start = 0
  while (start < piece.length && piece[start] === NUL) start += 1
  return start === 0 ? piece : piece.subarray(start)
}
