/** The trace of a pod as one screen for people. Everything foreign in it is escaped, and lists are cut. */

import { createColors } from 'picocolors'
import type { ExplanationEvidence } from '../correlator/explanation.js'
import type { Finding } from '../correlator/finding.js'
import type { PodTrace, TracedContainer, TracedDecision, TracedImage, TracedRequest } from '../correlator/pod-trace.js'
import { escapeForeign } from '../policy/index.js'

const MAX_DECISIONS = 20
const MAX_REQUESTS = 10
const MAX_FINDINGS = 20
const MAX_PROCESSES = 5
const MAX_CELL = 80

export interface TraceTextOptions {
  /** Whether the reader is a terminal that shows colours. */
  readonly hasColors: boolean
}

type Colors = ReturnType<typeof createColors>

/** Ends with a newline. */
export function renderTrace(trace: PodTrace, { hasColors }: TraceTextOptions): string {
  const colors = createColors(hasColors)
  const sections: readonly (readonly [string, readonly string[]])[] = [
    [`pod ${cell(`${trace.pod.namespace}/${trace.pod.name}`, 320)}`, identityLines(trace)],
    ['admission', admissionLines(trace)],
    ['containers', trace.containers.flatMap(container => containerLines(container, colors))],
    ['findings', findingLines(trace.findings)],
  ]
  return sections
    .map(([heading, lines]) => `${colors.bold(heading)}\n${lines.map(line => `  ${line}\n`).join('')}`)
    .join('\n')
}

function identityLines({ pod, policy, mode }: PodTrace): readonly string[] {
  const owner = pod.owner === undefined ? undefined : `${pod.owner.kind} ${pod.owner.name}`
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['uid', pod.uid],
    ['node', pod.node],
    ['created', pod.createdAt],
    ['gone since', pod.deletedAt],
    ['workload', owner],
    ['policy today', `${policy.name} rev ${policy.revision}, mode ${mode}`],
  ]
  return rows.flatMap(([name, value]) => (value === undefined ? [] : [`${name.padEnd(13)} ${cell(value, 320)}`]))
}

function admissionLines(trace: PodTrace): readonly string[] {
  const { decisions, requests } = trace
  const lines = [...recordingLine(trace)]
  if (decisions.length === 0) lines.push('no decision record')
  for (const decision of shownDecisions(decisions)) lines.push(...decisionLines(decision))
  lines.push(...more(decisions.length, MAX_DECISIONS, 'records'))
  for (const request of requests.slice(0, MAX_REQUESTS)) lines.push(requestLine(request))
  return [...lines, ...more(requests.length, MAX_REQUESTS, 'requests in the audit log')]
}

/** The pod's own, then the latest of its workload, which may have been changed every day for years; in the order of time. */
function shownDecisions(decisions: readonly TracedDecision[]): readonly TracedDecision[] {
  const byWeight = [
    ...decisions.filter(({ about }) => about === 'pod'),
    ...decisions.filter(({ about }) => about === 'workload').toReversed(),
  ]
  const shown = new Set(byWeight.slice(0, MAX_DECISIONS))
  return decisions.filter(decision => shown.has(decision))
}

/** The recordings next to the pod's creation, or the last one. */
function recordingLine({ recording, pod }: PodTrace): readonly string[] {
  const last = recording.at(-1)
  if (last === undefined) return []
  const at = pod.createdAt
  if (at === undefined) return [`webhook recording until ${last.to}`]
  const covering = recording.find(
    ({ from, to }) => Date.parse(from) <= Date.parse(at) && Date.parse(at) <= Date.parse(to),
  )
  if (covering !== undefined)
    return [`webhook recording ${covering.from} → ${covering.to}: when the pod was created, too`]
  const before = recording.findLast(({ to }) => Date.parse(to) < Date.parse(at))?.to ?? 'never'
  const after = recording.find(({ from }) => Date.parse(from) > Date.parse(at))?.from ?? 'not again'
  return [`no webhook recording when the pod was created: before ${before}, after ${after}`]
}

function decisionLines(decision: TracedDecision): readonly string[] {
  const { time, operation, user, mode, action, dryRun, policy, recordId, about, kind, name } = decision
  const what = about === 'workload' ? `${kind} ${name}: ` : ''
  const by = user === undefined ? '' : ` by ${user}`
  const dry = dryRun ? ', dry run' : ''
  const head = `${time}  ${what}${operation}${by}: ${doneBy(action)} (mode ${mode}${dry}), policy ${policy}, record ${recordId}`
  return [cell(head, 600), ...decision.images.slice(0, MAX_DECISIONS).map(imageLine)]
}

function doneBy(action: TracedDecision['action']): string {
  switch (action) {
    case 'admit':
      return 'admitted'
    case 'audit':
      return 'admitted, noted'
    case 'warn':
      return 'admitted with a warning'
    case 'deny':
      return 'refused'
  }
}

function imageLine({ container, image, atTheTime, today, isChanged }: TracedImage): string {
  const change = isChanged ? '' : ', left as it was'
  const now = atTheTime === today ? 'the same now' : `${today} now`
  return `    ${cell(container, 40)}  ${cell(image)}  ${atTheTime} then${change}; ${now}`
}

function requestLine({ time, request, user, responseCode, answer, auditId }: TracedRequest): string {
  const by = user === undefined ? '' : ` by ${user}`
  return cell(`${time}  audit log: ${request}${by}, ${responseCode ?? 'no status'}: ${answer} (${auditId})`, 400)
}

function containerLines(container: TracedContainer, colors: Colors): readonly string[] {
  const { name, list, use, verdict, specImage, admission } = container
  const said = verdict === undefined ? 'no image is known' : `${verdict.outcome} (${verdict.reason})`
  const kind = list === undefined || list === 'containers' ? '' : ` (${list})`
  const head = `${cell(name, 63)}${kind}  ${cell(use?.image ?? specImage ?? '', 200)}  ${said}`
  const paint = verdict?.outcome === 'denied' ? colors.yellow : (text: string) => text
  const story = admission === undefined ? [] : storyLines(admission)
  return [paint(head), ...detailsOf(container).map(([label, text]) => `    ${label.padEnd(13)} ${text}`), ...story]
}

function detailsOf(container: TracedContainer): readonly (readonly [label: string, text: string])[] {
  const { use, verdict, statusImage, imageId, startedAt, execs, remarks } = container
  const details: [string, string][] = []
  if (use !== undefined) details.push(['judged by', `${use.witness} (${use.certainty})`])
  if (statusImage !== undefined) details.push(['runs as', cell(statusImage, 200)])
  if (imageId !== undefined) details.push(['content', cell(imageId, 200)])
  if (startedAt !== undefined) details.push(['started', cell(startedAt)])
  if (execs !== undefined) {
    details.push(['ran', `${execs.count} processes, ${execs.firstSeen} → ${execs.lastSeen}`])
    for (const process of execs.processes.slice(0, MAX_PROCESSES)) details.push(['', cell(process, 120)])
  }
  if (verdict?.outcome === 'denied')
    details.push(...remarks.map((remark): [string, string] => ['note', cell(remark, 200)]))
  if (verdict?.suggestion != null) details.push(['use', cell(verdict.suggestion, 200)])
  return details
}

function storyLines(admission: NonNullable<TracedContainer['admission']>): readonly string[] {
  const { code, certainty, summary, evidence, alsoTrue, remedy } = admission
  const title = certainty === 'unknown' ? 'not known' : `${code} (${certainty})`
  const lines = [
    `    how it got in ${title}: ${cell(summary, 600)}`,
    ...evidence.map(fact => `      ${factLine(fact)}`),
  ]
  for (const other of alsoTrue) {
    lines.push(
      `    also true     ${other.code} (${other.certainty})`,
      ...other.evidence.map(fact => `      ${factLine(fact)}`),
    )
  }
  return [...lines, `    do            ${cell(remedy, 300)}`]
}

function factLine({ source, field, value, seen }: ExplanationEvidence): string {
  return `${source} ${cell(field, 120)} = ${cell(value, 200)}${seen === undefined ? '' : `, at ${seen}`}`
}

function findingLines(findings: readonly Finding[]): readonly string[] {
  if (findings.length === 0) return ['none']
  const shown = findings.slice(0, MAX_FINDINGS).flatMap(finding => {
    const { kind, code, title, fingerprint, severity, certainty, status, count, lastSeen } = finding
    const state = status === 'open' ? severity : status
    return [
      `${state.padEnd(10)} ${kind}/${cell(code)} (${certainty}), ${count}×, last ${cell(lastSeen)}, ${cell(fingerprint)}`,
      `           ${cell(title, 300)}`,
    ]
  })
  return [...shown, ...more(findings.length, MAX_FINDINGS, 'findings')]
}

function more(count: number, shown: number, what: string): readonly string[] {
  return count > shown ? [`and ${count - shown} more ${what}`] : []
}

function cell(text: string, maxRunes = MAX_CELL): string {
  return escapeForeign(text, maxRunes)
}
