/** What the sinks that write to the API server share: what its errors mean, and how fast they may write. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { SendOutcome } from '../correlator/delivery.js'
import { KubernetesStatusError } from './kubernetes-client.js'
import { reasonOf } from './text-file.js'

/** Writes that may come at once after a quiet time, at most. */
const MAX_BURST = 25
const MINUTE_MS = 60_000
/** So long has one step of telling a finding: a look-up, or a write with what it has to read. Waiting for a turn is none. */
export const DEADLINE_MS = 30_000
/** What the API server says of a namespace that is on its way out; its reason is `Forbidden`, as a missing role's. */
const TERMINATING = /because it is being terminated/

/** How the sinks ask and write: within a time of their own, at a rate of their own. */
export interface Pace {
  /** Wait for one's turn. Resolves at the signal too. */
  turn(signal: AbortSignal): Promise<void>
}

/** A bucket of turns that fills at `rate` a minute. */
export function createPace(rate: number): Pace {
  const burst = Math.min(rate, MAX_BURST)
  let turns = burst
  let filledAt = performance.now()
  return {
    async turn(signal) {
      const now = performance.now()
      turns = Math.min(burst, turns + ((now - filledAt) / MINUTE_MS) * rate)
      filledAt = now
      turns -= 1
      if (turns < 0) await sleep((-turns / rate) * MINUTE_MS, undefined, { signal }).catch(() => {})
    },
  }
}

/** Whether what was asked for is not there: the object, its namespace, or the whole API. */
export function isNotFound(error: unknown): boolean {
  return error instanceof KubernetesStatusError && error.status === 404
}

/** Whether the API itself is not served: its own 404 has no reason, because it is no Status. */
export function isNotServed(error: unknown): boolean {
  return isNotFound(error) && error instanceof KubernetesStatusError && error.reason === undefined
}

/**
 * @param needs what a role has to hold, for people who get a 403.
 * @throws what is a bug of ours: it would never work, however often it is tried.
 */
export function outcomeOfKubernetes(error: unknown, needs: string): SendOutcome {
  if (isBug(error)) throw error
  if (!(error instanceof KubernetesStatusError)) return { type: 'retry', problem: reasonOf(error) }
  const { status, message: problem, retryAfterMs } = error
  if (status === 404) return { type: 'skipped', problem }
  if (status === 403 && TERMINATING.test(problem)) return { type: 'skipped', problem }
  if (status === 403) return { type: 'refused', problem: `${problem} (needs ${needs})` }
  if (status === 401 || status < 400) return { type: 'refused', problem }
  if (status === 408 || status === 409 || status === 429 || status >= 500) {
    return { type: 'retry', problem, retryAfterMs }
  }
  return { type: 'rejected', problem }
}

/** What goes wrong on the way is a plain error, or has a code, as Node's own TypeErrors have. */
function isBug(error: unknown): boolean {
  const isOurs = error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError
  return !(error instanceof Error) || (isOurs && !('code' in error))
}
