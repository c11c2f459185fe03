/**
 * What there is to say of a container whatever it runs: its image, and how that got in. Remembered for as long as it
 * holds, because a container starts many processes.
 */

import type { CompiledPolicy, ExecSighting } from '../policy/index.js'
import type { RecordedAdmission } from './admission-journal.js'
import { createDetectionContext, type DetectionContext, type DetectionTools } from './detection-context.js'
import { detectDrift } from './drift-detection.js'
import type { JournalEvidence } from './drift-evidence.js'
import type { EventPod, ExecEvent } from './exec-event.js'
import { detectImage } from './image-detection.js'
import type { Observation } from './observation.js'

/** What was said of a container, and all that it was said from beside the policy and the pod itself. */
export interface ContainerAnswer {
  readonly records: readonly RecordedAdmission[]
  readonly journal: JournalEvidence
  readonly period: number
  /** Of what is known of the cluster. */
  readonly epoch: number
  readonly context: DetectionContext
  readonly observations: readonly Observation[]
  /** The last process that gave something away. */
  last: SaidOfProcess | undefined
}

/** What was said of a process, and all that it was said from beside its container. */
export interface SaidOfProcess {
  readonly sightings: readonly ExecSighting[]
  readonly flags: readonly string[]
  readonly observations: readonly Observation[]
}

/** The answer about an event's container. @param pod of the event. */
export type ContainerAnswers = (event: ExecEvent, pod: EventPod) => ContainerAnswer

export function createContainerAnswers(tools: DetectionTools): ContainerAnswers {
  const { admissions, cluster, asOf } = tools
  // By identity: the decoder gives events of one container the same object, until it forgets it.
  const answers = new WeakMap<EventPod, ContainerAnswer>()
  const periodOf = createPeriods(tools.policy)
  const epochOf = cluster?.isKnown === true ? cluster.epoch : () => 0
  return (event, pod) => {
    const records = admissions.recordsOf(pod)
    const journal = admissions.state()
    const period = periodOf(asOf ?? event.time)
    const epoch = epochOf()
    const known = answers.get(pod)
    if (known?.records === records && known.journal === journal && known.period === period && known.epoch === epoch)
      return known
    const context = createDetectionContext(tools, event)
    const observations = [...detectImage(event, context), ...detectDrift(event, context)]
    const answer = { records, journal, period, epoch, context, observations, last: undefined }
    answers.set(pod, answer)
    return answer
  }
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
