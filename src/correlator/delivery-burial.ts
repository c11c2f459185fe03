/** What becomes of findings that are given up: dead letters, and a word about it. */

import type { DeadLetters, DeadReason, Delivery, DeliveryQueue } from './delivery.js'

/** Moved out in portions, so that memory stays bounded. */
const PORTION = 1_000

export interface BurialOptions {
  /** The sink's name. */
  readonly name: string
  readonly queue: DeliveryQueue
  readonly deadLetters: DeadLetters
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly onNews: (sentence: string) => void
}

export class DeliveryBurial {
  readonly #options: BurialOptions
  readonly #deadLetters: Record<DeadReason, number> = { rejected: 0, overflow: 0, stopped: 0 }
  #dropped = 0
  /** Dead letters that still stand in the queue. */
  #unsettled: readonly Delivery[] = []

  constructor(options: BurialOptions) {
    this.#options = options
  }

  get deadLetters(): Readonly<Record<DeadReason, number>> {
    return { ...this.#deadLetters }
  }

  /** Those of them that could not be kept. */
  get dropped(): number {
    return this.#dropped
  }

  /** They are to leave the queue: `settle` afterwards. @param problem half a sentence. */
  bury(deliveries: readonly Delivery[], reason: DeadReason, problem: string): void {
    if (deliveries.length === 0) return
    const { onNews } = this.#options
    if (this.#deadLetters[reason] === 0 && reason !== 'stopped') {
      onNews(`gave up a finding (${reason}: ${problem}); further ones are only counted`)
    }
    const { name: sink, deadLetters, now } = this.#options
    const at = now()
    const isKept = deadLetters.write(deliveries.map(({ finding }) => ({ at, sink, reason, problem, finding })))
    this.#unsettled = [...this.#unsettled, ...deliveries]
    this.#deadLetters[reason] += deliveries.length
    if (!isKept) this.#dropped += deliveries.length
  }

  /** What is buried leaves the queue. @throws ArchiveUnavailable: not yet. */
  settle(): void {
    if (this.#unsettled.length > 0) this.#options.queue.settle(this.#unsettled)
    this.#unsettled = []
  }

  /** The oldest, until no more than `limit` wait. @throws ArchiveUnavailable: some are there until the next time. */
  shrink(limit: number): void {
    const { queue } = this.#options
    this.settle()
    while (queue.size > limit) {
      const oldest = queue.take(Math.min(PORTION, queue.size - limit))
      this.bury(oldest, 'overflow', `more than ${limit} findings waited`)
      this.settle()
    }
  }

  /** All that waits, at the end. */
  giveUp(problem: string): void {
    const { queue, onNews } = this.#options
    const droppedBefore = this.#dropped
    while (queue.size > 0) {
      this.bury(queue.take(PORTION), 'stopped', problem)
      this.settle()
    }
    const lost = this.#dropped - droppedBefore
    const kept = this.#deadLetters.stopped - lost
    if (kept > 0) onNews(`${kept} findings were not delivered, and are dead letters: ${problem}`)
    if (lost > 0) onNews(`${lost} findings were not delivered, and are lost: ${problem}`)
  }
}
