/** How an unwanted image got in, as far as decision records can prove it: a pure function over evidence. */

import { escapeForeign, type Verdict } from '../policy/index.js'
import type { CoverageSpan, RecordedAdmission } from './admission-journal.js'
import type { GoverningAdmission } from './governing-admission.js'
import type { Certainty } from './image-use.js'

/** The family `image-drift/<code>`; more codes come with more evidence. */
export type DriftCode =
  /** The webhook saw it, and warn or audit mode let it in. */
  | 'admitted.warn-mode'
  /** It runs only thanks to an exception that still lives. */
  | 'admitted.exception-active'
  /** It was let in under an exception that is over, or gone from the policy. */
  | 'admitted.exception-expired'
  /** It was allowed under another revision of the policy. */
  | 'admitted.policy-tightened'
  /** A webhook was recording, and no record says how it got in. */
  | 'unexplained'

/** One fact, and where it was seen. */
export interface ExplanationEvidence {
  readonly source: 'journal' | 'event' | 'policy'
  readonly field: string
  readonly value: string
  /** When it was seen, RFC 3339; undefined for what holds now. */
  readonly seen: string | undefined
}

export interface AdmissionExplanation {
  readonly code: DriftCode
  /** `unknown` claims nothing: the code is then only what is left. */
  readonly certainty: Certainty
  /** One sentence, safe to print. */
  readonly summary: string
  readonly evidence: readonly ExplanationEvidence[]
  /** One line: what to change. Safe to print. */
  readonly remedy: string
}

/** What is known when the question is asked. */
export interface AdmissionEvidence {
  /** Today's verdict about the image that runs. */
  readonly verdict: Verdict
  readonly policy: { readonly name: string; readonly revision: string }
  readonly namespace: string
  readonly governing: GoverningAdmission | undefined
  /** The exception that the record names, as the policy has it today; undefined when it is gone. */
  readonly exception: { readonly isLive: boolean; readonly expires: number; readonly owner: string } | undefined
  readonly journal:
    | { readonly status: 'absent' }
    | { readonly status: 'empty' }
    | { readonly status: 'recording'; readonly spans: readonly CoverageSpan[] }
  /** When the container started, in milliseconds since the epoch. */
  readonly startedAt: number | undefined
}

/** Explain one image. Total; undefined when there is nothing to explain, because the image may run. */
export function explainAdmission(evidence: AdmissionEvidence): AdmissionExplanation | undefined {
  const { verdict, governing } = evidence
  if (verdict.outcome === 'allowed') return undefined
  if (governing === undefined) return verdict.outcome === 'denied' ? withoutRecord(evidence) : undefined
  if (verdict.outcome === 'excepted') return whileExcepted(evidence, governing)
  switch (governing.image.outcome) {
    case 'denied':
      return admittedThoughDenied(evidence, governing)
    case 'excepted':
      return afterException(evidence, governing)
    case 'allowed':
      return tightened(evidence, governing)
  }
}

function whileExcepted(evidence: AdmissionEvidence, governing: GoverningAdmission): AdmissionExplanation | undefined {
  if (governing.image.outcome !== 'excepted') return undefined
  const { exception } = evidence
  const id = shown(governing.image.exception ?? governing.image.entry ?? '')
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

function admittedThoughDenied(evidence: AdmissionEvidence, governing: GoverningAdmission): AdmissionExplanation {
  const { record } = governing
  const namespace = shown(evidence.namespace)
  if (record.mode === 'enforce') {
    return {
      code: 'unexplained',
      certainty: 'unknown',
      summary: `${admittedBy(record)} because that request did not bring the image in or could not have been refused; the record of the first admission is missing`,
      evidence: recordEvidence(governing),
      remedy: `look for the pod's creation in the API server's audit log`,
    }
  }
  return {
    code: 'admitted.warn-mode',
    certainty: 'proved',
    summary: `${admittedBy(record)} although policy ${policyOf(record)} did not allow it (${governing.image.reason}): ${namespace} was in ${record.mode} mode`,
    evidence: recordEvidence(governing),
    remedy: `use an allowed image, then set mode: enforce for namespace ${namespace}`,
  }
}

function afterException(evidence: AdmissionEvidence, governing: GoverningAdmission): AdmissionExplanation {
  const { exception } = evidence
  // Alive, and the image is denied all the same: a deny entry came since, and no exception lifts one.
  if (exception?.isLive === true) return tightened(evidence, governing) ?? unchangedPolicy(governing)
  const id = shown(governing.image.exception ?? governing.image.entry ?? '')
  const over = exception === undefined ? 'is gone from the policy' : `ended at ${iso(exception.expires)}`
  const value = exception === undefined ? 'absent' : iso(exception.expires)
  return {
    code: 'admitted.exception-expired',
    certainty: 'proved',
    summary: `${admittedBy(governing.record)} under exception ${id}, which ${over}`,
    evidence: [
      ...recordEvidence(governing),
      { source: 'policy', field: `exceptions[${id}].expires`, value, seen: undefined },
    ],
    remedy: `replace the image, or renew exception ${id} with its owner`,
  }
}

function tightened(evidence: AdmissionEvidence, governing: GoverningAdmission): AdmissionExplanation | undefined {
  const { record, image } = governing
  const { policy, verdict } = evidence
  // The same policy gave another answer, because it knew more of the namespace: nothing to explain.
  if (record.policy === policy.name && record.revision === policy.revision) return undefined
  const then = image.entry === undefined ? '' : `, by ${shown(image.entry)}`
  return {
    code: 'admitted.policy-tightened',
    certainty: 'proved',
    summary: `${admittedBy(record)} when policy ${policyOf(record)} allowed it${then}; revision ${policy.revision} does not (${verdict.reason})`,
    evidence: [
      ...recordEvidence(governing),
      { source: 'policy', field: 'revision', value: policy.revision, seen: undefined },
      { source: 'policy', field: 'verdict', value: verdict.reason, seen: undefined },
    ],
    remedy: 'roll the workload to an allowed image: a running pod is never judged again at admission',
  }
}

function unchangedPolicy(governing: GoverningAdmission): AdmissionExplanation {
  return {
    code: 'unexplained',
    certainty: 'unknown',
    summary: `${admittedBy(governing.record)} under an exception of this very policy, which denies the image now`,
    evidence: recordEvidence(governing),
    remedy: 'compare the clocks and the policies of webhook and correlator',
  }
}

function withoutRecord(evidence: AdmissionEvidence): AdmissionExplanation {
  const { journal, startedAt } = evidence
  switch (journal.status) {
    case 'absent':
      return nothingKnown('no journal of admissions was given', [], 'give the journal of the webhook with --journal')
    case 'empty':
      return nothingKnown(
        'the journal of admissions holds nothing',
        [],
        'give the journal that the webhook writes with --journal',
      )
    case 'recording':
      return startedAt === undefined
        ? nothingKnown('no record names the container, and when it started is not known', [], AUDIT_REMEDY)
        : missingRecord(journal.spans, startedAt)
  }
}

function missingRecord(spans: readonly CoverageSpan[], startedAt: number): AdmissionExplanation {
  const started: ExplanationEvidence = {
    source: 'event',
    field: 'container.start_time',
    value: iso(startedAt),
    seen: undefined,
  }
  const span = spans.find(({ from, to }) => from <= startedAt && startedAt <= to)
  if (span === undefined) {
    return nothingKnown('no webhook was recording when the container started', [started], AUDIT_REMEDY)
  }
  const coverage = `${iso(span.from)}/${iso(span.to)}`
  return {
    code: 'unexplained',
    // Not proved: a namespace that the webhook is not called for leaves no record either, and a container that was
    // restarted may be in a pod that is older than the webhook.
    certainty: 'likely',
    summary: `a webhook was recording when the container started at ${iso(startedAt)}, and no record names it`,
    evidence: [{ source: 'journal', field: 'coverage', value: coverage, seen: undefined }, started],
    remedy: "check the webhook's namespaceSelector and failurePolicy, and who may create pods past it",
  }
}

const AUDIT_REMEDY = "look for the pod's creation in the API server's audit log"

function nothingKnown(summary: string, evidence: readonly ExplanationEvidence[], remedy: string): AdmissionExplanation {
  return { code: 'unexplained', certainty: 'unknown', summary, evidence, remedy }
}

function recordEvidence({ record, image }: GoverningAdmission): readonly ExplanationEvidence[] {
  const seen = iso(record.at)
  const fact = (field: string, value: string): ExplanationEvidence => ({ source: 'journal', field, value, seen })
  return [
    fact('recordId', shown(record.recordId)),
    fact('operation', shown(record.operation)),
    ...(record.user === undefined ? [] : [fact('user', shown(record.user))]),
    fact('image', shown(image.written)),
    fact('outcome', `${image.outcome} (${image.reason})`),
    ...(image.entry === undefined ? [] : [fact('entry', shown(image.entry))]),
    fact('mode', record.mode),
    fact('policy', policyOf(record)),
  ]
}

function admittedBy(record: RecordedAdmission): string {
  const user = record.user === undefined ? '' : ` for ${shown(record.user)}`
  return `admitted at ${iso(record.at)}${user} (${shown(record.operation)})`
}

function policyOf(record: RecordedAdmission): string {
  return `${shown(record.policy)} rev ${shown(record.revision)}`
}

function shown(text: string): string {
  return escapeForeign(text, 256)
}

function iso(time: number): string {
  const date = new Date(time)
  return Number.isNaN(date.getTime()) ? 'an unreadable time' : date.toISOString().replace('.000Z', 'Z')
}
