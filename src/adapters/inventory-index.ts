/**
 * What is known of a cluster, in memory: a few facts of each pod, never whole objects, and for a while those of pods that
 * are gone, because their events come late.
 *
 * A thing whose facts stay the same stays the same object, however often it is told again.
 */

import { isDeepStrictEqual } from 'node:util'
import type { PodIdentity } from '../correlator/admission-journal.js'
import type { Inventory, KnownNamespace, KnownPod, KnownWebhook } from '../correlator/inventory.js'
import { bareContainerId } from './kubernetes-pod.js'
import type { WebhookConfiguration } from './kubernetes-registration.js'

const DEFAULT_MAX_GONE = 10_000
const DEFAULT_GONE_MS = 3_600_000

export interface InventoryIndexOptions {
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** How many removed pods are kept at most. Default 10,000. */
  readonly maxGone?: number
  /** For how long they are kept, in milliseconds. Default one hour. */
  readonly goneMs?: number
}

/** The part of the port that needs no state of a connection. */
export class InventoryIndex implements Pick<Inventory, 'podOf' | 'pods' | 'namespaceOf'> {
  readonly #now: () => number
  readonly #maxGone: number
  readonly #goneMs: number
  /** By uid, both; the oldest removal first. */
  readonly #pods = new Map<string, KnownPod>()
  readonly #gone = new Map<string, KnownPod>()
  /** `namespace/name` to the uids of both, the latest last. */
  readonly #uids = new Map<string, readonly string[]>()
  readonly #namespaces = new Map<string, KnownNamespace>()
  readonly #configurations = new Map<string, WebhookConfiguration>()
  #webhooks: readonly KnownWebhook[] = []

  constructor({ now, maxGone = DEFAULT_MAX_GONE, goneMs = DEFAULT_GONE_MS }: InventoryIndexOptions) {
    this.#now = now
    this.#maxGone = maxGone
    this.#goneMs = goneMs
  }

  /** Pods that exist. */
  get size(): number {
    return this.#pods.size
  }

  podOf({ uid, namespace, name }: PodIdentity, containerId?: string): KnownPod | undefined {
    const known = uid === undefined ? undefined : this.#byUid(uid)
    if (known !== undefined) return known
    const named = (this.#uids.get(`${namespace}/${name}`) ?? []).flatMap(each => this.#byUid(each) ?? []).toReversed()
    // A kubelet gives a static pod a uid of its own, which its mirror at the API server does not have.
    const candidates = uid === undefined ? named : named.filter(({ mirror }) => mirror !== undefined)
    if (containerId === undefined || containerId === '') return candidates[0]
    const id = bareContainerId(containerId)
    return candidates.find(pod => runs(pod, id)) ?? candidates.find(mayRunAnother)
  }

  *pods(): Iterable<KnownPod> {
    yield* this.#pods.values()
    this.#forgetOld()
    yield* this.#gone.values()
  }

  namespaceOf(name: string): KnownNamespace | undefined {
    return this.#namespaces.get(name)
  }

  /** The same list until one of them changes. */
  webhooks(): readonly KnownWebhook[] {
    return this.#webhooks
  }

  putPod(pod: KnownPod): void {
    const former = this.#pods.get(pod.uid)
    if (former !== undefined && isSame(former, pod)) return
    if (this.#gone.delete(pod.uid) || former === undefined) this.#addName(pod)
    this.#pods.set(pod.uid, pod)
  }

  removePod(uid: string): void {
    const pod = this.#pods.get(uid)
    if (pod === undefined) return
    this.#pods.delete(uid)
    this.#gone.set(uid, { ...pod, deletedAt: this.#now() })
    this.#forgetOld()
  }

  /** What was known and is missing here is gone. */
  replacePods(pods: readonly KnownPod[]): void {
    const uids = new Set(pods.map(({ uid }) => uid))
    for (const uid of [...this.#pods.keys()]) {
      if (!uids.has(uid)) this.removePod(uid)
    }
    for (const pod of pods) this.putPod(pod)
  }

  putNamespace(namespace: KnownNamespace): void {
    const former = this.#namespaces.get(namespace.name)
    if (former === undefined) {
      this.#namespaces.set(namespace.name, namespace)
      return
    }
    if (isSame(former, namespace)) return
    this.#namespaces.set(namespace.name, changedNamespace(former, namespace, this.#now()))
  }

  removeNamespace(name: string): void {
    this.#namespaces.delete(name)
  }

  replaceNamespaces(namespaces: readonly KnownNamespace[]): void {
    const names = new Set(namespaces.map(({ name }) => name))
    for (const name of [...this.#namespaces.keys()]) {
      if (!names.has(name)) this.#namespaces.delete(name)
    }
    for (const namespace of namespaces) this.putNamespace(namespace)
  }

  putConfiguration(configuration: WebhookConfiguration): void {
    const former = this.#configurations.get(configuration.name)
    if (former === undefined && configuration.webhooks.length === 0) return
    if (former !== undefined && isSameList(former.webhooks, configuration.webhooks)) return
    this.#configurations.set(configuration.name, configuration)
    this.#listWebhooks()
  }

  removeConfiguration(name: string): void {
    if (this.#configurations.delete(name)) this.#listWebhooks()
  }

  replaceConfigurations(configurations: readonly WebhookConfiguration[]): void {
    const names = new Set(configurations.map(({ name }) => name))
    for (const name of [...this.#configurations.keys()]) {
      if (!names.has(name)) this.removeConfiguration(name)
    }
    for (const configuration of configurations) this.putConfiguration(configuration)
  }

  #byUid(uid: string): KnownPod | undefined {
    const pod = this.#pods.get(uid)
    if (pod !== undefined) return pod
    const gone = this.#gone.get(uid)
    return gone !== undefined && this.#isFresh(gone) ? gone : undefined
  }

  #addName({ namespace, name, uid }: KnownPod): void {
    const key = `${namespace}/${name}`
    const others = (this.#uids.get(key) ?? []).filter(each => each !== uid)
    this.#uids.set(key, [...others, uid])
  }

  #isFresh({ deletedAt = 0 }: KnownPod): boolean {
    return this.#now() - deletedAt <= this.#goneMs
  }

  #forgetOld(): void {
    for (const [uid, pod] of this.#gone) {
      if (this.#gone.size <= this.#maxGone && this.#isFresh(pod)) return
      this.#gone.delete(uid)
      const key = `${pod.namespace}/${pod.name}`
      const left = (this.#uids.get(key) ?? []).filter(each => each !== uid)
      if (left.length === 0) this.#uids.delete(key)
      else this.#uids.set(key, left)
    }
  }

  #listWebhooks(): void {
    this.#webhooks = [...this.#configurations.values()].flatMap(({ webhooks }) => webhooks)
  }
}

function runs({ containers }: KnownPod, id: string): boolean {
  return containers.some(({ status }) => {
    const known = status?.containerId
    return known !== undefined && (known.startsWith(id) || id.startsWith(known))
  })
}

/** Not all of its containers' ids are known, so that the one in question may be among them. */
function mayRunAnother({ containers }: KnownPod): boolean {
  return containers.some(({ status }) => status?.containerId === undefined)
}

/** Labels that were seen to change have changed now; a label that goes leaves no other trace. */
function changedNamespace(former: KnownNamespace, namespace: KnownNamespace, now: number): KnownNamespace {
  const { labels, createdAt } = namespace
  if (former.createdAt !== createdAt) return namespace
  const told = Math.max(former.labelsChangedAt ?? 0, namespace.labelsChangedAt ?? 0)
  if (!isDeepStrictEqual(former.labels, labels)) return { ...namespace, labelsChangedAt: Math.max(told, now) }
  return { ...namespace, labels: former.labels, labelsChangedAt: told === 0 ? undefined : told }
}

function isSame<Value extends { readonly seenAt: number }>(former: Value, latter: Value): boolean {
  return isDeepStrictEqual({ ...former, seenAt: 0 }, { ...latter, seenAt: 0 })
}

function isSameList(former: readonly KnownWebhook[], latter: readonly KnownWebhook[]): boolean {
  return former.length === latter.length && former.every((each, index) => isSame(each, latter[index] ?? each))
}
