/** Hangs entries into trees, list by list. */

import {
  ANY_DEPTH,
  BELOW,
  COLUMN,
  childOf,
  ENTRY_FIELDS,
  type EntryForest,
  type EntryTree,
  EXACT,
  FILE,
  FIRST_ENTRY,
  FIX,
  GLOB,
  HASH,
  hashStep,
  LAST_CHILD,
  LAST_ENTRY,
  LAST_GLOB,
  LINE,
  NAME,
  NEXT_ENTRY,
  NEXT_NODE,
  NODE_FIELDS,
  originOf,
  PARENT,
  PATTERN,
  REASON,
} from './entry-forest.js'
import { NumbersBuilder, TextsBuilder } from './flat-numbers.js'
import type { PathPart, Pattern } from './pattern.js'
import type { Origin } from './policy-problem.js'

/** What is said of an entry, and where. */
export interface EntryFacts {
  readonly at: Origin
  readonly reason?: string | undefined
  readonly fix?: string | undefined
}

export class ForestBuilder {
  readonly #nodes = new NumbersBuilder()
  readonly #entries = new NumbersBuilder()
  readonly #globs = new NumbersBuilder()
  readonly #placesOfGlobs = new Map<string, number>()
  readonly texts = new TextsBuilder()
  slots = new Uint32Array(256)
  #stepCount = 0

  constructor() {
    this.#nodes.extend(NODE_FIELDS)
    this.#entries.extend(ENTRY_FIELDS)
  }

  get nodes(): Uint32Array<ArrayBuffer> {
    return this.#nodes.values
  }

  get entries(): Uint32Array<ArrayBuffer> {
    return this.#entries.values
  }

  /** Entries of a tree must be inserted one after the other; `endTree` says that it is whole. */
  beginTree(): EntryTree {
    const from = this.#entries.length / ENTRY_FIELDS
    return { hosts: this.#addNode(0, from), wildcardHosts: this.#addNode(0, from), from, to: from }
  }

  endTree(tree: EntryTree): EntryTree {
    return { ...tree, to: this.#entries.length / ENTRY_FIELDS }
  }

  /** @returns where the first entry stands that says the same of images; undefined without one. */
  insert(tree: EntryTree, pattern: Pattern, facts: EntryFacts): Origin | undefined {
    const { host, isHostWildcard, parts, isPrefix, tag, digest } = pattern
    const entry = this.#addEntry(pattern.text, facts)
    let node = this.#stepOf(isHostWildcard ? tree.wildcardHosts : tree.hosts, host, LAST_CHILD, entry)
    for (const part of parts) node = this.#step(node, part, entry)
    node = this.#own(node, isPrefix ? BELOW : EXACT, entry)
    // No tag holds a colon, and every digest does: they do not get in each other's way.
    if (digest !== undefined) node = this.#stepOf(node, digest, LAST_CHILD, entry)
    else if (tag.kind === 'exact') node = this.#stepOf(node, tag.tag, LAST_CHILD, entry)
    else if (tag.kind === 'glob') node = this.#stepOf(node, tag.text, LAST_GLOB, entry)
    const first = this.#hang(node, entry)
    return first === entry ? undefined : originOf(this, first)
  }

  build(): EntryForest {
    return {
      nodes: this.#nodes.build(),
      entries: this.#entries.build(),
      slots: this.slots,
      texts: this.texts.build(),
      globs: this.#globs.build(),
    }
  }

  #addEntry(text: string, { at, reason, fix }: EntryFacts): number {
    const start = this.#entries.extend(ENTRY_FIELDS)
    const { values } = this.#entries
    values[start + PATTERN] = this.texts.add(text)
    values[start + FILE] = this.texts.addOnce(at.file)
    values[start + LINE] = at.line
    values[start + COLUMN] = at.column
    values[start + REASON] = this.texts.addOnce(reason)
    values[start + FIX] = this.texts.addOnce(fix)
    return start / ENTRY_FIELDS
  }

  /** @returns the first entry of the node. */
  #hang(node: number, entry: number): number {
    const last = this.#get(node, LAST_ENTRY)
    const { values } = this.#entries
    const link = entry * ENTRY_FIELDS + NEXT_ENTRY
    const first = last === 0 ? entry : (values[last * ENTRY_FIELDS + NEXT_ENTRY] ?? entry)
    values[link] = first
    if (last !== 0) values[last * ENTRY_FIELDS + NEXT_ENTRY] = entry
    this.#set(node, LAST_ENTRY, entry)
    return first
  }

  #step(node: number, part: PathPart, entry: number): number {
    if (typeof part === 'string') return this.#stepOf(node, part, LAST_CHILD, entry)
    return part.kind === 'any-depth'
      ? this.#own(node, ANY_DEPTH, entry)
      : this.#stepOf(node, part.text, LAST_GLOB, entry)
  }

  /** The one node that a field of another leads to. */
  #own(node: number, field: number, entry: number): number {
    const known = this.#get(node, field)
    if (known !== 0) return known
    const added = this.#addNode(node, entry)
    this.#set(node, field, added)
    return added
  }

  #stepOf(parent: number, text: string, ring: typeof LAST_CHILD | typeof LAST_GLOB, entry: number): number {
    const hash = hashStep(parent, text)
    const known = childOf(this, parent, text, hash)
    if (known !== 0) return known
    const node = this.#addNode(parent, entry)
    if (ring === LAST_GLOB) this.#nameGlob(node, text)
    else this.#set(node, NAME, this.texts.add(text))
    this.#set(node, HASH, hash)
    this.#link(parent, ring, node)
    this.#stepCount += 1
    if (2 * this.#stepCount > this.slots.length) this.#growSlots()
    else this.#occupy(node)
    return node
  }

  #nameGlob(node: number, text: string): void {
    const name = this.texts.addOnce(text)
    let place = this.#placesOfGlobs.get(text)
    if (place === undefined) {
      place = this.#globs.extend(1)
      this.#globs.values[place] = name
      this.#placesOfGlobs.set(text, place)
    }
    this.#set(node, NAME, name)
    this.#set(node, GLOB, place)
  }

  #addNode(parent: number, entry: number): number {
    const node = this.#nodes.extend(NODE_FIELDS) / NODE_FIELDS
    this.#set(node, PARENT, parent)
    this.#set(node, FIRST_ENTRY, entry)
    return node
  }

  #link(parent: number, field: number, node: number): void {
    const last = this.#get(parent, field)
    this.#set(node, NEXT_NODE, last === 0 ? node : this.#get(last, NEXT_NODE))
    if (last !== 0) this.#set(last, NEXT_NODE, node)
    this.#set(parent, field, node)
  }

  #growSlots(): void {
    const former = this.slots
    this.slots = new Uint32Array(4 * former.length)
    for (let node = 1; node * NODE_FIELDS < this.#nodes.length; node += 1) {
      if (this.#get(node, NAME) !== 0) this.#occupy(node)
    }
  }

  #occupy(node: number): void {
    const mask = this.slots.length - 1
    let slot = this.#get(node, HASH) & mask
    while (this.slots[slot] !== 0) slot = (slot + 1) & mask
    this.slots[slot] = node
  }

  #get(node: number, field: number): number {
    return this.#nodes.values[node * NODE_FIELDS + field] ?? 0
  }

  #set(node: number, field: number, value: number): void {
    this.#nodes.values[node * NODE_FIELDS + field] = value
  }
}
