/**
 * Bounded memory for pieces of lines. What a piece means is kept outside, by its place.
 *
 * A piece is two parts with a number between them that may differ each time (a reference count), or just one part. A
 * hash finds pieces, and they are then compared byte by byte: a wrong hit costs time only. The oldest make room.
 */

import { reserve } from './memory'
import { isSame } from './text'

/** A piece has that many places to be kept at. */
const WAYS: u32 = 4

@unmanaged
class Piece {
  hash: u32 = 0
  /** How often the bytes had been filled when the piece was kept; 0: there is none. */
  round: u32 = 0
  /** Where in the memory it stands. */
  start: usize = 0
  headEnd: usize = 0
  tailStart: usize = 0
  end: usize = 0
}

export const NOWHERE: i32 = -1

export class Pieces {
  private pieces: usize
  private bytes: usize
  private next: usize
  private round: u32 = 1
  /** Places that must not be given to another piece. */
  held: i32 = NOWHERE
  alsoHeld: i32 = NOWHERE
  /** Whether the front was begun again: what was kept two rounds ago is gone for good. */
  hasTurned: bool = false

  /**
   * @param size bytes of all pieces together; a piece of a hundredth of that or more is not kept.
   * @param places how many pieces there can be at most: a power of two, and no less than `WAYS`.
   */
  constructor(
    readonly size: usize,
    readonly places: u32,
  ) {
    this.bytes = reserve(size)
    this.next = this.bytes
    this.pieces = reserve(places * offsetof<Piece>())
  }

  at(place: i32): Piece {
    return changetype<Piece>(this.pieces + <usize>place * offsetof<Piece>())
  }

  /** The first place of a piece with this hash, or, behind a place, the next one. */
  find(hash: u32, behind: i32 = NOWHERE): i32 {
    const first = <i32>((hash & (this.places / WAYS - 1)) * WAYS)
    for (let place = max(first, behind + 1); place < first + <i32>WAYS; place += 1) {
      const piece = this.at(place)
      if (piece.hash === hash && this.isKept(piece)) return place
    }
    return NOWHERE
  }

  /** Behind the first part of a piece, if it stands there; 0 if it does not. */
  head(place: i32, at: usize): usize {
    const piece = this.at(place)
    const length = piece.headEnd - piece.start
    return isSame(piece.start, at, length) ? at + length : 0
  }

  /** The same of the second part. */
  tail(place: i32, at: usize): usize {
    const piece = this.at(place)
    const length = piece.end - piece.tailStart
    return isSame(piece.tailStart, at, length) ? at + length : 0
  }

  /** Keep a piece that stands in the input. The place behind the last one: it is too long to be kept. */
  add(hash: u32, start: usize, headEnd: usize, tailStart: usize, end: usize): i32 {
    const length = end - start
    if (length >= this.size / 100) return this.places
    if (this.next + length > this.bytes + this.size) {
      this.round += 1
      this.next = this.bytes
      this.hasTurned = true
    }
    const place = this.oldestOf(<i32>((hash & (this.places / WAYS - 1)) * WAYS))
    const at = this.next
    // The number too: one copy is cheaper than two.
    memory.copy(at, start, length)
    this.next += length
    const piece = this.at(place)
    piece.hash = hash
    piece.round = this.round
    piece.start = at
    piece.headEnd = at + headEnd - start
    piece.tailStart = at + tailStart - start
    piece.end = at + length
    return place
  }

  /** Whether its bytes are as they were: not if some have been written over. */
  private isKept(piece: Piece): bool {
    if (piece.round === this.round) return true
    return piece.round !== 0 && piece.round + 1 === this.round && piece.start >= this.next
  }

  /** The next place, from one on, whose piece can never be found again and was not told of before. */
  nextGone(from: i32): i32 {
    for (let place = from; place < <i32>this.places; place += 1) {
      const piece = this.at(place)
      if (piece.round === 0 || piece.round + 1 >= this.round) continue
      piece.round = 0
      return place
    }
    return NOWHERE
  }

  private oldestOf(first: i32): i32 {
    let oldest = NOWHERE
    for (let place = first; place < first + <i32>WAYS; place += 1) {
      if (place !== this.held && place !== this.alsoHeld && (oldest === NOWHERE || this.isOlder(place, oldest)))
        oldest = place
    }
    return oldest
  }

  private isOlder(one: i32, other: i32): bool {
    const piece = this.at(one)
    const than = this.at(other)
    return piece.round === than.round ? piece.start < than.start : piece.round < than.round
  }
}
