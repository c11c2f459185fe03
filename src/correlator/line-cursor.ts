/**
 * Reads a line of JSON from left to right, byte by byte and without making strings of it. Whatever a method accepts means
 * to a JSON parser what it means here.
 */

const ASCII = 127
const QUOTE = 0x22
const COMMA = 0x2c
const BLANK = 0x20
const BACKSLASH = 0x5c
const ZERO = 0x30
/** How much of an id is remembered; how much of that may differ before the new one is. */
const ID_LENGTH = 64
const ID_DIFFERS = 24
/** More may not be exact as a number. */
const MAX_DIGITS = 15
/** By byte: 1 when it may stand in a string as it is. */
const PLAIN = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= BLANK && byte <= ASCII && byte !== QUOTE && byte !== BACKSLASH ? 1 : 0,
)
/** The same with what is not ASCII: it never ends a string, whether it is UTF-8 or not. */
const TEXT = PLAIN.map((isPlain, byte) => (byte > ASCII ? 1 : isPlain))
const ESCAPE = /^\\(?:["\\/bfnrt]|u[\da-fA-F]{4})/

export class LineCursor {
  bytes: Buffer = Buffer.alloc(0)
  view: DataView = new DataView(this.bytes.buffer, 0, 0)
  /** The next byte to read. */
  at = 0
  /** Behind the last one. */
  end = 0
  /** The inside of the last string or the last number. */
  from = 0
  to = 0
  isEscaped = false
  /** How the last id began: ASCII without quotes, as it was checked. */
  readonly #idBytes = Buffer.alloc(ID_LENGTH)
  readonly #id = new DataView(this.#idBytes.buffer, this.#idBytes.byteOffset, ID_LENGTH)
  #idLength = 0

  open(bytes: Buffer, start: number, end: number): void {
    if (bytes !== this.bytes) {
      this.bytes = bytes
      this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    }
    this.at = start
    this.end = end
  }

  /**
   * A string of ASCII without escapes that usually begins as the one before it did: an id, which begins with the
   * node's name.
   */
  id(): boolean {
    if (!this.#open()) return false
    const start = this.at
    const known = sameLength(this.#id, this.view, start, Math.min(this.#idLength, this.end - start))
    this.at += known
    if (!this.#close(PLAIN)) return false
    const length = Math.min(this.to - start, ID_LENGTH)
    if (known < length - ID_DIFFERS) {
      this.bytes.copy(this.#idBytes, 0, start, start + length)
      this.#idLength = length
    }
    return true
  }

  idField(key: Uint8Array): boolean {
    if (this.key(key)) return this.id()
    this.from = this.to = -1
    return true
  }

  /** Go behind these bytes, if they come next. */
  literal(expected: Uint8Array): boolean {
    const { bytes, at } = this
    const { length } = expected
    if (at + length > this.end) return false
    for (let index = 0; index < length; index += 1) if (bytes[at + index] !== expected[index]) return false
    this.at = at + length
    return true
  }

  /** A comma, a blank or none, and a key with its colon; stays where it is if they do not come next. */
  key(expected: Uint8Array): boolean {
    const start = this.at
    if (this.bytes[start] !== COMMA) return false
    this.at = this.bytes[start + 1] === BLANK ? start + 2 : start + 1
    if (this.literal(expected)) return true
    this.at = start
    return false
  }

  /** A string of ASCII without escapes. */
  plain(): boolean {
    return this.#open() && this.#close(PLAIN)
  }

  /** A string. */
  text(): boolean {
    if (!this.#open()) return false
    while (!this.#close(TEXT)) if (!this.#escape()) return false
    return true
  }

  /** A field that may be missing: then `from` and `to` are -1. False when it is there and of another form. */
  plainField(key: Uint8Array): boolean {
    if (this.key(key)) return this.plain()
    this.from = this.to = -1
    return true
  }

  textField(key: Uint8Array): boolean {
    if (this.key(key)) return this.text()
    this.from = this.to = -1
    return true
  }

  numberField(key: Uint8Array): boolean {
    if (this.key(key)) return this.number()
    this.from = this.to = -1
    return true
  }

  /** The last number; undefined when there was none. */
  value(): number | undefined {
    if (this.from === -1) return undefined
    let value = 0
    for (let index = this.from; index < this.to; index += 1) value = value * 10 + (this.bytes[index] ?? ZERO) - ZERO
    return value
  }

  /** A whole number from 0 on. */
  number(): boolean {
    const { bytes, at } = this
    const limit = Math.min(this.end, at + MAX_DIGITS)
    let index = at
    while (index < limit && isDigit(bytes[index])) index += 1
    if (index === at || (bytes[at] === ZERO && index > at + 1)) return false
    this.from = at
    this.to = index
    this.at = index
    return true
  }

  /** What stood there, byte for character. */
  slice(from: number, to: number): string {
    return this.bytes.toString('latin1', from, to)
  }

  /** Whether this byte comes next, and then go behind it. */
  byte(expected: number): boolean {
    if (this.at >= this.end || this.bytes[this.at] !== expected) return false
    this.at += 1
    return true
  }

  #open(): boolean {
    if (this.bytes[this.at] !== QUOTE || this.at >= this.end) return false
    this.at += 1
    this.from = this.at
    this.isEscaped = false
    return true
  }

  /** Go on as far as nothing is escaped; true behind the closing quote. */
  #close(allowed: Uint8Array): boolean {
    const { bytes, end } = this
    let index = this.at
    while (index < end && allowed[bytes[index] ?? 0] === 1) index += 1
    this.at = index
    if (index >= end || bytes[index] !== QUOTE) return false
    this.to = index
    this.at = index + 1
    return true
  }

  #escape(): boolean {
    if (this.bytes[this.at] !== BACKSLASH) return false
    const found = ESCAPE.exec(this.slice(this.at, Math.min(this.end, this.at + 6)))
    if (found === null) return false
    this.at += found[0].length
    this.isEscaped = true
    return true
  }
}

/** How many bytes of a text stand in a line, counted by eights. The text is ASCII without control characters: see `isSame`. */
function sameLength(text: DataView, line: DataView, start: number, length: number): number {
  let index = 0
  while (index + 8 <= length && text.getFloat64(index, true) === line.getFloat64(start + index, true)) index += 8
  return index
}

/** The bytes of keys, each with its quotes and its colon. */
export function keyOf(name: string): Uint8Array {
  return new TextEncoder().encode(`"${name}":`)
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= ZERO + 9
}
