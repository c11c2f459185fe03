/** Which allow entry a denied image comes nearest to, and where the two part ways: most denials are typing errors. */

import { editDistance } from './edit-distance.js'
import type { EntryIndex } from './entry-index.js'
import type { IndexNode, PatternEntry } from './entry-tree.js'
import type { ImageReference } from './image-reference.js'
import type { ClosestEntry } from './verdict.js'

/** How many neighbours are compared at the point of departure: a bound on the cost, whatever the policy's size. */
const MAX_COMPARED = 64
const MAX_LISTED = 2000
/** Longer names are not compared: their distance would be dear, and a person would not mistype so much. */
const MAX_COMPARED_LENGTH = 64

/** The nearest allow entry of several indexes; undefined when not even the host is near. */
export function findClosestEntry(
  indexes: readonly EntryIndex<PatternEntry>[],
  reference: ImageReference,
  segments: readonly string[],
): ClosestEntry | undefined {
  let best: Candidate | undefined
  for (const index of indexes) {
    const candidate = nearestIn(index, reference, segments)
    if (candidate !== undefined && (best === undefined || candidate.depth > best.depth)) best = candidate
  }
  return best === undefined ? undefined : { pattern: best.entry.pattern.text, differsAt: best.differsAt }
}

interface Candidate {
  readonly entry: PatternEntry
  readonly differsAt: string
  /** How much agrees: the host counts one, each segment one more, a near miss a half. */
  readonly depth: number
}

function nearestIn(
  index: EntryIndex<PatternEntry>,
  reference: ImageReference,
  segments: readonly string[],
): Candidate | undefined {
  const host = index.hosts.get(reference.registry)
  if (host !== undefined) return descend(host, reference, segments)
  const near = nearest(index.hosts, reference.registry)
  if (near === undefined) return undefined
  return { entry: descend(near, reference, segments).entry, differsAt: reference.registry, depth: 0.5 }
}

function descend(host: IndexNode<PatternEntry>, reference: ImageReference, segments: readonly string[]): Candidate {
  let node = host
  for (const [depth, segment] of segments.entries()) {
    const child = node.children?.get(segment)
    if (child !== undefined) {
      node = child
      continue
    }
    const near = node.children === undefined ? undefined : nearest(node.children, segment)
    if (near !== undefined) return { entry: near.first, differsAt: segment, depth: depth + 1.5 }
    return { entry: node.first, differsAt: segment, depth: depth + 1 }
  }
  const isTagOrDigest = node.exact !== undefined
  const differsAt = isTagOrDigest ? (reference.digest ?? reference.tag ?? '') : (segments.at(-1) ?? '')
  return { entry: node.first, differsAt, depth: segments.length + (isTagOrDigest ? 1.5 : 1) }
}

function nearest(
  nodes: ReadonlyMap<string, IndexNode<PatternEntry>>,
  name: string,
): IndexNode<PatternEntry> | undefined {
  if (name.length > MAX_COMPARED_LENGTH) return undefined
  const limit = Math.min(2, Math.floor(name.length / 3))
  let best: { node: IndexNode<PatternEntry>; distance: number } | undefined
  let listed = 0
  let compared = 0
  for (const [known, node] of nodes) {
    listed += 1
    if (listed > MAX_LISTED || compared >= MAX_COMPARED) break
    if (Math.abs(known.length - name.length) > limit) continue
    compared += 1
    const distance = editDistance(known, name, limit)
    if (distance <= limit && (best === undefined || distance < best.distance)) best = { node, distance }
  }
  return best?.node
}
