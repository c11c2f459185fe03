/** The whole life of one pod's images, as a value: who let them in, what ran, what was found, and why. */

import { type Action, cutRunes, evaluate, type Mode, toVerdictJson, type VerdictJson } from '../policy/index.js'
import type { CoverageSpan, PodIdentity, RecordedAdmission } from './admission-journal.js'
import type { AuditedRequest } from './audit-evidence.js'
import { type DetectionTools, gatherEvidence } from './detection-context.js'
import type { EventContainer, EventPod } from './exec-event.js'
import { explainAdmission } from './explain-admission.js'
import { type AdmissionExplanation, iso } from './explanation.js'
import type { Finding } from './finding.js'
import type { ImageUse } from './image-use.js'
import type { KnownContainer, KnownPod, Labels } from './inventory.js'

export const TRACE_SCHEMA = 1

/** One image of a decision: what was said of it then, and what the policy of today says. */
export interface TracedImage {
  readonly list: string
  readonly container: string
  readonly image: string
  readonly isChanged: boolean
  /** `outcome (reason)` */
  readonly atTheTime: string
  readonly today: string
}

export interface TracedDecision {
  readonly time: string
  readonly recordId: string
  readonly about: 'pod' | 'workload'
  readonly kind: string
  readonly name: string
  readonly operation: string
  readonly user: string | undefined
  readonly mode: Mode
  readonly action: Action
  readonly dryRun: boolean
  /** Name and revision that decided. */
  readonly policy: string
  readonly images: readonly TracedImage[]
}

export interface TracedRequest {
  readonly time: string
  readonly auditId: string
  /** `create`, `patch ephemeralcontainers`, … */
  readonly request: string
  readonly user: string | undefined
  readonly responseCode: number | undefined
  /** What our webhook answered, or `failed open`. */
  readonly answer: string
}

/** What was seen to start in one container. */
export interface TracedExecs {
  readonly count: number
  readonly firstSeen: string
  readonly lastSeen: string
  /** Some different command lines. */
  readonly processes: readonly string[]
}

export interface TracedContainer {
  readonly name: string
  readonly list: string | undefined
  /** The spec's reference by the inventory, as written. */
  readonly specImage: string | undefined
  readonly statusImage: string | undefined
  readonly imageId: string | undefined
  readonly startedAt: string | undefined
  /** Which image was judged, by which witness; undefined when none is known. */
  readonly use:
    | { readonly image: string; readonly witness: ImageUse['witness']; readonly certainty: string }
    | undefined
  readonly verdict: VerdictJson | undefined
  readonly admission: AdmissionExplanation | undefined
  readonly execs: TracedExecs | undefined
  readonly remarks: readonly string[]
}

export interface PodTrace {
  readonly schema: typeof TRACE_SCHEMA
  readonly pod: {
    readonly namespace: string
    readonly name: string
    readonly uid: string | undefined
    readonly node: string | undefined
    readonly createdAt: string | undefined
    readonly deletedAt: string | undefined
    readonly owner: { readonly kind: string; readonly name: string } | undefined
  }
  readonly policy: { readonly name: string; readonly revision: string }
  /** The mode that the namespace has today. */
  readonly mode: Mode
  readonly decisions: readonly TracedDecision[]
  readonly requests: readonly TracedRequest[]
  /** When a webhook was recording, by its heartbeats. */
  readonly recording: readonly { readonly from: string; readonly to: string }[]
  readonly containers: readonly TracedContainer[]
  readonly findings: readonly Finding[]
}

/** A container as the events show it, and what it started. */
export interface SeenContainer {
  readonly container: EventContainer
  readonly execs: TracedExecs
}

/** Everything about the pod that was gathered before. */
export interface TraceMaterial {
  readonly identity: PodIdentity
  readonly pod: KnownPod | undefined
  readonly namespaceLabels: Labels | undefined
  /** About the pod, and about its workload. */
  readonly records: readonly RecordedAdmission[]
  readonly workloadRecords: readonly RecordedAdmission[]
  readonly requests: readonly AuditedRequest[]
  readonly spans: readonly CoverageSpan[]
  /** By container name. */
  readonly seen: ReadonlyMap<string, SeenContainer>
  readonly event: Pick<EventPod, 'workload' | 'workloadKind'> & { readonly nodeName: string | undefined }
  readonly findings: readonly Finding[]
}

/** Text is as it came in: escape it before showing. @param now milliseconds since the epoch. */
export function tracePod(tools: DetectionTools, material: TraceMaterial, now: number): PodTrace {
  const { identity, pod, records, workloadRecords, event, findings, namespaceLabels } = material
  const scope = { name: identity.namespace, labels: namespaceLabels }
  const today = (image: string): string => {
    const { outcome, reason } = evaluate(tools.policy, image, { namespace: scope, now })
    return `${outcome} (${reason})`
  }
  const owner = event.workload === undefined ? undefined : { kind: event.workloadKind ?? '', name: event.workload }
  return {
    schema: TRACE_SCHEMA,
    pod: {
      namespace: identity.namespace,
      name: identity.name,
      uid: identity.uid,
      node: pod?.nodeName ?? event.nodeName,
      createdAt: pod && iso(pod.createdAt),
      deletedAt: pod?.deletedAt === undefined ? undefined : iso(pod.deletedAt),
      owner: pod?.topOwner ?? owner ?? records.find(({ topOwner }) => topOwner !== undefined)?.topOwner,
    },
    policy: { name: tools.policy.name, revision: tools.policy.revision },
    mode: tools.policy.modeFor(scope),
    decisions: [
      ...workloadRecords.map(record => decisionOf(record, 'workload', today)),
      ...records.map(record => decisionOf(record, 'pod', today)),
    ].toSorted((one, other) => (one.time < other.time ? -1 : one.time > other.time ? 1 : 0)),
    requests: material.requests.map(requestOf),
    recording: material.spans.map(({ from, to }) => ({ from: iso(from), to: iso(to) })),
    containers: containerNames(material).map(name => containerOf(tools, material, name, now)),
    findings,
  }
}

function decisionOf(
  record: RecordedAdmission,
  about: 'pod' | 'workload',
  today: (image: string) => string,
): TracedDecision {
  const { recordId, kind, name, operation, user, mode, action, dryRun } = record
  return {
    time: iso(record.at),
    recordId,
    about,
    kind,
    name,
    operation,
    user,
    mode,
    action,
    dryRun,
    policy: `${record.policy} rev ${record.revision}`,
    images: record.images.map(({ list, container, written, isChanged, outcome, reason }) => ({
      list,
      container,
      image: written,
      isChanged,
      atTheTime: `${outcome} (${reason})`,
      today: today(written),
    })),
  }
}

function requestOf(request: AuditedRequest): TracedRequest {
  const { auditId, verb, subresource, user, responseCode, decisions, failedOpen } = request
  const answers = decisions.map(
    ({ decision, mode }) => `${decision ?? 'answered'}${mode === undefined ? '' : ` (${mode})`}`,
  )
  return {
    time: iso(request.at),
    auditId,
    request: subresource === undefined ? verb : `${verb} ${subresource}`,
    user,
    responseCode,
    answer: [...answers, ...failedOpen.map(name => `failed open: ${name}`)].join(', ') || 'no webhook is named',
  }
}

/** In the order of the spec, then those that only records or events know. */
function containerNames({ pod, records, seen }: TraceMaterial): readonly string[] {
  const recorded = records
    .filter(({ allowed, dryRun }) => allowed && !dryRun)
    .flatMap(({ images }) => images.filter(({ list }) => list !== 'volumes').map(({ container }) => container))
  return [...new Set([...(pod?.containers ?? []).map(({ name }) => name), ...recorded, ...seen.keys()])]
}

function containerOf(tools: DetectionTools, material: TraceMaterial, name: string, now: number): TracedContainer {
  const { identity, pod, seen, event } = material
  const known = pod?.containers.find(each => each.name === name)
  const container = seen.get(name)?.container ?? containerFrom(known, name)
  const { workload, workloadKind, nodeName } = event
  const ofEvent: EventPod = { ...identity, workload, workloadKind, container }
  const { use, evidence } = gatherEvidence(tools, ofEvent, container, nodeName ?? pod?.nodeName, now)
  const scope = { name: identity.namespace, labels: material.namespaceLabels }
  return {
    name,
    list: known?.list,
    specImage: known?.image,
    statusImage: container.imageName,
    imageId: container.imageId,
    startedAt: container.startTime,
    use: use && { image: use.image, witness: use.witness, certainty: use.certainty },
    verdict: use && toVerdictJson(tools.policy, use.verdict, scope),
    admission: evidence && explainAdmission(evidence),
    execs: seen.get(name)?.execs,
    remarks: use?.remarks ?? [],
  }
}

/** As an event would show it. */
function containerFrom(known: KnownContainer | undefined, name: string): EventContainer {
  const status = known?.status
  return {
    id: status?.containerId,
    name: cutRunes(name, 253),
    imageId: status?.imageId,
    imageName: status?.image,
    startTime: status?.startedAt === undefined ? undefined : iso(status.startedAt),
    isExecProbe: false,
  }
}
