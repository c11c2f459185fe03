/** The counters of Tetragon's own losses, read from its metrics page every half minute. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { AgentLoss, AgentLossCode, AgentLosses } from '../correlator/agent-losses.js'
import { KnownError } from '../errors.js'
import { withDeadline } from './deadline.js'
import { reasonOf } from './text-file.js'

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
/** A sample of the text format: a name, labels perhaps, a value. The labels are skipped without looking at them. */
const SAMPLE = /^(tetragon_[a-z_]+)(?:\{.*\})? ([0-9.e+]+)/

export interface AgentMetricsOptions {
  /** Stops reading. */
  readonly signal: AbortSignal
  /** Called with half a sentence when the page cannot be read; once, until it can be read again. */
  readonly onProblem: (problem: string) => void
  /** In milliseconds. Default 30,000. */
  readonly pollMs?: number
}

/**
 * The first reading is where counting begins: what was lost before is not known to be ours.
 *
 * @throws KnownError USAGE for what is no http or https URL.
 */
export function watchAgentMetrics(address: string, options: AgentMetricsOptions): AgentLosses {
  const url = readUrl(address)
  const lost = new Map<AgentLossCode, number>()
  // Every way in which reading may fail ends in onProblem.
  void poll(url, options, lost)
  return {
    take() {
      if (lost.size === 0) return []
      const losses: AgentLoss[] = [...lost].map(([code, count]) => ({ code, count }))
      lost.clear()
      return losses
    },
  }
}

function readUrl(address: string): URL {
  const url = URL.canParse(address) ? new URL(address) : undefined
  if (url !== undefined && /^https?:$/.test(url.protocol)) return url
  throw new KnownError('USAGE', '--tetragon-metrics takes a URL such as http://127.0.0.1:2112/metrics')
}

async function poll(url: URL, options: AgentMetricsOptions, lost: Map<AgentLossCode, number>): Promise<void> {
  const { signal, onProblem, pollMs = DEFAULT_POLL_MS } = options
  let known: ReadonlyMap<AgentLossCode, number> | undefined
  let hasProblem = false
  while (!signal.aborted) {
    try {
      const counters = parseCounters(await withDeadline(signal, TIMEOUT_MS, deadline => readPage(url, deadline)))
      if (known !== undefined) addGrowth(known, counters, lost)
      known = counters
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

/** One sum a counter, over all of its labels. */
function parseCounters(page: string): ReadonlyMap<AgentLossCode, number> {
  const sums = new Map<AgentLossCode, number>()
  for (const line of page.split('\n')) {
    const [, name = '', text = ''] = SAMPLE.exec(line) ?? []
    const code = COUNTERS[name]
    const value = Number(text)
    if (code !== undefined && Number.isFinite(value)) sums.set(code, (sums.get(code) ?? 0) + value)
  }
  return sums
}

/** A counter that is smaller than before began anew: the agent was restarted. */
function addGrowth(
  known: ReadonlyMap<AgentLossCode, number>,
  counters: ReadonlyMap<AgentLossCode, number>,
  lost: Map<AgentLossCode, number>,
): void {
  for (const [code, value] of counters) {
    const before = known.get(code) ?? 0
    const growth = Math.round(value < before ? value : value - before)
    if (growth > 0) lost.set(code, (lost.get(code) ?? 0) + growth)
  }
}
