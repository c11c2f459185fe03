/** From a decision to the answer that the API server gets: status, warnings, audit annotations. */

import type { CompiledPolicy, Decision, JudgedImage } from '../policy/index.js'
import { escapeForeign } from '../policy/index.js'
import type { AdmissionAnswer, DenialStatus, StatusCause } from './admission-review.js'
import { describeDenial } from './denial-message.js'
import type { DecisionSubject } from './violation-text.js'
import { describeImage, describeReason } from './violation-text.js'

export { describeDenial, MAX_DENIAL_BYTES } from './denial-message.js'
export type { DecisionSubject } from './violation-text.js'
export { describeWarnings, MAX_WARNING_RUNES } from './warnings.js'

/** Causes go into one HTTP answer and, with the audit log's Metadata level, into every audit event. */
const MAX_CAUSES = 32
const MAX_CAUSE_IMAGE_RUNES = 260
/** The bound of one annotation's value, in characters; the whole list goes into the audit event. */
const MAX_ANNOTATION_CHARACTERS = 4096
const MAX_LISTED_EXCEPTIONS = 16
const NONE: readonly string[] = []

/** What an answer says beyond the decision. */
export interface AnswerContext {
  readonly requestUid: string
  readonly subject: DecisionSubject
  readonly policy: CompiledPolicy
  /** Ties the audit event to the decision record. */
  readonly recordId: string
  readonly warnings: readonly string[]
}

/** The answer to a judged request. */
export function answerDecision(decision: Decision, context: AnswerContext): AdmissionAnswer {
  const { requestUid, subject, policy, recordId, warnings } = context
  return {
    uid: requestUid,
    allowed: decision.allowed,
    ...(decision.allowed ? {} : { status: denialStatus(decision, subject, policy) }),
    ...(warnings.length === 0 ? {} : { warnings }),
    auditAnnotations: auditAnnotations(decision, policy, recordId),
  }
}

/** The ids of the exceptions that admitted an image, each once. */
export function exceptionsOf(decision: Decision): readonly string[] {
  if (!decision.judged.some(({ verdict }) => verdict.outcome === 'excepted')) return NONE
  const ids = decision.judged.flatMap(({ verdict }) =>
    verdict.outcome === 'excepted' && verdict.entry !== undefined ? [verdict.entry] : [],
  )
  return ids.length < 2 ? ids : [...new Set(ids)]
}

function denialStatus(decision: Decision, subject: DecisionSubject, policy: CompiledPolicy): DenialStatus {
  const message = describeDenial(decision, subject, policy)
  const causes = decision.violations.slice(0, MAX_CAUSES).map(causeOf)
  return { code: 403, reason: 'Forbidden', message, ...(causes.length === 0 ? {} : { details: { causes } }) }
}

function causeOf({ image, verdict }: JudgedImage): StatusCause {
  const message = `${describeImage(verdict, MAX_CAUSE_IMAGE_RUNES)} ${describeReason(verdict)}`
  return { reason: verdict.reason, message, field: image.field }
}

function auditAnnotations(decision: Decision, policy: CompiledPolicy, recordId: string): Record<string, string> {
  const exceptions = exceptionsOf(decision)
  const hasViolations = decision.violations.length > 0
  return {
    decision: decision.action,
    mode: decision.mode,
    policy: `${policy.name}@${policy.revision}`,
    record: recordId,
    ...(hasViolations ? { violations: compactViolations(decision.violations) } : {}),
    ...(exceptions.length === 0 ? {} : { exceptions: exceptions.slice(0, MAX_LISTED_EXCEPTIONS).join(',') }),
  }
}

/** `{"images":[{"field","image","reason"}],"more":0}` in at most 4,096 characters; `more` counts what did not fit. */
function compactViolations(violations: readonly JudgedImage[]): string {
  const parts: string[] = []
  // The frame, with room for any count.
  let length = '{"images":[],"more":000000}'.length
  for (const { image, verdict } of violations) {
    const item = {
      field: image.field,
      image: escapeForeign(verdict.written, MAX_CAUSE_IMAGE_RUNES),
      reason: verdict.reason,
    }
    const part = JSON.stringify(item)
    length += part.length + 1
    if (length > MAX_ANNOTATION_CHARACTERS) break
    parts.push(part)
  }
  return `{"images":[${parts.join(',')}],"more":${violations.length - parts.length}}`
}
