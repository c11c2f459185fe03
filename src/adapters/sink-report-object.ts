/** A report of a workload: one result a finding, merged into what stands there already. */

import { createHash } from 'node:crypto'
import type { Finding } from '../correlator/finding.js'
import { escapeForeign } from '../policy/index.js'
import { recordOf } from './kubernetes-metadata.js'
import type { Subject } from './sink-subject.js'

const SOURCE = 'sallyport'
const CATEGORY = 'Image use at run time'
const MAX_TEXT = 1_024
/** Kubernetes' bound of a name, less our own words. */
const MAX_NAME_PART = 200
/** A result that says the same but for its count and time is written again after so long: reports are no stream. */
const REFRESH_S = 600
/** etcd takes objects of 1.5 MB, and the report has more than its results. */
const MAX_RESULTS_BYTES = 1_000_000
const OMITTED = 'sallyport.dev/omitted-results'
/** The first are kept when there are too many. */
const RANKS = ['fail', 'skip', 'pass'] as const

export interface ReportResult {
  readonly source: string
  readonly policy: string
  readonly rule: string
  readonly category: string
  readonly severity: string
  readonly result: (typeof RANKS)[number]
  readonly scored: boolean
  readonly message: string
  readonly timestamp: { readonly seconds: number; readonly nanos: number }
  readonly resources: readonly object[]
  readonly properties: Readonly<Record<string, string>>
}

/** The fields that PolicyReport (wgpolicyk8s.io/v1alpha2) and Report (openreports.io/v1alpha1) share. */
export interface Report {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: Readonly<Record<string, unknown>>
  readonly source: string
  readonly scope: object
  readonly summary: Readonly<Record<string, number>>
  readonly results: readonly ReportResult[]
}

/** Valid whatever the workload is called, and the same each time. */
export function reportNameOf({ kind, name }: Subject): string {
  const full = `sallyport-${kind.toLowerCase()}-${name}`
  if (full.length <= MAX_NAME_PART) return full
  return `${full.slice(0, MAX_NAME_PART)}-${createHash('sha256').update(full).digest('hex').slice(0, 10)}`
}

/**
 * `fail` while a finding is open, `skip` while an exception covers it, `pass` once it is resolved.
 *
 * @param reporter tells correlators apart that each see some of the workload's pods: each has results of its own.
 */
export function resultOf(finding: Finding, reporter: string): ReportResult {
  const { kind, code, severity, status, title, remedy, lastSeen, policy, admission } = finding
  const result = status === 'open' ? 'fail' : status === 'suppressed' ? 'skip' : 'pass'
  const { pod_namespace: namespace, pod_name: name } = finding
  const pod = { apiVersion: 'v1', kind: 'Pod', namespace: text(namespace ?? ''), name: text(name ?? '') }
  const properties: Readonly<Record<string, string | undefined>> = {
    fingerprint: finding.fingerprint,
    reporter: reporter === '' ? undefined : reporter,
    status,
    certainty: finding.certainty,
    count: String(finding.count),
    firstSeen: finding.firstSeen,
    image: finding.image ?? finding.pod_image_name,
    container: finding.container,
    process: finding.process === '' ? undefined : finding.process,
    revision: policy.revision,
    howItGotIn: admission?.summary,
    remedy,
  }
  return {
    source: SOURCE,
    policy: text(policy.name),
    rule: text(`${kind}/${code}`),
    category: CATEGORY,
    severity,
    result,
    scored: true,
    message: text(title),
    timestamp: { seconds: Math.floor(Date.parse(lastSeen) / 1_000), nanos: 0 },
    resources: name === undefined ? [] : [pod],
    properties: known(properties),
  }
}

/**
 * The report with this result in it, or undefined when what stands there says as much already.
 *
 * @param present as the API server has it; undefined: there is none.
 */
export function mergeResult(
  present: unknown,
  result: ReportResult,
  target: { readonly apiVersion: string; readonly kind: string; readonly owner: Subject; readonly maxResults: number },
): Report | undefined {
  const { apiVersion, kind, owner, maxResults } = target
  const { metadata, results } = recordOf(present)
  const former = Array.isArray(results) ? results.filter(isOurs) : []
  const known = former.find(one => keyOf(one) === keyOf(result))
  if (known !== undefined && isAsGood(known, result)) return undefined
  const all = [result, ...former.filter(one => one !== known)].toSorted(byWeight)
  const kept = fitting(all.slice(0, maxResults))
  const { annotations, labels, ...others } = recordOf(metadata)
  const omitted = String(all.length - kept.length)
  return {
    apiVersion,
    kind,
    metadata: {
      ...others,
      name: reportNameOf(owner),
      ...(owner.namespace !== undefined && { namespace: owner.namespace }),
      labels: { ...recordOf(labels), 'app.kubernetes.io/managed-by': SOURCE },
      annotations: { ...recordOf(annotations), [OMITTED]: omitted },
      ownerReferences: [{ apiVersion: owner.apiVersion, kind: owner.kind, name: owner.name, uid: owner.uid }],
    },
    source: SOURCE,
    scope: { ...owner },
    summary: { ...summaryOf(kept), warn: 0, error: 0 },
    results: kept,
  }
}

/** The first that one object can hold: command lines are others' text, and may all be as long as they are let. */
function fitting(results: readonly ReportResult[]): readonly ReportResult[] {
  let bytes = 0
  const tooMany = results.findIndex(result => {
    bytes += Buffer.byteLength(JSON.stringify(result))
    return bytes > MAX_RESULTS_BYTES
  })
  return tooMany === -1 ? results : results.slice(0, tooMany)
}

function isAsGood(known: ReportResult, result: ReportResult): boolean {
  const same = (['result', 'severity', 'message', 'rule', 'policy'] as const).every(key => known[key] === result[key])
  return same && result.timestamp.seconds - known.timestamp.seconds < REFRESH_S
}

function summaryOf(results: readonly ReportResult[]): Readonly<Record<string, number>> {
  return Object.fromEntries(RANKS.map(rank => [rank, results.filter(({ result }) => result === rank).length]))
}

/** What is bad before what is over, then the newest. */
function byWeight(one: ReportResult, other: ReportResult): number {
  const rank = RANKS.indexOf(one.result) - RANKS.indexOf(other.result)
  return rank !== 0 ? rank : other.timestamp.seconds - one.timestamp.seconds
}

function keyOf({ properties }: ReportResult): string {
  return `${properties['fingerprint']} ${properties['reporter'] ?? ''}`
}

/** What somebody else wrote into our report is dropped. */
function isOurs(value: unknown): value is ReportResult {
  const { source, result, timestamp, properties } = recordOf(value)
  const isRanked = RANKS.some(rank => rank === result)
  const { fingerprint } = recordOf(properties)
  return (
    source === SOURCE &&
    isRanked &&
    typeof recordOf(timestamp)['seconds'] === 'number' &&
    typeof fingerprint === 'string'
  )
}

function known(values: Readonly<Record<string, string | undefined>>): Readonly<Record<string, string>> {
  const pairs = Object.entries(values).flatMap(([key, value]) => (value === undefined ? [] : [[key, text(value)]]))
  return Object.fromEntries(pairs)
}

function text(value: string): string {
  return escapeForeign(value, MAX_TEXT)
}
