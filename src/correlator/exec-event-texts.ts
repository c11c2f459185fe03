/** Bounded memory for pieces of lines, and copies that do not hold on to the line. */

const BEYOND_ASCII = /[\u0080-\u00ff]/
/** Bytes; from here on the native comparison is worth its call. */
const LONG = 1_000
const HASH_PRIME = 0x9e3779b1
/** A piece has that many places to be kept at. */
const WAYS = 4

/** Where a piece stands in its line. */
export interface Piece {
  readonly start: number
  readonly headEnd: number
  readonly tailStart: number
  readonly end: number
}

/**
 * Pieces of lines, and what each of them means. A piece is two parts with a number between them that may differ each
 * time (a reference count), or just one part. A hash finds pieces, and they are then compared byte by byte: a wrong hit
 * costs time only. The oldest make room for new ones.
 */
export class KnownTexts<Value> {
  readonly #bytes: Buffer
  readonly #view: DataView
  readonly #lastSet: number
  readonly #hashes: Int32Array
  /** Where in the bytes each piece stands. */
  readonly #starts: Int32Array
  readonly #headEnds: Int32Array
  readonly #tailStarts: Int32Array
  readonly #ends: Int32Array
  /** How often the bytes had been filled when the piece was kept; 0: there is none. */
  readonly #rounds: Int32Array
  readonly #values: (Value | undefined)[]
  #round = 1
  /** Behind the piece that was kept last. */
  #end = 0

  /**
   * @param maxBytes of all pieces together; a piece of a hundredth of that or more is not kept.
   * @param places how many pieces there can be at most: a power of two, and no less than `WAYS`.
   */
  constructor(maxBytes: number, places: number) {
    this.#bytes = Buffer.allocUnsafeSlow(maxBytes)
    this.#view = new DataView(this.#bytes.buffer)
    this.#lastSet = places / WAYS - 1
    this.#hashes = new Int32Array(places)
    this.#starts = new Int32Array(places)
    this.#headEnds = new Int32Array(places)
    this.#tailStarts = new Int32Array(places)
    this.#ends = new Int32Array(places)
    this.#rounds = new Int32Array(places)
    this.#values = Array.from({ length: places }, () => undefined)
  }

  /** The first place of a piece with this hash, or, behind a place, the next one; -1 when there is none. */
  next(hash: number, behind = -1): number {
    const first = (hash & this.#lastSet) * WAYS
    for (let place = Math.max(first, behind + 1); place < first + WAYS; place += 1) {
      if (this.#hashes[place] === hash && this.#isKept(place)) return place
    }
    return -1
  }

  /** Where the first part of a piece ends, if it stands at `start` of a line that ends at `end`; -1 if it does not. */
  headEnd(place: number, line: Buffer, view: DataView, start: number, end: number): number {
    const at = this.#starts[place] ?? 0
    return this.#endOf(at, (this.#headEnds[place] ?? 0) - at, line, view, start, end)
  }

  /** The same of the second part. */
  tailEnd(place: number, line: Buffer, view: DataView, start: number, end: number): number {
    const at = this.#tailStarts[place] ?? 0
    return this.#endOf(at, (this.#ends[place] ?? 0) - at, line, view, start, end)
  }

  valueAt(place: number): Value | undefined {
    return this.#values[place]
  }

  /**
   * Keep a piece of a line: from `start` to `headEnd`, and from `tailStart` to `end`. It holds no control character:
   * `isSame` relies on it.
   */
  add(hash: number, line: Buffer, { start, headEnd, tailStart, end }: Piece, value: Value): void {
    const length = end - start
    if (length >= this.#bytes.length / 100) return
    if (this.#end + length > this.#bytes.length) {
      this.#turn()
    }
    const place = this.#oldestOf((hash & this.#lastSet) * WAYS)
    const at = this.#end
    // The number too: one copy is cheaper than two.
    line.copy(this.#bytes, at, start, end)
    this.#end += length
    this.#hashes[place] = hash
    this.#starts[place] = at
    this.#headEnds[place] = at + headEnd - start
    this.#tailStarts[place] = at + tailStart - start
    this.#ends[place] = at + length
    this.#rounds[place] = this.#round
    this.#values[place] = value
  }

  /** Begin at the front again. What was written over by now must not keep its value alive. */
  #turn(): void {
    this.#round += 1
    this.#end = 0
    for (let place = 0; place < this.#rounds.length; place += 1) {
      if ((this.#rounds[place] ?? 0) < this.#round - 1) this.#values[place] = undefined
    }
  }

  /** Not if its bytes, or some of them, have been written over. */
  #isKept(place: number): boolean {
    const age = this.#round - (this.#rounds[place] ?? 0)
    return age === 0 || (age === 1 && this.#rounds[place] !== 0 && (this.#starts[place] ?? 0) >= this.#end)
  }

  #oldestOf(first: number): number {
    let oldest = first
    for (let place = first; place < first + WAYS; place += 1) {
      const rounds = (this.#rounds[place] ?? 0) - (this.#rounds[oldest] ?? 0)
      if (rounds < 0 || (rounds === 0 && (this.#starts[place] ?? 0) < (this.#starts[oldest] ?? 0))) oldest = place
    }
    return oldest
  }

  #endOf(at: number, length: number, line: Buffer, view: DataView, start: number, end: number): number {
    const to = start + length
    if (to > end) return -1
    const isThere =
      length < LONG
        ? isSame(this.#view, at, view, start, length)
        : line.compare(this.#bytes, at, at + length, start, to) === 0
    return isThere ? to : -1
  }
}

/**
 * Whether the same bytes stand at two places: for shorter texts, where calling the native comparison costs more.
 *
 * Eight bytes are compared as one number. Two numbers are equal and their bytes are not for 0 and -0 alone, which
 * both have NUL bytes: so the text must hold none. What is no number (NaN, two bytes of it not ASCII) equals nothing.
 */
export function isSame(text: DataView, at: number, line: DataView, start: number, length: number): boolean {
  let index = 0
  // Four at a time: half of the time would go into counting.
  for (; index + 32 <= length; index += 32) {
    const one = at + index
    const other = start + index
    if (
      text.getFloat64(one, true) !== line.getFloat64(other, true) ||
      text.getFloat64(one + 8, true) !== line.getFloat64(other + 8, true) ||
      text.getFloat64(one + 16, true) !== line.getFloat64(other + 16, true) ||
      text.getFloat64(one + 24, true) !== line.getFloat64(other + 24, true)
    ) {
      return false
    }
  }
  for (; index + 8 <= length; index += 8) {
    if (text.getFloat64(at + index, true) !== line.getFloat64(start + index, true)) return false
  }
  for (; index < length; index += 1) if (text.getUint8(at + index) !== line.getUint8(start + index)) return false
  return true
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
