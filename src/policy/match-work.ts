/** How much work a policy's wildcards can make of one image, whatever the image. */

import {
  ANY_DEPTH,
  BELOW,
  type EntryForest,
  type EntryTree,
  EXACT,
  FIRST_ENTRY,
  LAST_CHILD,
  LAST_GLOB,
  nodeField,
  ringOf,
} from './entry-forest.js'

/** A repository of 255 characters has no more segments. */
const MAX_SEGMENTS = 128

/**
 * So many steps one image may take in all lists of a policy: some 10 ms. The dearest pattern that is accepted takes 4,000,
 * one with an ordinary wildcard two or three; what patterns have in common from their beginning on counts once.
 */
export const MAX_STEPS = 200_000

/** How often, at worst, a segment or tag is held against a glob, or a step of the tree is looked at. */
export interface MatchWork {
  readonly steps: number
  /** An entry of the dearest part. */
  readonly example: number
}

/** The dearest host of a list; undefined when it is empty. */
export function workOf(forest: EntryForest, { hosts, wildcardHosts }: EntryTree): MatchWork | undefined {
  let dearest: MatchWork | undefined
  for (const root of [hosts, wildcardHosts]) {
    for (const host of ringOf(forest, nodeField(forest, root, LAST_CHILD))) {
      const work = weigh(forest, host, false)
      if (dearest === undefined || work.steps > dearest.steps) dearest = work
    }
  }
  return dearest
}

/**
 * Of the literal steps from a node an image takes one; of the globs it may take all. What stands behind a `**` is looked
 * at again for each segment. At most as deep as a pattern has parts.
 */
function weigh(forest: EntryForest, node: number, isRepeated: boolean): MatchWork {
  const example = nodeField(forest, node, FIRST_ENTRY)
  if (isLeaf(forest, node)) return { steps: 1, example }
  let steps = 1 + tagGlobsOf(forest, node, EXACT) + tagGlobsOf(forest, node, BELOW)
  let dearest: MatchWork = { steps: 0, example }
  const note = (work: MatchWork): void => {
    if (work.steps > dearest.steps) dearest = work
  }
  for (const child of ringOf(forest, nodeField(forest, node, LAST_CHILD))) note(weigh(forest, child, isRepeated))
  steps += dearest.steps
  for (const glob of ringOf(forest, nodeField(forest, node, LAST_GLOB))) {
    const work = weigh(forest, glob, isRepeated)
    steps += 1 + work.steps
    note(work)
  }
  const anyDepth = nodeField(forest, node, ANY_DEPTH)
  if (anyDepth !== 0) {
    const work = weigh(forest, anyDepth, true)
    // Behind a second `**` a node still stands at most once among those of a segment.
    const repeated = { ...work, steps: (isRepeated ? 1 : MAX_SEGMENTS) * work.steps }
    steps += repeated.steps
    note(repeated)
  }
  return { steps, example: dearest.example }
}

/** Nearly all nodes of a large policy. */
function isLeaf(forest: EntryForest, node: number): boolean {
  const isLast = [LAST_CHILD, LAST_GLOB, ANY_DEPTH].every(field => nodeField(forest, node, field) === 0)
  return isLast && tagGlobsOf(forest, node, EXACT) + tagGlobsOf(forest, node, BELOW) === 0
}

/** How many globs of tags stand at one place. */
function tagGlobsOf(forest: EntryForest, node: number, field: typeof EXACT | typeof BELOW): number {
  const place = nodeField(forest, node, field)
  const last = place === 0 ? 0 : nodeField(forest, place, LAST_GLOB)
  let count = 0
  if (last !== 0) for (const _ of ringOf(forest, last)) count += 1
  return count
}
