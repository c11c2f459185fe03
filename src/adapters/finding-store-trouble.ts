/** Tells what the findings' file cannot do for now from what it will never do, and knows how things stand. */

import { ArchiveUnavailable } from '../correlator/finding-archive.js'
import type { KnownError } from '../errors.js'
import { mayPass, type SqliteGuard } from './sqlite-file.js'
import { reasonOf } from './text-file.js'

export interface StateTrouble {
  /** Milliseconds since the epoch. */
  readonly since: number
  /** Half a sentence, safe to print. */
  readonly problem: string
}

export interface TroubleOptions {
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Once, until it is over. */
  readonly onTrouble?: (problem: string) => void
  readonly onOver?: (lastedMs: number) => void
}

export interface TroubleWatch {
  readonly trouble: StateTrouble | undefined
  /** Both throw ArchiveUnavailable for what may work later, and what the guard makes of anything else. */
  readonly reading: SqliteGuard
  /** One that works ends the trouble. */
  readonly writing: SqliteGuard
}

/** @param unusable what is to be said of the file. */
export function createTroubleWatch(
  guard: SqliteGuard,
  unusable: (problem: string) => KnownError,
  { now, onTrouble, onOver }: TroubleOptions,
): TroubleWatch {
  let trouble: StateTrouble | undefined
  const reading: SqliteGuard = work => {
    try {
      return guard(work)
    } catch (error) {
      const cause = error instanceof Error ? error.cause : undefined
      if (!mayPass(cause)) throw error
      const problem = reasonOf(cause)
      if (trouble === undefined) onTrouble?.(problem)
      trouble ??= { since: now(), problem }
      throw new ArchiveUnavailable(unusable(problem).message, problem, { cause })
    }
  }
  return {
    get trouble() {
      return trouble
    },
    reading,
    writing(work) {
      const result = reading(work)
      if (trouble !== undefined) onOver?.(Math.max(0, now() - trouble.since))
      trouble = undefined
      return result
    },
  }
}
