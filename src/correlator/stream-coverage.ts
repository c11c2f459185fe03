/** Kind `coverage`, for the stream as a whole: what was lost, skipped, dropped or never came. */

import type { AgentLosses } from './agent-losses.js'
import type { SourceGap } from './event-source.js'
import type { ExecEvent } from './exec-event.js'
import type { ArchiveOutage } from './finding-outlet.js'
import type { FindingStore } from './finding-store.js'
import type { Inventory } from './inventory.js'
import type { Observation } from './observation.js'
import {
  agentObservation,
  gapObservation,
  inventoryObservation,
  outageObservation,
  RATE_LIMITED,
  SKIPPED,
  staleObservation,
  UNREADABLE,
} from './stream-observations.js'
import type { StreamStats } from './stream-stats.js'

/** A connection or a disk that comes back within that time is worth no finding. */
const PATIENCE_MS = 60_000

export interface StreamCoverageOptions {
  /** A stream without a line for that long is stale, in milliseconds. */
  readonly staleMs: number
  /** The clock of this machine, in milliseconds since the epoch. */
  readonly now: () => number
  /** Undefined: the agent is not asked. */
  readonly agentLosses: AgentLosses | undefined
  /** What is known of the cluster; undefined: nothing is asked of it. */
  readonly inventory?: Pick<Inventory, 'state'> | undefined
}

type Loss = 'malformed' | 'tooLongLines' | 'droppedByAgent'

/** To be told to the findings. */
interface Note {
  readonly moment: ExecEvent
  readonly observation: Observation
  readonly times: number
}

export class StreamCoverage {
  readonly #stats: StreamStats
  readonly #options: StreamCoverageOptions
  /** Of what was noted so far. */
  readonly #noted: Record<Loss, number> = { malformed: 0, tooLongLines: 0, droppedByAgent: 0 }
  /** Says which node and cluster it is about. */
  #lastEvent: ExecEvent | undefined
  #lines = 0
  /** By this machine's clock. */
  #lineAt: number
  #isStale = false
  readonly #begunAt: number
  #isInventoryStale = false
  readonly #notes: Note[] = []

  constructor(stats: StreamStats, options: StreamCoverageOptions) {
    this.#stats = stats
    this.#options = options
    this.#lineAt = options.now()
    this.#begunAt = this.#lineAt
  }

  see(event: ExecEvent): void {
    this.#lastEvent = event
  }

  /** What only this moment can tell: a gap in the source, a stream that has gone silent. */
  note(gap: SourceGap | undefined): void {
    if (gap !== undefined) this.#note(gap.to, gapObservation(gap))
    this.#noteSilence()
    this.#noteInventory()
  }

  /** A time in which nothing could be saved. */
  noteOutage(outage: ArchiveOutage | undefined): void {
    if (outage === undefined || outage.to - outage.from < PATIENCE_MS) return
    this.#note(outage.to, outageObservation(outage))
  }

  /** What has been lost since the last time, by the stream's own numbers. */
  noteLosses(): void {
    const { malformed, tooLongLines, droppedByAgent } = this.#stats
    this.#noteLoss('malformed', malformed, UNREADABLE)
    this.#noteLoss('tooLongLines', tooLongLines, SKIPPED)
    this.#noteLoss('droppedByAgent', droppedByAgent, RATE_LIMITED)
    for (const { code, count } of this.#options.agentLosses?.take() ?? []) {
      this.#note(this.#options.now(), agentObservation(code), count)
    }
  }

  /** Once for each note. Where the findings cannot be had, the rest is told another time. */
  tell(store: FindingStore): void {
    for (let [note] = this.#notes; note !== undefined; [note] = this.#notes) {
      store.observe(note.moment, note.observation, note.times)
      this.#notes.shift()
    }
  }

  #note(time: number | undefined, observation: Observation, times = 1): void {
    this.#notes.push({ moment: this.#moment(time), observation, times })
  }

  #noteLoss(name: Loss, total: number, observation: Observation): void {
    const more = total - this.#noted[name]
    if (more <= 0) return
    this.#noted[name] = total
    this.#note(this.#lastEvent?.time, observation, more)
  }

  #noteSilence(): void {
    const { staleMs, now } = this.#options
    if (this.#stats.lines !== this.#lines) {
      this.#lines = this.#stats.lines
      this.#lineAt = now()
      this.#isStale = false
      return
    }
    if (this.#isStale || now() - this.#lineAt < staleMs) return
    this.#isStale = true
    this.#note(now(), staleObservation(staleMs))
  }

  #noteInventory(): void {
    const state = this.#options.inventory?.state()
    const isCutOff = state?.status === 'stale' || state?.status === 'syncing'
    if (!isCutOff) {
      this.#isInventoryStale = false
      return
    }
    const now = this.#options.now()
    const since = state.status === 'stale' ? state.since : this.#begunAt
    if (this.#isInventoryStale || now - since < PATIENCE_MS) return
    this.#isInventoryStale = true
    this.#note(now, inventoryObservation(state.problem, since))
  }

  /** An event that stands for the stream itself: no container, no process. */
  #moment(time: number | undefined): ExecEvent {
    const { nodeName, clusterName } = this.#lastEvent ?? { nodeName: undefined, clusterName: undefined }
    return {
      time: time ?? this.#options.now(),
      nodeName,
      clusterName,
      pid: undefined,
      binary: '',
      arguments: undefined,
      flags: [],
      docker: undefined,
      pod: undefined,
      parent: undefined,
      isInInitTree: undefined,
      hardLinks: undefined,
    }
  }
}
