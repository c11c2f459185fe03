/** The metrics of a correlator, in a registry of their own. docs/metrics.md lists each name, and a test holds the two in step. */

import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { DeliveryState } from '../correlator/delivery.js'
import type { Finding } from '../correlator/finding.js'
import type { StreamStats } from '../correlator/stream-stats.js'
import type { StateTrouble } from './finding-store-trouble.js'

/** What the process is asked for when its metrics are read. */
export interface CorrelatorState {
  readonly policy: { readonly name: string; readonly revision: string }
  readonly stats: StreamStats
  readonly sinks: () => readonly DeliveryState[]
  /** Undefined: nothing is kept over a restart. */
  readonly archive?: { readonly trouble: StateTrouble | undefined } | undefined
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

export interface CorrelatorMetrics {
  /** Each time that a finding is given out. */
  found(finding: Finding): void
  /** The page, in the text format of Prometheus. */
  page(): Promise<{ readonly contentType: string; readonly text: string }>
}

/** A value for each set of labels. */
type Samples = readonly (readonly [labels: Readonly<Record<string, string>>, value: number])[]

interface Metric {
  readonly name: string
  readonly help: string
  readonly labelNames?: readonly string[]
  readonly read: () => Samples
}

/** Every label comes from a closed set or from the operator. */
export function createCorrelatorMetrics(state: CorrelatorState, version: string): CorrelatorMetrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  new Gauge({ name: 'sallyport_build_info', help: 'Always 1.', labelNames: ['version'], registers }).set({ version }, 1)
  const { name: policy, revision } = state.policy
  const info = { name: 'sallyport_policy_info', help: 'Always 1, for the policy in force.' }
  new Gauge({ ...info, labelNames: ['policy', 'revision'], registers }).set({ policy, revision }, 1)
  for (const metric of countersOf(state)) addCounter(metric, registers)
  for (const metric of gaugesOf(state)) addGauge(metric, registers)
  const raised = new Counter({
    name: 'sallyport_findings_total',
    help: 'Findings that were raised: given out for the first time.',
    labelNames: ['kind', 'severity'],
    registers,
  })
  const updates = new Counter({
    name: 'sallyport_finding_updates_total',
    help: 'Times that a finding was given out, the first one included.',
    labelNames: ['kind', 'status'],
    registers,
  })
  return {
    found({ kind, severity, status, emission }) {
      if (emission === 1) raised.inc({ kind, severity })
      updates.inc({ kind, status })
    },
    page: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  }
}

function countersOf({ stats, sinks }: CorrelatorState): readonly Metric[] {
  const plain = (name: string, help: string, read: () => number): Metric => ({ name, help, read: () => [[{}, read()]] })
  const bySink = (name: string, help: string, read: (sink: DeliveryState) => number): Metric => ({
    name,
    help,
    labelNames: ['sink'],
    read: () => sinks().map(sink => [{ sink: sink.name }, read(sink)] as const),
  })
  const others = (): number => [...stats.otherEvents.values()].reduce((sum, count) => sum + count, 0)
  return [
    plain('sallyport_source_bytes_total', 'Bytes of the source that were read.', () => stats.bytes),
    plain('sallyport_source_lines_total', 'Lines of the source that hold anything.', () => stats.lines),
    {
      name: 'sallyport_source_unread_lines_total',
      help: 'Lines that could not be read.',
      labelNames: ['why'],
      read: () => [
        [{ why: 'malformed' }, stats.malformed],
        [{ why: 'too-long' }, stats.tooLongLines],
      ],
    },
    {
      name: 'sallyport_events_total',
      help: 'Events that were read.',
      labelNames: ['type'],
      read: () => [
        [{ type: 'exec' }, stats.execEvents],
        [{ type: 'other' }, others()],
      ],
    },
    {
      name: 'sallyport_limited_exec_events_total',
      help: 'Exec events of which less, or nothing, can be said.',
      labelNames: ['why'],
      read: () => [
        [{ why: 'host' }, stats.hostEvents],
        [{ why: 'podless' }, stats.podlessEvents],
        [{ why: 'blind' }, stats.blindEvents],
      ],
    },
    plain(
      'sallyport_agent_dropped_events_total',
      'Events that the rate limit of the agent dropped, as it reports.',
      () => stats.droppedByAgent,
    ),
    plain('sallyport_findings_evicted_total', 'Findings that made room for newer ones.', () => stats.evictedFindings),
    bySink('sallyport_sink_sent_total', 'Findings that were delivered.', ({ sent }) => sent),
    bySink(
      'sallyport_sink_skipped_total',
      'Findings about something that is gone, so that nobody could be told.',
      ({ skipped }) => skipped,
    ),
    {
      name: 'sallyport_sink_failures_total',
      help: 'Messages that were not taken.',
      labelNames: ['sink', 'class'],
      read: () => sinks().flatMap(({ name, failures }) => samplesOf({ sink: name }, 'class', failures)),
    },
    {
      name: 'sallyport_sink_dead_letters_total',
      help: 'Findings that were given up.',
      labelNames: ['sink', 'reason'],
      read: () => sinks().flatMap(({ name, deadLetters }) => samplesOf({ sink: name }, 'reason', deadLetters)),
    },
    bySink(
      'sallyport_sink_dropped_total',
      'Dead letters that could not be kept: these findings are lost.',
      ({ dropped }) => dropped,
    ),
  ]
}

function gaugesOf({ stats, sinks, archive, now }: CorrelatorState): readonly Metric[] {
  const bySink = (name: string, help: string, read: (sink: DeliveryState) => number): Metric => ({
    name,
    help,
    labelNames: ['sink'],
    read: () => sinks().map(sink => [{ sink: sink.name }, read(sink)] as const),
  })
  return [
    {
      name: 'sallyport_last_event_age_seconds',
      help: 'How long ago the last event that was read took place; absent before the first one.',
      read: () => (stats.lastEventAt === 0 ? [] : [[{}, Math.max(0, (now() - stats.lastEventAt) / 1000)]]),
    },
    {
      name: 'sallyport_state_unwritable',
      help: '1 while the state cannot be written, so that nothing is given out; absent without a state.',
      read: () => (archive === undefined ? [] : [[{}, Number(archive.trouble !== undefined)]]),
    },
    bySink('sallyport_sink_queued', 'Findings that wait for the sink.', ({ queued }) => queued),
    bySink('sallyport_sink_paused', '1 while the sink takes nothing until an operator changes something.', sink =>
      Number(sink.isPaused),
    ),
    bySink(
      'sallyport_sink_last_success_timestamp_seconds',
      'When the sink last took a finding; 0 before that.',
      sink => sink.lastSuccessAt / 1000,
    ),
  ]
}

function samplesOf(labels: Readonly<Record<string, string>>, name: string, counts: object): Samples {
  return Object.entries(counts).map(([value, count]) => [{ ...labels, [name]: value }, Number(count)] as const)
}

/** Counted elsewhere: the value is taken over when the page is made. */
function addCounter({ name, help, labelNames = [], read }: Metric, registers: Registry[]): void {
  new Counter({
    name,
    help,
    labelNames: [...labelNames],
    registers,
    collect() {
      this.reset()
      for (const [labels, value] of read()) this.inc(labels, value)
    },
  })
}

function addGauge({ name, help, labelNames = [], read }: Metric, registers: Registry[]): void {
  new Gauge({
    name,
    help,
    labelNames: [...labelNames],
    registers,
    collect() {
      this.reset()
      // Reset to 0 it would be a value; without one it is to be absent.
      if (labelNames.length === 0) this.remove()
      for (const [labels, value] of read()) this.set(labels, value)
    },
  })
}
