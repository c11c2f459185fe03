/**
 * When findings are given out, and that each was saved before: news at once, what merely grew at intervals.
 *
 * Findings and the source's position are saved in one transaction, so that a process that is killed loses no count and
 * counts nothing twice. With an archive nothing is given out that was not saved.
 */

import type { AgentLosses, AgentReading } from './agent-losses.js'
import type { SourcePosition } from './event-source.js'
import type { Finding } from './finding.js'
import type { FindingArchive } from './finding-archive.js'
import { REMEMBERED_WINDOWS } from './finding-fate.js'
import type { FindingStore } from './finding-store.js'
import type { WatchClock } from './watch-clock.js'

/** Without news nothing is saved more often. */
const SAVE_MS = 1_000
/** Under load saving takes at most a hundredth of the time as long as news need not wait for more than a second... */
const LONG_REST = 100
/** ...and at most a tenth in any case. */
const REST = 10

export interface OutletOptions {
  readonly store: FindingStore
  readonly watch: WatchClock
  readonly archive: FindingArchive | undefined
  /** What they say was lost is in the store. */
  readonly agentLosses: Pick<AgentLosses, 'reading'> | undefined
  /** How often findings that only grew are given out, in milliseconds. */
  readonly updateMs: number
  /** Undefined: nothing is ever resolved. */
  readonly resolveAfterMs: number | undefined
  /** The clock of this machine, in milliseconds since the epoch. */
  readonly now: () => number
}

export class FindingOutlet {
  readonly #options: OutletOptions
  #position: SourcePosition | undefined
  #agentReading: AgentReading | undefined
  #isMoved = false
  #isUpdateDue = false
  #updatedAt: number
  #savedAt = Number.NEGATIVE_INFINITY
  #saveMs = 0

  constructor(options: OutletOptions) {
    this.#options = options
    this.#updatedAt = options.now()
  }

  /** First of all: what the run before saved to be given out, and perhaps did not. */
  *resume(pending: readonly Finding[]): Generator<Finding> {
    yield* pending
    if (pending.length > 0) this.#options.archive?.confirm()
  }

  /** After everything of one part was observed. @param isIdle nothing more is there for the moment. */
  *next(position: SourcePosition | undefined, isIdle: boolean): Generator<Finding> {
    const { store, watch, archive, updateMs, resolveAfterMs, now } = this.#options
    this.#move(position)
    this.#isMoved ||= this.#options.agentLosses?.reading !== this.#agentReading
    if (hasPassed(this.#updatedAt, updateMs, now())) {
      this.#updatedAt = now()
      this.#isUpdateDue = true
      if (resolveAfterMs !== undefined) store.resolve(watch, resolveAfterMs)
    }
    if (archive !== undefined && !this.#isSaveDue(isIdle)) return
    yield* this.#giveOut(this.#isUpdateDue ? store.takeUpdates() : store.takeNews())
    this.#isUpdateDue = false
  }

  /** When the source has ended. */
  *last(): Generator<Finding> {
    yield* this.#giveOut(this.#options.store.takeUpdates())
  }

  #move(position: SourcePosition | undefined): void {
    if (position === undefined) return
    this.#position = position
    this.#isMoved = true
  }

  #isSaveDue(isIdle: boolean): boolean {
    const { store, now } = this.#options
    if (!store.hasNews && !this.#isMoved && !this.#isUpdateDue && !store.hasUnsaved) return false
    if (store.isFull) return true
    const pauseMs = store.hasNews ? 0 : SAVE_MS
    const restMs = Math.max(REST * this.#saveMs, Math.min(LONG_REST * this.#saveMs, SAVE_MS))
    return hasPassed(this.#savedAt, isIdle ? pauseMs : Math.max(pauseMs, restMs), now())
  }

  *#giveOut(findings: readonly Finding[]): Generator<Finding> {
    const { archive } = this.#options
    if (archive === undefined) {
      yield* findings
      return
    }
    this.#save(archive, findings)
    yield* findings
    if (findings.length > 0) archive.confirm()
  }

  #save(archive: FindingArchive, pending: readonly Finding[]): void {
    const { store, watch, agentLosses, resolveAfterMs, now } = this.#options
    const begun = now()
    this.#agentReading = agentLosses?.reading
    archive.save({
      findings: store.takeUnsaved(),
      forgotten: store.takeForgotten(),
      pending,
      position: this.#position,
      watch: watch.state,
      agentReading: this.#agentReading,
      forgetBefore: resolveAfterMs === undefined ? undefined : watch.unseenSince(REMEMBERED_WINDOWS * resolveAfterMs),
    })
    this.#savedAt = now()
    this.#saveMs = Math.max(0, this.#savedAt - begun)
    this.#isMoved = false
  }
}

/** A clock that was set back must not stop anything. */
function hasPassed(since: number, ms: number, now: number): boolean {
  return now < since || now - since >= ms
}
