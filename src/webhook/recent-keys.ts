/**
 * Has this been seen before? Answered from a bounded memory of two generations: when the younger one is full, the older
 * one is forgotten. (Taking the oldest key out of one Set would walk over all the places that were emptied before it.)
 *
 * Keys are remembered as 53-bit hashes, some 40 bytes each: among a million keys, one is taken for another once in 20,000
 * runs. Fit for counting, not for deciding.
 */

import { hashText } from './text-hash.js'

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
    const hash = hashText(key)
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
