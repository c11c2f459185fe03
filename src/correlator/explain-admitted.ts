/** Through the webhook: warn mode, an exception, a policy that was wider. Said by its records, or by the audit log. */

import type { RecordedAdmission } from './admission-journal.js'
import type { DriftEvidence } from './drift-evidence.js'
import { type Explanation, type ExplanationEvidence, fact, iso, shown } from './explanation.js'
import type { GoverningAdmission } from './governing-admission.js'
import { isSameImage } from './image-digest.js'
import { answerOf, type WebhookAnswer } from './webhook-answer.js'

type AuditAnswer = Extract<WebhookAnswer, { readonly by: 'audit-log' }>

export function explainWarnMode(evidence: DriftEvidence): Explanation | undefined {
  const { governing, verdict } = evidence
  if (verdict.outcome !== 'denied') return undefined
  if (governing === undefined) return warnedByAudit(evidence)
  const { record, image } = governing
  // A mirror pod was let in whatever the mode: nobody could have stopped it.
  if (image.outcome !== 'denied' || record.mode === 'enforce' || record.waived !== undefined) return undefined
  const namespace = shown(evidence.subject.namespace)
  return {
    code: 'admitted.warn-mode',
    certainty: 'proved',
    summary: `${admittedBy(record)} although policy ${policyOf(record)} did not allow it (${image.reason}): ${namespace} was in ${record.mode} mode`,
    evidence: recordEvidence(governing),
    remedy: warnRemedy(evidence),
  }
}

export function explainActiveException(evidence: DriftEvidence): Explanation | undefined {
  const { governing, verdict, exception } = evidence
  if (verdict.outcome !== 'excepted' || governing?.image.outcome !== 'excepted') return undefined
  const id = exceptionIdOf(governing)
  const until = exception === undefined ? '' : ` until ${iso(exception.expires)}`
  const owner = exception === undefined ? '' : `, owner ${shown(exception.owner)}`
  return {
    code: 'admitted.exception-active',
    certainty: 'proved',
    summary: `${admittedBy(governing.record)} under exception ${id}, which still holds${until}${owner}`,
    evidence: recordEvidence(governing),
    remedy: `move the workload to an allowed image before exception ${id} ends`,
  }
}

export function explainExpiredException({ governing, verdict, exception }: DriftEvidence): Explanation | undefined {
  if (verdict.outcome !== 'denied' || governing?.image.outcome !== 'excepted') return undefined
  // Alive, and the image is denied all the same: a deny entry came since, and no exception lifts one.
  if (exception?.isLive === true) return undefined
  const id = exceptionIdOf(governing)
  const over = exception === undefined ? 'is gone from the policy' : `ended at ${iso(exception.expires)}`
  const value = exception === undefined ? 'absent' : iso(exception.expires)
  return {
    code: 'admitted.exception-expired',
    certainty: 'proved',
    summary: `${admittedBy(governing.record)} under exception ${id}, which ${over}`,
    evidence: [...recordEvidence(governing), fact('policy', `exceptions[${id}].expires`, value)],
    remedy: `replace the image, or renew exception ${id} with its owner`,
  }
}

export function explainTightenedPolicy(evidence: DriftEvidence): Explanation | undefined {
  const { governing, verdict, policy, exception } = evidence
  if (verdict.outcome !== 'denied') return undefined
  if (governing === undefined) return tightenedByAudit(evidence)
  const { record, image } = governing
  if (image.outcome === 'denied' || (image.outcome === 'excepted' && exception?.isLive !== true)) return undefined
  // The same policy gave another answer, because it knew more of the namespace: nothing to explain.
  if (record.policy === policy.name && record.revision === policy.revision) return undefined
  const then = image.entry === undefined ? '' : `, by ${shown(image.entry)}`
  return {
    code: 'admitted.policy-tightened',
    certainty: 'proved',
    summary: `${admittedBy(record)} when policy ${policyOf(record)} allowed it${then}; revision ${shown(policy.revision)} does not (${verdict.reason})`,
    evidence: [...recordEvidence(governing), ...policyToday(evidence)],
    remedy: TIGHTENED_REMEDY,
  }
}

const TIGHTENED_REMEDY = 'roll the workload to an allowed image: a running pod is never judged again at admission'

/** What a record says of the image that it let in. */
export function recordEvidence({ record, image }: GoverningAdmission): readonly ExplanationEvidence[] {
  const of = (field: string, value: string): ExplanationEvidence => fact('journal', field, value, record.at)
  return [
    of('recordId', record.recordId),
    of('operation', record.operation),
    ...(record.user === undefined ? [] : [of('user', record.user)]),
    of('image', image.written),
    of('outcome', `${image.outcome} (${image.reason})`),
    ...(image.entry === undefined ? [] : [of('entry', image.entry)]),
    of('mode', record.mode),
    of('policy', policyOf(record)),
  ]
}

export function admittedBy(record: RecordedAdmission): string {
  const user = record.user === undefined ? '' : ` for ${shown(record.user)}`
  return `admitted at ${iso(record.at)}${user} (${shown(record.operation)})`
}

/** The journal has no record, or no longer: the API server's log has what the webhook answered. */
function warnedByAudit(evidence: DriftEvidence): Explanation | undefined {
  const answer = answerOf(evidence)
  if (answer?.by !== 'audit-log') return undefined
  const { decision } = answer.decision
  if (decision !== 'warn' && decision !== 'audit') return undefined
  return {
    code: 'admitted.warn-mode',
    // The annotation names what was wrong with the object, which may have been another image of it.
    certainty: namesImage(answer.decision.violations, evidence.image) ? 'proved' : 'likely',
    summary: `${auditedBy(answer)} although policy ${shown(answer.decision.policy ?? 'unknown')} did not allow it: ${shown(evidence.subject.namespace)} was in ${shown(answer.decision.mode ?? 'warn')} mode`,
    evidence: auditFacts(answer),
    remedy: warnRemedy(evidence),
  }
}

function tightenedByAudit(evidence: DriftEvidence): Explanation | undefined {
  const { policy, verdict } = evidence
  const answer = answerOf(evidence)
  if (answer?.by !== 'audit-log' || answer.decision.decision !== 'admit') return undefined
  if (answer.decision.exceptions !== undefined) return undefined
  const then = answer.decision.policy
  if (then === undefined || then === `${policy.name}@${policy.revision}`) return undefined
  return {
    code: 'admitted.policy-tightened',
    certainty: 'proved',
    summary: `${auditedBy(answer)} when policy ${shown(then)} allowed it; revision ${shown(policy.revision)} does not (${verdict.reason})`,
    evidence: [...auditFacts(answer), ...policyToday(evidence)],
    remedy: TIGHTENED_REMEDY,
  }
}

function auditFacts({ request, decision }: AuditAnswer): readonly ExplanationEvidence[] {
  const of = (field: string, value: string | undefined): readonly ExplanationEvidence[] =>
    value === undefined ? [] : [fact('audit-log', field, value, request.at)]
  return [
    ...of('auditID', request.auditId),
    ...of('verb', request.verb),
    ...of('user.username', request.user),
    ...of(`${decision.webhook}/decision`, decision.decision),
    ...of(`${decision.webhook}/mode`, decision.mode),
    ...of(`${decision.webhook}/policy`, decision.policy),
    ...of(`${decision.webhook}/record`, decision.recordId),
  ]
}

function auditedBy({ request }: AuditAnswer): string {
  const user = request.user === undefined ? '' : ` for ${shown(request.user)}`
  return `admitted at ${iso(request.at)}${user} (${shown(request.verb)})`
}

/** @param violations `{"images":[{"field","image","reason"}],"more":0}`, from somebody else's log. */
function namesImage(violations: string | undefined, image: string): boolean {
  try {
    const value: unknown = JSON.parse(violations ?? '')
    const images: unknown = typeof value === 'object' && value !== null && 'images' in value ? value.images : undefined
    return Array.isArray(images) && images.some(each => isSameImage(String(each?.image), image))
  } catch {
    return false
  }
}

function policyToday({ policy, verdict }: DriftEvidence): readonly ExplanationEvidence[] {
  return [fact('policy', 'revision', policy.revision), fact('policy', 'verdict', verdict.reason)]
}

function warnRemedy({ subject }: DriftEvidence): string {
  return `use an allowed image, then set mode: enforce for namespace ${shown(subject.namespace)}`
}

function exceptionIdOf({ image }: GoverningAdmission): string {
  return shown(image.exception ?? image.entry ?? '')
}

function policyOf(record: RecordedAdmission): string {
  return `${shown(record.policy)} rev ${shown(record.revision)}`
}
