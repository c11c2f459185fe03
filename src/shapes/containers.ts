/** Shapes that hold others: lists, tables, objects, and what may be missing. */

import {
  given,
  isObject,
  type JsonSchema,
  MISFIT,
  type Reading,
  readBelow,
  type Shape,
  type ValueOf,
  wrong,
  wrongType,
} from './shape.js'

type Fields = Readonly<Record<string, Shape<unknown>>>
type OptionalKeys<Of extends Fields> = {
  [Key in keyof Of]: Of[Key] extends { readonly presence: 'optional' } ? Key : never
}[keyof Of]
type Flat<Of> = { [Key in keyof Of]: Of[Key] }

/** What an object of such fields is read as. */
export type ObjectOf<Of extends Fields> = Flat<
  { readonly [Key in Exclude<keyof Of, OptionalKeys<Of>>]: ValueOf<Of[Key]> } & {
    readonly [Key in OptionalKeys<Of>]?: ValueOf<Of[Key]> | undefined
  }
>

export function list<Value>(
  item: Shape<Value>,
  { min, max }: { readonly min?: number; readonly max?: number } = {},
): Shape<readonly Value[]> {
  return {
    read(value, reading) {
      if (!Array.isArray(value)) return wrongType('a list', value, reading)
      if (min !== undefined && value.length < min) return wrong('must not be empty', reading)
      if (max !== undefined && value.length > max) return wrong(`has more than ${max} items`, reading)
      const items: Value[] = []
      for (const [index, each] of value.entries()) {
        const read = readBelow(index, item, each, reading)
        if (read !== MISFIT) items.push(read)
      }
      return items.length === value.length ? items : MISFIT
    },
    jsonSchema: () => given({ type: 'array', minItems: min, maxItems: max, items: item.jsonSchema() }),
  }
}

/** An object with whatever keys. */
export function table<Value>(item: Shape<Value>): Shape<Readonly<Record<string, Value>>> {
  return {
    read(value, reading) {
      if (!isObject(value)) return wrongType('an object', value, reading)
      const keys = Object.keys(value)
      const entries: [string, Value][] = []
      for (const key of keys) {
        const read = readBelow(key, item, value[key], reading)
        if (read !== MISFIT) entries.push([key, read])
      }
      // Makes own properties of them, `__proto__` too.
      return entries.length === keys.length ? Object.fromEntries(entries) : MISFIT
    },
    jsonSchema: () => ({
      type: 'object',
      propertyNames: { type: 'string' },
      additionalProperties: item.jsonSchema(),
    }),
  }
}

/** An object with these keys and no others: a mistyped key must not go unseen. */
export function object<const Of extends Fields>(fields: Of): Shape<ObjectOf<Of>> {
  const { read, jsonSchema } = openObject(fields)
  return {
    read(value, reading) {
      const strangers = isObject(value) ? Object.keys(value).filter(key => !Object.hasOwn(fields, key)) : []
      for (const key of strangers) reading.problems.push({ kind: 'unknown-key', path: [...reading.path, key], key })
      const copy = read(value, reading)
      return strangers.length === 0 ? copy : MISFIT
    },
    jsonSchema: () => ({ ...jsonSchema(), additionalProperties: false }),
  }
}

/** An object with these keys; others are left out: a newer version may have added them. */
export function openObject<const Of extends Fields>(fields: Of): Shape<ObjectOf<Of>> & { readonly fields: Of } {
  const named = Object.entries(fields)
  return {
    fields,
    read(value, reading) {
      if (!isObject(value)) return wrongType('an object', value, reading)
      const copy: Record<string, unknown> = {}
      let isWhole = true
      for (const [key, shape] of named) isWhole = readField(key, shape, value, copy, reading) && isWhole
      // The one place where what was checked becomes a type: each key by its own shape.
      return isWhole ? (copy as ObjectOf<Of>) : MISFIT
    },
    jsonSchema: () => ({
      type: 'object',
      properties: Object.fromEntries(named.map(([key, shape]) => [key, shape.jsonSchema()])),
      ...requiredOf(named),
    }),
  }
}

/** The key may be missing. */
export function optional<Of extends Shape<unknown>>(shape: Of): Of & { readonly presence: 'optional' } {
  return { ...shape, presence: 'optional' }
}

/** The key may be missing, and is then read as what `fallback` makes. */
export function withFallback<Value>(shape: Shape<Value>, fallback: () => Value): Shape<Value> {
  return { ...shape, presence: { fallback }, jsonSchema: () => ({ ...shape.jsonSchema(), default: fallback() }) }
}

export function nullable<Value>(shape: Shape<Value>): Shape<Value | null> {
  return {
    read: (value, reading) => (value === null ? null : shape.read(value, reading)),
    jsonSchema() {
      const { type, ...more } = shape.jsonSchema()
      const isPlain = Object.keys(more).length === 0
      return isPlain ? { type: [type, 'null'] } : { anyOf: [{ type, ...more }, { type: 'null' }] }
    },
  }
}

/** Text, or an object that says more. @param forms what may stand there, as the object of a sentence. */
export function textOr<Value>(plain: Shape<string>, full: Shape<Value>, forms: string): Shape<string | Value> {
  return {
    read(value, reading) {
      if (typeof value === 'string') return plain.read(value, reading)
      return isObject(value) ? full.read(value, reading) : wrongType(forms, value, reading)
    },
    jsonSchema: () => ({ anyOf: [plain.jsonSchema(), full.jsonSchema()] }),
  }
}

/** With a sentence for readers of the JSON Schema. */
export function described<Of extends Shape<unknown>>(description: string, shape: Of): Of {
  return { ...shape, jsonSchema: () => ({ ...shape.jsonSchema(), description }) }
}

/** Whether the field is as it must be, which it may be by its absence. */
function readField(
  key: string,
  shape: Shape<unknown>,
  value: Readonly<Record<string, unknown>>,
  copy: Record<string, unknown>,
  reading: Reading,
): boolean {
  const { presence } = shape
  const written = Object.hasOwn(value, key) ? value[key] : undefined
  if (written !== undefined) {
    const read = readBelow(key, shape, written, reading)
    copy[key] = read
    return read !== MISFIT
  }
  if (presence === undefined) {
    reading.problems.push({ kind: 'missing', path: [...reading.path, key], hint: shape.hint })
    return false
  }
  if (presence !== 'optional') copy[key] = presence.fallback()
  return true
}

function requiredOf(named: readonly (readonly [string, Shape<unknown>])[]): JsonSchema {
  const required = named.filter(([, { presence }]) => presence === undefined).map(([key]) => key)
  return required.length === 0 ? {} : { required }
}
