/** Waits until an archive that cannot be used for now can be used again. */

import { type Backoff, backoffMs } from '../backoff.js'
import { ArchiveUnavailable } from './finding-archive.js'

/** Whoever makes room on a disk wants to see that it helped. */
const BACKOFF: Backoff = { minMs: 1_000, maxMs: 30_000 }

/** With what is waited. */
export interface Waiting {
  /** From 0 to 1. */
  readonly random: () => number
  /** Resolves after so many milliseconds, or at the signal; never rejects. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
  /** From then on nothing is waited for. */
  readonly signal: AbortSignal
}

export class ArchivePatience {
  readonly #waiting: Waiting | undefined

  /** @param waiting undefined: nothing is waited for. */
  constructor(waiting: Waiting | undefined) {
    this.#waiting = waiting
  }

  get isOver(): boolean {
    return this.#waiting === undefined || this.#waiting.signal.aborted
  }

  /** After so many failures in a row, in milliseconds. */
  pauseMs(failures: number): number {
    return backoffMs(BACKOFF, failures - 1, this.#waiting?.random() ?? 0)
  }

  /**
   * Do it again and again until it works; it must change nothing when it does not.
   *
   * @throws ArchiveUnavailable at once when patience is over, and any other error.
   */
  async until<Result>(work: () => Result): Promise<Result> {
    for (let failures = 1; ; failures += 1) {
      try {
        return work()
      } catch (error) {
        if (!(error instanceof ArchiveUnavailable) || this.#waiting === undefined || this.isOver) throw error
        await this.#waiting.sleep(this.pauseMs(failures), this.#waiting.signal)
      }
    }
  }
}
