/** What the detections share about one event: the policy, the time to judge at, the image in use and its admission. */

import { type CompiledPolicy, findException, isLive, type ToolCatalogue } from '../policy/index.js'
import type { AdmissionLookup } from './admission-lookup.js'
import { type ClusterLookup, NO_CLUSTER_LOOKUP } from './cluster-lookup.js'
import type { DriftEvidence } from './drift-evidence.js'
import type { EventContainer, EventPod, ExecEvent } from './exec-event.js'
import { explainAdmission } from './explain-admission.js'
import type { AdmissionExplanation } from './explanation.js'
import { findGoverningAdmission, type GoverningAdmission, recordsOfPod } from './governing-admission.js'
import { type ImageUse, judgeImageUse } from './image-use.js'
import { formerAdmissionOf, isEphemeral, type WayInEvidence } from './introduction.js'

/** What stays the same for a whole run. */
export interface DetectionTools {
  readonly policy: CompiledPolicy
  readonly catalogue: ToolCatalogue
  readonly admissions: AdmissionLookup
  /** Inventory and audit log. Undefined: neither was given. */
  readonly cluster?: ClusterLookup | undefined
  /**
   * Judge everything as of this time (milliseconds since the epoch) instead of each event's own: exceptions live and
   * end by it.
   */
  readonly asOf: number | undefined
  /** The `--policy` arguments, for the commands that findings suggest. */
  readonly policyPaths: readonly string[]
}

export interface DetectionContext {
  readonly tools: DetectionTools
  /** The time to judge at. */
  readonly now: number
  /** The image that the event's container runs; undefined without a pod or without an image. */
  readonly use: ImageUse | undefined
  /** What is known of how that image got in. */
  readonly evidence: DriftEvidence | undefined
  /** How it got in, when it is unwanted, or what is odd about its content. */
  readonly admission: AdmissionExplanation | undefined
}

/** Look at an event once for all detections. */
export function createDetectionContext(tools: DetectionTools, event: ExecEvent): DetectionContext {
  const now = tools.asOf ?? event.time
  const { pod } = event
  const container = pod?.container
  const nothing = { tools, now, use: undefined, evidence: undefined, admission: undefined }
  if (pod === undefined || container === undefined) return nothing
  const { use, evidence } = gatherEvidence(tools, pod, container, event.nodeName, now)
  return { tools, now, use, evidence, admission: evidence && explainAdmission(evidence) }
}

/** An image in use, and all that may explain it. Both are undefined when there is no image to judge. */
export interface GatheredEvidence {
  readonly use: ImageUse | undefined
  readonly evidence: DriftEvidence | undefined
}

/** @param now the time to judge at, in milliseconds since the epoch. */
export function gatherEvidence(
  tools: DetectionTools,
  pod: EventPod,
  container: EventContainer,
  nodeName: string | undefined,
  now: number,
): GatheredEvidence {
  const { policy, admissions, cluster = NO_CLUSTER_LOOKUP } = tools
  const found = cluster.find(pod, container)
  // The event of an older agent has no uid; the inventory joins by name and container.
  const uid = pod.uid ?? found.pod?.uid
  const identity = { uid, namespace: pod.namespace, name: pod.name }
  const records = recordsOfPod(admissions.recordsOf(pod), identity)
  const spec = found.container?.image
  const specImage = spec === '' ? undefined : spec
  const governing = findGoverningAdmission(records, identity, { ...container, specImage })
  const known = { specImage, namespaceLabels: found.namespace?.labels }
  const use = judgeImageUse(policy, { pod, container, governing, known }, now)
  if (use === undefined) return { use, evidence: undefined }
  const { imageName, imageId, id: containerId } = container
  const subject = {
    namespace: pod.namespace,
    pod: pod.name,
    uid,
    container: container.name,
    workloadKind: pod.workloadKind,
    nodeName,
  }
  const by = wayInOf({ cluster: found, governing, records, subject })
  const evidence: DriftEvidence = {
    image: use.image,
    verdict: use.verdict,
    policy,
    subject,
    running: { imageName, imageId, containerId, startedAt: timeOf(container.startTime) },
    program: undefined,
    journal: admissions.state(),
    records,
    governing,
    exception: exceptionOf(policy, governing, pod.namespace, now),
    cluster: cluster.describe(found, identity, by),
    requests: cluster.requestsOf(identity, found.pod?.createdAt),
  }
  return { use, evidence }
}

function wayInOf(evidence: WayInEvidence): 'create' | 'update' | 'ephemeral' {
  if (isEphemeral(evidence)) return 'ephemeral'
  return formerAdmissionOf(evidence) === undefined ? 'create' : 'update'
}

function exceptionOf(
  policy: CompiledPolicy,
  governing: GoverningAdmission | undefined,
  namespace: string,
  now: number,
): DriftEvidence['exception'] {
  const id = governing?.image.exception
  const exception = id === undefined ? undefined : findException(policy, id)
  if (exception === undefined) return undefined
  return { isLive: isLive(exception, namespace, now), expires: exception.expires, owner: exception.owner }
}

function timeOf(text: string | undefined): number | undefined {
  const time = Date.parse(text ?? '')
  return Number.isNaN(time) ? undefined : time
}
