/** Which allow entry a denied image comes nearest to, and where the two part ways: most denials are typing errors. */

import { editDistance } from './edit-distance.js'
import {
  childOf,
  type EntryForest,
  EXACT,
  FIRST_ENTRY,
  LAST_CHILD,
  NAME,
  nodeField,
  patternText,
  ringOf,
} from './entry-forest.js'
import type { EntryIndex } from './entry-index.js'
import { lengthAt, textAt } from './flat-numbers.js'
import type { ImageReference } from './image-reference.js'
import type { ClosestEntry } from './verdict.js'

/** How many neighbours are compared at the point of departure: a bound on the cost, whatever the policy's size. */
const MAX_COMPARED = 64
const MAX_LISTED = 2000
/** Longer names are not compared: their distance would be dear, and a person would not mistype so much. */
const MAX_COMPARED_LENGTH = 64

/** The nearest allow entry of several indexes; undefined when not even the host is near. */
export function findClosestEntry(
  indexes: readonly EntryIndex<unknown>[],
  reference: ImageReference,
  segments: readonly string[],
): ClosestEntry | undefined {
  let best: Candidate | undefined
  for (const index of indexes) {
    const candidate = nearestIn(index, reference, segments)
    if (candidate !== undefined && (best === undefined || candidate.depth > best.depth)) best = candidate
  }
  return best === undefined ? undefined : { pattern: best.pattern(), differsAt: best.differsAt }
}

interface Candidate {
  readonly pattern: () => string
  readonly differsAt: string
  /** How much agrees: the host counts one, each segment one more, a near miss a half. */
  readonly depth: number
}

function nearestIn(
  { forest, tree }: EntryIndex<unknown>,
  reference: ImageReference,
  segments: readonly string[],
): Candidate | undefined {
  const host = childOf(forest, tree.hosts, reference.registry)
  if (host !== 0) return descend(forest, host, reference, segments)
  const near = nearest(forest, tree.hosts, reference.registry)
  if (near === 0) return undefined
  return { ...descend(forest, near, reference, segments), differsAt: reference.registry, depth: 0.5 }
}

function descend(forest: EntryForest, host: number, reference: ImageReference, segments: readonly string[]): Candidate {
  const patternAt = (node: number) => () => patternText(forest, nodeField(forest, node, FIRST_ENTRY))
  let node = host
  for (const [depth, segment] of segments.entries()) {
    const child = childOf(forest, node, segment)
    if (child !== 0) {
      node = child
      continue
    }
    const near = nearest(forest, node, segment)
    if (near !== 0) return { pattern: patternAt(near), differsAt: segment, depth: depth + 1.5 }
    return { pattern: patternAt(node), differsAt: segment, depth: depth + 1 }
  }
  const isTagOrDigest = nodeField(forest, node, EXACT) !== 0
  const differsAt = isTagOrDigest ? (reference.digest ?? reference.tag ?? '') : (segments.at(-1) ?? '')
  return { pattern: patternAt(node), differsAt, depth: segments.length + (isTagOrDigest ? 1.5 : 1) }
}

/** The step from a node whose text is nearest to a name, or 0. */
function nearest(forest: EntryForest, parent: number, name: string): number {
  if (name.length > MAX_COMPARED_LENGTH) return 0
  const limit = Math.min(2, Math.floor(name.length / 3))
  let best = 0
  let leastDistance = limit + 1
  let listed = 0
  let compared = 0
  for (const node of ringOf(forest, nodeField(forest, parent, LAST_CHILD))) {
    listed += 1
    if (listed > MAX_LISTED || compared >= MAX_COMPARED) break
    const known = nodeField(forest, node, NAME)
    if (Math.abs(lengthAt(forest.texts, known) - name.length) > limit) continue
    compared += 1
    const distance = editDistance(textAt(forest.texts, known), name, limit)
    if (distance >= leastDistance) continue
    best = node
    leastDistance = distance
  }
  return best
}
