/** A report for people: what would have been denied first, then the rest, the namespaces, and what to do next. */

import { escapeForeign } from '../policy/index.js'
import type { NamespaceRow } from '../webhook/report-namespaces.js'
import type { ReportRow } from '../webhook/report-rows.js'
import { REPORTED_RESULTS, type ReportedResult } from '../webhook/reported-decision.js'
import type { ViolationReport } from '../webhook/violation-report.js'
import { type Column, layOutTable } from './text-table.js'

export interface ReportTextOptions {
  /** Which sections to show. */
  readonly results: readonly ReportedResult[]
  /** How many rows of each section and of the namespaces. */
  readonly top: number
}

const TITLES: Readonly<Record<ReportedResult, string>> = {
  'would-deny': 'Would have been denied: warn or audit mode admitted',
  denied: 'Denied:',
  excepted: 'Admitted under an exception:',
  carried: 'Not allowed, but there before: an update left its image as it was in',
  waived: "Not allowed, but already running as a node's static pod:",
}

const ROW_COLUMNS: readonly Column[] = [
  { heading: 'OBJECTS', align: 'right' },
  { heading: 'NAMESPACE', align: 'left' },
  { heading: 'OWNER', align: 'left' },
  { heading: 'IMAGE', align: 'left' },
  { heading: 'REASON', align: 'left' },
  { heading: 'FIRST (UTC)', align: 'left' },
  { heading: 'LAST (UTC)', align: 'left' },
  { heading: 'WHO', align: 'left' },
]

const NAMESPACE_COLUMNS: readonly Column[] = [
  { heading: 'NAMESPACE', align: 'left' },
  { heading: 'MODE', align: 'left' },
  { heading: 'JUDGED', align: 'right' },
  { heading: 'WOULD DENY', align: 'right' },
  { heading: 'DENIED', align: 'right' },
  { heading: 'EXCEPTED', align: 'right' },
  { heading: 'CARRIED', align: 'right' },
  { heading: 'WAIVED', align: 'right' },
  { heading: 'LAST (UTC)', align: 'left' },
]

const MAX_CELL = 64
/** A digest alone takes 71. */
const MAX_IMAGE = 160
const MAX_NAMED = 10
/** What needs no quotes in a shell. */
const PLAIN_ARGUMENT = /^[A-Za-z0-9][A-Za-z0-9._/:@-]*$/

/** Ends with a newline. Everything foreign in it is escaped. */
export function renderReport(report: ViolationReport, options: ReportTextOptions): string {
  const sections = [
    [headline(report)],
    ...options.results.map(result => section(report, result, options.top)),
    namespaceSection(report, options.top),
    advice(report),
  ]
  const shown = sections.filter(lines => lines.length > 0)
  return shown.map(lines => `${lines.join('\n')}\n`).join('\n')
}

function headline({ firstSeen, lastSeen, objects, reviews, namespaces, dryRuns }: ViolationReport): string {
  const apart = dryRuns === 0 ? '' : `; ${count(dryRuns, 'dry run')} left out`
  if (firstSeen === null || lastSeen === null) return `No decisions${apart}`
  const span = `${minuteOf(firstSeen)} to ${minuteOf(lastSeen)} UTC`
  const many = `${count(objects, 'object')} in ${count(namespaces.length, 'namespace')} (${count(reviews, 'review')})`
  return `Decisions of ${span}: ${many}${apart}`
}

function section(report: ViolationReport, result: ReportedResult, top: number): readonly string[] {
  const { objects } = report.totals[result]
  const title = `${TITLES[result]} ${count(objects, 'object')}`
  if (objects === 0) return result === 'would-deny' ? [title] : []
  const rows = report.rows.filter(row => row.result === result)
  const lines = [title, ...layOutTable(ROW_COLUMNS, rows.slice(0, top).map(cellsOf))]
  if (rows.length > top) lines.push(`… and ${count(rows.length - top, 'row')} more: --top ${rows.length} shows them`)
  const other = report.others.find(one => one.result === result)
  if (other !== undefined) {
    lines.push(`… and the rarest, too many to be kept: ${count(other.rows, 'row')}, ${count(other.objects, 'object')}`)
  }
  return lines
}

function cellsOf(row: ReportRow): readonly string[] {
  const { objects, namespace, owner, image, reason, exception, firstSeen, lastSeen } = row
  return [
    number(objects),
    cell(namespace),
    cell(`${owner.kind}/${owner.name}`),
    image === null ? '(not readable)' : cell(image, MAX_IMAGE),
    cell(exception === null ? reason : `${reason} ${exception}`),
    minuteOf(firstSeen),
    minuteOf(lastSeen),
    whoOf(row),
  ]
}

function whoOf({ users, moreUsers }: ReportRow): string {
  const more = moreUsers === 0 ? '' : ` +${number(moreUsers)}`
  return `${users.map(user => cell(user)).join(', ')}${more}`
}

function namespaceSection({ namespaces }: ViolationReport, top: number): readonly string[] {
  if (namespaces.length === 0) return []
  const rows = namespaces.slice(0, top).map(({ namespace, mode, objects, results, lastSeen }) => {
    const name = namespace === null ? '(all others)' : cell(namespace)
    const counts = [objects, ...REPORTED_RESULTS.map(result => results[result])]
    return [name, mode, ...counts.map(number), minuteOf(lastSeen)]
  })
  const rest = namespaces.length - rows.length
  const more = rest === 0 ? [] : [`… and ${count(rest, 'namespace')} more: --top ${namespaces.length} shows them`]
  return ['By namespace, in objects', ...layOutTable(NAMESPACE_COLUMNS, rows), ...more]
}

function advice(report: ViolationReport): readonly string[] {
  const worst = report.rows.find(({ result }) => result === 'would-deny' || result === 'denied')
  const lines = [...(worst === undefined ? [] : adviceAbout(worst)), ...adviceOnCalm(report)]
  return lines.length === 0 ? [] : ['What to do', ...lines]
}

function adviceAbout({ namespace, image }: ReportRow): readonly string[] {
  const isPlain = image !== null && PLAIN_ARGUMENT.test(image) && PLAIN_ARGUMENT.test(namespace)
  const [inNamespace, ofImage] = isPlain ? [namespace, image] : ['NAMESPACE', 'IMAGE']
  return [
    '- If the image belongs here: add an allow entry to the policy.',
    `  sallyport explain --policy POLICY -n ${inNamespace} ${ofImage} says what it lacks.`,
    '- If it is needed for a time: an exception, with an owner, a reason and an end.',
    '- If neither: ask those who are named above for another image.',
  ]
}

/** Says no more than the records do: nobody knows what did not start in that time. */
function adviceOnCalm({ namespaces }: ViolationReport): readonly string[] {
  const calm = namespaces.filter(isCalm)
  if (calm.length === 0) return []
  const names = calm.slice(0, MAX_NAMED).map(({ namespace }) => cell(namespace ?? ''))
  const more = calm.length > names.length ? ` and ${count(calm.length - names.length, 'more', 'more')}` : ''
  const objects = calm.reduce((sum, one) => sum + one.objects, 0)
  const [since = ''] = calm.map(({ firstSeen }) => firstSeen).toSorted()
  return [
    `- ${names.join(', ')}${more}: of ${count(objects, 'object')} since ${minuteOf(since)} none would have been denied.`,
    '  Enforce mode may be next. What did not start in that time (a CronJob, a roll-back) has not been seen.',
  ]
}

function isCalm({ namespace, mode, objects, results }: NamespaceRow): boolean {
  const hasNothingWrong = results['would-deny'] === 0 && results.carried === 0 && results.denied === 0
  return namespace !== null && mode !== 'enforce' && objects > 0 && hasNothingWrong
}

/** `2026-11-21 23:22` */
function minuteOf(time: string): string {
  return time.slice(0, 16).replace('T', ' ')
}

function count(many: number, one: string, several = `${one}s`): string {
  return `${number(many)} ${many === 1 ? one : several}`
}

function number(value: number): string {
  return value.toLocaleString('en-US')
}

function cell(text: string, maxRunes = MAX_CELL): string {
  return escapeForeign(text, maxRunes)
}
