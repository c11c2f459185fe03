/**
 * Takes findings from a queue to a receiver: in batches, one message at a time, again and again with growing pauses.
 *
 * Who offers a finding never waits. One message at a time keeps the updates of a fingerprint in order.
 */

import { backoffMs } from '../backoff.js'
import { ArchivePatience } from './archive-patience.js'
import type { Delivery, DeliveryOptions, DeliveryState, DeliveryTiming, SendOutcome } from './delivery.js'
import { isWanted } from './delivery.js'
import { DeliveryBurial } from './delivery-burial.js'
import type { Finding } from './finding.js'
import { ArchiveUnavailable } from './finding-archive.js'

/** In the state's file. Of each fingerprint one waits at most. */
export const MAX_QUEUED = 100_000
/** In memory, where as many findings are held beside them. */
export const MAX_QUEUED_IN_MEMORY = 25_000
/** A server may ask for a longer pause than ours; nobody gets to stop us for good. */
const MAX_RETRY_AFTER_MS = 600_000
const DEFAULT_TIMING: DeliveryTiming = { backoff: { minMs: 1_000, maxMs: 60_000 }, lingerMs: 100 }

export class DeliveryRunner {
  readonly #options: DeliveryOptions
  readonly #timing: DeliveryTiming
  readonly #maxQueued: number
  readonly #burial: DeliveryBurial
  /** Ends pauses. */
  readonly #closing = new AbortController()
  /** Ends a message that is on its way. */
  readonly #stopping = new AbortController()
  readonly #patience: ArchivePatience
  #running: Promise<void> | undefined
  readonly #counts = {
    sent: 0,
    skipped: 0,
    failures: { retry: 0, refused: 0, rejected: 0 },
  }
  #wake = (): void => {}
  #failuresInARow = 0
  #batch: number
  #problem: string | undefined
  #isPaused = false
  #lastSuccessAt = 0
  #fault: unknown

  constructor(options: DeliveryOptions) {
    this.#options = options
    this.#timing = options.timing ?? DEFAULT_TIMING
    this.#maxQueued = options.maxQueued ?? (options.queue.isDurable ? MAX_QUEUED : MAX_QUEUED_IN_MEMORY)
    this.#batch = options.receiver.maxBatch
    this.#burial = new DeliveryBurial(options)
    const { random, sleep } = options
    this.#patience = new ArchivePatience({ random, sleep, signal: this.#closing.signal })
  }

  /** Until then nothing is sent: what waits in the queue may still be another's. */
  start(): void {
    this.#running ??= this.#run().catch(error => {
      // Only once nothing is waited for any more: what waits in the queue stays there.
      if (error instanceof ArchiveUnavailable) this.#problem = error.problem
      else this.#fault = error
    })
  }

  /** Never waits. @throws whatever went wrong with the queue itself and cannot be waited out. */
  offer(finding: Finding): void {
    if (this.#fault !== undefined) throw this.#fault
    const { queue, filter } = this.#options
    if (!isWanted(filter, finding)) return
    queue.put(finding)
    try {
      this.#burial.shrink(this.#maxQueued)
    } catch (error) {
      if (!(error instanceof ArchiveUnavailable)) throw error
    }
    this.#wake()
  }

  /** One finding more would push out the oldest, and nothing is the matter but that the receiver is slow. */
  get isBehind(): boolean {
    const isFailing = this.#isPaused || this.#failuresInARow > 0 || this.#fault !== undefined
    return !isFailing && this.#options.queue.size >= this.#maxQueued
  }

  get state(): DeliveryState {
    const { name, queue } = this.#options
    const { failures, ...counts } = this.#counts
    return {
      name,
      queued: queue.size,
      ...counts,
      failures: { ...failures },
      deadLetters: this.#burial.deadLetters,
      dropped: this.#burial.dropped,
      isPaused: this.#isPaused,
      lastSuccessAt: this.#lastSuccessAt,
    }
  }

  /**
   * One more try for everything that waits, until `deadline` resolves; what is left then stays in a durable queue, and
   * otherwise becomes dead letters. Either is said. A runner that was not started only closes its receiver.
   */
  async close(deadline: Promise<unknown>): Promise<void> {
    const { queue, receiver, onNews } = this.#options
    const isStarted = this.#running !== undefined
    this.#closing.abort()
    this.#wake()
    await Promise.race([this.#running, deadline])
    this.#stopping.abort()
    await this.#running
    const problem = this.#problem ?? 'the program ended before it was sent'
    if (!queue.isDurable) this.#burial.giveUp(problem)
    else if (isStarted && queue.size > 0) onNews(`${queue.size} findings wait for the next run: ${problem}`)
    receiver.close()
    if (this.#fault !== undefined) throw this.#fault
  }

  async #run(): Promise<void> {
    const { queue, sleep } = this.#options
    while (!this.#stopping.signal.aborted) {
      if (queue.size === 0) {
        if (this.#closing.signal.aborted) return
        await this.#untilOffered()
        continue
      }
      const deliveries = await this.#patience.until(() => queue.take(this.#batch))
      if (deliveries.length === 0) continue
      const pauseMs = await this.#conclude(deliveries, await this.#send(deliveries))
      if (pauseMs === undefined) continue
      // What did not work just now does not work a moment later either: the next run tries again.
      if (this.#closing.signal.aborted) return
      await sleep(pauseMs, this.#closing.signal)
    }
  }

  async #untilOffered(): Promise<void> {
    await new Promise<void>(resolve => {
      this.#wake = resolve
    })
    const { receiver, sleep } = this.#options
    const { lingerMs } = this.#timing
    if (receiver.maxBatch > 1 && lingerMs > 0) await sleep(lingerMs, this.#closing.signal)
  }

  async #send(deliveries: readonly Delivery[]): Promise<SendOutcome> {
    const findings = deliveries.map(({ finding }) => finding)
    try {
      return await this.#options.receiver.send(findings, this.#stopping.signal)
    } catch (error) {
      // A bug, perhaps one that a single finding brings out: it must not stop the others, nor go unseen.
      const stack = error instanceof Error ? (error.stack ?? error.message) : String(error)
      this.#options.onNews(`this is a bug of Sallyport; please report it with these lines\n${stack}`)
      return { type: 'rejected', problem: 'a bug of Sallyport' }
    }
  }

  /** @returns how long to pause, in milliseconds; undefined: not at all. */
  async #conclude(deliveries: readonly Delivery[], outcome: SendOutcome): Promise<number | undefined> {
    const { receiver, random } = this.#options
    const { backoff } = this.#timing
    switch (outcome.type) {
      case 'delivered': {
        const taken = deliveries.slice(0, outcome.count ?? deliveries.length)
        await this.#settle(taken)
        this.#counts.sent += taken.length
        this.#lastSuccessAt = this.#options.now()
        this.#batch = Math.min(receiver.maxBatch, this.#batch * 2)
        this.#workedAgain()
        return outcome.restMs
      }
      case 'skipped':
        await this.#settle(deliveries)
        this.#counts.skipped += deliveries.length
        this.#workedAgain()
        return undefined
      case 'rejected':
        this.#counts.failures.rejected += 1
        this.#failuresInARow = 0
        // It reads what it is given, so nothing keeps it from taking others.
        this.#isPaused = false
        // Which of them is it? Halve until it stands alone.
        if (deliveries.length > 1) this.#batch = Math.ceil(deliveries.length / 2)
        else await this.#bury(deliveries, outcome.problem)
        return undefined
      case 'refused':
        this.#counts.failures.refused += 1
        this.#isPaused = true
        await this.#goRound(deliveries)
        this.#failed('takes no findings until something is changed', outcome.problem)
        return backoffMs({ ...backoff, minMs: backoff.maxMs }, 0, random())
      case 'retry': {
        this.#counts.failures.retry += 1
        if (deliveries.length > 1) this.#batch = Math.ceil(deliveries.length / 2)
        await this.#goRound(deliveries)
        this.#failed('is tried again', outcome.problem)
        const pauseMs = backoffMs(backoff, this.#failuresInARow, random())
        this.#failuresInARow += 1
        const wantedMs = Math.min(MAX_RETRY_AFTER_MS, outcome.retryAfterMs ?? 0)
        return Math.max(pauseMs, wantedMs * (1 + random() / 10))
      }
    }
  }

  /** Until that is noted nothing else is sent: it would be sent again after a kill. */
  async #settle(deliveries: readonly Delivery[]): Promise<void> {
    await this.#patience.until(() => this.#options.queue.settle(deliveries))
  }

  async #bury(deliveries: readonly Delivery[], problem: string): Promise<void> {
    this.#burial.bury(deliveries, 'rejected', problem)
    await this.#patience.until(() => this.#burial.settle())
  }

  /** If it is the one finding that the receiver stumbles over, or refuses (one namespace's quota), others must get past it. */
  async #goRound([first, ...others]: readonly Delivery[]): Promise<void> {
    if (first === undefined || others.length > 0) return
    await this.#patience.until(() => this.#options.queue.postpone(first))
  }

  #failed(consequence: string, problem: string): void {
    if (this.#problem === problem) return
    this.#problem = problem
    this.#options.onNews(`${consequence}: ${problem}`)
  }

  #workedAgain(): void {
    this.#failuresInARow = 0
    this.#isPaused = false
    if (this.#problem !== undefined) this.#options.onNews('takes findings again')
    this.#problem = undefined
  }
}
