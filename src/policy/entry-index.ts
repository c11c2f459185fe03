/**
 * Finds the entries whose pattern accepts a reference, at a cost that does not grow with their number.
 *
 * A tree of path segments under each host. An exact pattern hangs at its last segment, a prefix at its last fixed one,
 * and a pattern with wildcard segments at the last segment in front of the first wildcard: only what shares that
 * literal beginning with the reference is ever looked at. Entries of one place are told apart by tag and digest.
 */

import type { ImageReference } from './image-reference.js'
import { matchesPath } from './path-match.js'
import type { PathPart, Pattern } from './pattern.js'

/** Anything that is found through its pattern; `ordinal` is its place in the policy, the lowest wins. */
export interface PatternEntry {
  readonly pattern: Pattern
  readonly ordinal: number
}

/**
 * What a tag proves. `allow`: a tag in the pattern never accepts a reference with a digest, because the tag beside a
 * digest proves nothing. `deny`: the written tag is caught whatever stands beside it.
 */
export type TagSemantics = 'allow' | 'deny'

/** The entries of one place in the tree, by what they say about tag and digest. */
interface Place<Entry> {
  readonly anyTag: Entry[]
  readonly byTag: Map<string, Entry[]>
  readonly byDigest: Map<string, Entry[]>
  readonly tagGlobs: Entry[]
}

interface WildcardEntry<Entry> {
  /** The parts behind the node that it hangs at. */
  readonly rest: readonly PathPart[]
  readonly place: Place<Entry>
  readonly isPrefix: boolean
}

export interface IndexNode<Entry> {
  readonly children: Map<string, IndexNode<Entry>>
  /** The first entry at or below this node: an example of what is known here. */
  readonly first: Entry
  exact: Place<Entry> | undefined
  below: Place<Entry> | undefined
  readonly wildcards: WildcardEntry<Entry>[]
}

export interface EntryIndex<Entry extends PatternEntry> {
  readonly entries: readonly Entry[]
  readonly hosts: ReadonlyMap<string, IndexNode<Entry>>
  /** By what follows the `*.`. */
  readonly wildcardHosts: ReadonlyMap<string, IndexNode<Entry>>
}

export function buildEntryIndex<Entry extends PatternEntry>(entries: readonly Entry[]): EntryIndex<Entry> {
  const hosts = new Map<string, IndexNode<Entry>>()
  const wildcardHosts = new Map<string, IndexNode<Entry>>()
  for (const entry of entries) insert(entry.pattern.isHostWildcard ? wildcardHosts : hosts, entry)
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

function insert<Entry extends PatternEntry>(roots: Map<string, IndexNode<Entry>>, entry: Entry): void {
  const { host, parts, isPrefix } = entry.pattern
  let node = childOf(roots, host, entry)
  let depth = 0
  for (const part of parts) {
    if (part.kind !== 'literal') break
    node = childOf(node.children, part.text, entry)
    depth += 1
  }
  if (depth === parts.length) {
    const place = (isPrefix ? node.below : node.exact) ?? emptyPlace<Entry>()
    if (isPrefix) node.below = place
    else node.exact = place
    addTo(place, entry)
    return
  }
  const place = emptyPlace<Entry>()
  addTo(place, entry)
  node.wildcards.push({ rest: parts.slice(depth), place, isPrefix })
}

function childOf<Entry>(children: Map<string, IndexNode<Entry>>, key: string, entry: Entry): IndexNode<Entry> {
  const known = children.get(key)
  if (known !== undefined) return known
  const node: IndexNode<Entry> = {
    children: new Map(),
    first: entry,
    exact: undefined,
    below: undefined,
    wildcards: [],
  }
  children.set(key, node)
  return node
}

function emptyPlace<Entry>(): Place<Entry> {
  return { anyTag: [], byTag: new Map(), byDigest: new Map(), tagGlobs: [] }
}

function addTo<Entry extends PatternEntry>(place: Place<Entry>, entry: Entry): void {
  const { digest, tag } = entry.pattern
  if (digest !== undefined) append(place.byDigest, digest, entry)
  else if (tag.kind === 'any') place.anyTag.push(entry)
  else if (tag.kind === 'exact') append(place.byTag, tag.tag, entry)
  else place.tagGlobs.push(entry)
}

function append<Entry>(lists: Map<string, Entry[]>, key: string, entry: Entry): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [entry])
  else list.push(entry)
}

function walk<Entry extends PatternEntry>(host: IndexNode<Entry>, search: Search<Entry>): void {
  const { segments } = search
  let node: IndexNode<Entry> | undefined = host
  for (let depth = 0; node !== undefined; depth += 1) {
    for (const { rest, isPrefix, place } of node.wildcards) {
      if (matchesPath(rest, isPrefix, segments, depth)) searchPlace(place, search)
    }
    const segment = segments[depth]
    if (segment === undefined) {
      if (node.exact !== undefined) searchPlace(node.exact, search)
      return
    }
    if (node.below !== undefined) searchPlace(node.below, search)
    node = node.children.get(segment)
  }
}

function searchPlace<Entry extends PatternEntry>(place: Place<Entry>, search: Search<Entry>): void {
  const { tag, digest } = search.reference
  consider(place.anyTag, search)
  if (digest !== undefined) consider(place.byDigest.get(digest), search)
  const doTagsCount = tag !== undefined && (digest === undefined || search.semantics === 'deny')
  if (!doTagsCount) return
  consider(place.byTag.get(tag), search)
  for (const entry of place.tagGlobs) {
    const rule = entry.pattern.tag
    if (isBetter(entry, search) && rule.kind === 'glob' && rule.matches(tag) && search.isEligible(entry)) {
      search.best = entry
    }
  }
}

/** Entries stand in policy order, so the first eligible one is the best of its list. */
function consider<Entry extends PatternEntry>(entries: readonly Entry[] | undefined, search: Search<Entry>): void {
  if (entries === undefined) return
  for (const entry of entries) {
    if (!isBetter(entry, search)) return
    if (!search.isEligible(entry)) continue
    search.best = entry
    return
  }
}

function isBetter<Entry extends PatternEntry>(entry: Entry, search: Search<Entry>): boolean {
  return search.best === undefined || entry.ordinal < search.best.ordinal
}
