/**
 * Has this been seen before? Answered from a bounded memory of two generations: when the younger one is full, the older
 * one is forgotten. (Taking the oldest key out of one Set would walk over all the places that were emptied before it.)
 *
 * Keys are remembered as 53-bit hashes, some 40 bytes each: among a million keys, one is taken for another once in 20,000
 * runs. Fit for counting, not for deciding.
 */

const TWO_TO_21 = 2 ** 21

export class RecentKeys {
  readonly #generationSize: number
  #younger = new Set<number>()
  #older = new Set<number>()

  /** @param limit how many keys are remembered at most; at least half as many are. */
  constructor(limit: number) {
    this.#generationSize = Math.max(1, Math.floor(limit / 2))
  }

  /** True for a key that is not remembered; it is from now on. */
  isNew(key: string): boolean {
    const hash = hashOf(key)
    if (this.#younger.has(hash)) return false
    const isKnown = this.#older.has(hash)
    if (this.#younger.size >= this.#generationSize) {
      this.#older = this.#younger
      this.#younger = new Set()
    }
    this.#younger.add(hash)
    return !isKnown
  }
}

/** Two multiplicative hashes of 32 bits side by side, as one whole number below 2^53. */
function hashOf(key: string): number {
  let high = 0x811c9dc5
  let low = 0x9e3779b9
  for (let at = 0; at < key.length; at += 1) {
    const unit = key.charCodeAt(at)
    high = Math.imul(high ^ unit, 0x01000193)
    low = Math.imul(low ^ unit, 0x5bd1e995)
    low ^= low >>> 15
  }
  high ^= high >>> 13
  return (high >>> 0) * TWO_TO_21 + ((low ^ high) >>> 11)
}
