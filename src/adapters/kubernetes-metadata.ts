/** The common part of Kubernetes objects, read tolerantly: objects are others' text, also when an API server sends them. */

import type { FieldWriter, KnownOwner, Labels } from '../correlator/inventory.js'

export type JsonObject = Readonly<Record<string, unknown>>

/** `problem` is half a sentence that quotes nothing from the object. */
export type Decoded<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly problem: string }

export interface Metadata {
  readonly name: string
  /** Empty for what is in no namespace. */
  readonly namespace: string
  readonly uid: string | undefined
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly generation: number | undefined
  readonly labels: Labels
  readonly annotations: Labels
  /** The owner with `controller: true`. */
  readonly controller: KnownOwner | undefined
  readonly hasNodeOwner: boolean
  readonly writes: readonly FieldWrite[]
}

/** One entry of `managedFields`. */
export interface FieldWrite {
  readonly writer: FieldWriter
  /** `FieldsV1`: `f:spec`, `f:containers`, `k:{"name":"app"}`, … */
  readonly fields: JsonObject
}

/** Of an object with a name and a time of creation, which everything that an API server holds has. */
export function decodeMetadata(object: JsonObject): Decoded<Metadata> {
  const metadata = recordOf(object['metadata'])
  const name = textOf(metadata['name'])
  if (name === undefined) return { ok: false, problem: 'it has no metadata.name' }
  const createdAt = timeOf(metadata['creationTimestamp'])
  if (createdAt === undefined) return { ok: false, problem: 'it has no metadata.creationTimestamp' }
  const owners = listOf(metadata['ownerReferences']).map(recordOf)
  const value = {
    name,
    namespace: textOf(metadata['namespace']) ?? '',
    uid: textOf(metadata['uid']),
    createdAt,
    generation: countOf(metadata['generation']),
    labels: textsOf(metadata['labels']),
    annotations: textsOf(metadata['annotations']),
    controller: ownerOf(owners.find(owner => owner['controller'] === true)),
    hasNodeOwner: owners.some(owner => owner['kind'] === 'Node' && owner['apiVersion'] === 'v1'),
    writes: listOf(metadata['managedFields']).flatMap(writeOf),
  }
  return { ok: true, value }
}

/** The latest writer of whatever stands at a path of `FieldsV1` keys. */
export function writerOf(writes: readonly FieldWrite[], path: readonly string[]): FieldWriter | undefined {
  return latest(writes.filter(({ fields }) => has(fields, path)).map(({ writer }) => writer))
}

function latest(writers: readonly FieldWriter[]): FieldWriter | undefined {
  return writers.reduce<FieldWriter | undefined>(
    (last, writer) => (last === undefined || writer.at >= last.at ? writer : last),
    undefined,
  )
}

export function recordOf(value: unknown): JsonObject {
  return isRecord(value) ? value : {}
}

export function isRecord(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

/** An empty string says nothing more than a missing field does. */
export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

export function countOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined
}

export function timeOf(value: unknown): number | undefined {
  const time = typeof value === 'string' ? Date.parse(value) : Number.NaN
  return Number.isNaN(time) ? undefined : time
}

/** Values that are no text are left out. Frozen: the policy remembers what it made of labels by their identity. */
export function textsOf(value: unknown): Labels {
  const pairs = Object.entries(recordOf(value)).filter((pair): pair is [string, string] => typeof pair[1] === 'string')
  return Object.freeze(Object.fromEntries(pairs))
}

function ownerOf(owner: JsonObject | undefined): KnownOwner | undefined {
  const kind = textOf(owner?.['kind'])
  const name = textOf(owner?.['name'])
  if (kind === undefined || name === undefined) return undefined
  return { kind, name, uid: textOf(owner?.['uid']) ?? '' }
}

function writeOf(entry: unknown): readonly FieldWrite[] {
  const { manager, operation, subresource, time, fieldsV1 } = recordOf(entry)
  const at = timeOf(time)
  if (at === undefined || !isRecord(fieldsV1)) return []
  const writer = {
    manager: textOf(manager) ?? '',
    operation: textOf(operation) ?? '',
    subresource: textOf(subresource),
    at,
  }
  return [{ writer, fields: fieldsV1 }]
}

function has(fields: JsonObject, path: readonly string[]): boolean {
  let value: unknown = fields
  for (const key of path) {
    if (!isRecord(value) || !Object.hasOwn(value, key)) return false
    value = value[key]
  }
  return true
}
