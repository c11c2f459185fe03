/** The counters of Tetragon's own losses, read from its metrics page every half minute. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { AgentLoss, AgentLossCode, AgentLosses, AgentReading } from '../correlator/agent-losses.js'
import { KnownError } from '../errors.js'
import { withDeadline } from './deadline.js'
import { reasonOf } from './text-file.js'

/** Of a reading that is kept. Raised when an older version could misread it. */
const VERSION = 1
const DEFAULT_POLL_MS = 30_000
const TIMEOUT_MS = 5_000
/** A busy agent's page has some 200 KB. */
const MAX_BYTES = 8 * 1024 * 1024

const COUNTERS: Readonly<Record<string, AgentLossCode>> = {
  tetragon_bpf_missed_events_total: 'kernel-missed',
  tetragon_observer_ringbuf_events_lost_total: 'ring-buffer-lost',
  tetragon_notify_overflowed_events_total: 'queue-overflowed',
  tetragon_export_ratelimit_events_dropped_total: 'export-rate-limited',
  tetragon_event_cache_fetch_failures_total: 'pod-not-found',
}
const CODES = Object.values(COUNTERS)
/** When the agent was started: it says surely whether its counters began anew. */
const START = 'process_start_time_seconds'
/** A sample of the text format: a name, labels perhaps, a value. The labels are skipped without looking at them. */
const SAMPLE = /^(tetragon_[a-z_]+|process_start_time_seconds)(?:\{.*\})? ([0-9.e+]+)/

/** Any agent has some, whatever it has lost. */
const AGENT = /^tetragon_/m

export interface AgentMetricsOptions {
  /** What the run before kept: a reading of the same page is where counting goes on. */
  readonly from?: AgentReading | undefined
  /** Stops reading. */
  readonly signal: AbortSignal
  /** Called with half a sentence when the page cannot be read; once, until it can be read again. */
  readonly onProblem: (problem: string) => void
  /** In milliseconds. Default 30,000. */
  readonly pollMs?: number
}

/** @throws KnownError USAGE for what is no http or https URL. */
export function readMetricsUrl(address: string): URL {
  const url = URL.canParse(address) ? new URL(address) : undefined
  if (url !== undefined && /^https?:$/.test(url.protocol)) return url
  throw new KnownError('USAGE', '--tetragon-metrics takes a URL such as http://127.0.0.1:2112/metrics')
}

/** Without an earlier one the first reading is where counting begins: what was lost before is not known to be ours. */
export function watchAgentMetrics(url: URL, options: AgentMetricsOptions): AgentLosses {
  const page = pageOf(url)
  const known = parseReading(options.from, page)
  const count: Count = { known, lost: new Map() }
  let reading = known === undefined ? undefined : options.from
  let taken = known
  // Every way in which reading may fail ends in onProblem.
  void poll(url, options, count)
  return {
    take() {
      if (count.known !== taken && count.known !== undefined) reading = writeReading(count.known, page)
      taken = count.known
      if (count.lost.size === 0) return []
      const losses: AgentLoss[] = [...count.lost].map(([code, count]) => ({ code, count }))
      count.lost.clear()
      return losses
    },
    get reading() {
      return reading
    },
  }
}

interface Count {
  known: Counters | undefined
  /** Since they were last taken. */
  readonly lost: Map<AgentLossCode, number>
}

interface Counters {
  /** As the page says it, in seconds; undefined: it does not. */
  readonly startedAt: number | undefined
  readonly values: ReadonlyMap<AgentLossCode, number>
}

async function poll(url: URL, options: AgentMetricsOptions, count: Count): Promise<void> {
  const { signal, onProblem, pollMs = DEFAULT_POLL_MS } = options
  let hasProblem = false
  while (!signal.aborted) {
    try {
      const counters = parseCounters(await withDeadline(signal, TIMEOUT_MS, deadline => readPage(url, deadline)))
      if (count.known !== undefined) addGrowth(count.known, counters, count.lost)
      count.known = counters
      hasProblem = false
    } catch (cause) {
      if (!hasProblem && !signal.aborted) onProblem(reasonOf(cause))
      hasProblem = true
    }
    await sleep(pollMs, undefined, { signal, ref: false }).catch(() => {})
  }
}

async function readPage(url: URL, signal: AbortSignal): Promise<string> {
  const response = await fetch(url, { signal })
  if (!response.ok || response.body === null) {
    await response.body?.cancel()
    throw new Error(`it answers with status ${response.status}`)
  }
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body) {
    bytes += chunk.length
    if (bytes > MAX_BYTES) throw new Error(`its page is longer than ${MAX_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/**
 * One sum a counter, over all of its labels.
 *
 * @throws for the page of something else: without a counter, all of the first ones to come would count as losses.
 */
function parseCounters(page: string): Counters {
  const values = new Map<AgentLossCode, number>()
  let startedAt: number | undefined
  if (!AGENT.test(page)) throw new Error('its page holds no metrics of Tetragon')
  for (const line of page.split('\n')) {
    const [, name = '', text = ''] = SAMPLE.exec(line) ?? []
    const code = COUNTERS[name]
    const value = Number(text)
    if (!Number.isFinite(value)) continue
    if (code !== undefined) values.set(code, (values.get(code) ?? 0) + value)
    if (name === START) startedAt = value
  }
  return { startedAt, values }
}

/**
 * The counters of an agent that was restarted began anew. One that does not say when it was started has been when a
 * counter is smaller than before; of one that does, a sum of samples that have gone is smaller, and nothing was lost.
 */
function addGrowth(known: Counters, counters: Counters, lost: Map<AgentLossCode, number>): void {
  const isTold = known.startedAt !== undefined && counters.startedAt !== undefined
  const isAnew = isTold && known.startedAt !== counters.startedAt
  for (const [code, value] of counters.values) {
    const before = isAnew ? 0 : (known.values.get(code) ?? 0)
    const growth = Math.round(value < before && !isTold ? value : value - before)
    if (growth > 0) lost.set(code, (lost.get(code) ?? 0) + growth)
  }
}

/** Names the page without what may be secret in its address. */
function pageOf({ origin, pathname }: URL): string {
  return `${origin}${pathname}`
}

function writeReading({ startedAt, values }: Counters, page: string): AgentReading {
  return {
    type: 'tetragon',
    version: VERSION,
    page,
    startedAt: startedAt ?? null,
    counters: Object.fromEntries(values),
  }
}

/** Undefined for anything else than a reading of this page; never throws. */
function parseReading(reading: AgentReading | undefined, page: string): Counters | undefined {
  if (reading === undefined || reading['type'] !== 'tetragon' || reading['version'] !== VERSION) return undefined
  const { page: of, startedAt, counters } = reading
  if (of !== page || typeof counters !== 'object' || counters === null) return undefined
  const values = new Map<AgentLossCode, number>()
  for (const [name, value] of Object.entries(counters)) {
    const code = CODES.find(each => each === name)
    if (code !== undefined && typeof value === 'number') values.set(code, value)
  }
  return { startedAt: typeof startedAt === 'number' ? startedAt : undefined, values }
}
