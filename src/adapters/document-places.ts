/**
 * Where everything in a document stands, as flat numbers: a large policy has half a million of them.
 *
 * The nodes lie in breadth-first order, so that the children of one lie side by side; those of an object in the order of
 * its sorted keys. A path is followed through the value and the numbers at once.
 */

import { type DocumentPath, NumbersBuilder, type Position } from '../policy/index.js'

/** What is kept of a node. */
const START = 0
const KEY_START = 1
const TEXT_SHIFT = 2
const FIRST_CHILD = 3
const CHILDREN = 4
const FIELDS = 5
/** The text of a block scalar begins on a later line, and a list has none: problems in it stand at its start. */
const NO_TEXT = 2

/** Of objects that are never changed: every entry of a long list is looked for through the same two or three. */
const knownKeys = new WeakMap<object, readonly string[]>()

export interface DocumentPlaces {
  /** Where each line begins, in characters from the start of the file. */
  readonly lineStarts: Uint32Array<ArrayBuffer>
  readonly nodes: Uint32Array<ArrayBuffer>
}

/** A node as the parser gives it. Places count characters from the start of the file. */
export interface PlacedNode {
  readonly start: number
  /** Where its key stands; for an item of a list, where it stands itself. */
  readonly keyStart: number
  /** Characters between the start and the text: 0 plain, 1 behind a quote; undefined when it has no text of one line. */
  readonly textShift: 0 | 1 | undefined
}

/** Gathers nodes, parents first; the children of one must be added together. */
export class PlacesBuilder {
  readonly #numbers = new NumbersBuilder()

  /** @returns the node's number. */
  add({ start, keyStart, textShift }: PlacedNode): number {
    const at = this.#numbers.extend(FIELDS)
    const { values } = this.#numbers
    values[at + START] = start
    values[at + KEY_START] = keyStart
    values[at + TEXT_SHIFT] = textShift ?? NO_TEXT
    return at / FIELDS
  }

  /** The children of a node follow now. */
  beginChildren(node: number): void {
    this.#numbers.values[node * FIELDS + FIRST_CHILD] = this.#numbers.length / FIELDS
  }

  endChildren(node: number): void {
    const first = this.#numbers.values[node * FIELDS + FIRST_CHILD] ?? 0
    this.#numbers.values[node * FIELDS + CHILDREN] = this.#numbers.length / FIELDS - first
  }

  build(lineStarts: Uint32Array<ArrayBuffer>): DocumentPlaces {
    return { lineStarts, nodes: this.#numbers.build() }
  }
}

/** Where each line of a text begins. */
export function lineStartsOf(text: string): Uint32Array<ArrayBuffer> {
  const starts = [0]
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return Uint32Array.from(starts)
}

/** The order in which the children of an object are placed: it survives whatever rebuilds the object. */
export function sortedKeysOf(value: object): readonly string[] {
  const known = knownKeys.get(value)
  if (known !== undefined) return known
  const keys = Object.keys(value).toSorted()
  knownKeys.set(value, keys)
  return keys
}

/** Where the value at a path begins, or that character of its text; where there is none, the nearest thing above it. */
export function locateValue(places: DocumentPlaces, value: unknown, path: DocumentPath, offset?: number): Position {
  const { node, isWhole } = follow(places, value, path)
  const shift = fieldOf(places, node, TEXT_SHIFT)
  const isInside = isWhole && offset !== undefined && shift !== NO_TEXT
  return positionOf(places, fieldOf(places, node, START) + (isInside ? shift + offset : 0))
}

/** Where the key at the end of a path stands. */
export function locateKey(places: DocumentPlaces, value: unknown, path: DocumentPath): Position {
  const { node, isWhole } = follow(places, value, path)
  return positionOf(places, fieldOf(places, node, isWhole ? KEY_START : START))
}

function follow(
  places: DocumentPlaces,
  root: unknown,
  path: DocumentPath,
): { readonly node: number; readonly isWhole: boolean } {
  let node = 0
  let value = root
  for (const step of path) {
    const child = childOf(value, step)
    if (child === undefined || child.index >= fieldOf(places, node, CHILDREN)) return { node, isWhole: false }
    node = fieldOf(places, node, FIRST_CHILD) + child.index
    value = child.value
  }
  return { node, isWhole: true }
}

function childOf(
  value: unknown,
  step: string | number,
): { readonly index: number; readonly value: unknown } | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  if (Array.isArray(value)) {
    return typeof step === 'number' && step < value.length ? { index: step, value: value[step] } : undefined
  }
  const index = sortedKeysOf(value).indexOf(String(step))
  return index === -1 ? undefined : { index, value: Reflect.get(value, step) }
}

function fieldOf({ nodes }: DocumentPlaces, node: number, field: number): number {
  return nodes[node * FIELDS + field] ?? 0
}

/** The last line that begins at or before the place. */
function positionOf({ lineStarts }: DocumentPlaces, at: number): Position {
  let low = 0
  let high = lineStarts.length - 1
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if ((lineStarts[middle] ?? 0) <= at) low = middle
    else high = middle - 1
  }
  return { line: low + 1, column: at - (lineStarts[low] ?? 0) + 1 }
}
