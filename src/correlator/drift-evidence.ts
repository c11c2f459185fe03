/** All that an explanation may be drawn from, as values: what the rules get, and nothing else. */

import type { ExecOrigin, Verdict } from '../policy/index.js'
import type { CoverageSpan, RecordedAdmission } from './admission-journal.js'
import type { AuditedRequest } from './audit-evidence.js'
import type { GoverningAdmission } from './governing-admission.js'
import type { InventoryState, KnownContainer, KnownNamespace, KnownPod, KnownWebhook } from './inventory.js'
import type { WebhookMatch } from './webhook-match.js'

/** The journal as a whole. */
export type JournalEvidence =
  | { readonly status: 'absent' }
  | { readonly status: 'empty' }
  | {
      readonly status: 'recording'
      /** When a webhook recorded and lost nothing, oldest first. */
      readonly spans: readonly CoverageSpan[]
      /** When one ran and lost some of its records: their absence says nothing then. */
      readonly lossySpans: readonly CoverageSpan[]
    }

/** Whether a webhook, as it is registered now, is called for a request such as the one that brought the image in. */
export interface Gate {
  readonly webhook: KnownWebhook
  readonly match: WebhookMatch
  /**
   * For a namespace that is shut out: a label that is there does it, so that no label that was taken away can have let
   * it in. Labels leave a trace when they are set, and none when they go.
   */
  readonly isFirm: boolean
}

/** Another container of the same tagged reference. */
export interface ImagePeer {
  readonly pod: KnownPod
  readonly container: KnownContainer
  /** `sha256:…`, from an image id of the reference's own repository. */
  readonly digest: string
  /** It belongs to the same workload and bears the same container name. */
  readonly isReplica: boolean
  /**
   * It runs on the same node, or on one that has the same digest for another tag: else the two may only name one
   * content differently (an index, a platform's manifest).
   */
  readonly isComparable: boolean
}

export interface ClusterEvidence {
  readonly state: InventoryState
  readonly pod: KnownPod | undefined
  readonly container: KnownContainer | undefined
  readonly namespace: KnownNamespace | undefined
  /** Undefined: the registration is not known. Empty: nothing is registered. */
  readonly gates: readonly Gate[] | undefined
  readonly peers: readonly ImagePeer[]
}

export interface AuditedRequests {
  /** About this pod, oldest first. */
  readonly named: readonly AuditedRequest[]
  /**
   * Creations of pods with generated names, at the second in which this one was created: all that there were, so that
   * its own is among them. Empty when the log does not tell all of that second.
   */
  readonly unnamed: readonly AuditedRequest[]
}

export interface DriftEvidence {
  /** The reference that was judged: the spec's where it is known. */
  readonly image: string
  /** Today's verdict about it. */
  readonly verdict: Verdict
  readonly policy: { readonly name: string; readonly revision: string }
  readonly subject: {
    readonly namespace: string
    readonly pod: string
    readonly uid: string | undefined
    readonly container: string | undefined
    /** As the event has it. */
    readonly workloadKind: string | undefined
    readonly nodeName: string | undefined
  }
  /** The container as the event shows it. `startedAt` is in milliseconds since the epoch. */
  readonly running: {
    readonly imageName: string | undefined
    readonly imageId: string | undefined
    readonly containerId: string | undefined
    readonly startedAt: number | undefined
  }
  /** Where the program came from that this is about, when that is no ordinary file. */
  readonly program: { readonly origin: ExecOrigin; readonly path: string } | undefined
  readonly journal: JournalEvidence
  /** About this pod: whatever became of the request. */
  readonly records: readonly RecordedAdmission[]
  readonly governing: GoverningAdmission | undefined
  /** The exception that the record names, as the policy has it today; undefined when it is gone. */
  readonly exception: { readonly isLive: boolean; readonly expires: number; readonly owner: string } | undefined
  readonly cluster: ClusterEvidence
  readonly requests: AuditedRequests
}

export const NO_REQUESTS: AuditedRequests = { named: [], unnamed: [] }

export const NO_CLUSTER: ClusterEvidence = {
  state: { status: 'absent' },
  pod: undefined,
  container: undefined,
  namespace: undefined,
  gates: undefined,
  peers: [],
}
