/**
 * All detections over one event. Nearly every event repeats another: its container runs what it ran before, which says
 * nothing. So what a container says, what a command line says and what a process said last are remembered, each for as
 * long as it holds.
 */

import { createExecInspector, type ExecSighting } from '../policy/index.js'
import { type ContainerAnswer, createContainerAnswers } from './container-answers.js'
import { detectCoverage, isBlind } from './coverage-detection.js'
import { createDetectionContext, type DetectionContext, type DetectionTools } from './detection-context.js'
import type { ExecEvent } from './exec-event.js'
import type { Observation } from './observation.js'
import { detectTool, factsOf } from './tool-detection.js'

/** Everything that the detections say of one event, in a fixed order; often the very same list as before. */
export type Detector = (event: ExecEvent) => readonly Observation[]

const NOTHING: readonly Observation[] = []
/** Characters of a command line; the answer about a longer one is worked out each time. */
const MAX_REPEATED = 4096

export function createDetector(tools: DetectionTools): Detector {
  const answerOf = createContainerAnswers(tools)
  const inspect = createExecInspector(tools.catalogue)
  // A maintenance window opens and closes within a period.
  const isTimeless = tools.policy.maintenance.length === 0
  const ofPodless = (event: ExecEvent): readonly Observation[] => {
    return judge(event, createDetectionContext(tools, event), inspect(factsOf(event)), NOTHING)
  }
  const ofTelling = (
    event: ExecEvent,
    answer: ContainerAnswer,
    sightings: readonly ExecSighting[],
  ): readonly Observation[] => {
    const { last, observations } = answer
    const canRepeat = isTimeless && !isBlind(event) && isShort(event)
    // The same sightings are of the same command line: see `createExecInspector`.
    if (canRepeat && last?.sightings === sightings && last.flags === event.flags) return last.observations
    const said = judge(event, { ...answer.context, now: tools.asOf ?? event.time }, sightings, observations)
    if (canRepeat) answer.last = { sightings, flags: event.flags, observations: said }
    return said
  }
  return event => {
    const { pod } = event
    // A process of the node itself says nothing.
    if (pod === undefined) return event.docker === undefined ? NOTHING : ofPodless(event)
    const answer = answerOf(event, pod)
    const sightings = inspect(factsOf(event))
    return sightings.length === 0 && !isBlind(event) ? answer.observations : ofTelling(event, answer, sightings)
  }
}

/** What is said of a process may hold on to its whole command line. */
function isShort({ binary, arguments: args }: ExecEvent): boolean {
  return binary.length + (args?.length ?? 0) <= MAX_REPEATED
}

function judge(
  event: ExecEvent,
  context: DetectionContext,
  sightings: readonly ExecSighting[],
  ofContainer: readonly Observation[],
): readonly Observation[] {
  return [...detectTool(event, context, sightings), ...ofContainer, ...detectCoverage(event, context)]
}
