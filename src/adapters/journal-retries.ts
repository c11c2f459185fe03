/**
 * What was recorded within the last minute or so, so that a retry of it is counted and not recorded again.
 *
 * All of it is kept in flat tables: twenty thousand keys and ids as strings are copied by the garbage collector again
 * and again, which costs a review more than writing its record. Of a key only its digest is kept. Keys are made of what
 * anybody may send, and two of them with one digest would keep a decision out of the journal: see keyed-digest.ts.
 */

import { DIGEST_WORDS, type Digest } from './keyed-digest.js'

/** Ids of decision records have 22 characters, see webhook/record-id.ts. */
const MAX_ID_LENGTH = 23
const ID_BYTES = MAX_ID_LENGTH + 1
const ID_END = 0
/** A table is at most a third full, so that a search ends after a place or two. */
const PLACES_PER_KEY = 3
/** Of an empty place: no time is before the epoch. */
const NEVER = -1

export interface Retried {
  readonly recordId: string
  /** When it was decided. Milliseconds since the epoch. */
  readonly at: number
}

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
  find(digest: Digest): Retried | undefined {
    return this.#younger.find(digest) ?? this.#older.find(digest)
  }

  /** A record whose id is longer than those that the webhook makes is not remembered: its retries are records. */
  remember(digest: Digest, recordId: string, at: number): void {
    if (recordId.length > MAX_ID_LENGTH) return
    if (this.#younger.size >= this.#generationSize) {
      const emptied = this.#older
      this.#older = this.#younger
      this.#younger = emptied
      emptied.clear()
    }
    this.#younger.set(digest, recordId, at)
  }
}

/** A table with open addressing: a digest stands at the place that its first bits name, or at the next free one. */
class Generation {
  readonly #mask: number
  readonly #digests: Int32Array
  readonly #times: Float64Array
  readonly #ids: Buffer
  size = 0

  constructor(keys: number) {
    const places = 2 ** Math.ceil(Math.log2(keys * PLACES_PER_KEY))
    this.#mask = places - 1
    this.#digests = new Int32Array(places * DIGEST_WORDS)
    this.#times = new Float64Array(places).fill(NEVER)
    this.#ids = Buffer.alloc(places * ID_BYTES)
  }

  find(digest: Digest): Retried | undefined {
    const place = this.#placeOf(digest)
    const at = this.#times[place] ?? NEVER
    return at === NEVER ? undefined : { recordId: this.#idAt(place), at }
  }

  set(digest: Digest, recordId: string, at: number): void {
    const place = this.#placeOf(digest)
    if (this.#times[place] === NEVER) this.size += 1
    for (let word = 0; word < DIGEST_WORDS; word += 1) this.#digests[place * DIGEST_WORDS + word] = digest[word] ?? 0
    this.#times[place] = at
    const first = place * ID_BYTES
    // One by one: a call into the engine costs as much as all of them.
    for (let one = 0; one < recordId.length; one += 1) this.#ids[first + one] = recordId.charCodeAt(one)
    this.#ids[first + recordId.length] = ID_END
  }

  clear(): void {
    this.size = 0
    this.#times.fill(NEVER)
  }

  #idAt(place: number): string {
    const first = place * ID_BYTES
    return this.#ids.toString('latin1', first, this.#ids.indexOf(ID_END, first))
  }

  /** Where a digest stands, or the free place where it would. There is always one: `size` is bounded by the owner. */
  #placeOf(digest: Digest): number {
    let place = (digest[0] ?? 0) & this.#mask
    while (this.#times[place] !== NEVER && !this.#isAt(place, digest)) place = (place + 1) & this.#mask
    return place
  }

  #isAt(place: number, digest: Digest): boolean {
    const first = place * DIGEST_WORDS
    for (let word = 0; word < DIGEST_WORDS; word += 1) {
      if (this.#digests[first + word] !== digest[word]) return false
    }
    return true
  }
}
