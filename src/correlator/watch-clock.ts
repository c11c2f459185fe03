/**
 * For how long the stream has been watched without a gap, by the time of its events.
 *
 * "Not seen for a day" says something only about a day on which somebody looked: after a gap the watch begins anew.
 */

/** Milliseconds since the epoch; what is kept over a restart. */
export interface WatchState {
  /** When the present watch began. */
  readonly since: number
  /** The time of the latest event. */
  readonly until: number
}

export class WatchClock {
  readonly #maxGapMs: number
  #since: number | undefined
  #until = 0

  /** @param maxGapMs a longer silence is a gap. */
  constructor(maxGapMs: number, state?: WatchState) {
    this.#maxGapMs = maxGapMs
    this.#since = state?.since
    this.#until = state?.until ?? 0
  }

  /** @param now the clock of this machine: an event from the future must not make everything look long unseen. */
  see(time: number, now: number): void {
    const seen = Math.min(time, now)
    if (this.#since === undefined || seen - this.#until > this.#maxGapMs) this.#since = seen
    // Events may be late and out of order.
    else if (seen <= this.#until) return
    this.#until = seen
  }

  /** The time of the latest event; 0 before the first. */
  get until(): number {
    return this.#until
  }

  /** For how long nothing was seen of what was last seen then, in milliseconds. */
  unseenFor(lastSeen: number): number {
    return this.#until - Math.max(lastSeen, this.#since ?? this.#until)
  }

  /** What was last seen before this time has been unseen for longer; undefined while nobody has watched for so long. */
  unseenSince(ms: number): number | undefined {
    const time = this.#until - ms
    return this.#since !== undefined && this.#since < time ? time : undefined
  }

  get state(): WatchState {
    return { since: this.#since ?? 0, until: this.#until }
  }
}
