/** What is said of the stream as a whole, in words: losses, gaps, silence, and what could not be asked or saved. */

import { escapeForeign } from '../policy/index.js'
import type { AgentLossCode } from './agent-losses.js'
import type { SourceGap } from './event-source.js'
import type { ArchiveOutage } from './finding-outlet.js'
import type { Observation, Severity } from './observation.js'

const MINUTE_MS = 60_000
const LOOK_AT_AGENT = 'kubectl -n kube-system logs -l app.kubernetes.io/name=tetragon --tail=100'

export const UNREADABLE = lossOf(
  'line-unreadable',
  'low',
  'lines of the export could not be read: what they held is not known',
  'look at the first of them, which the run names on standard error; a full disk or two writers tear lines',
)
export const SKIPPED = lossOf(
  'line-too-long',
  'low',
  'lines of the export were longer than is read, and were skipped',
  'nobody honest passes megabytes of arguments: look for the process on the node',
)
export const RATE_LIMITED = lossOf(
  'rate-limited',
  'low',
  'the agent dropped events because of its own rate limit: what they were is not known',
  "raise the agent's export rate limit, or let its filters drop what nobody needs",
)

export function staleObservation(staleMs: number): Observation {
  const minutes = Math.max(1, Math.round(staleMs / MINUTE_MS))
  const title = `the stream has brought no line for ${minutes} min: the agent, its export or its disk may be down`
  return lossOf('stale-stream', 'medium', title, 'see whether the agent runs and writes the file that is read')
}

export function inventoryObservation(problem: string | undefined, since: number): Observation {
  const title = 'the cluster cannot be asked: what is known of its pods, namespaces and webhooks may be out of date'
  const remedy = 'see whether the API server can be reached, and whether the service account may list and watch'
  const reason = escapeForeign(problem ?? 'it has listed nothing yet', 400)
  const remarks = [`since ${iso(since)}: ${reason}`]
  return { ...lossOf('inventory-stale', 'medium', title, remedy), remarks, nextCommand: 'kubectl get --raw /readyz' }
}

export function outageObservation({ from, to, problem }: ArchiveOutage): Observation {
  const minutes = Math.round((to - from) / MINUTE_MS)
  const title = `the state could not be written for ${minutes} min: what was found meanwhile was given out late`
  const remedy = 'give the disk of --state room; what may be missing besides is a finding of its own'
  const remarks = [`between ${iso(from)} and ${iso(to)}: ${problem}`]
  return { ...lossOf('state-unwritable', 'low', title, remedy), remarks, nextCommand: 'df -h' }
}

export function agentObservation(code: AgentLossCode): Observation {
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

export function gapObservation({ code, source, from, to, detail }: SourceGap): Observation {
  const name = escapeForeign(source, 300)
  const span = `${from === undefined ? 'an unknown time' : iso(from)} and ${iso(to)}`
  const observation = lossOf(code, 'medium', `${phraseOf(code)} (${name})`, remedyFor(code))
  const remarks = [`events between ${span} may be missing`, ...(detail === undefined ? [] : [detail])]
  return { ...observation, remarks }
}

function phraseOf(code: SourceGap['code']): string {
  switch (code) {
    case 'rotated-away':
      return 'a file of the export was deleted before it was read to its end'
    case 'truncated':
      return 'the export was emptied before it was read to its end'
    case 'backup-unreadable':
      return 'a rotated file of the export cannot be read'
    case 'backups-passed-over':
      return 'more rotated files had not been read than are looked at, and the oldest were passed over'
    case 'file-damaged':
      return 'a file of the export is damaged: what stands behind the damage was not read'
    case 'disconnected':
      return 'the stream broke off, and the agent does not send again what it sent meanwhile'
  }
}

function remedyFor(code: SourceGap['code']): string {
  if (code === 'file-damaged') return 'get the file again from where it was copied or compressed, and replay it'
  if (code === 'backups-passed-over') return 'replay those files, which stand in the same folder; keep fewer there'
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
