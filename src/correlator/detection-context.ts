/** What the detections share about one event: the policy, the time to judge at, the image in use and its admission. */

import { type CompiledPolicy, findException, isLive, type ToolCatalogue } from '../policy/index.js'
import type { AdmissionLookup } from './admission-lookup.js'
import type { ExecEvent } from './exec-event.js'
import { type AdmissionEvidence, type AdmissionExplanation, explainAdmission } from './explain-admission.js'
import { findGoverningAdmission, type GoverningAdmission } from './governing-admission.js'
import { type ImageUse, judgeImageUse } from './image-use.js'

/** What stays the same for a whole run. */
export interface DetectionTools {
  readonly policy: CompiledPolicy
  readonly catalogue: ToolCatalogue
  readonly admissions: AdmissionLookup
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
  /** How that image got in, when it is unwanted. */
  readonly admission: AdmissionExplanation | undefined
}

/** Look at an event once for all detections. */
export function createDetectionContext(tools: DetectionTools, event: ExecEvent): DetectionContext {
  const now = tools.asOf ?? event.time
  const { pod } = event
  const container = pod?.container
  if (pod === undefined || container === undefined) return { tools, now, use: undefined, admission: undefined }
  const governing = findGoverningAdmission(tools.admissions.recordsOf(pod), pod, container)
  const use = judgeImageUse(tools.policy, pod, container, governing, now)
  if (use === undefined || use.verdict.outcome === 'allowed') return { tools, now, use, admission: undefined }
  const startedAt = Date.parse(container.startTime ?? '')
  const admission = explainAdmission({
    verdict: use.verdict,
    policy: tools.policy,
    namespace: pod.namespace,
    governing,
    exception: exceptionOf(tools.policy, governing, pod.namespace, now),
    journal: tools.admissions.state(),
    startedAt: Number.isNaN(startedAt) ? undefined : startedAt,
  })
  return { tools, now, use, admission }
}

function exceptionOf(
  policy: CompiledPolicy,
  governing: GoverningAdmission | undefined,
  namespace: string,
  now: number,
): AdmissionEvidence['exception'] {
  const id = governing?.image.exception
  const exception = id === undefined ? undefined : findException(policy, id)
  if (exception === undefined) return undefined
  return { isLive: isLive(exception, namespace, now), expires: exception.expires, owner: exception.owner }
}
