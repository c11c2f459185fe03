/**
 * Shapes of decoded documents: one description is their check, their type and their JSON Schema.
 *
 * For files that people write, and for records of our own. A value is copied key by key in the order of its description,
 * so that equal documents make equal texts. Nothing is coerced.
 */

/** Keys and list indexes from the document's root. */
export type ShapePath = readonly (string | number)[]

export type ShapeProblem =
  | { readonly kind: 'unknown-key'; readonly path: ShapePath; readonly key: string }
  /** `hint`: what may be written there, as half a sentence. */
  | { readonly kind: 'missing'; readonly path: ShapePath; readonly hint: string | undefined }
  /** `message`: half a sentence, such as `must be text, and is number 3`; it quotes the document as it stands. */
  | { readonly kind: 'wrong'; readonly path: ShapePath; readonly message: string }

export type JsonSchema = Readonly<Record<string, unknown>>

export interface Shape<Value> {
  /** A copy of the value; MISFIT once its problems were told to the reading. */
  read(value: unknown, reading: Reading): Value | typeof MISFIT
  /** What may be written, in JSON Schema (2020-12). */
  jsonSchema(): JsonSchema
  /** What may be written where the value is missing, as half a sentence. */
  readonly hint?: string | undefined
  /** Undefined: the value must be there. */
  readonly presence?: Presence | undefined
}

/** Of a key: it may be missing, and then stays so; or it is read as its fallback. */
export type Presence = 'optional' | { readonly fallback: () => unknown }

export type ValueOf<Of> = Of extends Shape<infer Value> ? Value : never

/** A document while it is read: where the reader is, and what was wrong on the way there. */
export interface Reading {
  readonly path: (string | number)[]
  readonly problems: ShapeProblem[]
}

/** What does not fit. No document holds it. */
export const MISFIT = Symbol('misfit')

export type ReadShape<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly problems: readonly ShapeProblem[] }

/** The document as it is described, or all that is wrong with it. */
export function readShape<Value>(shape: Shape<Value>, value: unknown): ReadShape<Value> {
  const reading: Reading = { path: [], problems: [] }
  const read = shape.read(value, reading)
  return read === MISFIT ? { ok: false, problems: reading.problems } : { ok: true, value: read }
}

/** A problem as half a sentence, without its place. */
export function describeShapeProblem(problem: ShapeProblem): string {
  if (problem.kind === 'wrong') return problem.message
  return problem.kind === 'missing' ? 'is missing' : 'unknown key'
}

/** Tell what is wrong with the value that is being read. */
export function wrong(message: string, reading: Reading): typeof MISFIT {
  reading.problems.push({ kind: 'wrong', path: [...reading.path], message })
  return MISFIT
}

/** @param expected what the value must be, as the object of a sentence: `a list`. */
export function wrongType(expected: string, value: unknown, reading: Reading): typeof MISFIT {
  return wrong(`must be ${expected}, and is ${nameOf(value)}`, reading)
}

/** Read what stands below a key or an index. */
export function readBelow<Value>(
  step: string | number,
  shape: Shape<Value>,
  value: unknown,
  reading: Reading,
): Value | typeof MISFIT {
  reading.path.push(step)
  const read = shape.read(value, reading)
  reading.path.pop()
  return read
}

/** Without the keys whose value is undefined. */
export function given(keywords: JsonSchema): JsonSchema {
  return Object.fromEntries(Object.entries(keywords).filter(([, value]) => value !== undefined))
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function nameOf(value: unknown): string {
  if (value === null || value === undefined) return 'empty'
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' ? 'an object' : `${typeof value} ${String(value)}`
}
