/** How long to wait before something that failed is tried again: one rule for all that reaches beyond this process. */

/** Beyond this a number of milliseconds is no longer exact; every bound is reached long before. */
const MAX_DOUBLINGS = 30

/** Milliseconds. */
export interface Backoff {
  /** After the first failure; each further one in a row doubles it. */
  readonly minMs: number
  readonly maxMs: number
}

/**
 * From half of the pause to all of it, at random, so that many clients of one server do not come back together.
 *
 * @param failures in a row before this one; 0: it is the first.
 * @param random from 0 to 1.
 */
export function backoffMs({ minMs, maxMs }: Backoff, failures: number, random: number): number {
  return Math.min(maxMs, minMs * 2 ** Math.min(MAX_DOUBLINGS, failures)) * (0.5 + random / 2)
}
