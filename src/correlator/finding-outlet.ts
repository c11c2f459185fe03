/**
 * When findings are given out, and that each was saved before: news at once, what merely grew at intervals.
 *
 * Findings and the source's position are saved in one transaction, so that a process that is killed loses no count and
 * counts nothing twice. With an archive nothing is given out that was not saved. While it cannot be saved, the stream is
 * read on as long as memory is bounded: findings grow, and too many new ones wait.
 */

import type { AgentLosses, AgentReading } from './agent-losses.js'
import type { ArchivePatience } from './archive-patience.js'
import type { SourcePosition } from './event-source.js'
import type { Finding } from './finding.js'
import { ArchiveUnavailable, type FindingArchive } from './finding-archive.js'
import { REMEMBERED_WINDOWS } from './finding-fate.js'
import type { FindingStore } from './finding-store.js'
import type { WatchClock } from './watch-clock.js'

/** Without news nothing is saved more often. */
const SAVE_MS = 1_000
/** Under load saving takes at most a hundredth of the time as long as news need not wait for more than a second... */
const LONG_REST = 100
/** ...and at most a tenth in any case. */
const REST = 10
/** So many findings may wait for an archive that cannot be written; then nothing is read on. */
const MAX_OWED = 2_000

/** A time in which nothing could be saved, and nothing was given out. */
export interface ArchiveOutage {
  /** Milliseconds since the epoch. */
  readonly from: number
  readonly to: number
  /** Half a sentence, the first one that was said. */
  readonly problem: string
}

export interface OutletOptions {
  readonly store: FindingStore
  readonly watch: WatchClock
  readonly archive: FindingArchive | undefined
  readonly patience: ArchivePatience
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
  /** Taken to be given out, and not saved yet. */
  #owed: readonly Finding[] = []
  #trouble: Trouble | undefined
  #outage: ArchiveOutage | undefined

  constructor(options: OutletOptions) {
    this.#options = options
    this.#updatedAt = options.now()
  }

  /** First of all: what the run before saved to be given out, and perhaps did not. */
  *resume(pending: readonly Finding[]): Generator<Finding> {
    yield* pending
    if (pending.length > 0) this.#confirm()
  }

  /** After everything of one part was observed. @param isIdle nothing more is there for the moment. */
  async *next(position: SourcePosition | undefined, isIdle: boolean): AsyncGenerator<Finding> {
    const { store, watch, archive, patience, updateMs, resolveAfterMs, now } = this.#options
    this.#move(position)
    this.#isMoved ||= this.#options.agentLosses?.reading !== this.#agentReading
    if (hasPassed(this.#updatedAt, updateMs, now())) {
      this.#updatedAt = now()
      this.#isUpdateDue = true
      if (resolveAfterMs !== undefined) await patience.until(() => store.resolve(watch, resolveAfterMs))
    }
    if (archive !== undefined && !this.#isSaveDue(isIdle)) return
    const mayWait = store.isFull || this.#owed.length >= MAX_OWED
    if (archive === undefined) yield* this.#take()
    else yield* this.#giveOut(archive, mayWait)
  }

  /** When the source has ended. */
  async *last(): AsyncGenerator<Finding> {
    const { archive } = this.#options
    // What was owed goes first, and then all that has changed.
    while (archive !== undefined && this.#owed.length > 0) yield* this.#giveOut(archive, true)
    this.#isUpdateDue = true
    if (archive === undefined) yield* this.#take()
    else yield* this.#giveOut(archive, true)
  }

  /** Once, when a time is over in which nothing could be saved. */
  takeOutage(): ArchiveOutage | undefined {
    const outage = this.#outage
    this.#outage = undefined
    return outage
  }

  #move(position: SourcePosition | undefined): void {
    if (position === undefined) return
    this.#position = position
    this.#isMoved = true
  }

  #isSaveDue(isIdle: boolean): boolean {
    const { store, now } = this.#options
    if (this.#trouble !== undefined) return this.#isRetryDue(this.#trouble)
    if (!store.hasNews && !this.#isMoved && !this.#isUpdateDue && !store.hasUnsaved) return false
    if (store.isFull) return true
    const pauseMs = store.hasNews ? 0 : SAVE_MS
    const restMs = Math.max(REST * this.#saveMs, Math.min(LONG_REST * this.#saveMs, SAVE_MS))
    return hasPassed(this.#savedAt, isIdle ? pauseMs : Math.max(pauseMs, restMs), now())
  }

  #isRetryDue({ since, retryAt }: Trouble): boolean {
    const { store, now } = this.#options
    return store.isFull || this.#owed.length >= MAX_OWED || now() >= retryAt || now() < since
  }

  /** What is owed keeps its order: updates are taken once it has been given out. */
  #take(): readonly Finding[] {
    const { store } = this.#options
    const isUpdate = this.#isUpdateDue && this.#owed.length === 0
    if (isUpdate) this.#isUpdateDue = false
    return [...this.#owed, ...(isUpdate ? store.takeUpdates() : store.takeNews())]
  }

  async *#giveOut(archive: FindingArchive, mayWait: boolean): AsyncGenerator<Finding> {
    const { patience } = this.#options
    this.#owed = this.#take()
    if (mayWait) await patience.until(() => this.#attempt(archive))
    else if (!this.#isSaved(archive)) return
    const findings = this.#owed
    this.#owed = []
    yield* findings
    if (findings.length > 0) this.#confirm()
  }

  #isSaved(archive: FindingArchive): boolean {
    try {
      this.#attempt(archive)
      return true
    } catch (error) {
      if (!(error instanceof ArchiveUnavailable) || this.#options.patience.isOver) throw error
      return false
    }
  }

  /** @throws ArchiveUnavailable, and nothing has changed but that there is trouble. */
  #attempt(archive: FindingArchive): void {
    try {
      this.#save(archive)
    } catch (error) {
      if (error instanceof ArchiveUnavailable) this.#noteTrouble(error)
      throw error
    }
    if (this.#trouble === undefined) return
    const { since: from, problem } = this.#trouble
    this.#outage = { from, to: this.#savedAt, problem }
    this.#trouble = undefined
  }

  #noteTrouble({ problem }: ArchiveUnavailable): void {
    const { patience, now } = this.#options
    const { since = now(), failures = 0, ...known } = this.#trouble ?? {}
    const retryAt = now() + patience.pauseMs(failures + 1)
    this.#trouble = { problem, ...known, since, failures: failures + 1, retryAt }
  }

  #save(archive: FindingArchive): void {
    const { store, watch, agentLosses, resolveAfterMs, now } = this.#options
    const begun = now()
    const agentReading = agentLosses?.reading
    archive.save({
      findings: store.unsaved(),
      forgotten: store.forgotten,
      pending: this.#owed,
      position: this.#position,
      watch: watch.state,
      agentReading,
      forgetBefore: resolveAfterMs === undefined ? undefined : watch.unseenSince(REMEMBERED_WINDOWS * resolveAfterMs),
    })
    store.noteSaved()
    this.#agentReading = agentReading
    this.#savedAt = now()
    this.#saveMs = Math.max(0, this.#savedAt - begun)
    this.#isMoved = false
  }

  /** Where that does not work now, the next save does it. */
  #confirm(): void {
    try {
      this.#options.archive?.confirm()
    } catch (error) {
      if (!(error instanceof ArchiveUnavailable)) throw error
      this.#isMoved = true
    }
  }
}

interface Trouble {
  readonly since: number
  /** Half a sentence, the first one. */
  readonly problem: string
  /** In a row. */
  readonly failures: number
  /** Milliseconds since the epoch. */
  readonly retryAt: number
}

/** A clock that was set back must not stop anything. */
function hasPassed(since: number, ms: number, now: number): boolean {
  return now < since || now - since >= ms
}
