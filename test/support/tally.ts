/** Counts of what a webhook did since its start, by words from closed sets. */

import type { AdmissionObserver } from '../../src/webhook/ports.js'

/** `judged.deny`, `passed.other-kind`, `rejected.BODY_NOT_JSON`, … → how often. */
export type Tally = Readonly<Record<string, number>>

/** An observer that counts. `read()` gives the counts so far; a word that never came is not in it. */
export function createTally(): AdmissionObserver & { read(): Tally } {
  const counts = new Map<string, number>()
  const count = (word: string): void => {
    counts.set(word, (counts.get(word) ?? 0) + 1)
  }
  return {
    judged: ({ decision }) => count(`judged.${decision.action}`),
    passed: why => count(`passed.${why}`),
    rejected: code => count(`rejected.${code}`),
    read: () => Object.fromEntries([...counts].sort(([one], [other]) => (one < other ? -1 : 1))),
  }
}
