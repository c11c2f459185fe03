/** The webhook's Prometheus metrics. docs/metrics.md lists each name, and a test holds the two in step. */

import { Counter, type CounterConfiguration, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { CompiledPolicy } from '../policy/index.js'
import { WORKLOAD_KINDS } from '../policy/index.js'
import type { AdmissionObserver, JudgedReview } from '../webhook/ports.js'
import { createDurationHistogram, type DurationHistogram } from './duration-histogram.js'

/** Answers take a fraction of a millisecond; the API server gives up after seconds. */
const DURATION_BUCKETS_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 3]
/** Each by itself: what a request says would hold on to more than its kind. */
const KIND_LABELS: ReadonlyMap<string, string> = new Map(WORKLOAD_KINDS.map(kind => [kind, kind]))

/** What the process is asked for when its metrics are read. */
export interface WebhookState {
  readonly policy: () => CompiledPolicy
  readonly isPolicyRejected: () => boolean
  /** Milliseconds since the epoch. */
  readonly policyLoadedAt: () => number
  readonly certificateExpiresAt: () => number
  readonly isCertificateRejected: () => boolean
  /** Undefined when no policy needs labels. */
  readonly areLabelsSynced: () => boolean | undefined
  readonly droppedRecords: () => { readonly journal: number; readonly auditLog: number }
}

export interface WebhookMetrics {
  readonly observer: AdmissionObserver
  policyReloaded(result: 'accepted' | 'rejected'): void
  /** The page, in the text format of Prometheus. */
  page(): Promise<{ readonly contentType: string; readonly text: string }>
}

/** Metrics of one webhook, in a registry of their own. Every label comes from a closed set, but the policy's name and revision. */
export function createWebhookMetrics(state: WebhookState, version: string): WebhookMetrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  new Gauge({ name: 'sallyport_build_info', help: 'Always 1.', labelNames: ['version'], registers }).set({ version }, 1)
  addStateGauges(state, registers)
  const reloads = new Counter({
    name: 'sallyport_policy_reloads_total',
    help: 'Changed policy files that were loaded, or refused.',
    labelNames: ['result'],
    registers,
  })
  for (const result of ['accepted', 'rejected']) reloads.inc({ result }, 0)
  const duration = createDurationHistogram(
    'sallyport_admission_duration_seconds',
    'From the parsed body to the answer.',
    DURATION_BUCKETS_S,
  )
  return {
    observer: createObserver(registers, duration),
    policyReloaded: result => reloads.inc({ result }),
    page: async () => ({
      contentType: registry.contentType,
      text: `${await registry.metrics()}\n${duration.text()}`,
    }),
  }
}

function createObserver(registers: Registry[], duration: DurationHistogram): AdmissionObserver {
  const reviews = countEvents({
    name: 'sallyport_admission_reviews_total',
    help: 'Reviews that were judged; a retry is another review. Dry runs are not among them.',
    labelNames: ['kind', 'action', 'mode'],
    registers,
  })
  const dryRuns = countEvents({
    name: 'sallyport_admission_dry_runs_total',
    help: 'Reviews of dry runs, which admit nothing.',
    labelNames: ['action'],
    registers,
  })
  const images = countEvents({
    name: 'sallyport_admission_images_total',
    help: 'Images that were judged in those reviews, by verdict.',
    labelNames: ['outcome', 'reason'],
    registers,
  })
  const passed = countEvents({
    name: 'sallyport_admission_passed_total',
    help: 'Reviews that were admitted unread: an operation or a kind that is not judged.',
    labelNames: ['why'],
    registers,
  })
  const errors = countEvents({
    name: 'sallyport_admission_errors_total',
    help: 'Requests that were answered with an HTTP error, so that the API server applied its failurePolicy.',
    labelNames: ['code'],
    registers,
  })
  return {
    judged(review, seconds) {
      duration.observe(seconds)
      if (review.dryRun) dryRuns(review.decision.action)
      else countReview(review, reviews, images)
    },
    passed: why => passed(why),
    rejected: code => errors(code),
  }
}

/** One more with these values of the labels, in the order of their names. At most three. */
type Count = (one: string, other?: string, third?: string) => void

interface Tally {
  readonly values: readonly [string, string, string]
  count: number
}

/**
 * A counter that adds up when the page is read: a labelled counter of the library costs some microseconds each time. The
 * values come from closed sets, so that there are few tallies, and the one that is meant is found by looking at them.
 */
function countEvents<Label extends string>(
  configuration: Omit<CounterConfiguration<Label>, 'collect'> & { readonly labelNames: readonly Label[] },
): Count {
  const tallies: Tally[] = []
  const { labelNames } = configuration
  new Counter<Label>({
    ...configuration,
    collect() {
      for (const tally of tallies) {
        this.labels(...labelNames.map((_, at) => tally.values[at] ?? '')).inc(tally.count)
        tally.count = 0
      }
    },
  })
  return (one, other = '', third = '') => {
    for (const tally of tallies) {
      const { values } = tally
      if (values[1] === other && values[2] === third && values[0] === one) {
        tally.count += 1
        return
      }
    }
    tallies.push({ values: [one, other, third], count: 1 })
  }
}

function countReview({ kind, decision }: JudgedReview, reviews: Count, images: Count): void {
  const { action, mode, judged } = decision
  reviews(labelOfKind(kind), action, mode)
  for (const { verdict } of judged) images(verdict.outcome, verdict.reason)
}

/** A kind comes from the request: only those that are judged become a label. */
function labelOfKind(kind: string): string {
  return KIND_LABELS.get(kind) ?? 'other'
}

/** Read when the page is made, so that nothing has to be kept up to date. */
function addStateGauges(state: WebhookState, registers: Registry[]): void {
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
  }
  new Gauge({
    name: 'sallyport_policy_info',
    help: 'Always 1, for the policy in force.',
    labelNames: ['policy', 'revision'],
    registers,
    collect() {
      this.reset()
      const { name: policy, revision } = state.policy()
      this.set({ policy, revision }, 1)
    },
  })
  gauge(
    'sallyport_policy_rejected',
    '1 while the policy files are wrong and the last good policy stays in force.',
    () => Number(state.isPolicyRejected()),
  )
  gauge(
    'sallyport_policy_loaded_timestamp_seconds',
    'When the policy in force was loaded.',
    () => state.policyLoadedAt() / 1000,
  )
  gauge(
    'sallyport_certificate_expiry_timestamp_seconds',
    'When the serving certificate in force ends.',
    () => state.certificateExpiresAt() / 1000,
  )
  gauge(
    'sallyport_certificate_rejected',
    '1 while the certificate files cannot be used and the last good ones stay in force.',
    () => Number(state.isCertificateRejected()),
  )
  gauge(
    'sallyport_namespace_labels_synced',
    '0 while the policy selects by namespace labels that are not known yet; else 1.',
    () => Number(state.areLabelsSynced() ?? true),
  )
  new Gauge({
    name: 'sallyport_records_dropped',
    help: 'Decision records that could not be kept since the start.',
    labelNames: ['recorder'],
    registers,
    collect() {
      const { journal, auditLog } = state.droppedRecords()
      this.set({ recorder: 'journal' }, journal)
      this.set({ recorder: 'audit-log' }, auditLog)
    },
  })
}
