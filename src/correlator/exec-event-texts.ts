/** Bounded memory for pieces of lines, and copies that do not hold on to the line. */

const BEYOND_ASCII = /[\u0080-\u00ff]/
/** Bytes. */
const SHORT = 160
const HASH_PRIME = 0x9e3779b1
/** Pieces that are kept under one hash. */
const MAX_VARIANTS = 4
/** What a piece takes at least, so that tiny ones do not outnumber the bound. */
const MIN_BYTES = 200

/** A piece that was read before: all before a number that may differ each time, and all behind it; or just one text. */
export interface KnownText<Value> {
  readonly value: Value
  readonly at: number
  readonly headLength: number
  readonly tailLength: number
}

/**
 * Pieces of lines, and what each of them means. A hash finds a piece, and it is then compared byte by byte: a wrong hit
 * costs time only. When its bytes are full, everything is forgotten; what is in use comes back by itself.
 */
export class KnownTexts<Value> {
  readonly #bytes: Buffer
  readonly #view: DataView
  readonly #texts = new Map<number, readonly KnownText<Value>[]>()
  #length = 0

  /** @param maxBytes of all pieces together; a piece of a hundredth of that or more is not kept. */
  constructor(maxBytes: number) {
    this.#bytes = Buffer.allocUnsafeSlow(maxBytes)
    this.#view = new DataView(this.#bytes.buffer)
  }

  /** The pieces that may stand there. */
  under(hash: number): readonly KnownText<Value>[] | undefined {
    return this.#texts.get(hash)
  }

  /** Whether the first part of a piece, or all of it, stands at a place of a line that ends at `end`. */
  isHeadAt({ at, headLength }: KnownText<Value>, line: Buffer, view: DataView, start: number, end: number): boolean {
    return start + headLength <= end && this.#isAt(at, headLength, line, view, start)
  }

  /** The same of the second part. */
  isTailAt(
    { at, headLength, tailLength }: KnownText<Value>,
    line: Buffer,
    view: DataView,
    start: number,
    end: number,
  ): boolean {
    return start + tailLength <= end && this.#isAt(at + headLength, tailLength, line, view, start)
  }

  /** Keep a piece of a line: from `start` to `headEnd`, and from `tailStart` to `end`. */
  add(
    hash: number,
    line: Buffer,
    [start, headEnd, tailStart, end]: readonly [number, number, number, number],
    value: Value,
  ): void {
    const headLength = headEnd - start
    const tailLength = end - tailStart
    const length = Math.max(MIN_BYTES, headLength + tailLength)
    if (length >= this.#bytes.length / 100) return
    if (this.#length + length > this.#bytes.length) {
      this.#texts.clear()
      this.#length = 0
    }
    const at = this.#length
    line.copy(this.#bytes, at, start, headEnd)
    line.copy(this.#bytes, at + headLength, tailStart, end)
    this.#length += length
    const others = this.#texts.get(hash) ?? []
    this.#texts.set(hash, [{ value, at, headLength, tailLength }, ...others.slice(0, MAX_VARIANTS - 1)])
  }

  #isAt(at: number, length: number, line: Buffer, view: DataView, start: number): boolean {
    if (length <= SHORT) return isSame(this.#view, at, view, start, length)
    return line.compare(this.#bytes, at, at + length, start, start + length) === 0
  }
}

/** Whether the same bytes stand at two places: for short texts, where calling the native comparison costs more. */
export function isSame(text: DataView, at: number, line: DataView, start: number, length: number): boolean {
  let index = 0
  for (; index + 4 <= length; index += 4) {
    if (text.getInt32(at + index, true) !== line.getInt32(start + index, true)) return false
  }
  for (; index < length; index += 1) if (text.getUint8(at + index) !== line.getUint8(start + index)) return false
  return true
}

/** The last text under each hash, for a short while: a fixed number of places, each for one text of bounded length. */
export class RecentTexts {
  readonly #bytes: Buffer
  readonly #lengths: Int32Array
  readonly #maxLength: number

  /** @param places a power of two. */
  constructor(places: number, maxLength: number) {
    this.#bytes = Buffer.allocUnsafeSlow(places * maxLength)
    this.#lengths = new Int32Array(places)
    this.#maxLength = maxLength
  }

  keep(hash: number, line: Buffer, start: number, end: number): void {
    const length = end - start
    if (length > this.#maxLength) return
    const place = hash & (this.#lengths.length - 1)
    this.#lengths[place] = length
    line.copy(this.#bytes, place * this.#maxLength, start, end)
  }

  /** Where the text under this hash ends, if it stands at a place of a line; -1 if it does not. */
  endAt(hash: number, line: Buffer, start: number, end: number): number {
    const place = hash & (this.#lengths.length - 1)
    const length = this.#lengths[place] ?? 0
    const at = place * this.#maxLength
    if (length === 0 || start + length > end) return -1
    return line.compare(this.#bytes, at, at + length, start, start + length) === 0 ? start + length : -1
  }
}

/** Of some bytes of a line, four at a time. */
export function hashOf(line: DataView, start: number, end: number): number {
  let hash = end - start
  let index = start
  for (; index + 4 <= end; index += 4) {
    hash = Math.imul(hash ^ line.getInt32(index, true), HASH_PRIME)
    hash ^= hash >>> 15
  }
  for (; index < end; index += 1) hash = Math.imul(hash ^ line.getUint8(index), HASH_PRIME)
  return hash
}

/** V8 makes a substring a view of the whole string, which it keeps alive; a joined text is written anew. */
export function copyOf(text: string): string {
  return ` ${text}`.slice(1)
}

/** UTF-8 that was read byte for character; what is no UTF-8 becomes U+FFFD, as everywhere. */
export function fromBytes(text: string): string {
  return BEYOND_ASCII.test(text) ? Buffer.from(text, 'latin1').toString('utf8') : text
}

/** The inside of a JSON string that is known to be well-formed. */
export function unescapeText(inside: string): string {
  return inside.includes('\\') ? String(JSON.parse(`"${inside}"`)) : copyOf(inside)
}

/** The same; an empty string says nothing more than a missing field does. */
export function textOf(inside: string): string | undefined {
  return inside === '' ? undefined : unescapeText(inside)
}
