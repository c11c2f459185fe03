/**
 * From chunks of bytes to the JSON objects in them, one at a time, whatever the chunking: objects one after the other
 * (NDJSON, or printed over many lines), and the elements of `items` where an object is a List. Of a List of gigabytes no
 * more than one element is held.
 */

const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const COMMA = 0x2c
const NEWLINE = 0x0a
/** White space, and the bytes of a byte-order mark. */
const BETWEEN = new Set([0x20, 0x09, 0x0d, 0xef, 0xbb, 0xbf])
const ITEMS = 'items'
/** etcd holds 1.5 MB at most; printed with indentation it is some four times that. */
const DEFAULT_MAX_BYTES = 16 * 1024 * 1024

export type SplitObject =
  /** It may yet be no JSON. `line`: where it begins, from 1. */
  | { readonly type: 'object'; readonly bytes: Buffer; readonly line: number }
  /** Half a sentence. */
  | { readonly type: 'problem'; readonly problem: string; readonly line: number }

/**
 * - `whole`: in an object that has shown no `items` so far: it is kept, for the case that it is none.
 * - `items`: in the list; each element is kept.
 * - `rest`: behind the list: nothing is.
 */
type Mode = 'whole' | 'items' | 'rest'

export class JsonObjectSplitter {
  readonly #maxBytes: number
  #mode: Mode = 'whole'
  #depth = 0
  #isInString = false
  #isEscaped = false
  #skipsLine = false
  #line = 1
  /** The last string right inside of the object, as far as it can be `items`, and whether a colon followed. */
  #word = ''
  #isKey = false
  #isKept = false
  #parts: Buffer[] = []
  #length = 0
  #begunAt = 1

  constructor(maxBytes: number = DEFAULT_MAX_BYTES) {
    this.#maxBytes = maxBytes
  }

  /** The objects that this chunk completes. */
  push(chunk: Buffer): readonly SplitObject[] {
    const found: SplitObject[] = []
    let from = 0
    for (let at = 0; at < chunk.length; at += 1) {
      const step = this.#step(chunk[at] ?? 0, found)
      if (step === 'begin') from = at
      else if (step === 'end') this.#finish(chunk.subarray(from, at + 1), found)
    }
    if (this.#isKept) this.#keep(chunk.subarray(from))
    return found
  }

  /** No more is to come. */
  end(): readonly SplitObject[] {
    if (this.#depth === 0) return []
    return [{ type: 'problem', problem: 'it ends in the middle of an object', line: this.#line }]
  }

  /** @returns whether something to be kept begins or ends with this byte. */
  #step(byte: number, found: SplitObject[]): 'begin' | 'end' | undefined {
    if (byte === NEWLINE) this.#line += 1
    if (this.#skipsLine) {
      this.#skipsLine = byte !== NEWLINE
      return undefined
    }
    if (this.#isInString) {
      this.#readString(byte)
      return undefined
    }
    switch (byte) {
      case OPEN_BRACE:
      case OPEN_BRACKET:
        return this.#open(byte, found) ? 'begin' : undefined
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        return this.#close(found) ? 'end' : undefined
      default:
        this.#readOther(byte, found)
        return undefined
    }
  }

  #readString(byte: number): void {
    if (this.#isEscaped) this.#isEscaped = false
    else if (byte === BACKSLASH) this.#isEscaped = true
    else if (byte === QUOTE) {
      this.#isInString = false
      return
    }
    if (this.#depth === 1 && this.#word.length <= ITEMS.length) this.#word += String.fromCharCode(byte)
  }

  #open(byte: number, found: SplitObject[]): boolean {
    if (this.#depth === 0 && byte === OPEN_BRACKET) {
      this.#complain(found)
      return false
    }
    const isWhole = this.#depth === 0
    const isItems = this.#mode === 'whole' && this.#depth === 1 && byte === OPEN_BRACKET && this.#isKey
    const isElement = this.#mode === 'items' && this.#depth === 2 && byte === OPEN_BRACE
    this.#depth += 1
    if (isItems) {
      this.#drop()
      this.#mode = 'items'
    }
    if (!isWhole && !isElement) return false
    if (isWhole) this.#mode = 'whole'
    this.#begunAt = this.#line
    this.#isKept = true
    return true
  }

  #close(found: SplitObject[]): boolean {
    if (this.#depth === 0) {
      this.#complain(found)
      return false
    }
    this.#depth -= 1
    if (this.#mode === 'items' && this.#depth === 1) this.#mode = 'rest'
    if (!this.#isKept) return false
    return this.#depth === 0 || (this.#mode === 'items' && this.#depth === 2)
  }

  #readOther(byte: number, found: SplitObject[]): void {
    if (this.#depth === 0) {
      if (byte !== NEWLINE && !BETWEEN.has(byte)) this.#complain(found)
    } else if (byte === QUOTE) {
      this.#isInString = true
      if (this.#depth === 1) this.#word = ''
    } else if (this.#depth === 1 && byte === COLON) this.#isKey = this.#word === ITEMS
    else if (this.#depth === 1 && byte === COMMA) this.#isKey = false
  }

  #complain(found: SplitObject[]): void {
    found.push({ type: 'problem', problem: 'it is no JSON object', line: this.#line })
    this.#skipsLine = true
  }

  #keep(bytes: Buffer): void {
    this.#length += bytes.length
    // A copy: the chunk's memory may be used again.
    if (this.#length <= this.#maxBytes) this.#parts.push(Buffer.from(bytes))
    else this.#parts = []
  }

  #finish(last: Buffer, found: SplitObject[]): void {
    const line = this.#begunAt
    if (this.#length + last.length > this.#maxBytes) {
      found.push({ type: 'problem', problem: `it is larger than ${this.#maxBytes} bytes`, line })
    } else found.push({ type: 'object', bytes: Buffer.concat([...this.#parts, last]), line })
    this.#drop()
  }

  #drop(): void {
    this.#isKept = false
    this.#parts = []
    this.#length = 0
    this.#isKey = false
  }
}
