/** How much work a policy's wildcards can make of one image, whatever the image. */

import type { EntryIndex } from './entry-index.js'
import type { IndexNode, PatternEntry, Place } from './entry-tree.js'

/** A repository of 255 characters has no more segments. */
const MAX_SEGMENTS = 128

/**
 * So many steps one image may take in all lists of a policy: some 10 ms. The dearest pattern that is accepted takes 4,000,
 * one with an ordinary wildcard two or three; what patterns have in common from their beginning on counts once.
 */
export const MAX_STEPS = 200_000

/** How often, at worst, a segment or tag is held against a glob, or a step of the tree is looked at. */
export interface MatchWork<Entry> {
  readonly steps: number
  /** An entry of the dearest part. */
  readonly example: Entry
}

/** The dearest host of an index; undefined when it is empty. */
export function workOf<Entry extends PatternEntry>(index: EntryIndex<Entry>): MatchWork<Entry> | undefined {
  let dearest: MatchWork<Entry> | undefined
  for (const node of [...index.hosts.values(), ...index.wildcardHosts.values()]) {
    const work = weigh(node)
    if (dearest === undefined || work.steps > dearest.steps) dearest = work
  }
  return dearest
}

/**
 * Of the literal steps from a node an image takes one; of the globs it may take all. What stands behind a `**` is looked
 * at again for each segment. At most as deep as a pattern has parts.
 */
function weigh<Entry>(node: IndexNode<Entry>, isRepeated = false): MatchWork<Entry> {
  let steps = 1 + tagGlobsOf(node.exact) + tagGlobsOf(node.below)
  let dearest: MatchWork<Entry> = { steps: 0, example: node.first }
  const note = (work: MatchWork<Entry>): void => {
    if (work.steps > dearest.steps) dearest = work
  }
  for (const child of node.children?.values() ?? [])
    note(isLeaf(child) ? { steps: 1, example: child.first } : weigh(child, isRepeated))
  steps += dearest.steps
  for (const step of node.globs?.values() ?? []) {
    const work = weigh(step.node, isRepeated)
    steps += 1 + work.steps
    note(work)
  }
  if (node.anyDepth !== undefined) {
    const work = weigh(node.anyDepth, true)
    // Behind a second `**` a node still stands at most once among those of a segment.
    const repeated = { ...work, steps: (isRepeated ? 1 : MAX_SEGMENTS) * work.steps }
    steps += repeated.steps
    note(repeated)
  }
  return { steps, example: dearest.example }
}

/** Nearly all nodes of a large policy. */
function isLeaf<Entry>({ children, globs, anyDepth, exact, below }: IndexNode<Entry>): boolean {
  const hasSteps = children !== undefined || globs !== undefined || anyDepth !== undefined
  return !hasSteps && exact?.tagGlobs === undefined && below?.tagGlobs === undefined
}

function tagGlobsOf<Entry>(place: Place<Entry> | undefined): number {
  return place?.tagGlobs?.length ?? 0
}
