/** Why an event that stands behind a row of the Splunk detections raises no finding here. docs/splunk.md explains each. */

import { matchTool } from '../policy/index.js'
import { createDetectionContext, type DetectionTools } from './detection-context.js'
import type { ExecEvent } from './exec-event.js'
import { basename } from './finding-text.js'
import { detectImage } from './image-detection.js'
import type { SplunkDetection } from './splunk-rows.js'
import { detectTool } from './tool-detection.js'

export type DifferenceRule =
  /** The image is allowed once it and the pattern are read as references: what Docker means by them, in any case. */
  | 'image-reference'
  /** The pod's own record names an allowed image; the status name is another name of it. */
  | 'admission-record'
  /** The status names no image, and the repository of its image id is allowed. */
  | 'image-id'
  /** The policy took the tool out of the catalogue, or the catalogue does not list the name. */
  | 'tool-catalogue'
  /** The name counts alone only in a stricter profile. */
  | 'tool-profile'
  /** A weak or dual-use name, run by a probe of the kubelet. */
  | 'tool-probe'
  /** It is called as the innocent program of the same name is. */
  | 'tool-collision'

export const DIFFERENCE_RULES: readonly DifferenceRule[] = [
  'image-reference',
  'admission-record',
  'image-id',
  'tool-catalogue',
  'tool-profile',
  'tool-probe',
  'tool-collision',
]

/** @param detection that has a row of this event. Undefined: there is a finding, suppressed perhaps. */
export function explainDifference(
  detection: SplunkDetection,
  event: ExecEvent,
  tools: DetectionTools,
): DifferenceRule | undefined {
  const context = createDetectionContext(tools, event)
  if (detection === 'non_allowlisted_image_use') {
    if (detectImage(event, context).length > 0) return undefined
    const { use } = context
    if (use === undefined || use.witness === 'admission-record' || use.witness === 'pod-spec') return 'admission-record'
    return use.witness === 'image-id' ? 'image-id' : 'image-reference'
  }
  if (detectTool(event, context).length > 0) return undefined
  return explainTool(event, tools)
}

function explainTool(event: ExecEvent, { catalogue }: DetectionTools): DifferenceRule {
  const name = basename(event.binary)
  const counting = matchTool(catalogue, name)
  const known = counting ?? matchTool(catalogue.beyond, name)
  if (known === undefined) {
    const isListed = [...catalogue.tools.values()].some(({ patterns }) => patterns.includes(name.toLowerCase()))
    return isListed ? 'tool-profile' : 'tool-catalogue'
  }
  const isProbe = event.pod?.container?.isExecProbe === true
  if (isProbe && (known.isWeak || known.dualUse)) return 'tool-probe'
  return counting === undefined ? 'tool-profile' : 'tool-collision'
}
