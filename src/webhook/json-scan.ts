/**
 * Where JSON values end, told from their bytes, four at a time. A strict subset: without white space between tokens, as
 * Go's encoder writes it. What is written otherwise is "not known here", which says nothing about it.
 *
 * Whatever is known here `JSON.parse` accepts, too, and sees ended at the same place: escapes are those of JSON, numbers
 * have no leading zero, each container is closed by its own kind. Bytes above 0x7f stand inside strings only; valid or
 * not, a decoder of UTF-8 makes characters of them, and never a quote.
 *
 * Four zero bytes must follow the text: no token goes on over them, so that no end needs to be looked for.
 */

/** In place of an end that is not known. */
export const UNKNOWN = -1
/** Zero bytes behind the text. */
export const PADDING = 4

export const QUOTE = 0x22
export const COMMA = 0x2c
export const COLON = 0x3a
export const OPEN_LIST = 0x5b
export const CLOSE_LIST = 0x5d
export const OPEN_OBJECT = 0x7b
export const CLOSE_OBJECT = 0x7d
const BACKSLASH = 0x5c
const MINUS = 0x2d
const ZERO = 0x30
const NINE = 0x39
const LETTER_U = 0x75
const LETTER_A = 0x61
const LETTER_F = 0x66
const HEX_DIGITS = 4
/** `"`, `\`, `/`, `b`, `f`, `n`, `r`, `t`. */
const ESCAPABLE: readonly number[] = [0x22, 0x5c, 0x2f, 0x62, 0x66, 0x6e, 0x72, 0x74]
/** `true`, `alse`, `null`, as four bytes. */
const TRUE = 0x65757274
const ALSE = 0x65736c61
const NULL = 0x6c6c756e
const LETTER_F_OF_FALSE = 0x66
/** Each container takes a place on the stack. Objects of Kubernetes are some twelve deep. */
const MAX_DEPTH = 64

/** The same byte four times. */
const ONES = 0x01010101
const HIGH_BITS = 0x80808080
const SPACES = 0x20202020
const QUOTES = 0x22222222
const BACKSLASHES = 0x5c5c5c5c

/** Where the value ends that begins at a place. @param depth how many containers are open around it. */
export function endOfValue(text: DataView, start: number, depth = 0): number {
  switch (text.getUint8(start)) {
    case QUOTE:
      return endOfText(text, start + 1)
    case OPEN_OBJECT:
      if (text.getUint8(start + 1) === CLOSE_OBJECT) return start + 2
      return depth === MAX_DEPTH ? UNKNOWN : endOfObject(text, start + 1, depth + 1)
    case OPEN_LIST:
      if (text.getUint8(start + 1) === CLOSE_LIST) return start + 2
      return depth === MAX_DEPTH ? UNKNOWN : endOfList(text, start + 1, depth + 1)
    default:
      return endOfScalar(text, start)
  }
}

/** Where a string ends: behind its last quote. @param start behind its first one. */
export function endOfText(text: DataView, start: number): number {
  let at = start
  while (at !== UNKNOWN) {
    const four = text.getInt32(at, true)
    const special = specialIn(four)
    if (special === 0) {
      at += 4
      continue
    }
    at += firstIn(special)
    const byte = text.getUint8(at)
    if (byte === QUOTE) return at + 1
    at = byte === BACKSLASH ? endOfEscape(text, at + 1) : UNKNOWN
  }
  return UNKNOWN
}

/**
 * The same for a string of printable ASCII without escapes: each of its bytes is one of its characters, and none of them
 * needs an escape wherever it is shown.
 */
export function endOfPlainText(text: DataView, start: number): number {
  let at = start
  for (;;) {
    const four = text.getInt32(at, true)
    // One more in each byte: that of DEL then has its highest bit, too.
    const special = specialIn(four) | ((four | (four + ONES)) & HIGH_BITS)
    if (special === 0) at += 4
    else {
      at += firstIn(special)
      return text.getUint8(at) === QUOTE ? at + 1 : UNKNOWN
    }
  }
}

/** Where a whole number, or `true`, `false` or `null`, ends. Fractions and exponents are not known here. */
export function endOfScalar(text: DataView, start: number): number {
  const digits = text.getUint8(start) === MINUS ? start + 1 : start
  let at = digits
  while (isDigit(text.getUint8(at))) at += 1
  if (at === start) return endOfWord(text, start)
  const isNumber = at > digits && (text.getUint8(digits) !== ZERO || at === digits + 1)
  return isNumber ? at : UNKNOWN
}

/** The highest bit of each byte that is a quote, a backslash or a control character; bits above the lowest one may be wrong. */
function specialIn(four: number): number {
  const quotes = four ^ QUOTES
  const backslashes = four ^ BACKSLASHES
  return (((four - SPACES) & ~four) | ((quotes - ONES) & ~quotes) | ((backslashes - ONES) & ~backslashes)) & HIGH_BITS
}

/** Which of four bytes has the lowest bit that is set. */
function firstIn(bits: number): number {
  return (31 - Math.clz32(bits & -bits)) >> 3
}

/** @param start behind the opening brace of one that is not empty. */
function endOfObject(text: DataView, start: number, depth: number): number {
  let at = start
  for (;;) {
    const colon = endOfKey(text, at)
    at = colon === UNKNOWN ? UNKNOWN : endOfValue(text, colon, depth)
    const next = at === UNKNOWN ? UNKNOWN : text.getUint8(at)
    at += 1
    if (next === CLOSE_OBJECT) return at
    if (next !== COMMA) return UNKNOWN
  }
}

/** @param start behind the opening bracket of one that is not empty. */
function endOfList(text: DataView, start: number, depth: number): number {
  let at = start
  for (;;) {
    at = endOfValue(text, at, depth)
    const next = at === UNKNOWN ? UNKNOWN : text.getUint8(at)
    at += 1
    if (next === CLOSE_LIST) return at
    if (next !== COMMA) return UNKNOWN
  }
}

/** A key and its colon. */
function endOfKey(text: DataView, at: number): number {
  if (text.getUint8(at) !== QUOTE) return UNKNOWN
  const end = endOfText(text, at + 1)
  return end !== UNKNOWN && text.getUint8(end) === COLON ? end + 1 : UNKNOWN
}

/** @param at behind the backslash. */
function endOfEscape(text: DataView, at: number): number {
  const byte = text.getUint8(at)
  if (ESCAPABLE.includes(byte)) return at + 1
  if (byte !== LETTER_U) return UNKNOWN
  const end = at + 1 + HEX_DIGITS
  for (let place = at + 1; place < end; place += 1) {
    if (!isHexDigit(text.getUint8(place))) return UNKNOWN
  }
  return end
}

function endOfWord(text: DataView, start: number): number {
  const four = text.getInt32(start, true)
  if (four === TRUE || four === NULL) return start + 4
  const isFalse = text.getUint8(start) === LETTER_F_OF_FALSE && text.getInt32(start + 1, true) === ALSE
  return isFalse ? start + 5 : UNKNOWN
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE
}

function isHexDigit(byte: number): boolean {
  // Setting one bit makes a capital small, and no other character one of these letters.
  const small = byte | 0x20
  return isDigit(byte) || (small >= LETTER_A && small <= LETTER_F)
}
