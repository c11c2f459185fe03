/**
 * The tree that entries hang in: under each host, a step for each part of a path.
 *
 * Steps are shared: patterns that begin alike have their beginning in common, wildcards included, so that a segment is
 * held against each of them once. An exact pattern hangs at its last step, a prefix at the step in front of its star.
 * Entries of one place are told apart by tag and digest. What is not needed is not made: most nodes are leaves.
 */

import type { GlobPart, PathPart, Pattern } from './pattern.js'

/** Anything that is found through its pattern; `ordinal` is its place in the policy, the lowest wins. */
export interface PatternEntry {
  readonly pattern: Pattern
  readonly ordinal: number
}

/** The entries of one place in the tree, by what they say about tag and digest; each list in policy order. */
export interface Place<Entry> {
  anyTag: Entry[] | undefined
  byTag: Map<string, Entry[]> | undefined
  byDigest: Map<string, Entry[]> | undefined
  tagGlobs: Entry[] | undefined
}

/** A step that a glob leads to. */
export interface GlobStep<Entry> {
  readonly glob: GlobPart
  readonly node: IndexNode<Entry>
}

export interface IndexNode<Entry> {
  /** The first entry at or below this node: an example of what is known here. */
  readonly first: Entry
  /** By the next segment, where it is literal. */
  children: Map<string, IndexNode<Entry>> | undefined
  /** By the text of the glob. */
  globs: Map<string, GlobStep<Entry>> | undefined
  /** Behind a `**`: reached at this segment and at every later one. */
  anyDepth: IndexNode<Entry> | undefined
  /** What ends here, and what is meant with all that is below. */
  exact: Place<Entry> | undefined
  below: Place<Entry> | undefined
}

export type Roots<Entry> = Map<string, IndexNode<Entry>>

/** Hang one entry below the root of its host. Entries come in policy order. */
export function insertEntry<Entry extends PatternEntry>(roots: Roots<Entry>, entry: Entry): void {
  const { host, parts, isPrefix } = entry.pattern
  let node = stepTo(roots, host, entry)
  for (const part of parts) node = next(node, part, entry)
  if (isPrefix) {
    node.below ??= emptyPlace()
    addTo(node.below, entry)
  } else {
    node.exact ??= emptyPlace()
    addTo(node.exact, entry)
  }
}

function next<Entry>(node: IndexNode<Entry>, part: PathPart, entry: Entry): IndexNode<Entry> {
  if (typeof part === 'string') {
    node.children ??= new Map()
    return stepTo(node.children, part, entry)
  }
  if (part.kind === 'any-depth') {
    node.anyDepth ??= emptyNode(entry)
    return node.anyDepth
  }
  node.globs ??= new Map()
  const known = node.globs.get(part.text)
  if (known !== undefined) return known.node
  const step = { glob: part, node: emptyNode(entry) }
  node.globs.set(part.text, step)
  return step.node
}

function stepTo<Entry>(nodes: Map<string, IndexNode<Entry>>, key: string, entry: Entry): IndexNode<Entry> {
  const known = nodes.get(key)
  if (known !== undefined) return known
  const node = emptyNode(entry)
  nodes.set(key, node)
  return node
}

function emptyNode<Entry>(first: Entry): IndexNode<Entry> {
  return { first, children: undefined, globs: undefined, anyDepth: undefined, exact: undefined, below: undefined }
}

function emptyPlace<Entry>(): Place<Entry> {
  return { anyTag: undefined, byTag: undefined, byDigest: undefined, tagGlobs: undefined }
}

function addTo<Entry extends PatternEntry>(place: Place<Entry>, entry: Entry): void {
  const { digest, tag } = entry.pattern
  if (digest !== undefined) {
    place.byDigest ??= new Map()
    append(place.byDigest, digest, entry)
  } else if (tag.kind === 'any') {
    if (place.anyTag === undefined) place.anyTag = [entry]
    else place.anyTag.push(entry)
  } else if (tag.kind === 'exact') {
    place.byTag ??= new Map()
    append(place.byTag, tag.tag, entry)
  } else {
    place.tagGlobs ??= []
    place.tagGlobs.push(entry)
  }
}

function append<Entry>(lists: Map<string, Entry[]>, key: string, entry: Entry): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [entry])
  else list.push(entry)
}
