/**
 * Kind `non-allowlisted-image`: an image in use that the policy would not admit, or admits only thanks to a live
 * exception (then suppressed). The code is the verdict's reason.
 */

import { type CompiledPolicy, escapeForeign, findException, type Reason, type Verdict } from '../policy/index.js'
import type { DetectionContext } from './detection-context.js'
import type { ExecEvent } from './exec-event.js'
import type { ImageUse } from './image-use.js'
import { explainImageCommand } from './next-command.js'
import type { Observation, Severity, Suppression } from './observation.js'

/** User execution: malicious image; what the Splunk detection reports too. */
const MALICIOUS_IMAGE = 'T1204.003'

export function detectImage(event: ExecEvent, context: DetectionContext): readonly Observation[] {
  const { use } = context
  if (event.pod === undefined || use === undefined || use.verdict.outcome === 'allowed') return []
  const { verdict } = use
  const image = escapeForeign(use.image, 200)
  const namespace = escapeForeign(event.pod.namespace, 253)
  const [severity, risk] = weigh(use)
  return [
    {
      kind: 'non-allowlisted-image',
      code: verdict.reason,
      severity,
      risk,
      certainty: use.certainty,
      attack: [MALICIOUS_IMAGE],
      title: `image ${image} is in use in namespace ${namespace} and ${phraseOf(verdict.reason)}`,
      image: use.image,
      verdict,
      tool: undefined,
      admission: context.admission,
      suppression: suppressionBy(context.tools.policy, verdict),
      remarks: use.remarks,
      remedy: remedyFor(use),
      nextCommand: explainImageCommand(context.tools.policyPaths, event.pod.namespace, use.image),
    },
  ]
}

function suppressionBy(policy: CompiledPolicy, { outcome, entry }: Verdict): Suppression | undefined {
  const exception = outcome === 'excepted' && entry !== undefined ? findException(policy, entry) : undefined
  if (exception === undefined) return undefined
  const { id, owner, reason, expires } = exception
  return { by: 'exception', exception: id, owner, reason, expires: new Date(expires).toISOString() }
}

function weigh({ verdict, certainty }: ImageUse): readonly [Severity, number] {
  if (certainty === 'unknown') return ['low', 10]
  switch (verdict.reason) {
    case 'deny-entry':
      return ['high', 60]
    case 'not-allowed':
    case 'image-unreadable':
      return ['medium', 40]
    default:
      // A rule of hygiene is broken; where the image comes from is allowed.
      return ['low', 20]
  }
}

function phraseOf(reason: Reason): string {
  switch (reason) {
    case 'image-unreadable':
      return 'its name cannot be read as a reference'
    case 'exception':
      return 'only an exception lets it run'
    case 'deny-entry':
      return 'a deny entry matches it'
    case 'digest-not-covered':
      return 'the allow entries pin a tag, which proves nothing beside its digest'
    case 'tag-denied':
      return 'its tag is denied'
    case 'digest-required':
      return 'it has no digest, which the policy requires'
    default:
      return 'no allow entry accepts it'
  }
}

function remedyFor({ verdict, witness }: ImageUse): string {
  if (verdict.outcome === 'excepted') return 'move the workload to an allowed image before the exception ends'
  if (verdict.suggestion !== undefined) return `use ${escapeForeign(verdict.suggestion, 300)}`
  if (verdict.reason === 'image-unreadable' && witness !== 'admission-record' && witness !== 'pod-spec') {
    return "look up the image in the pod's spec and judge that one"
  }
  return 'move the workload to an allowed image, or allow this one (for a time: by an exception)'
}
