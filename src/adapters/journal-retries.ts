/**
 * What was recorded within the last minute or so, so that a retry of it is counted and not recorded again.
 *
 * Of a key only its digest is kept, in flat tables: twenty thousand keys as strings are copied by the garbage collector
 * again and again, which costs a review more than writing its record. The digest is a cryptographic one, because keys
 * are made of what anybody may send: two keys with one digest would be a way to keep a decision out of the journal.
 */

import { hash } from 'node:crypto'

const WORDS = 4
const BYTES_PER_WORD = 4
/** A table is at most a third full, so that a search ends after a place or two. */
const PLACES_PER_KEY = 3
/** Of an empty place: no time is before the epoch. */
const NEVER = -1

export interface Retried {
  readonly recordId: string
  /** When it was decided. Milliseconds since the epoch. */
  readonly at: number
}

/** The 128 bits by which a key is known: the first of SHA-256. */
export type KeyDigest = Uint32Array

/** Bounded: two generations, and when the younger one is full, the older one is forgotten. */
export class JournalRetries {
  readonly #generationSize: number
  #younger: Generation
  #older: Generation

  /** @param limit how many keys are remembered at most; at least half as many are. */
  constructor(limit: number) {
    this.#generationSize = Math.max(1, Math.floor(limit / 2))
    this.#younger = new Generation(this.#generationSize)
    this.#older = new Generation(this.#generationSize)
  }

  /** The record that was remembered last under a key. */
  find(digest: KeyDigest): Retried | undefined {
    return this.#younger.find(digest) ?? this.#older.find(digest)
  }

  remember(digest: KeyDigest, recordId: string, at: number): void {
    if (this.#younger.size >= this.#generationSize) {
      const emptied = this.#older
      this.#older = this.#younger
      this.#younger = emptied
      emptied.clear()
    }
    this.#younger.set(digest, recordId, at)
  }
}

export function createKeyDigest(): KeyDigest {
  return new Uint32Array(WORDS)
}

/** @param into is overwritten and returned: a digest is looked for, remembered, and then no longer needed. */
export function digestOf(key: string, into: KeyDigest): KeyDigest {
  // As text: a buffer for each digest costs as much as the digest.
  const bytes = hash('sha256', key, 'binary')
  for (let word = 0; word < WORDS; word += 1) {
    let bits = 0
    const end = (word + 1) * BYTES_PER_WORD
    for (let at = word * BYTES_PER_WORD; at < end; at += 1) bits = (bits << 8) | bytes.charCodeAt(at)
    into[word] = bits
  }
  return into
}

/** A table with open addressing: a digest stands at the place that its first bits name, or at the next free one. */
class Generation {
  readonly #mask: number
  readonly #digests: Uint32Array
  readonly #times: Float64Array
  readonly #ids: string[]
  size = 0

  constructor(keys: number) {
    const places = 2 ** Math.ceil(Math.log2(keys * PLACES_PER_KEY))
    this.#mask = places - 1
    this.#digests = new Uint32Array(places * WORDS)
    this.#times = new Float64Array(places).fill(NEVER)
    this.#ids = new Array<string>(places).fill('')
  }

  find(digest: KeyDigest): Retried | undefined {
    const place = this.#placeOf(digest)
    const at = this.#times[place] ?? NEVER
    return at === NEVER ? undefined : { recordId: this.#ids[place] ?? '', at }
  }

  set(digest: KeyDigest, recordId: string, at: number): void {
    const place = this.#placeOf(digest)
    if (this.#times[place] === NEVER) this.size += 1
    this.#digests.set(digest, place * WORDS)
    this.#times[place] = at
    this.#ids[place] = recordId
  }

  clear(): void {
    this.size = 0
    this.#times.fill(NEVER)
    this.#ids.fill('')
  }

  /** Where a digest stands, or the free place where it would. There is always one: `size` is bounded by the owner. */
  #placeOf(digest: KeyDigest): number {
    let place = (digest[0] ?? 0) & this.#mask
    while (this.#times[place] !== NEVER && !this.#isAt(place, digest)) place = (place + 1) & this.#mask
    return place
  }

  #isAt(place: number, digest: KeyDigest): boolean {
    const first = place * WORDS
    for (let word = 0; word < WORDS; word += 1) {
      if (this.#digests[first + word] !== digest[word]) return false
    }
    return true
  }
}
