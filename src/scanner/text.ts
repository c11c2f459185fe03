/**
 * JSON read from left to right, sixteen bytes at a time and without making anything of it. Whatever is accepted means to
 * a JSON parser what it means here.
 *
 * Each function is told where to read and answers where to read on: 0 when something else stands there. At 0 there are
 * NUL bytes, so that nothing is ever found there, and a chain of calls that has failed once answers 0 to its end.
 *
 * Nothing looks for the end of the line: a newline stands there, which no string, number or key may hold.
 */

import { reserve } from './memory'

const QUOTE: u8 = 0x22
export const COMMA: u8 = 0x2c
const BLANK: u8 = 0x20
const BACKSLASH: u8 = 0x5c
const ZERO: u8 = 0x30
const NEWLINE: i8 = 0x0a
/** More may not be exact as a number. */
const MAX_DIGITS: usize = 15
const BLOCK: usize = 16
/** Odd, and its bits are spread evenly. */
const MIX: u64 = ((<u64>0x9e3779b9) << 32) | 0x7f4a7c15

/** The inside of the last string, or the last number. Both are 0 after a field that is missing. */
export let from: usize = 0
export let to: usize = 0
export let isEscaped: bool = false

/** Some bytes that are looked for: their number, and as many as fill two blocks, each with a mask. */
const MASKS: usize = 16
const WORDS: usize = MASKS + 2 * BLOCK
const WORD_BYTES: usize = WORDS + 2 * BLOCK

/** Remember an ASCII text of at most 32 characters. Only at the start. */
export function word(text: string): usize {
  const made = reserve(WORD_BYTES)
  store<u32>(made, text.length)
  for (let index = 0; index < text.length; index += 1) {
    store<u8>(made + WORDS + index, <u8>text.charCodeAt(index))
    store<u8>(made + MASKS + index, 0xff)
  }
  return made
}

/** A key, with its quotes and its colon. */
export function key(name: string): usize {
  return word(`"${name}":`)
}

/** Behind these bytes, if they come next. */
export function literal(at: usize, expected: usize): usize {
  const length: usize = load<u32>(expected)
  if (differs(at, expected, 0)) return 0
  if (length > BLOCK && differs(at, expected, BLOCK)) return 0
  return at + length
}

function differs(at: usize, expected: usize, block: usize): bool {
  const difference = v128.xor(v128.load(at + block), v128.load(expected + WORDS + block))
  return v128.any_true(v128.and(difference, v128.load(expected + MASKS + block)))
}

/** Behind a comma, a blank or none, and these bytes. */
export function member(at: usize, expected: usize): usize {
  if (load<u8>(at) !== COMMA) return 0
  return literal(at + (load<u8>(at + 1) === BLANK ? 2 : 1), expected)
}

/** Whether this byte comes next, and then behind it. */
export function byte(at: usize, expected: u8): usize {
  return load<u8>(at) === expected ? at + 1 : 0
}

/** A string without escapes. */
export function plain(at: usize): usize {
  if (load<u8>(at) !== QUOTE) return 0
  from = at + 1
  to = stopFrom(from)
  return load<u8>(to) === QUOTE ? to + 1 : 0
}

/** A string. */
export function text(at: usize): usize {
  if (load<u8>(at) !== QUOTE) return 0
  let next = stopFrom(at + 1)
  isEscaped = load<u8>(next) === BACKSLASH
  while (load<u8>(next) === BACKSLASH) {
    next = afterBackslash(next + 1)
    if (next === 0) return 0
    next = stopFrom(next)
  }
  from = at + 1
  to = next
  return load<u8>(next) === QUOTE ? next + 1 : 0
}

/**
 * Where something stands that may not stand in a string as it is: a quote, a backslash, a control character. What is
 * not ASCII may, whether it is UTF-8 or not.
 */
function stopFrom(start: usize): usize {
  let at = start
  while (true) {
    const block = v128.load(at)
    const ends = v128.or(i8x16.eq(block, i8x16.splat(QUOTE)), i8x16.eq(block, i8x16.splat(BACKSLASH)))
    const found = i8x16.bitmask(v128.or(ends, i8x16.lt_u(block, i8x16.splat(BLANK))))
    if (found !== 0) return at + ctz(found)
    at += BLOCK
  }
}

/** Behind what a backslash stands before. */
function afterBackslash(at: usize): usize {
  switch (load<u8>(at)) {
    case 0x22: // "
    case 0x5c: // \
    case 0x2f: // /
    case 0x62: // b
    case 0x66: // f
    case 0x6e: // n
    case 0x72: // r
    case 0x74: // t
      return at + 1
    case 0x75: // u
      for (let index: usize = 1; index <= 4; index += 1) if (!isHex(load<u8>(at + index))) return 0
      return at + 5
    default:
      return 0
  }
}

function isHex(character: u8): bool {
  return isDigit(character) || ((character | 0x20) >= 0x61 && (character | 0x20) <= 0x66)
}

export function isDigit(character: u8): bool {
  return <u8>(character - ZERO) <= 9
}

/** A whole number from 0 on. */
export function number(at: usize): usize {
  let next = at
  while (isDigit(load<u8>(next))) next += 1
  const length = next - at
  if (length === 0 || length > MAX_DIGITS || (load<u8>(at) === ZERO && length > 1)) return 0
  from = at
  to = next
  return next
}

/** What the last number is worth; -1 when there was none. */
export function value(): f64 {
  if (from === 0) return -1
  let value: f64 = 0
  for (let index = from; index < to; index += 1) value = value * 10 + <f64>(load<u8>(index) - ZERO)
  return value
}

/** A field that may be missing. */
export function plainField(at: usize, name: usize): usize {
  const next = member(at, name)
  return next === 0 ? missing(at) : plain(next)
}

export function textField(at: usize, name: usize): usize {
  const next = member(at, name)
  return next === 0 ? missing(at) : text(next)
}

export function numberField(at: usize, name: usize): usize {
  const next = member(at, name)
  return next === 0 ? missing(at) : number(next)
}

function missing(at: usize): usize {
  from = 0
  to = 0
  return at
}

/** The newline that comes next. There is one behind the input. */
export function newlineFrom(start: usize): usize {
  let at = start
  while (true) {
    const found = i8x16.bitmask(i8x16.eq(v128.load(at), i8x16.splat(NEWLINE)))
    if (found !== 0) return at + ctz(found)
    at += BLOCK
  }
}

/** Whether the same bytes stand at two places. */
export function isSame(one: usize, other: usize, length: usize): bool {
  if (length < BLOCK) return isSameShort(one, other, length)
  const last = length - BLOCK
  for (let index: usize = 0; index < last; index += BLOCK) {
    if (v128.any_true(v128.xor(v128.load(one + index), v128.load(other + index)))) return false
  }
  return !v128.any_true(v128.xor(v128.load(one + last), v128.load(other + last)))
}

function isSameShort(one: usize, other: usize, length: usize): bool {
  for (let index: usize = 0; index < length; index += 1) {
    if (load<u8>(one + index) !== load<u8>(other + index)) return false
  }
  return true
}

/** Of some bytes. */
export function hashOf(start: usize, end: usize): u32 {
  let hash: u64 = <u64>(end - start)
  let at = start
  for (; at + 8 <= end; at += 8) hash = mixed(hash ^ load<u64>(at))
  for (; at < end; at += 1) hash = mixed(hash ^ <u64>load<u8>(at))
  return <u32>(hash ^ (hash >>> 32))
}

function mixed(hash: u64): u64 {
  const product = hash * MIX
  return product ^ (product >>> 29)
}
