/** Finds the entries whose pattern accepts a reference, at a cost that does not grow with their number. */

import { type IndexNode, insertEntry, type PatternEntry, type Place, type Roots } from './entry-tree.js'
import type { ImageReference } from './image-reference.js'
import { matchesTag } from './pattern.js'
import { endsStep, type Steps } from './steps.js'

/**
 * What a tag proves. `allow`: a tag in the pattern never accepts a reference with a digest, because the tag beside a
 * digest proves nothing. `deny`: the written tag is caught whatever stands beside it.
 */
export type TagSemantics = 'allow' | 'deny'

export interface EntryIndex<Entry extends PatternEntry> {
  readonly entries: readonly Entry[]
  readonly hosts: ReadonlyMap<string, IndexNode<Entry>>
  /** By what follows the `*.`. */
  readonly wildcardHosts: ReadonlyMap<string, IndexNode<Entry>>
}

/** @param entries in policy order. */
export function* buildEntryIndex<Entry extends PatternEntry>(entries: readonly Entry[]): Steps<EntryIndex<Entry>> {
  const hosts: Roots<Entry> = new Map()
  const wildcardHosts: Roots<Entry> = new Map()
  for (const [index, entry] of entries.entries()) {
    if (endsStep(index)) yield
    insertEntry(entry.pattern.isHostWildcard ? wildcardHosts : hosts, entry)
  }
  return { entries, hosts, wildcardHosts }
}

/**
 * The entry with the lowest ordinal that accepts the reference and that `isEligible` does not rule out.
 *
 * @param segments the reference's repository, split at `/` (callers ask several indexes about one reference).
 */
export function findEntry<Entry extends PatternEntry>(
  index: EntryIndex<Entry>,
  reference: ImageReference,
  segments: readonly string[],
  semantics: TagSemantics,
  isEligible: (entry: Entry) => boolean = always,
): Entry | undefined {
  const search: Search<Entry> = { reference, segments, semantics, isEligible, best: undefined }
  const exactHost = index.hosts.get(reference.registry)
  if (exactHost !== undefined) walk(exactHost, search)
  const dot = index.wildcardHosts.size === 0 ? -1 : reference.registry.indexOf('.')
  // An IPv6 address has no labels, and its `.`, if any, is none either.
  if (dot > 0 && !reference.registry.startsWith('[')) {
    const wildcardHost = index.wildcardHosts.get(reference.registry.slice(dot + 1))
    if (wildcardHost !== undefined) walk(wildcardHost, search)
  }
  return search.best
}

interface Search<Entry> {
  readonly reference: ImageReference
  readonly segments: readonly string[]
  readonly semantics: TagSemantics
  readonly isEligible: (entry: Entry) => boolean
  best: Entry | undefined
}

function always(): boolean {
  return true
}

/** Along literal steps there is one way to go, and nearly all trees have no other. */
function walk<Entry extends PatternEntry>(host: IndexNode<Entry>, search: Search<Entry>): void {
  const { segments } = search
  let node: IndexNode<Entry> | undefined = host
  for (let depth = 0; node !== undefined; depth += 1) {
    if (node.globs !== undefined || node.anyDepth !== undefined) {
      walkAbreast(node, depth, search)
      return
    }
    const segment = segments[depth]
    if (segment === undefined) {
      searchPlace(node.exact, search)
      return
    }
    searchPlace(node.below, search)
    node = node.children?.get(segment)
  }
}

/**
 * All ways at once, segment by segment. A node is reached by one step alone, so it stands at most once among those of a
 * segment, and each glob is held against each segment at most once: no backtracking, whatever the strings.
 */
function walkAbreast<Entry extends PatternEntry>(from: IndexNode<Entry>, depth: number, search: Search<Entry>): void {
  const { segments } = search
  const loops = new Set<IndexNode<Entry>>()
  const places = new Set<Place<Entry>>()
  let nodes = [from]
  for (let at = depth; nodes.length > 0; at += 1) {
    addLoops(nodes, loops)
    const segment = segments[at]
    for (const { exact, below } of nodes) {
      const place = segment === undefined ? exact : below
      if (place !== undefined) places.add(place)
    }
    if (segment === undefined) break
    const next = [...loops]
    for (const node of nodes) addSteps(node, segment, next)
    nodes = next
  }
  for (const place of places) searchPlace(place, search)
}

/** What stands behind a `**` is reached without any segment too, and stays among the nodes from then on. */
function addLoops<Entry>(nodes: IndexNode<Entry>[], loops: Set<IndexNode<Entry>>): void {
  // The list grows while it is read: a `**` may stand behind another.
  for (const { anyDepth } of nodes) {
    if (anyDepth === undefined || loops.has(anyDepth)) continue
    loops.add(anyDepth)
    nodes.push(anyDepth)
  }
}

function addSteps<Entry>(node: IndexNode<Entry>, segment: string, next: IndexNode<Entry>[]): void {
  const child = node.children?.get(segment)
  if (child !== undefined) next.push(child)
  if (node.globs === undefined) return
  for (const { glob, node: below } of node.globs.values()) if (glob.matches(segment)) next.push(below)
}

function searchPlace<Entry extends PatternEntry>(place: Place<Entry> | undefined, search: Search<Entry>): void {
  if (place === undefined) return
  const { tag, digest } = search.reference
  consider(place.anyTag, search)
  if (digest !== undefined) consider(place.byDigest?.get(digest), search)
  const doTagsCount = tag !== undefined && (digest === undefined || search.semantics === 'deny')
  if (!doTagsCount) return
  consider(place.byTag?.get(tag), search)
  consider(place.tagGlobs, search, tag)
}

/**
 * Entries stand in policy order, so the first eligible one is the best of its list.
 *
 * @param tag what the globs of these entries must match; undefined where all of them accept the tag.
 */
function consider<Entry extends PatternEntry>(
  entries: readonly Entry[] | undefined,
  search: Search<Entry>,
  tag?: string,
): void {
  if (entries === undefined) return
  for (const entry of entries) {
    if (search.best !== undefined && entry.ordinal >= search.best.ordinal) return
    if (tag !== undefined && !matchesTag(entry.pattern.tag, tag)) continue
    if (!search.isEligible(entry)) continue
    search.best = entry
    return
  }
}
