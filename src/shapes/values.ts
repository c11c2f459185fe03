/** Shapes of single values: text, choices, numbers. */

import { given, type Shape, wrong, wrongType } from './shape.js'

export interface TextLimits {
  /** UTF-16 code units. */
  readonly min?: number
  readonly max?: number
  readonly pattern?: RegExp
  /** What the pattern asks for, as half a sentence: `is no name of a program`. */
  readonly otherwise?: string
  /** Told to readers of the JSON Schema, and not checked. */
  readonly format?: string
  /** Why a text cannot be used, as half a sentence. */
  readonly problemOf?: (text: string) => string | undefined
}

export function text(limits: TextLimits = {}): Shape<string> {
  const { min, max, pattern, format } = limits
  return {
    read(value, reading) {
      if (typeof value !== 'string') return wrongType('text', value, reading)
      const problem = problemOfText(value, limits)
      return problem === undefined ? value : wrong(problem, reading)
    },
    jsonSchema: () => given({ type: 'string', format, minLength: min, maxLength: max, pattern: pattern?.source }),
  }
}

/** One of some texts or numbers. */
export function choice<const Value extends string | number>(
  values: readonly Value[],
): Shape<Value> & { readonly values: readonly Value[] } {
  const known = values.map(value => JSON.stringify(value)).join(' or ')
  const type = typeof values[0]
  return {
    values,
    hint: `write ${known}`,
    read: (value, reading) => values.find(each => each === value) ?? wrongType(known, value, reading),
    jsonSchema: () => (values.length === 1 ? { type, const: values[0] } : { type, enum: values }),
  }
}

export function flag(): Shape<boolean> {
  return {
    read: (value, reading) => (typeof value === 'boolean' ? value : wrongType('true or false', value, reading)),
    jsonSchema: () => ({ type: 'boolean' }),
  }
}

/** Any number. */
export function quantity(): Shape<number> {
  return {
    read: (value, reading) => (Number.isFinite(value) ? Number(value) : wrongType('a number', value, reading)),
    jsonSchema: () => ({ type: 'number' }),
  }
}

/** A whole number; without a `max`, up to the greatest that is exact. */
export function whole(min: number, max: number = Number.MAX_SAFE_INTEGER): Shape<number> {
  const range = max === Number.MAX_SAFE_INTEGER ? `${min} or more` : `${min} to ${max}`
  return {
    read: (value, reading) =>
      typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max
        ? value
        : wrongType(`a whole number, ${range}`, value, reading),
    jsonSchema: () => ({ type: 'integer', minimum: min, maximum: max }),
  }
}

function problemOfText(value: string, { min, max, pattern, otherwise, problemOf }: TextLimits): string | undefined {
  if (min !== undefined && value.length < min) return 'must not be empty'
  if (max !== undefined && value.length > max) return `is longer than ${max} characters`
  if (pattern !== undefined && !pattern.test(value)) return otherwise ?? `must match ${pattern.source}`
  return problemOf?.(value)
}
