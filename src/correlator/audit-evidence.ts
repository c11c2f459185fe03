/**
 * The port through which the correlator asks the API server's audit log about one pod. The adapter reads the log.
 *
 * Names, users and annotations are others' text: escape them before showing. Times are milliseconds since the epoch.
 */

import type { CoverageSpan, PodIdentity } from './admission-journal.js'

/** What one of Sallyport's webhooks answered, as its audit annotations have it; a text that was not there is undefined. */
export interface AuditedDecision {
  /** The name of the webhook, from the keys: `images.sallyport.dev`. */
  readonly webhook: string
  /** `allow`, `warn`, `audit`, `deny`, … as the decision record has it. */
  readonly decision: string | undefined
  readonly mode: string | undefined
  /** `name@revision` */
  readonly policy: string | undefined
  /** The id of the decision record. */
  readonly recordId: string | undefined
  /** JSON in at most 4,096 characters: docs/decision-record.md. */
  readonly violations: string | undefined
  /** Ids of exceptions, joined by commas. */
  readonly exceptions: string | undefined
}

/** One request that created or changed a pod, or was refused to. */
export interface AuditedRequest {
  readonly auditId: string
  /** When the API server received it. */
  readonly at: number
  /** `create`, `update`, `patch`, … */
  readonly verb: string
  readonly subresource: string | undefined
  readonly namespace: string
  /** Undefined for a generated name in a log without response bodies. */
  readonly name: string | undefined
  /** Only in a log with bodies, or on a change. */
  readonly uid: string | undefined
  /** The one on whose behalf: the impersonated user, when there is one. */
  readonly user: string | undefined
  readonly userAgent: string | undefined
  readonly dryRun: boolean
  /** HTTP; undefined when the log does not say. */
  readonly responseCode: number | undefined
  /** Empty: no webhook of ours annotated it, so that none answered (or the audit policy leaves annotations out). */
  readonly decisions: readonly AuditedDecision[]
  /**
   * The names of all webhooks that could not be reached and were passed over under `failurePolicy: Ignore`. Not every API
   * server tells (1.20 does not): empty proves nothing.
   */
  readonly failedOpen: readonly string[]
}

/** Of which time the log tells everything: what it does not name then, did not happen. */
export interface AuditCoverage {
  /**
   * Stretches without a gap, by the times at which events were written, whatever they were about; oldest first. A file
   * that was lost, a line that cannot be read and a request that was forgotten each end one.
   */
  readonly spans: readonly CoverageSpan[]
  /** Requests about pods that were forgotten, because there were too many: the oldest ones. */
  readonly forgotten: number
}

export interface AuditEvidence {
  /** The requests about one pod, oldest first: by uid where the log has it, else by namespace and name. */
  requestsOf(pod: PodIdentity): readonly AuditedRequest[]
  /** Pods that were created with a generated name that the log does not tell, in a span of time; oldest first. */
  unnamedCreations(namespace: string, from: number, to: number): readonly AuditedRequest[]
  /** The request of a decision record. */
  requestOfRecord(recordId: string): AuditedRequest | undefined
  coverage(): AuditCoverage
}

/** Knows nothing. */
export const NO_AUDIT_EVIDENCE: AuditEvidence = {
  requestsOf: () => [],
  unnamedCreations: () => [],
  requestOfRecord: () => undefined,
  coverage: () => ({ spans: [], forgotten: 0 }),
}
