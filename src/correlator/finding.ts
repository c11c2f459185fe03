/**
 * A finding: what Sallyport has to say about one thing that runs, for as long as it does. State, and no stream: each
 * repetition raises the count of the same finding. docs/findings.md is its reference.
 */

import { createHash } from 'node:crypto'
import { type CompiledPolicy, cutRunes, type ToolMatch, toVerdictJson, type VerdictJson } from '../policy/index.js'
import type { ExecEvent } from './exec-event.js'
import type { AdmissionExplanation } from './explanation.js'
import { basename, cut, MAX_IMAGE, MAX_NAME, MAX_PROCESS, sampleOf } from './finding-text.js'
import type { Certainty } from './image-use.js'
import type { FindingKind, Observation, Severity, Suppression } from './observation.js'

/** Raised when a field changes its meaning or goes; new fields do not raise it. */
export const FINDING_SCHEMA = 1

const FINGERPRINT_LENGTH = 16

/** What a risk score counts for, or against: the fields of Splunk's risk framework. */
export interface RiskObject {
  readonly field: string
  readonly name: string
  readonly type: string
  readonly score: number
}

export interface ThreatObject {
  readonly field: string
  readonly name: string
  readonly type: string
}

/**
 * Fields in camelCase are Sallyport's own; those in snake_case are the fields of the two Splunk detections, with their
 * meaning, taken from the event that raised the finding. Strings hold what came in, cut to a bound and not escaped:
 * escape them before showing; `title`, `remedy` and `nextCommand` are safe to print. Times are RFC 3339, UTC.
 */
export interface Finding {
  readonly schema: typeof FINDING_SCHEMA
  readonly kind: FindingKind
  readonly code: string
  /** 16 hexadecimal characters over kind, code, cluster, namespace, top owner, container, image and tool. */
  readonly fingerprint: string
  readonly title: string
  readonly status: 'open' | 'resolved' | 'suppressed'
  readonly severity: Severity
  readonly certainty: Certainty
  /**
   * How often this finding was given out, this time included. A line that was written twice because the program ended
   * in between has the same number.
   */
  readonly emission: number
  /** Exec events; of kind `coverage` whatever was missed. 0 when the process was only found running. */
  readonly count: number
  /** Of `count`, those that an exception covered. */
  readonly suppressedCount: number
  readonly firstSeen: string
  readonly lastSeen: string
  /** `score` is what this finding adds: the risks of all findings about one object add up to 100 at most. */
  readonly risk: {
    readonly score: number
    readonly objects: readonly RiskObject[]
    readonly threats: readonly ThreatObject[]
  }
  readonly attack: readonly string[]
  /** The image that was judged: the spec's where a record knows it, else the one that the runtime names. */
  readonly image: string | undefined
  readonly owner: { readonly kind: string; readonly name: string } | undefined
  readonly container: string | undefined
  readonly pod_image_name: string | undefined
  readonly pod_namespace: string | undefined
  readonly pod_name: string | undefined
  readonly process_name: string
  /** Binary and arguments in one string. */
  readonly process: string
  readonly parent_process_name: string | undefined
  /** The binary's path as it was started. */
  readonly process_exec: string
  readonly process_id: number | undefined
  readonly container_id: string | undefined
  readonly node_name: string | undefined
  readonly cluster_name: string | undefined
  /** Up to five different command lines and five different pods. */
  readonly samples: { readonly processes: readonly string[]; readonly pods: readonly string[] }
  readonly policy: { readonly name: string; readonly revision: string }
  readonly verdict: VerdictJson | undefined
  readonly tool: ToolMatch | undefined
  readonly admission: AdmissionExplanation | undefined
  readonly suppression: Suppression | undefined
  readonly remarks: readonly string[]
  readonly remedy: string
  readonly nextCommand: string
}

/** What makes two observations the same finding, as one text; see `fingerprintOf`. */
export function identityOf(event: ExecEvent, observation: Observation): string {
  const { pod } = event
  const owner = ownerOf(event)
  const parts = [
    observation.kind,
    observation.code,
    event.clusterName,
    pod?.namespace,
    owner === undefined ? event.docker : `${owner.kind}/${owner.name}`,
    pod?.container?.name,
    // A tool is the same finding in the next release of its image.
    observation.kind === 'offensive-tool' ? undefined : observation.image,
    observation.tool?.tool,
  ]
  return JSON.stringify(parts.map(part => part ?? ''))
}

/** Whatever has the same fingerprint is the same finding. */
export function fingerprintOf(identity: string): string {
  return createHash('sha256').update(identity).digest('hex').slice(0, FINGERPRINT_LENGTH)
}

/** A new finding. Its count is 0: the store counts. @param score the risk that is left to give to the pod. */
export function createFinding(
  policy: CompiledPolicy,
  event: ExecEvent,
  observation: Observation,
  fingerprint: string,
  score: number,
): Finding {
  const { kind, code, title, severity, certainty, attack, tool, admission, suppression } = observation
  const { remarks, remedy, nextCommand, verdict } = observation
  const seen = new Date(event.time).toISOString()
  const namespace = { name: event.pod?.namespace ?? '', labels: undefined }
  return inOwnMemory({
    schema: FINDING_SCHEMA,
    kind,
    code,
    fingerprint,
    title,
    status: suppression === undefined ? 'open' : 'suppressed',
    severity,
    certainty,
    emission: 0,
    count: 0,
    suppressedCount: 0,
    firstSeen: seen,
    lastSeen: seen,
    risk: riskOf(event, score),
    attack,
    image: cut(observation.image, MAX_IMAGE),
    owner: ownerOf(event),
    container: cut(event.pod?.container?.name, MAX_NAME),
    ...eventFacts(event),
    samples: { processes: [], pods: [] },
    policy: { name: policy.name, revision: policy.revision },
    verdict: verdict === undefined ? undefined : toVerdictJson(policy, verdict, namespace),
    tool,
    admission,
    suppression,
    remarks,
    remedy,
    nextCommand,
  })
}

/**
 * The same finding, which holds on to nothing of the event: a string that was cut from another keeps the whole of that
 * alive, and a command line may have sixteen megabytes. What is undefined is left out, as in a finding that was read back.
 */
function inOwnMemory(finding: Finding): Finding {
  const own: Finding = JSON.parse(JSON.stringify(finding))
  return own
}

/** The object that bears the risk: the pod, the container when its pod is not known, else the node. */
export function riskObjectOf({ pod, docker, nodeName }: ExecEvent): { readonly field: string; readonly name: string } {
  if (pod !== undefined) return { field: 'pod_name', name: cutRunes(pod.name, MAX_NAME) }
  if (docker !== undefined) return { field: 'container_id', name: cutRunes(docker, MAX_NAME) }
  return { field: 'node_name', name: cutRunes(nodeName ?? '', MAX_NAME) }
}

type EventFacts = Pick<
  Finding,
  | 'pod_image_name'
  | 'pod_namespace'
  | 'pod_name'
  | 'process_name'
  | 'process'
  | 'parent_process_name'
  | 'process_exec'
  | 'process_id'
  | 'container_id'
  | 'node_name'
  | 'cluster_name'
>

function eventFacts(event: ExecEvent): EventFacts {
  const { pod, parent } = event
  return {
    pod_image_name: cut(pod?.container?.imageName, MAX_IMAGE),
    pod_namespace: cut(pod?.namespace, MAX_NAME),
    pod_name: cut(pod?.name, MAX_NAME),
    process_name: cutRunes(basename(event.binary), MAX_NAME),
    process: sampleOf(event),
    parent_process_name: parent?.binary === undefined ? undefined : cutRunes(basename(parent.binary), MAX_NAME),
    process_exec: cutRunes(event.binary, MAX_PROCESS),
    process_id: event.pid,
    container_id: cut(event.docker ?? pod?.container?.id, MAX_NAME),
    node_name: cut(event.nodeName, MAX_NAME),
    cluster_name: cut(event.clusterName, MAX_NAME),
  }
}

function riskOf(event: ExecEvent, score: number): Finding['risk'] {
  const object = { ...riskObjectOf(event), type: 'system', score }
  const name = cutRunes(basename(event.binary), MAX_NAME)
  const threats = name === '' ? [] : [{ field: 'process_name', name, type: 'process_name' }]
  return { score, objects: object.name === '' ? [] : [object], threats }
}

function ownerOf({ pod, docker, nodeName }: ExecEvent): Finding['owner'] {
  if (pod === undefined) {
    // What is missing of a node's stream is missing of that node.
    return docker === undefined && nodeName !== undefined
      ? { kind: 'Node', name: cutRunes(nodeName, MAX_NAME) }
      : undefined
  }
  // Older agents name no workload; a bare pod is its own owner.
  if (pod.workload === undefined) return { kind: 'Pod', name: cutRunes(pod.name, MAX_NAME) }
  return { kind: cut(pod.workloadKind, MAX_NAME) ?? '', name: cutRunes(pod.workload, MAX_NAME) }
}
