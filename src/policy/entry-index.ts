/** Finds the entries whose pattern accepts a reference, at a cost that does not grow with their number. */

import {
  ANY_DEPTH,
  BELOW,
  childOf,
  type EntryForest,
  type EntryTree,
  EXACT,
  entryField,
  GLOB,
  LAST_CHILD,
  LAST_ENTRY,
  LAST_GLOB,
  NEXT_ENTRY,
  NEXT_NODE,
  nodeField,
  ringOf,
} from './entry-forest.js'
import type { GlobMatcher } from './glob.js'
import type { ImageReference } from './image-reference.js'

/**
 * What a tag proves. `allow`: a tag in the pattern never accepts a reference with a digest, because the tag beside a
 * digest proves nothing. `deny`: the written tag is caught whatever stands beside it.
 */
export type TagSemantics = 'allow' | 'deny'

/** The entries of one list, ready to be asked. */
export interface EntryIndex<Entry> {
  readonly forest: EntryForest
  readonly tree: EntryTree
  /** One for each of the forest's globs. */
  readonly matchers: readonly GlobMatcher[]
  /** What the list says of an entry of that number. */
  readonly entryAt: (entry: number) => Entry
}

/**
 * The first entry, in policy order, that accepts the reference and that `isEligible` does not rule out.
 *
 * @param segments the reference's repository, split at `/` (callers ask several indexes about one reference).
 * @returns its number: the lower one of two lists comes first in the policy too.
 */
export function findEntry<Entry>(
  index: EntryIndex<Entry>,
  reference: ImageReference,
  segments: readonly string[],
  semantics: TagSemantics,
  isEligible?: (entry: Entry) => boolean,
): number | undefined {
  const { forest, matchers, tree, entryAt } = index
  const isRuledOut = isEligible === undefined ? never : (entry: number) => !isEligible(entryAt(entry))
  const search: Search = {
    forest,
    matchers,
    reference,
    segments,
    semantics,
    isRuledOut,
    best: Number.POSITIVE_INFINITY,
  }
  const exactHost = childOf(forest, tree.hosts, reference.registry)
  if (exactHost !== 0) walk(exactHost, search)
  const dot = reference.registry.indexOf('.')
  // An IPv6 address has no labels, and its `.`, if any, is none either.
  if (dot > 0 && !reference.registry.startsWith('[')) {
    const wildcardHost = childOf(forest, tree.wildcardHosts, reference.registry.slice(dot + 1))
    if (wildcardHost !== 0) walk(wildcardHost, search)
  }
  return search.best === Number.POSITIVE_INFINITY ? undefined : search.best
}

interface Search extends Pick<EntryIndex<unknown>, 'forest' | 'matchers'> {
  readonly reference: ImageReference
  readonly segments: readonly string[]
  readonly semantics: TagSemantics
  readonly isRuledOut: (entry: number) => boolean
  best: number
}

function never(): boolean {
  return false
}

/** Along literal steps there is one way to go, and nearly all trees have no other. */
function walk(host: number, search: Search): void {
  const { forest, segments } = search
  let node = host
  for (let depth = 0; node !== 0; depth += 1) {
    if (nodeField(forest, node, LAST_GLOB) !== 0 || nodeField(forest, node, ANY_DEPTH) !== 0) {
      walkAbreast(node, depth, search)
      return
    }
    const segment = segments[depth]
    if (segment === undefined) {
      searchPlace(nodeField(forest, node, EXACT), search)
      return
    }
    searchPlace(nodeField(forest, node, BELOW), search)
    node = childOf(forest, node, segment)
  }
}

/**
 * All ways at once, segment by segment. A node is reached by one step alone, so it stands at most once among those of a
 * segment, and each glob is held against each segment at most once: no backtracking, whatever the strings.
 */
function walkAbreast(from: number, depth: number, search: Search): void {
  const { forest, segments } = search
  const loops = new Set<number>()
  const places = new Set<number>()
  let nodes = [from]
  for (let at = depth; nodes.length > 0; at += 1) {
    addLoops(forest, nodes, loops)
    const segment = segments[at]
    const field = segment === undefined ? EXACT : BELOW
    for (const node of nodes) {
      const place = nodeField(forest, node, field)
      if (place !== 0) places.add(place)
    }
    if (segment === undefined) break
    const next = [...loops]
    for (const node of nodes) addSteps(search, node, segment, next)
    nodes = next
  }
  for (const place of places) searchPlace(place, search)
}

/** What stands behind a `**` is reached without any segment too, and stays among the nodes from then on. */
function addLoops(forest: EntryForest, nodes: number[], loops: Set<number>): void {
  // The list grows while it is read: a `**` may stand behind another.
  for (const node of nodes) {
    const anyDepth = nodeField(forest, node, ANY_DEPTH)
    if (anyDepth === 0 || loops.has(anyDepth)) continue
    loops.add(anyDepth)
    nodes.push(anyDepth)
  }
}

/** Asked thousands of times of the worst image: nothing is looked up, and no ring walked, where there is none. */
function addSteps(search: Search, node: number, segment: string, next: number[]): void {
  const { forest } = search
  const child = nodeField(forest, node, LAST_CHILD) === 0 ? 0 : childOf(forest, node, segment)
  if (child !== 0) next.push(child)
  const last = nodeField(forest, node, LAST_GLOB)
  for (let glob = last; glob !== 0; ) {
    glob = nodeField(forest, glob, NEXT_NODE)
    if (doesMatch(search, glob, segment)) next.push(glob)
    if (glob === last) return
  }
}

function doesMatch({ forest, matchers }: Search, glob: number, text: string): boolean {
  return matchers[nodeField(forest, glob, GLOB)]?.(text) === true
}

function searchPlace(place: number, search: Search): void {
  if (place === 0) return
  const { forest, reference, semantics } = search
  const { tag, digest } = reference
  consider(place, search)
  if (digest !== undefined) consider(childOf(forest, place, digest), search)
  const doTagsCount = tag !== undefined && (digest === undefined || semantics === 'deny')
  if (!doTagsCount) return
  consider(childOf(forest, place, tag), search)
  for (const glob of ringOf(forest, nodeField(forest, place, LAST_GLOB))) {
    if (isBetter(glob, search) && doesMatch(search, glob, tag)) consider(glob, search)
  }
}

/** Whether the first entry of a node comes in front of what has been found. */
function isBetter(node: number, { forest, best }: Search): boolean {
  const last = nodeField(forest, node, LAST_ENTRY)
  return last !== 0 && entryField(forest, last, NEXT_ENTRY) < best
}

/** Entries stand in policy order, so the first eligible one is the best of its node. */
function consider(node: number, search: Search): void {
  const { forest } = search
  const last = node === 0 ? 0 : nodeField(forest, node, LAST_ENTRY)
  if (last === 0) return
  let entry = last
  do {
    entry = entryField(forest, entry, NEXT_ENTRY)
    if (entry >= search.best) return
    if (search.isRuledOut(entry)) continue
    search.best = entry
    return
  } while (entry !== last)
}
