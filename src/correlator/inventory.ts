/**
 * The port through which the correlator asks what is known of pods, namespaces and the webhook's registration. Adapters
 * implement it: a watch of the API server, and a file that kubectl wrote.
 *
 * Everything here was written by others (names, images, labels): escape it before showing. Times are milliseconds since
 * the epoch. The same object is given for a thing until something about it changes, so that callers may compare by
 * identity and remember what they made of it.
 */

import type { LabelSelector } from '../policy/index.js'
import type { PodIdentity } from './admission-journal.js'

export type Labels = Readonly<Record<string, string>>

/** Whoever wrote a field last, as `metadata.managedFields` has it. */
export interface FieldWriter {
  /** `kubectl-set`, `kube-controller-manager`, … : what the client calls itself, and no proof of anything. */
  readonly manager: string
  /** `Update` or `Apply`. */
  readonly operation: string
  /** `ephemeralcontainers`, `status`, …; API servers before 1.22 never say it. */
  readonly subresource: string | undefined
  /** The latest time that this writer wrote *any* of its fields: the field itself was not written later. */
  readonly at: number
}

/** What the kubelet reports of a container: from its latest start on, never what was asked for. */
export interface KnownContainerStatus {
  /** The runtime's first local name of the content: an alias as often as not. */
  readonly image: string | undefined
  /** `repository@sha256:…`, a bare `sha256:…`, or either behind `docker-pullable://`; undefined before the first start. */
  readonly imageId: string | undefined
  /** Without the runtime's scheme. */
  readonly containerId: string | undefined
  readonly startedAt: number | undefined
  readonly restartCount: number
}

export interface KnownContainer {
  readonly list: 'containers' | 'initContainers' | 'ephemeralContainers'
  readonly name: string
  /** The spec's reference, as written; empty when there is none. */
  readonly image: string
  /** Who wrote that reference; undefined when the object does not tell. */
  readonly imageWriter: FieldWriter | undefined
  /** Undefined: the kubelet said nothing of it yet. */
  readonly status: KnownContainerStatus | undefined
}

/** A volume whose content is an image. */
export interface KnownVolumeImage {
  readonly name: string
  /** The spec's reference, as written. */
  readonly image: string
}

export interface KnownPod {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  /** Undefined until it is scheduled. */
  readonly nodeName: string | undefined
  /** Whole seconds. */
  readonly createdAt: number
  /** When its removal was seen; undefined while it exists. A removed pod is kept for a while, as it was last. */
  readonly deletedAt: number | undefined
  readonly labels: Labels
  /**
   * A kubelet's mirror of a static pod, told by the annotation `kubernetes.io/config.mirror` *and* a Node as owner: the
   * API server was never asked whether it may run. `source` is `kubernetes.io/config.source`: `file`, `http`, …
   */
  readonly mirror: { readonly source: string | undefined } | undefined
  /** The owner with `controller: true`. */
  readonly controller: KnownOwner | undefined
  /** `controller`, or the Deployment that a ReplicaSet's name leads to; undefined for a bare pod. */
  readonly topOwner: { readonly kind: string; readonly name: string } | undefined
  /** In the order of the spec: containers, initContainers, ephemeralContainers. */
  readonly containers: readonly KnownContainer[]
  readonly volumeImages: readonly KnownVolumeImage[]
  /** When this state of it came to us. */
  readonly seenAt: number
}

export interface KnownOwner {
  readonly kind: string
  readonly name: string
  readonly uid: string
}

export interface KnownNamespace {
  readonly name: string
  readonly labels: Labels
  /** Whole seconds. */
  readonly createdAt: number
  /**
   * The latest time at which labels can have been *set*, as `managedFields` tells; undefined when they do not tell. A
   * label that was taken away leaves no trace there, except when we saw it go: then the time of that.
   */
  readonly labelsChangedAt: number | undefined
  readonly seenAt: number
}

/** One of `webhooks[].rules`; `*` means any. */
export interface KnownWebhookRule {
  readonly apiGroups: readonly string[]
  readonly apiVersions: readonly string[]
  /** `pods`, `pods/ephemeralcontainers`, `pods/*`, `*` (no subresource) or `*` + `/*` (all of them). */
  readonly resources: readonly string[]
  /** `CREATE`, `UPDATE`, `DELETE`, `CONNECT`. */
  readonly operations: readonly string[]
  readonly scope: 'Cluster' | 'Namespaced' | '*'
}

/** One entry of a ValidatingWebhookConfiguration that sends reviews to Sallyport. */
export interface KnownWebhook {
  /** The configuration's name. */
  readonly configuration: string
  /** The webhook's own name, which stands in audit annotations: `images.sallyport.dev`. */
  readonly name: string
  /** When the *configuration* was created; whole seconds. */
  readonly createdAt: number
  /** 1: nothing of its webhooks was ever changed since. Undefined when the object does not tell. */
  readonly generation: number | undefined
  /**
   * The latest time at which its webhooks can have been changed, as `managedFields` tells; a rotated CA bundle is such a
   * change too. Undefined when they do not tell.
   */
  readonly changedAt: number | undefined
  readonly failurePolicy: 'Fail' | 'Ignore'
  readonly matchPolicy: 'Exact' | 'Equivalent'
  readonly rules: readonly KnownWebhookRule[]
  /** Undefined selects everything. `unreadable`: it is there, and is no selector that we know. */
  readonly namespaceSelector: LabelSelector | 'unreadable' | undefined
  readonly objectSelector: LabelSelector | 'unreadable' | undefined
  /** How many CEL expressions limit it further; none of them is evaluated here. */
  readonly matchConditions: number
  readonly timeoutSeconds: number | undefined
  readonly seenAt: number
}

/**
 * How far the answers can be relied on.
 *
 * - `absent`: there is no inventory.
 * - `syncing`: followed live, and not everything was listed yet: what is missing may exist.
 * - `synced`: followed live, up to this moment.
 * - `stale`: followed live, and cut off since then: what is known may have changed.
 * - `snapshot`: read from a file, which shows the cluster as of then. What was gone by then is not in it.
 */
export type InventoryState =
  | { readonly status: 'absent' }
  | { readonly status: 'syncing'; readonly problem: string | undefined }
  | { readonly status: 'synced' }
  | { readonly status: 'stale'; readonly since: number; readonly problem: string }
  | { readonly status: 'snapshot'; readonly at: number }

export interface Inventory {
  /**
   * The pod that an event speaks of, also one that is gone: by uid, else by namespace and name.
   *
   * @param containerId with or without the runtime's scheme, whole or its first characters: without a uid it tells a pod
   *   from another one of the same name. A pod of that name whose containers are all known and different is not the one.
   */
  podOf(pod: PodIdentity, containerId?: string): KnownPod | undefined
  /** Those that exist, then those that are gone. */
  pods(): Iterable<KnownPod>
  namespaceOf(name: string): KnownNamespace | undefined
  /**
   * The webhooks that send to Sallyport: every one of the configuration that was named, else those whose own name is below
   * `sallyport.dev` and that are called at `/validate`. Empty: there is none. Undefined: it is not known.
   */
  webhooks(): readonly KnownWebhook[] | undefined
  /** The one node whose pods are known; undefined: those of all nodes. */
  readonly nodeName: string | undefined
  state(): InventoryState
}

const ABSENT: InventoryState = { status: 'absent' }

/** Knows nothing. */
export const NO_INVENTORY: Inventory = {
  podOf: () => undefined,
  pods: () => [],
  namespaceOf: () => undefined,
  webhooks: () => undefined,
  nodeName: undefined,
  state: () => ABSENT,
}
