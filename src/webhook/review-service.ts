/** From the parsed body of a request to its answer and its record: the same, whichever way the body came in. */

import type { CompiledPolicy } from '../policy/index.js'
import { decodeAdmissionReview, encodeAdmissionReview } from './admission-review.js'
import { describeWarnings } from './answer.js'
import type { AnswerWriter } from './answer-writer.js'
import type { DecisionWriter } from './decision-writer.js'
import { HTTP_ERRORS, type HttpErrorCode, httpErrorOf, WebhookHttpError } from './http-errors.js'
import { judge } from './judge.js'
import type { AdmissionObserver, DecisionRecorder, NamespaceLabels, WebhookLog } from './ports.js'
import type { RecordIds } from './record-id.js'
import type { ReviewBody } from './review-part.js'

export interface ReviewService {
  /** Asked once a request, so that a policy can be replaced between two. */
  readonly policy: () => CompiledPolicy
  readonly labels: NamespaceLabels
  readonly recorder: DecisionRecorder
  readonly answers: AnswerWriter
  readonly records: DecisionWriter
  readonly observer: AdmissionObserver
  readonly log: WebhookLog
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly recordIds: RecordIds
  /** Written into every record; undefined when there is but one cluster. */
  readonly cluster: string | undefined
}

/** The code, the status and the JSON of an HTTP error. */
export interface Refusal {
  readonly code: HttpErrorCode
  readonly status: number
  readonly json: string
}

/**
 * Judge, answer, then count and record.
 *
 * @param send called once with the JSON of the HTTP 200, as soon as it is known.
 * @throws WebhookHttpError when the body is no review; then nothing was sent.
 */
export function answerReview<To>(
  service: ReviewService,
  { body, isPlain }: ReviewBody,
  to: To,
  send: (to: To, json: string) => void,
): void {
  const decoded = decodeAdmissionReview(body)
  if (!decoded.ok) throw new WebhookHttpError({ ...HTTP_ERRORS.REVIEW_INVALID, message: decoded.problem })
  const { request } = decoded
  const startedMs = performance.now()
  const policy = service.policy()
  const now = service.now()
  const judgement = judge(policy, request, service.labels, now)
  if (judgement.status === 'passed') {
    service.observer.passed(judgement.why)
    send(to, encodeAdmissionReview({ uid: request.uid, allowed: true }))
    return
  }
  const { metadata, subject, decision } = judgement
  const id = service.recordIds(now)
  const warnings = describeWarnings(decision, subject, policy)
  const facts = { requestUid: request.uid, subject, policy, recordId: id, warnings }
  send(to, service.answers.write(decision, facts))
  // The answer is on its way: nothing from here on can delay it.
  try {
    const { kind, dryRun } = request
    service.observer.judged({ kind, decision, dryRun }, (performance.now() - startedMs) / 1000)
    const { cluster } = service
    const context = { id, now, cluster, policy, warnings, isPlain }
    const { record, json } = service.records.write(request, metadata, decision, context)
    service.recorder.record(record, json)
  } catch (error) {
    // A bug, of which the client must not hear: it has its answer.
    service.log.error({ err: error }, 'A decision could not be recorded')
  }
}

/** One sentence, never a stack: what a bug threw goes to our log only. Each call counts one. */
export function refusalOf({ observer, log }: ReviewService, error: unknown): Refusal {
  const { code, status, message } = httpErrorOf(error)
  observer.rejected(code)
  if (code === 'INTERNAL') log.error({ err: error }, 'A request could not be judged')
  return { code, status, json: JSON.stringify({ code, message }) }
}
