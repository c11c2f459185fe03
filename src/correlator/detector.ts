/**
 * All detections over one event. What depends on the container alone (its image, how that got in, what there is to say
 * of it) is remembered for as long as the answer holds: a container starts many processes.
 */

import type { CompiledPolicy } from '../policy/index.js'
import type { RecordedAdmission } from './admission-journal.js'
import { detectCoverage } from './coverage-detection.js'
import { createDetectionContext, type DetectionContext, type DetectionTools } from './detection-context.js'
import { detectDrift } from './drift-detection.js'
import type { JournalEvidence } from './drift-evidence.js'
import type { EventPod, ExecEvent } from './exec-event.js'
import { detectImage } from './image-detection.js'
import type { Observation } from './observation.js'
import { detectTool } from './tool-detection.js'

/** What was said of a container, and all that it was said from beside the policy and the pod itself. */
interface ContainerAnswer {
  readonly records: readonly RecordedAdmission[]
  readonly journal: JournalEvidence
  readonly period: number
  /** Of what is known of the cluster. */
  readonly epoch: number
  readonly context: DetectionContext
  readonly observations: readonly Observation[]
}

/** Everything that the detections say of one event, in a fixed order. */
export type Detector = (event: ExecEvent) => readonly Observation[]

export function createDetector(tools: DetectionTools): Detector {
  // By identity: the decoder gives events of one container the same object, until it forgets it.
  const answers = new WeakMap<EventPod, ContainerAnswer>()
  const periodOf = createPeriods(tools.policy)
  const isClusterKnown = tools.cluster?.isKnown === true
  const answerFor = (event: ExecEvent, pod: EventPod): ContainerAnswer => {
    const records = tools.admissions.recordsOf(pod)
    const journal = tools.admissions.state()
    const period = periodOf(tools.asOf ?? event.time)
    const epoch = isClusterKnown ? (tools.cluster?.epoch() ?? 0) : 0
    const known = answers.get(pod)
    if (known?.records === records && known.journal === journal && known.period === period && known.epoch === epoch)
      return known
    const context = createDetectionContext(tools, event)
    const observations = [...detectImage(event, context), ...detectDrift(event, context)]
    const answer = { records, journal, period, epoch, context, observations }
    answers.set(pod, answer)
    return answer
  }
  return event => {
    const { pod } = event
    if (pod === undefined) return judge(event, createDetectionContext(tools, event), [])
    const { context, observations } = answerFor(event, pod)
    const { use, evidence, admission } = context
    return judge(event, { tools, now: tools.asOf ?? event.time, use, evidence, admission }, observations)
  }
}

function judge(
  event: ExecEvent,
  context: DetectionContext,
  ofContainer: readonly Observation[],
): readonly Observation[] {
  const ofTool = detectTool(event, context)
  const ofCoverage = detectCoverage(event, context)
  return ofTool.length + ofCoverage.length === 0 ? ofContainer : [...ofTool, ...ofContainer, ...ofCoverage]
}

/** Numbers the stretches of time between which an exception begins or ends: within one, time changes no verdict. */
function createPeriods({ exceptions }: CompiledPolicy): (now: number) => number {
  const turns = [...new Set(exceptions.flatMap(({ from, expires }) => [from, expires]))].toSorted(
    (one, other) => one - other,
  )
  let period = 0
  return now => {
    while (period > 0 && now < (turns[period - 1] ?? Number.NEGATIVE_INFINITY)) period -= 1
    while (period < turns.length && now >= (turns[period] ?? Number.POSITIVE_INFINITY)) period += 1
    return period
  }
}
