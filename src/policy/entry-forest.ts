/**
 * The trees that entries hang in, one for each list of a policy: under each host, a step for each part of a path.
 *
 * Steps are shared: patterns that begin alike have their beginning in common, wildcards included, so that a segment is
 * held against each of them once. An exact pattern hangs at its last step, a prefix at the step in front of its star.
 * Entries of one place are told apart by tag and digest, which are steps too.
 *
 * All of it is flat numbers: a thread can build a hundred thousand entries and hand them over without a copy, nobody
 * waits for a collector that follows a million references, and an entry takes a tenth of the memory. Node 0, entry 0
 * and text 0 are none. The steps of all nodes are found through one table, by the number of the node and the text.
 */

import { type FlatTexts, isTextAt, textAt } from './flat-numbers.js'
import type { Origin } from './policy-problem.js'

/** What is kept of a node. Its children, globs and entries are rings: what is kept is the last, which leads to the first. */
export const HASH = 0
export const PARENT = 1
/** The text of the step. A glob's holds a star, and a literal one's never does. */
export const NAME = 2
/** The first entry at or below this node: an example of what is known here. */
export const FIRST_ENTRY = 3
export const LAST_CHILD = 4
export const LAST_GLOB = 5
export const NEXT_NODE = 6
/** Behind a `**`: reached at this segment and at every later one. */
export const ANY_DEPTH = 7
/** What ends here, and what is meant with all that is below: a node whose steps are tags, globs of tags, and digests. */
export const EXACT = 8
export const BELOW = 9
export const LAST_ENTRY = 10
/** Of a glob: its place among `globs`. */
export const GLOB = 11
export const NODE_FIELDS = 12

/** What is kept of an entry; texts by number. */
export const PATTERN = 0
export const FILE = 1
export const LINE = 2
export const COLUMN = 3
export const REASON = 4
export const FIX = 5
export const NEXT_ENTRY = 6
export const ENTRY_FIELDS = 7

const HASH_PRIME = 0x01000193

export interface EntryForest {
  readonly nodes: Uint32Array<ArrayBuffer>
  readonly entries: Uint32Array<ArrayBuffer>
  /** Where a step is looked for first, and then the next ones: numbers of nodes; a power of two, never full. */
  readonly slots: Uint32Array<ArrayBuffer>
  readonly texts: FlatTexts
  /** The numbers of the texts that are globs, each once. */
  readonly globs: Uint32Array<ArrayBuffer>
}

/** The entries of one list, numbered in policy order; the lowest that accepts an image wins. */
export interface EntryTree {
  /** The node whose steps are hosts, and that whose steps are what follows a `*.`. */
  readonly hosts: number
  readonly wildcardHosts: number
  /** The first entry, and the one behind the last. */
  readonly from: number
  readonly to: number
}

export function nodeField({ nodes }: Pick<EntryForest, 'nodes'>, node: number, field: number): number {
  return nodes[node * NODE_FIELDS + field] ?? 0
}

export function entryField({ entries }: Pick<EntryForest, 'entries'>, entry: number, field: number): number {
  return entries[entry * ENTRY_FIELDS + field] ?? 0
}

/** The step of that text, or 0. */
export function childOf(
  { nodes, slots, texts }: Pick<EntryForest, 'nodes' | 'slots' | 'texts'>,
  parent: number,
  text: string,
  hash = hashStep(parent, text),
): number {
  const mask = slots.length - 1
  for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
    const node = slots[slot] ?? 0
    if (node === 0) return 0
    const at = node * NODE_FIELDS
    if (nodes[at + HASH] !== hash || nodes[at + PARENT] !== parent) continue
    if (isTextAt(texts, nodes[at + NAME] ?? 0, text)) return node
  }
}

/** FNV-1a, with its bits mixed once more. Whoever chooses the images does not choose what is in the table. */
export function hashStep(parent: number, text: string): number {
  let hash = Math.imul(parent, 0x9e3779b1) ^ 0x811c9dc5
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), HASH_PRIME)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return (hash ^ (hash >>> 13)) >>> 0
}

/** The nodes of a ring, in the order in which they were added. */
export function* ringOf(forest: Pick<EntryForest, 'nodes'>, last: number): Generator<number, undefined> {
  for (let node = last; last !== 0; ) {
    node = nodeField(forest, node, NEXT_NODE)
    yield node
    if (node === last) return
  }
}

export function patternText(forest: EntryForest, entry: number): string {
  return textAt(forest.texts, entryField(forest, entry, PATTERN))
}

export function originOf(forest: Pick<EntryForest, 'entries' | 'texts'>, entry: number): Origin {
  return {
    file: textAt(forest.texts, entryField(forest, entry, FILE)),
    line: entryField(forest, entry, LINE),
    column: entryField(forest, entry, COLUMN),
  }
}

/** A text that an entry may have. */
export function noteOf(forest: EntryForest, entry: number, field: number): string | undefined {
  const number = entryField(forest, entry, field)
  return number === 0 ? undefined : textAt(forest.texts, number)
}
