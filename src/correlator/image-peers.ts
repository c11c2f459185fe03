/** Who else runs the same tag: an index over the inventory, made when it is asked for and for some seconds only. */

import { formatImageReference, type ImageReference, parseImageReference } from '../policy/index.js'
import type { ImagePeer } from './drift-evidence.js'
import { digestWithin } from './image-digest.js'
import type { Inventory, KnownContainer, KnownPod } from './inventory.js'

/** Of one tag: a daemon on each node of the largest cluster. More would only repeat what these say. */
const MAX_USES = 5_000

export interface PeerIndex {
  /** Other containers of the same tagged reference whose digest is known; none for a reference with a digest. */
  of(pod: KnownPod, container: KnownContainer): readonly ImagePeer[]
}

interface ImageUse {
  readonly pod: KnownPod
  readonly container: KnownContainer
  readonly digest: string
}

interface Uses {
  /** By reference in normal form. */
  readonly byReference: ReadonlyMap<string, readonly ImageUse[]>
  /** The digest that each node shows for each reference. */
  readonly byNode: ReadonlyMap<string, ReadonlyMap<string, string>>
}

/** @param epoch the index is made anew when it changes. */
export function createPeerIndex(inventory: Inventory, epoch: () => number): PeerIndex {
  let uses: Uses | undefined
  let madeIn: number | undefined
  return {
    of(pod, container) {
      const key = taggedReferenceOf(container)
      if (key === undefined) return []
      if (uses === undefined || madeIn !== epoch()) {
        uses = gatherUses(inventory.pods())
        madeIn = epoch()
      }
      const { byReference, byNode } = uses
      const others = (byReference.get(key) ?? []).filter(use => use.pod.uid !== pod.uid)
      // Only what differs needs the closer look; nodes repeat.
      const comparable = new Map<string, boolean>()
      return others.map(use => {
        const node = use.pod.nodeName ?? ''
        const known = comparable.get(node) ?? isComparable(byNode, pod.nodeName, use.pod.nodeName, key)
        comparable.set(node, known)
        return { ...use, isReplica: isReplica(pod, container, use), isComparable: known }
      })
    },
  }
}

/** In normal form; undefined for one that carries its digest, or cannot be read. */
function taggedReferenceOf({ image }: KnownContainer): string | undefined {
  const reference = tagged(image)
  return reference && formatImageReference(reference)
}

function tagged(image: string): ImageReference | undefined {
  const parsed = parseImageReference(image)
  return parsed.ok && parsed.reference.digest === undefined ? parsed.reference : undefined
}

function gatherUses(pods: Iterable<KnownPod>): Uses {
  const byReference = new Map<string, ImageUse[]>()
  const byNode = new Map<string, Map<string, string>>()
  for (const { key, use } of usesIn(pods)) {
    const uses = byReference.get(key) ?? []
    if (uses.length < MAX_USES) uses.push(use)
    byReference.set(key, uses)
    const { nodeName } = use.pod
    if (nodeName === undefined) continue
    const ofNode = byNode.get(nodeName) ?? new Map<string, string>()
    byNode.set(nodeName, ofNode.set(key, use.digest))
  }
  return { byReference, byNode }
}

function* usesIn(pods: Iterable<KnownPod>): Generator<{ readonly key: string; readonly use: ImageUse }> {
  for (const pod of pods) {
    for (const container of pod.containers) {
      const reference = tagged(container.image)
      const digest = reference && digestWithin(reference, container.status?.imageId)
      if (reference !== undefined && digest !== undefined) {
        yield { key: formatImageReference(reference), use: { pod, container, digest } }
      }
    }
  }
}

/**
 * Whether digests of two nodes are of the same kind: on one node they are; on two, when they agree on another tag. Two
 * that agree on nothing may be of different platforms, under a runtime that shows the platform's manifest.
 */
function isComparable(
  byNode: Uses['byNode'],
  one: string | undefined,
  other: string | undefined,
  except: string,
): boolean {
  if (one === undefined || other === undefined) return false
  if (one === other) return true
  const others = byNode.get(other)
  for (const [key, digest] of byNode.get(one) ?? []) {
    if (key !== except && others?.get(key) === digest) return true
  }
  return false
}

function isReplica(pod: KnownPod, container: KnownContainer, use: ImageUse): boolean {
  const owner = pod.topOwner
  const other = use.pod.topOwner
  return (
    owner !== undefined &&
    other !== undefined &&
    owner.kind === other.kind &&
    owner.name === other.name &&
    pod.namespace === use.pod.namespace &&
    container.name === use.container.name
  )
}
