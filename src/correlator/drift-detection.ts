/** Kind `image-drift`: how an image that is unwanted, or wanted only for a time, got past admission. */

import { escapeForeign } from '../policy/index.js'
import type { DetectionContext } from './detection-context.js'
import type { ExecEvent } from './exec-event.js'
import type { DriftCode } from './explain-admission.js'
import { describePodCommand, explainImageCommand } from './next-command.js'
import type { Observation, Severity } from './observation.js'

const MALICIOUS_IMAGE = 'T1204.003'
const DEPLOY_CONTAINER = 'T1610'

/** An explanation whose certainty is `unknown` claims nothing: it goes with the image finding and raises none itself. */
export function detectDrift(event: ExecEvent, context: DetectionContext): readonly Observation[] {
  const { use, admission } = context
  if (event.pod === undefined || use === undefined || admission === undefined) return []
  if (admission.certainty === 'unknown') return []
  const { namespace, name } = event.pod
  const [severity, risk] = weigh(admission.code)
  const isUnexplained = admission.code === 'unexplained'
  return [
    {
      kind: 'image-drift',
      code: admission.code,
      severity,
      risk,
      certainty: admission.certainty,
      attack: [isUnexplained ? DEPLOY_CONTAINER : MALICIOUS_IMAGE],
      title: `image ${escapeForeign(use.image, 200)} in ${escapeForeign(`${namespace}/${name}`, 300)}: ${admission.summary}`,
      image: use.image,
      verdict: use.verdict,
      tool: undefined,
      admission,
      suppression: undefined,
      remarks: use.remarks,
      remedy: admission.remedy,
      nextCommand: isUnexplained
        ? describePodCommand(namespace, name)
        : explainImageCommand(context.tools.policyPaths, namespace, use.image),
    },
  ]
}

function weigh(code: DriftCode): readonly [Severity, number] {
  switch (code) {
    case 'unexplained':
      return ['high', 80]
    case 'admitted.warn-mode':
    case 'admitted.exception-expired':
      return ['medium', 30]
    case 'admitted.policy-tightened':
      return ['low', 20]
    case 'admitted.exception-active':
      return ['info', 5]
  }
}
