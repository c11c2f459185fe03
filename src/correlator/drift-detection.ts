/** Kind `image-drift`: how an image that is unwanted, or wanted only for a time, got past admission. */

import { escapeForeign } from '../policy/index.js'
import type { DetectionContext } from './detection-context.js'
import type { DriftCode } from './drift-code.js'
import type { ExecEvent } from './exec-event.js'
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
  const isPast = isPastTheGate(admission.code)
  return [
    {
      kind: 'image-drift',
      code: admission.code,
      severity,
      risk,
      certainty: admission.certainty,
      attack: [isPast ? DEPLOY_CONTAINER : MALICIOUS_IMAGE],
      title: `image ${escapeForeign(use.image, 200)} in ${escapeForeign(`${namespace}/${name}`, 300)}: ${admission.summary}`,
      image: use.image,
      verdict: use.verdict,
      tool: undefined,
      admission,
      suppression: undefined,
      remarks: use.remarks,
      remedy: admission.remedy,
      nextCommand: isPast
        ? describePodCommand(namespace, name)
        : explainImageCommand(context.tools.policyPaths, namespace, use.image),
    },
  ]
}

function weigh(code: DriftCode): readonly [Severity, number] {
  switch (code) {
    case 'unexplained':
      return ['high', 80]
    case 'bypass.fail-open':
    case 'bypass.subresource':
    case 'mutated.after-admission':
      return ['high', 60]
    case 'bypass.static-pod':
    case 'bypass.namespace-excluded':
    case 'admitted.warn-mode':
    case 'admitted.exception-expired':
    case 'image.local-or-unknown':
    case 'binary.not-from-image':
      return ['medium', 30]
    case 'bypass.webhook-absent':
    case 'admitted.policy-tightened':
    case 'digest.tag-moved':
    case 'digest.mixed-rollout':
      return ['low', 20]
    case 'admitted.exception-active':
      return ['info', 5]
  }
}

/** Nobody at the gate decided it: who made the pod is the question. */
function isPastTheGate(code: DriftCode): boolean {
  return code === 'unexplained' || code.startsWith('bypass.') || code.startsWith('mutated.')
}
