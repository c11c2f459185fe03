/**
 * One tag, several contents. Only digests of the very same repository and tag are compared, and only where the two
 * nodes are known to name contents alike: an alias, or an index here and a platform's manifest there, is no drift.
 */

import { formatImageReference, type ImageReference } from '../policy/index.js'
import type { DriftEvidence, ImagePeer } from './drift-evidence.js'
import { type Explanation, type ExplanationEvidence, fact, shown } from './explanation.js'
import { digestWithin } from './image-digest.js'

const MAX_PEERS = 4

export function explainMovedTag(evidence: DriftEvidence): Explanation | undefined {
  const own = ownDigest(evidence)
  if (own === undefined) return undefined
  const { reference, digest } = own
  const former = formerContent(evidence, reference, digest)
  const others = differing(evidence, digest).filter(({ isReplica }) => !isReplica)
  if (former === undefined && others.length === 0) return undefined
  const tag = shown(formatImageReference(reference))
  return {
    code: 'digest.tag-moved',
    certainty: former !== undefined || others.some(peer => isOnSameNode(evidence, peer)) ? 'proved' : 'likely',
    summary:
      former === undefined
        ? `${tag} is ${digest} here, and another content elsewhere: the tag was moved`
        : `${tag} was ${digest} when this container started, and another content at its next start: the tag was moved`,
    evidence: [
      ownFact(evidence, digest),
      ...(former === undefined ? [] : [former]),
      ...others.slice(0, MAX_PEERS).map(peerFact),
    ],
    remedy: `pin the digest: ${shown(`${reference.registry}/${reference.repository}@…`)}; a tag says nothing of the content`,
  }
}

export function explainMixedRollout(evidence: DriftEvidence): Explanation | undefined {
  const own = ownDigest(evidence)
  if (own === undefined) return undefined
  const { reference, digest } = own
  const replicas = differing(evidence, digest).filter(peer => peer.isReplica && peer.pod.deletedAt === undefined)
  if (replicas.length === 0) return undefined
  const contents = new Set([digest, ...replicas.map(peer => peer.digest)]).size
  return {
    code: 'digest.mixed-rollout',
    certainty: replicas.some(peer => isOnSameNode(evidence, peer)) ? 'proved' : 'likely',
    summary: `replicas of this workload run ${contents} different contents under the tag ${shown(formatImageReference(reference))}`,
    evidence: [ownFact(evidence, digest), ...replicas.slice(0, MAX_PEERS).map(peerFact)],
    remedy: 'pin the digest in the workload and roll it, so that all replicas run the same content',
  }
}

interface OwnDigest {
  readonly reference: ImageReference
  readonly digest: string
}

/** Only of a reference that leaves the content open: by a tag, and no digest. */
function ownDigest({ verdict, running, cluster }: DriftEvidence): OwnDigest | undefined {
  const { reference } = verdict
  // There is nothing to compare with.
  if (cluster.container === undefined && cluster.peers.length === 0) return undefined
  if (reference === undefined || reference.digest !== undefined) return undefined
  const digest = digestWithin(reference, running.imageId ?? cluster.container?.status?.imageId)
  return digest === undefined ? undefined : { reference, digest }
}

/** The container that an event speaks of, and the one that the pod has now after a restart: same node, same spec. */
function formerContent(
  { running, cluster }: DriftEvidence,
  reference: ImageReference,
  digest: string,
): ExplanationEvidence | undefined {
  const status = cluster.container?.status
  const isAnother =
    status?.containerId !== undefined &&
    running.containerId !== undefined &&
    !running.containerId.endsWith(status.containerId)
  const present = digestWithin(reference, status?.imageId)
  if (!isAnother || present === undefined || present === digest) return undefined
  return fact('inventory', 'containerStatuses.imageID', present, cluster.pod?.seenAt)
}

function differing({ cluster }: DriftEvidence, digest: string): readonly ImagePeer[] {
  return cluster.peers.filter(peer => peer.isComparable && peer.digest !== digest)
}

function isOnSameNode({ cluster, subject }: DriftEvidence, { pod }: ImagePeer): boolean {
  const node = cluster.pod?.nodeName ?? subject.nodeName
  return node !== undefined && node === pod.nodeName
}

function ownFact({ running, cluster }: DriftEvidence, digest: string): ExplanationEvidence {
  return running.imageId === undefined
    ? fact('inventory', 'containerStatuses.imageID', digest, cluster.pod?.seenAt)
    : fact('event', 'container.image.id', digest)
}

function peerFact({ pod, container, digest }: ImagePeer): ExplanationEvidence {
  const field = `${pod.namespace}/${pod.name} ${container.name} imageID`
  return fact('inventory', field, digest, pod.seenAt)
}
