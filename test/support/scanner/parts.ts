/** Parts of the scanner as they are, for their tests: the test writes what is looked at, and tells what it expects. */

import { reserve } from '../../../src/scanner/memory'
import { NOWHERE, Pieces } from '../../../src/scanner/pieces'
import { hashOf as hashOfText, isSame as isSameText } from '../../../src/scanner/text'
import { readTime, time } from '../../../src/scanner/time'

const TEXT_BYTES: usize = 65536
/** What the functions below look at; offsets count from here. */
export const TEXT: usize = reserve(TEXT_BYTES)

let pieces = new Pieces(1, 4)

/** Forget all pieces. */
export function begin(size: usize, places: i32): void {
  pieces = new Pieces(size, places)
}

export function hold(place: i32, another: i32): void {
  pieces.held = place
  pieces.alsoHeld = another
}

export function add(hash: u32, start: usize, headEnd: usize, tailStart: usize, end: usize): i32 {
  return pieces.add(hash, TEXT + start, TEXT + headEnd, TEXT + tailStart, TEXT + end)
}

/** The place of the piece that stands at the beginning of the text, with so many bytes between its parts, and ends there; or -1. */
export function find(hash: u32, between: usize, end: usize): i32 {
  for (let place = pieces.find(hash); place !== NOWHERE; place = pieces.find(hash, place)) {
    const head = pieces.head(place, TEXT)
    const tail = head === 0 ? <usize>0 : pieces.tail(place, head + between)
    if (tail === TEXT + end) return place
  }
  return NOWHERE
}

export function nextGone(place: i32): i32 {
  return pieces.nextGone(place)
}

export function isSame(one: usize, other: usize, length: usize): bool {
  return isSameText(TEXT + one, TEXT + other, length)
}

export function hashOf(start: usize, end: usize): u32 {
  return hashOfText(TEXT + start, TEXT + end)
}

/** In milliseconds since the epoch; NaN when it is none. */
export function timeOf(length: usize): f64 {
  return readTime(TEXT, TEXT + length) ? time : NaN
}
