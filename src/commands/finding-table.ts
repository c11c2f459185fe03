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
  const sorted = findings.toSorted(compareFindings)
  const rows = sorted.map(cellsOf)
  const widths = HEADINGS.map((heading, column) => Math.max(heading.length, ...rows.map(row => width(row[column]))))
  const drifts = new Set(findings.filter(({ kind }) => kind === 'image-drift').map(subjectOf))
  const lines = [colors.bold(joinCells(HEADINGS, widths))]
  for (const [index, finding] of sorted.entries()) {
    const row = rows[index] ?? []
    lines.push(paint(finding, colors)(joinCells(row, widths)))
    for (const detail of detailsOf(finding, drifts.has(subjectOf(finding))))
      lines.push(colors.dim(`${INDENT}${detail}`))
  }
  return `${lines.join('\n')}\n`
}

/** The gravest first, then as they were seen. */
function compareFindings(one: Finding, other: Finding): number {
  const bySeverity = SEVERITIES.indexOf(one.severity) - SEVERITIES.indexOf(other.severity)
  if (bySeverity !== 0) return bySeverity
  if (one.firstSeen !== other.firstSeen) return one.firstSeen < other.firstSeen ? -1 : 1
  return one.fingerprint < other.fingerprint ? -1 : 1
}

function cellsOf(finding: Finding): readonly string[] {
  const severity = finding.status === 'open' ? finding.severity : finding.status
  return [
    severity,
    `${finding.kind}/${cell(finding.code)}`,
    whereOf(finding),
    whatOf(finding),
    finding.count === 0 ? 'running' : String(finding.count),
    spanOf(finding),
  ]
}

function whereOf({ pod_namespace: namespace, pod_name: pod, container_id: id, container }: Finding): string {
  if (namespace === undefined || pod === undefined) return cell(`container ${id ?? ''}`)
  const isNamedAlike = container === undefined || container === pod
  return cell(isNamedAlike ? `${namespace}/${pod}` : `${namespace}/${pod} (${container})`)
}

function whatOf({ kind, process, image }: Finding): string {
  return cell(kind === 'offensive-tool' ? process : (image ?? ''))
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

/** The lines below a row. A drift finding tells the story of its image finding: there, the code is enough. */
function detailsOf(finding: Finding, hasDriftFinding: boolean): readonly string[] {
  const { kind, admission, suppression, remedy, nextCommand, certainty, remarks } = finding
  const details: string[] = []
  if (suppression !== undefined) {
    details.push(`suppressed by exception ${line(suppression.exception)} until ${suppression.expires}`)
  }
  if (admission !== undefined && kind === 'image-drift') {
    details.push(`how it got in (${certainty}): ${line(admission.summary)}`)
  } else if (admission !== undefined && kind === 'non-allowlisted-image') {
    const story = hasDriftFinding
      ? `${admission.code} (${admission.certainty})`
      : `not known: ${line(admission.summary)}`
    details.push(`how it got in: ${story}`)
  }
  // What weakens a finding a little stands in its JSON; here only what may turn it over.
  if (certainty === 'unknown') details.push(...remarks.map(remark => `note: ${line(remark)}`))
  details.push(`do: ${line(remedy)}`, `next: ${line(nextCommand, 1024)}`)
  return details
}

/** What an image finding and its drift finding have in common. */
function subjectOf({ cluster_name, pod_namespace, owner, container, image }: Finding): string {
  return JSON.stringify([cluster_name, pod_namespace, owner, container, image])
}

function paint({ status, severity }: Finding, colors: Colors): (text: string) => string {
  if (status !== 'open') return colors.dim
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
