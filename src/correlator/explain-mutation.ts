/** Another image was admitted for the container, and the pod's spec has this one now, with no record of the change. */

import type { DriftEvidence } from './drift-evidence.js'
import { recordEvidence } from './explain-admitted.js'
import { type Explanation, fact, iso, shown } from './explanation.js'
import { formerAdmissionOf } from './introduction.js'
import { answerOf } from './webhook-answer.js'

/**
 * The record and the spec are of the same uid, and validating webhooks see what mutating ones made of an object: so
 * whatever differs was changed by a later request.
 */
export function explainMutation(evidence: DriftEvidence): Explanation | undefined {
  const former = formerAdmissionOf(evidence)
  const { container, pod } = evidence.cluster
  if (former === undefined || container === undefined || pod === undefined) return undefined
  if (answerOf(evidence) !== undefined) return undefined
  const writer = container.imageWriter
  const by = writer === undefined ? '' : `, by ${shown(writer.manager)} at ${iso(writer.at)} at the latest`
  return {
    code: 'mutated.after-admission',
    certainty: 'proved',
    summary: `${shown(former.image.written)} was admitted at ${iso(former.record.at)}; the spec has ${shown(container.image)} now${by}, and no record has the change`,
    evidence: [
      ...recordEvidence(former),
      fact('inventory', `spec.${container.list}[${container.name}].image`, container.image, pod.seenAt),
      ...(writer === undefined
        ? []
        : [fact('inventory', 'metadata.managedFields', `${writer.manager} (${writer.operation})`, writer.at)]),
    ],
    remedy:
      'delete the pod, so that its owner makes it anew; limit who may update pods, and let the webhook see UPDATE',
  }
}
