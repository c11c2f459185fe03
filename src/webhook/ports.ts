/** What the webhook needs of the world: each port is implemented by an adapter and handed in by a command. */

import type { Decision } from '../policy/index.js'
import type { DecisionRecord } from './decision-record.js'
import type { HttpErrorCode } from './http-errors.js'

/** Namespace labels from memory: an answer never waits for the API server. */
export interface NamespaceLabels {
  /** Undefined when the namespace is not known (yet); the strictest mode that could apply then holds. */
  labelsOf(namespace: string): Readonly<Record<string, string>> | undefined
}

/** Keeps decision records. Called after the answer has gone out. */
export interface DecisionRecorder {
  /**
   * Must neither throw nor block: what cannot be kept is dropped and counted by the recorder.
   *
   * @param json the record's one serialisation, shared by all recorders.
   */
  record(decisionRecord: DecisionRecord, json: string): void
}

/** Counts what happened. */
export interface AdmissionObserver {
  /** @param seconds from the parsed body to the answer. */
  judged(review: JudgedReview, seconds: number): void
  /** Admitted unread. */
  passed(why: 'operation' | 'other-kind'): void
  /** Answered with an HTTP error: the API server sees no decision. */
  rejected(code: HttpErrorCode): void
}

/** What is counted of a judged review. The kind is the request's own word: check it before it becomes a label. */
export interface JudgedReview {
  readonly kind: string
  readonly decision: Decision
  readonly dryRun: boolean
}

/** The operational log. Foreign data goes under one key of ours, never at the top level. */
export interface WebhookLog {
  warn(fields: object, sentence: string): void
  error(fields: object, sentence: string): void
}

/** Hand each record to several recorders in turn. */
export function recordToAll(recorders: readonly DecisionRecorder[]): DecisionRecorder {
  return {
    record(decisionRecord, json) {
      for (const recorder of recorders) recorder.record(decisionRecord, json)
    },
  }
}
