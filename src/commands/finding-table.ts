/** Findings as a table for people: the gravest first, each with how it got in and what to do. */

import { createColors } from 'picocolors'
import type { Finding } from '../correlator/finding.js'
import type { Severity } from '../correlator/observation.js'
import { escapeForeign } from '../policy/index.js'

export interface TableOptions {
  /** Whether the reader is a terminal that shows colours. */
  readonly hasColors: boolean
}

const SEVERITIES: readonly Severity[] = ['high', 'medium', 'low', 'info']
const HEADINGS = ['SEVERITY', 'FINDING', 'WHERE', 'WHAT', 'COUNT', 'SEEN (UTC)'] as const
const MAX_CELL = 64
const GAP = '  '
const INDENT = '          '

type Colors = ReturnType<typeof createColors>

/** The whole text, ending with a newline; empty without findings. Everything foreign in it is escaped. */
export function renderFindings(findings: readonly Finding[], { hasColors }: TableOptions): string {
  if (findings.length === 0) return ''
  const colors = createColors(hasColors)
  const entries = pairWithDrift(findings).toSorted(compareEntries)
  const rows = entries.map(cellsOf)
  const widths = HEADINGS.map((heading, column) => Math.max(heading.length, ...rows.map(row => width(row[column]))))
  const lines = [colors.bold(joinCells(HEADINGS, widths))]
  for (const [index, entry] of entries.entries()) {
    lines.push(paint(entry, colors)(joinCells(rows[index] ?? [], widths)))
    for (const detail of detailsOf(entry)) lines.push(colors.dim(`${INDENT}${detail}`))
  }
  return `${lines.join('\n')}\n`
}

/** A row of the table: a drift finding tells the story of its image finding, and the two are shown as one. */
interface Entry {
  readonly finding: Finding
  readonly drift: Finding | undefined
  /** Of the graver of the two. */
  readonly severity: Severity
}

function pairWithDrift(findings: readonly Finding[]): readonly Entry[] {
  const drifts = new Map(findings.filter(isDrift).map(drift => [subjectOf(drift), drift]))
  const images = findings.filter(({ kind }) => kind === 'non-allowlisted-image')
  const told = new Set(images.map(subjectOf))
  return findings
    .filter(finding => !isDrift(finding) || !told.has(subjectOf(finding)))
    .map(finding => {
      const drift = finding.kind === 'non-allowlisted-image' ? drifts.get(subjectOf(finding)) : undefined
      const ranks = [finding, drift ?? finding].map(({ severity }) => SEVERITIES.indexOf(severity))
      return { finding, drift, severity: SEVERITIES[Math.min(...ranks)] ?? finding.severity }
    })
}

function isDrift({ kind }: Finding): boolean {
  return kind === 'image-drift'
}

/** The gravest first, then as they were seen. */
function compareEntries(left: Entry, right: Entry): number {
  const bySeverity = SEVERITIES.indexOf(left.severity) - SEVERITIES.indexOf(right.severity)
  if (bySeverity !== 0) return bySeverity
  const one = left.finding
  const other = right.finding
  if (one.firstSeen !== other.firstSeen) return one.firstSeen < other.firstSeen ? -1 : 1
  return one.fingerprint < other.fingerprint ? -1 : 1
}

function cellsOf({ finding, severity }: Entry): readonly string[] {
  return [
    finding.status === 'open' ? severity : finding.status,
    `${finding.kind}/${cell(finding.code)}`,
    whereOf(finding),
    whatOf(finding),
    finding.count === 0 ? 'running' : String(finding.count),
    spanOf(finding),
  ]
}

function whereOf(finding: Finding): string {
  const { pod_namespace: namespace, pod_name: pod, container_id: id, node_name: node, container } = finding
  if (namespace === undefined || pod === undefined) {
    return id === undefined ? cell(`node ${node ?? '(not known)'}`) : cell(`container ${id}`)
  }
  const isNamedAlike = container === undefined || container === pod
  return cell(isNamedAlike ? `${namespace}/${pod}` : `${namespace}/${pod} (${container})`)
}

function whatOf({ kind, process, image, title }: Finding): string {
  if (process === '') return cell(title)
  return cell(kind === 'non-allowlisted-image' || kind === 'image-drift' ? (image ?? '') : process)
}

/** `2026-11-21 23:22:32 → 23:23:01`: the date once, when both fall on one day. */
function spanOf({ firstSeen, lastSeen }: Finding): string {
  const first = secondsOf(firstSeen)
  const last = secondsOf(lastSeen)
  if (first === last) return first
  const isSameDay = first.slice(0, 10) === last.slice(0, 10)
  return `${first} → ${isSameDay ? last.slice(11) : last}`
}

function secondsOf(time: string): string {
  return time.slice(0, 19).replace('T', ' ')
}

function detailsOf({ finding, drift }: Entry): readonly string[] {
  const { suppression, remedy, certainty, remarks, verdict } = finding
  const details: string[] = []
  if (suppression !== undefined) {
    details.push(`suppressed by ${suppression.by} ${line(suppression.exception)} until ${suppression.expires}`)
  }
  details.push(...storyOf(finding), ...alsoTrueOf(finding))
  // What weakens a finding a little stands in its JSON; here only what may turn it over.
  if (certainty === 'unknown') details.push(...remarks.map(remark => `note: ${line(remark)}`))
  // The way out of the story is the better advice, unless the policy knows the very reference to use.
  if (drift === undefined || verdict?.suggestion != null) details.push(`do: ${line(remedy)}`)
  if (drift !== undefined) details.push(`do: ${line(drift.remedy)}`)
  details.push(`next: ${line((drift ?? finding).nextCommand, 1024)}`)
  return details
}

function storyOf({ kind, admission }: Finding): readonly string[] {
  if (admission === undefined || kind === 'offensive-tool') return []
  const summary = line(admission.summary)
  if (admission.certainty === 'unknown') return [`how it got in: not known: ${summary}`]
  if (kind === 'image-drift') return [`how it got in (${admission.certainty}): ${summary}`]
  return [`how it got in: image-drift/${admission.code} (${admission.certainty}): ${summary}`]
}

function alsoTrueOf({ admission, kind }: Finding): readonly string[] {
  if (admission === undefined || admission.alsoTrue.length === 0 || kind === 'offensive-tool') return []
  return [`also true: ${admission.alsoTrue.map(({ code, certainty }) => `${code} (${certainty})`).join(', ')}`]
}

/** What an image finding and its drift finding have in common. */
function subjectOf({ cluster_name, pod_namespace, owner, container, image }: Finding): string {
  return JSON.stringify([cluster_name, pod_namespace, owner, container, image])
}

function paint({ finding, severity }: Entry, colors: Colors): (text: string) => string {
  if (finding.status !== 'open') return colors.dim
  switch (severity) {
    case 'high':
      return colors.red
    case 'medium':
      return colors.yellow
    case 'low':
      return colors.cyan
    case 'info':
      return text => text
  }
}

function joinCells(cells: readonly string[], widths: readonly number[]): string {
  const last = cells.length - 1
  const padded = cells.map((text, column) => (column === last ? text : pad(text, widths[column] ?? 0)))
  return padded.join(GAP)
}

function pad(text: string, to: number): string {
  return text + ' '.repeat(Math.max(0, to - width(text)))
}

/** In code points: near enough for names, most of which are ASCII. */
function width(text = ''): number {
  return Array.from(text).length
}

function cell(text: string): string {
  return escapeForeign(text, MAX_CELL)
}

function line(text: string, maxRunes = 512): string {
  return escapeForeign(text, maxRunes)
}
