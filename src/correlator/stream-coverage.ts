/** Kind `coverage`, for the stream as a whole: what was lost, skipped, dropped or never came. */

import { escapeForeign } from '../policy/index.js'
import type { AgentLossCode, AgentLosses } from './agent-losses.js'
import type { SourceGap } from './event-source.js'
import type { ExecEvent } from './exec-event.js'
import type { FindingStore } from './finding-store.js'
import type { Inventory } from './inventory.js'
import type { Observation, Severity } from './observation.js'
import type { StreamStats } from './stream-stats.js'

const MINUTE_MS = 60_000
/** A connection that comes back within that time is worth no finding. */
const INVENTORY_PATIENCE_MS = MINUTE_MS

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
  note(store: FindingStore, gap: SourceGap | undefined): void {
    if (gap !== undefined) store.observe(this.#moment(gap.to), gapObservation(gap), 1)
    this.#noteSilence(store)
    this.#noteInventory(store)
  }

  /** What has been lost since the last time, by the stream's own numbers. */
  noteLosses(store: FindingStore): void {
    const { malformed, tooLongLines, droppedByAgent } = this.#stats
    this.#noteLoss(store, 'malformed', malformed, UNREADABLE)
    this.#noteLoss(store, 'tooLongLines', tooLongLines, SKIPPED)
    this.#noteLoss(store, 'droppedByAgent', droppedByAgent, RATE_LIMITED)
    for (const { code, count } of this.#options.agentLosses?.take() ?? []) {
      store.observe(this.#moment(this.#options.now()), agentObservation(code), count)
    }
  }

  #noteLoss(store: FindingStore, name: Loss, total: number, observation: Observation): void {
    const more = total - this.#noted[name]
    if (more <= 0) return
    this.#noted[name] = total
    store.observe(this.#moment(this.#lastEvent?.time), observation, more)
  }

  #noteSilence(store: FindingStore): void {
    const { staleMs, now } = this.#options
    if (this.#stats.lines !== this.#lines) {
      this.#lines = this.#stats.lines
      this.#lineAt = now()
      this.#isStale = false
      return
    }
    if (this.#isStale || now() - this.#lineAt < staleMs) return
    this.#isStale = true
    store.observe(this.#moment(now()), staleObservation(staleMs), 1)
  }

  #noteInventory(store: FindingStore): void {
    const state = this.#options.inventory?.state()
    const isCutOff = state?.status === 'stale' || state?.status === 'syncing'
    if (!isCutOff) {
      this.#isInventoryStale = false
      return
    }
    const now = this.#options.now()
    const since = state.status === 'stale' ? state.since : this.#begunAt
    if (this.#isInventoryStale || now - since < INVENTORY_PATIENCE_MS) return
    this.#isInventoryStale = true
    store.observe(this.#moment(now), inventoryObservation(state.problem, since), 1)
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

const LOOK_AT_AGENT = 'kubectl -n kube-system logs -l app.kubernetes.io/name=tetragon --tail=100'

const UNREADABLE = lossOf(
  'line-unreadable',
  'low',
  'lines of the export could not be read: what they held is not known',
  'look at the first of them, which the run names on standard error; a full disk or two writers tear lines',
)
const SKIPPED = lossOf(
  'line-too-long',
  'low',
  'lines of the export were longer than is read, and were skipped',
  'nobody honest passes megabytes of arguments: look for the process on the node',
)
const RATE_LIMITED = lossOf(
  'rate-limited',
  'low',
  'the agent dropped events because of its own rate limit: what they were is not known',
  "raise the agent's export rate limit, or let its filters drop what nobody needs",
)

function staleObservation(staleMs: number): Observation {
  const minutes = Math.max(1, Math.round(staleMs / MINUTE_MS))
  const title = `the stream has brought no line for ${minutes} min: the agent, its export or its disk may be down`
  return lossOf('stale-stream', 'medium', title, 'see whether the agent runs and writes the file that is read')
}

function inventoryObservation(problem: string | undefined, since: number): Observation {
  const title = 'the cluster cannot be asked: what is known of its pods, namespaces and webhooks may be out of date'
  const remedy = 'see whether the API server can be reached, and whether the service account may list and watch'
  const reason = escapeForeign(problem ?? 'it has listed nothing yet', 400)
  const remarks = [`since ${iso(since)}: ${reason}`]
  return { ...lossOf('inventory-stale', 'medium', title, remedy), remarks, nextCommand: 'kubectl get --raw /readyz' }
}

function agentObservation(code: AgentLossCode): Observation {
  const title = `${agentPhrase(code)}, as the agent's metrics say: what they were is not known`
  const remedy = 'give the agent more memory and time, or let its filters drop what nobody needs'
  const remark =
    'counted from the first reading on: what was lost before is not in it; without a state, each run has its first'
  return { ...lossOf(code, 'low', title, remedy), remarks: [remark] }
}

function agentPhrase(code: AgentLossCode): string {
  switch (code) {
    case 'kernel-missed':
      return 'the kernel could not hand events over to the agent'
    case 'ring-buffer-lost':
      return 'the agent was too slow to take events from the kernel'
    case 'queue-overflowed':
      return "a reader of the agent's stream was too slow, and events were dropped"
    case 'export-rate-limited':
      return 'the rate limit of the export dropped events'
    case 'pod-not-found':
      return 'the agent could not name the pods of some events in time'
  }
}

function gapObservation({ code, source, from, to }: SourceGap): Observation {
  const name = escapeForeign(source, 300)
  const span = `${from === undefined ? 'an unknown time' : iso(from)} and ${iso(to)}`
  const observation = lossOf(code, 'medium', `${phraseOf(code)} (${name})`, remedyFor(code))
  return { ...observation, remarks: [`events between ${span} may be missing`] }
}

function phraseOf(code: SourceGap['code']): string {
  switch (code) {
    case 'rotated-away':
      return 'a file of the export was deleted before it was read to its end'
    case 'truncated':
      return 'the export was emptied before it was read to its end'
    case 'backup-unreadable':
      return 'a rotated file of the export cannot be read'
    case 'disconnected':
      return 'the stream broke off, and the agent does not send again what it sent meanwhile'
  }
}

function remedyFor(code: SourceGap['code']): string {
  if (code === 'disconnected') return 'read the export file instead, which can be read again'
  return 'let the agent keep more and larger files (exportFileMaxSizeMB, exportFileMaxBackups), and Sallyport run without pauses'
}

function lossOf(code: string, severity: Severity, title: string, remedy: string): Observation {
  return {
    kind: 'coverage',
    code,
    severity,
    risk: 0,
    certainty: 'proved',
    attack: [],
    title,
    image: undefined,
    verdict: undefined,
    tool: undefined,
    admission: undefined,
    suppression: undefined,
    remarks: [],
    remedy,
    nextCommand: LOOK_AT_AGENT,
  }
}

function iso(time: number): string {
  return new Date(time).toISOString()
}
