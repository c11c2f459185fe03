/** The port through which the correlator asks what the webhook decided. The journal's adapter implements it. */

import type { Action, ImageList, Mode, Outcome, Reason } from '../policy/index.js'

/** One image of a recorded decision. */
export interface RecordedImage {
  readonly list: ImageList
  /** The container's or volume's name. */
  readonly container: string
  /** The spec's reference, as written. */
  readonly written: string
  readonly outcome: Outcome
  readonly reason: Reason
  /** What decided: a pattern, an exception's id, a rule's name. */
  readonly entry: string | undefined
  /** The exception's id when the outcome is `excepted`. */
  readonly exception: string | undefined
  /** False when an update left it as it was: the record then says nothing of how it came in. */
  readonly isChanged: boolean
}

/** What the correlator needs of a decision record. */
export interface RecordedAdmission {
  readonly recordId: string
  /** When it was decided, in milliseconds since the epoch. */
  readonly at: number
  readonly operation: string
  readonly dryRun: boolean
  readonly kind: string
  readonly namespace: string
  readonly name: string
  /** On a Pod's CREATE this is the uid of the stored pod. */
  readonly uid: string | undefined
  /** The controlling owner. */
  readonly topOwner: { readonly kind: string; readonly name: string } | undefined
  readonly user: string | undefined
  readonly mode: Mode
  readonly action: Action
  readonly allowed: boolean
  readonly policy: string
  readonly revision: string
  readonly images: readonly RecordedImage[]
  /** How many of the object's images the record has no room for. */
  readonly imagesOmitted: number
  /** Set when a refusal would have stopped nothing. */
  readonly waived: 'mirror-pod' | undefined
}

export interface PodIdentity {
  readonly uid: string | undefined
  readonly namespace: string
  readonly name: string
}

export interface AdmissionJournal {
  /** The records about one pod, oldest first: by uid when the event has one, else by namespace and name. Never throws. */
  findAdmissions(pod: PodIdentity): readonly RecordedAdmission[]
  /**
   * The stretches over which a webhook recorded and lost nothing, oldest first; none when the journal is empty or can
   * no longer be read. Only within them does a missing record prove anything.
   */
  coverageSpans(): readonly CoverageSpan[]
  /** The stretches over which a webhook ran and lost some of its records. Absent: it cannot be told. */
  lossySpans?(): readonly CoverageSpan[]
}

/** A stretch of time, in milliseconds since the epoch. */
export interface CoverageSpan {
  readonly from: number
  readonly to: number
}
