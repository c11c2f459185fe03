/** What inventory and audit log know of one container, gathered as the values that explanations are drawn from. */

import type { PodIdentity } from './admission-journal.js'
import { type AuditEvidence, NO_AUDIT_EVIDENCE } from './audit-evidence.js'
import {
  type AuditedRequests,
  type ClusterEvidence,
  type Gate,
  type ImagePeer,
  NO_CLUSTER,
  NO_REQUESTS,
} from './drift-evidence.js'
import { createPeerIndex } from './image-peers.js'
import {
  type Inventory,
  type KnownContainer,
  type KnownNamespace,
  type KnownPod,
  type KnownWebhook,
  type Labels,
  NO_INVENTORY,
} from './inventory.js'
import { matchWebhook, type ReviewableRequest } from './webhook-match.js'

/** For so long an answer about a container stands: what changes in the cluster is seen a little later. */
const REMEMBERED_MS = 5_000
const SECOND_MS = 1_000

/** A pod, and its container, as far as they are known. */
export interface FoundContainer {
  readonly pod: KnownPod | undefined
  readonly container: KnownContainer | undefined
  readonly namespace: KnownNamespace | undefined
}

export interface ClusterLookup {
  /** Whether anything at all is known: without, no answer ever changes. */
  readonly isKnown: boolean
  /** Raised when answers may have changed. */
  epoch(): number
  /** @param container its name and id, as an event has them. */
  find(
    pod: PodIdentity,
    container: { readonly name: string | undefined; readonly id: string | undefined },
  ): FoundContainer
  /** @param by how the image came in: a webhook may be called for the one and not for the other. */
  describe(found: FoundContainer, pod: PodIdentity, by: 'create' | 'update' | 'ephemeral'): ClusterEvidence
  requestsOf(pod: PodIdentity, createdAt: number | undefined): AuditedRequests
}

const NOTHING_FOUND: FoundContainer = { pod: undefined, container: undefined, namespace: undefined }

type Expression = NonNullable<
  Exclude<KnownWebhook['namespaceSelector'], 'unreadable' | undefined>['matchExpressions']
>[number]

export const NO_CLUSTER_LOOKUP: ClusterLookup = {
  isKnown: false,
  epoch: () => 0,
  find: () => NOTHING_FOUND,
  describe: () => NO_CLUSTER,
  requestsOf: () => NO_REQUESTS,
}

/** @param now the clock of this machine, in milliseconds since the epoch. */
export function createClusterLookup(
  inventory: Inventory | undefined,
  audit: AuditEvidence | undefined,
  now: () => number,
): ClusterLookup {
  if (inventory === undefined && audit === undefined) return NO_CLUSTER_LOOKUP
  const known = inventory ?? NO_INVENTORY
  const log = audit ?? NO_AUDIT_EVIDENCE
  const epoch = (): number => Math.floor(now() / REMEMBERED_MS)
  const peers = createPeerIndex(known, epoch)
  return {
    isKnown: true,
    epoch,
    find(identity, container) {
      const pod = known.podOf(identity, container.id)
      const namespace = known.namespaceOf(identity.namespace)
      return { pod, container: pod && containerIn(pod, container.name), namespace }
    },
    describe(found, identity, by) {
      const { pod, container, namespace } = found
      const ofSame: readonly ImagePeer[] = pod === undefined || container === undefined ? [] : peers.of(pod, container)
      const gates = known.webhooks()?.map(webhook => gateOf(webhook, requestOf(found, identity, by)))
      return { state: known.state(), pod, container, namespace, gates, peers: ofSame }
    },
    requestsOf(identity, createdAt) {
      const named = log.requestsOf(identity)
      if (createdAt === undefined || named.some(({ verb }) => verb === 'create')) return { named, unnamed: [] }
      const until = createdAt + SECOND_MS
      const isWhole = log.coverage().spans.some(({ from, to }) => from <= createdAt && until <= to)
      return { named, unnamed: isWhole ? log.unnamedCreations(identity.namespace, createdAt, until) : [] }
    },
  }
}

function containerIn({ containers }: KnownPod, name: string | undefined): KnownContainer | undefined {
  if (name !== undefined) return containers.find(each => each.name === name)
  return containers.length === 1 ? containers[0] : undefined
}

function requestOf(
  { pod, namespace }: FoundContainer,
  identity: PodIdentity,
  by: 'create' | 'update' | 'ephemeral',
): ReviewableRequest {
  return {
    operation: by === 'create' ? 'CREATE' : 'UPDATE',
    group: '',
    version: 'v1',
    resource: 'pods',
    subresource: by === 'ephemeral' ? 'ephemeralcontainers' : '',
    namespace: identity.namespace,
    namespaceLabels: namespace?.labels,
    objectLabels: [pod?.labels],
  }
}

function gateOf(webhook: KnownWebhook, request: ReviewableRequest): Gate {
  return { webhook, match: matchWebhook(webhook, request), isFirm: isFirmlyShut(webhook, request.namespaceLabels) }
}

/** Whether a label that is there, and no missing one, keeps the namespace out. */
function isFirmlyShut({ namespaceSelector: selector }: KnownWebhook, labels: Labels | undefined): boolean {
  if (selector === undefined || selector === 'unreadable' || labels === undefined) return false
  const { matchLabels = {}, matchExpressions = [] } = selector
  const isOtherValue = Object.entries(matchLabels).some(
    ([key, value]) => Object.hasOwn(labels, key) && labels[key] !== value,
  )
  return isOtherValue || matchExpressions.some(expression => isRefused(expression, labels))
}

/** Whether the label is there and does not pass. */
function isRefused({ key, operator, values = [] }: Expression, labels: Labels): boolean {
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined
  if (value === undefined) return false
  switch (operator) {
    case 'In':
      return !values.includes(value)
    case 'NotIn':
      return values.includes(value)
    case 'DoesNotExist':
      return true
    case 'Exists':
      return false
  }
}
