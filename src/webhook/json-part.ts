/**
 * Reads of a JSON text only what somebody asks for, and checks the rest without keeping it. What is not read looks like
 * what is not there; objects and lists where a scalar is asked for are empty ones.
 *
 * Of duplicate keys the last one counts, as for `JSON.parse`. A key that could be written in more than one way (escapes,
 * bytes above ASCII) beside one that is asked for makes the whole text "not known here".
 */

import {
  CLOSE_LIST,
  CLOSE_OBJECT,
  COLON,
  COMMA,
  endOfPlainText,
  endOfScalar,
  endOfText,
  OPEN_LIST,
  OPEN_OBJECT,
  PADDING,
  QUOTE,
  UNKNOWN,
} from './json-scan.js'
import { SeenValues } from './json-seen.js'

/** Which part of a value is asked for. All have one shape, which is what makes asking them fast. */
export interface Part {
  /** Of an object these fields: keys of one length beside each other, so that few are compared. */
  readonly byLength: readonly (readonly Field[] | undefined)[] | undefined
  /** Of a list this of each item. */
  readonly each: Part | undefined
  /** Of a text a copy: any other may hold on to the whole JSON for as long as it lives. */
  readonly isKept: boolean
}

interface Field {
  readonly key: string
  readonly bytes: Uint8Array
  /** The key's first four bytes; the quote behind it is one of them if it is shorter. */
  readonly start: number
  readonly part: Part
}

/** A text of at most so many bytes is copied into memory that is there already. */
const SCRATCH_BYTES = 64 * 1024
const NOTHING = Buffer.alloc(0)
const NEWLINE = 0x0a
const LETTER_F = 0x66
const LETTER_N = 0x6e
const LETTER_T = 0x74

/** A text, number or word that is let go with the JSON. */
export const PASSING: Part = { byLength: undefined, each: undefined, isKept: false }
/** One that somebody may remember. */
export const KEPT: Part = { byLength: undefined, each: undefined, isKept: true }

export function eachOf(each: Part): Part {
  return { byLength: undefined, each, isKept: false }
}

/** Keys have three characters or more, ASCII without quotes and backslashes. */
export function fieldsOf(parts: Readonly<Record<string, Part>>): Part {
  const byLength: Field[][] = []
  for (const [key, part] of Object.entries(parts)) {
    const bytes = Uint8Array.from(Buffer.from(key))
    const start = Buffer.from(`${key}"`).readInt32LE()
    byLength[key.length] = [...(byLength[key.length] ?? []), { key, bytes, start, part }]
  }
  return { byLength, each: undefined, isKept: false }
}

/** Reads one part of one text after the other. */
export class JsonPartReader {
  readonly #part: Part
  readonly #seen = new SeenValues()
  readonly #scratch = new Uint8Array(SCRATCH_BYTES + PADDING)
  readonly #scratchView = new DataView(this.#scratch.buffer)
  #view: DataView = this.#scratchView
  #json: Buffer = NOTHING
  /** A character for each byte. */
  #text = ''
  /** Where the next token stands; unknown once anything was. */
  #at = 0
  #isPlain = true

  constructor(part: Part) {
    this.#part = part
  }

  /**
   * Whether all texts in what was read last are printable ASCII without quotes and backslashes, so that there is nothing
   * in them to escape.
   */
  get isPlain(): boolean {
    return this.#isPlain
  }

  /** What is asked for, or undefined when the text is not known here: a full parse then says what it is. */
  read(json: Buffer): unknown {
    // Go's encoder ends with a newline.
    const length = json.at(-1) === NEWLINE ? json.length - 1 : json.length
    this.#view = this.#load(json, length)
    this.#text = json.toString('latin1', 0, length)
    this.#json = json
    this.#at = 0
    this.#isPlain = true
    const value = this.#read(this.#part)
    const isWhole = this.#at === length
    this.#view = this.#scratchView
    this.#text = ''
    this.#json = NOTHING
    return isWhole ? value : undefined
  }

  #load(json: Buffer, length: number): DataView {
    const isSmall = length <= SCRATCH_BYTES
    const bytes = isSmall ? this.#scratch : new Uint8Array(length + PADDING)
    bytes.set(length === json.length ? json : json.subarray(0, length))
    bytes.fill(0, length, length + PADDING)
    return isSmall ? this.#scratchView : new DataView(bytes.buffer)
  }

  #read(part: Part): unknown {
    switch (this.#view.getUint8(this.#at)) {
      case OPEN_OBJECT:
        return part.byLength === undefined ? this.#pass({}) : this.#readFields(part.byLength)
      case OPEN_LIST:
        return part.each === undefined ? this.#pass([]) : this.#readList(part.each)
      case QUOTE:
        return this.#readText(part.isKept)
      default:
        return this.#readScalar()
    }
  }

  #pass<Value>(value: Value): Value {
    return this.#endAt(this.#seen.endOf(this.#view, this.#text, this.#at), value)
  }

  #readFields(byLength: readonly (readonly Field[] | undefined)[]): unknown {
    const view = this.#view
    const object: Record<string, unknown> = {}
    let at = this.#at + 1
    if (view.getUint8(at) === CLOSE_OBJECT) return this.#endAt(at + 1, object)
    for (;;) {
      const end = view.getUint8(at) === QUOTE ? endOfPlainText(view, at + 1) : UNKNOWN
      if (end === UNKNOWN || view.getUint8(end) !== COLON) return this.#endAt(UNKNOWN, object)
      const field = findField(view, byLength[end - at - 2], at + 1)
      if (field === undefined) at = this.#seen.endOf(view, this.#text, end + 1)
      else {
        this.#at = end + 1
        object[field.key] = this.#read(field.part)
        at = this.#at
      }
      const next = at === UNKNOWN ? UNKNOWN : view.getUint8(at)
      if (next === CLOSE_OBJECT) return this.#endAt(at + 1, object)
      if (next !== COMMA) return this.#endAt(UNKNOWN, object)
      at += 1
    }
  }

  #readList(each: Part): unknown {
    const view = this.#view
    const list: unknown[] = []
    if (view.getUint8(this.#at + 1) === CLOSE_LIST) return this.#endAt(this.#at + 2, list)
    for (;;) {
      this.#at += 1
      list.push(this.#read(each))
      const next = this.#at === UNKNOWN ? UNKNOWN : view.getUint8(this.#at)
      if (next === CLOSE_LIST) return this.#endAt(this.#at + 1, list)
      if (next !== COMMA) return this.#endAt(UNKNOWN, list)
    }
  }

  #readText(isKept: boolean): string {
    const start = this.#at + 1
    const end = endOfPlainText(this.#view, start)
    if (end === UNKNOWN) return this.#readOddText()
    this.#at = end
    return isKept ? this.#json.toString('latin1', start, end - 1) : this.#text.slice(start, end - 1)
  }

  /** With escapes or beyond ASCII. */
  #readOddText(): string {
    this.#isPlain = false
    const start = this.#at
    this.#at = endOfText(this.#view, start + 1)
    if (this.#at === UNKNOWN) return ''
    return JSON.parse(this.#json.toString('utf8', start, this.#at))
  }

  #readScalar(): unknown {
    const start = this.#at
    this.#at = endOfScalar(this.#view, start)
    switch (this.#view.getUint8(start)) {
      case LETTER_T:
        return true
      case LETTER_F:
        return false
      case LETTER_N:
        return null
      default:
        return Number(this.#text.slice(start, this.#at))
    }
  }

  #endAt<Value>(at: number, value: Value): Value {
    this.#at = at
    return value
  }
}

function findField(view: DataView, fields: readonly Field[] | undefined, start: number): Field | undefined {
  if (fields === undefined) return undefined
  const four = view.getInt32(start, true)
  for (const field of fields) {
    if (field.start === four && isAt(view, start, field.bytes)) return field
  }
  return undefined
}

function isAt(view: DataView, start: number, bytes: Uint8Array): boolean {
  for (let place = 4; place < bytes.length; place += 1) {
    if (view.getUint8(start + place) !== bytes[place]) return false
  }
  return true
}
