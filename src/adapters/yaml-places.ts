/** From the nodes of a YAML document to the places of its value's parts. */

import { isMap, isNode, isPair, isScalar, isSeq, type Node, type YAMLMap, type YAMLSeq } from 'yaml'
import { type PlacedNode, PlacesBuilder, sortedKeysOf } from './document-places.js'
import type { ListItem } from './list-items.js'

/** Runs of list items that the document has stand-ins for. */
export interface Unfolding {
  readonly runs: ReadonlyMap<string, readonly ListItem[]>
  toOriginal(at: number): number
  /** Gathers the stand-ins that were met as items of lists. */
  readonly found: Set<string>
}

const NO_RUNS: Unfolding = { runs: new Map(), toOriginal: at => at, found: new Set() }

/** A part of the document whose children are still to be placed. */
interface Open {
  readonly number: number
  readonly start: number
  /** As the parser gives it, or an item of a run. */
  readonly node: unknown
  readonly value: object
  readonly item?: ListItem
}

/**
 * @param value what the document says in JavaScript. Its lists are changed: runs are put in for their stand-ins.
 */
export function placesOf(contents: unknown, value: unknown, unfolding = NO_RUNS): PlacesBuilder {
  const builder = new PlacesBuilder()
  const queue: Open[] = []
  const add = (node: unknown, inner: unknown, key: Node | undefined, parentStart: number): void => {
    const placed = placeOf(node, key, parentStart, unfolding)
    const number = builder.add(placed)
    if (typeof inner === 'object' && inner !== null) queue.push({ number, start: placed.start, node, value: inner })
  }
  add(contents, value, undefined, 0)
  const addRun = (run: readonly ListItem[]): void => {
    for (const item of run) {
      const { value: inner, start, textShift } = item
      const number = builder.add({ start, keyStart: start, textShift })
      if (typeof inner === 'object') queue.push({ number, start, node: undefined, value: inner, item })
    }
  }
  for (const { number, start, node, value: outer, item: ofRun } of queue) {
    builder.beginChildren(number)
    if (ofRun !== undefined) for (const field of ofRun.fields) builder.add(field)
    else if (isSeq(node) && Array.isArray(outer))
      addItems(node, outer, unfolding, (item, inner) => add(item, inner, undefined, start), addRun)
    else if (isMap(node)) addPairs(node, outer, (item, inner, key) => add(item, inner, key, start))
    builder.endChildren(number)
  }
  return builder
}

function addItems(
  { items }: YAMLSeq,
  values: unknown[],
  { runs, found }: Unfolding,
  add: (item: unknown, value: unknown) => void,
  addRun: (run: readonly ListItem[]) => void,
): void {
  const folded = values.splice(0)
  for (const [index, item] of items.entries()) {
    const name = isScalar(item) && typeof item.value === 'string' ? item.value : undefined
    const run = name === undefined ? undefined : runs.get(name)
    if (name === undefined || run === undefined) {
      values.push(folded[index])
      add(item, folded[index])
      continue
    }
    found.add(name)
    for (const { value } of run) values.push(value)
    addRun(run)
  }
}

function addPairs(
  map: YAMLMap,
  value: object,
  add: (item: unknown, value: unknown, key: Node | undefined) => void,
): void {
  const pairs = new Map(map.items.filter(isPair).map(pair => [keyText(pair.key), pair]))
  for (const key of sortedKeysOf(value)) {
    const pair = pairs.get(key)
    add(pair?.value, Reflect.get(value, key), isNode(pair?.key) ? pair.key : undefined)
  }
}

function keyText(key: unknown): string {
  const value = isScalar(key) ? key.value : key
  return value === null ? '' : String(value)
}

/** A part without a place of its own (an empty value behind its key) stands where its key, or what holds it, does. */
function placeOf(node: unknown, key: Node | undefined, parentStart: number, { toOriginal }: Unfolding): PlacedNode {
  const keyAt = key?.range?.[0]
  const at = isNode(node) ? node.range?.[0] : undefined
  const keyStart = keyAt === undefined ? undefined : toOriginal(keyAt)
  const start = at === undefined ? (keyStart ?? parentStart) : toOriginal(at)
  return { start, keyStart: keyStart ?? start, textShift: textShiftOf(node) }
}

function textShiftOf(node: unknown): PlacedNode['textShift'] {
  if (!isScalar(node)) return undefined
  if (node.type === 'PLAIN') return 0
  return node.type === 'QUOTE_SINGLE' || node.type === 'QUOTE_DOUBLE' ? 1 : undefined
}
