/** Expressions that meet the arguments of strangers: none may cost more than time in proportion to the text. */

import * as z from 'zod'

/** Longer texts are cut: what lies beyond is not looked at. */
export const MAX_TEXT = 64 * 1024
const MAX_LENGTH = 500
/** The most that one quantifier may ask for. */
const MAX_REPEATS = 253

/**
 * Why an expression cannot be used, as half a sentence; undefined when it can.
 *
 * Without `*`, `+` and `{n,}` an attempt at one place of the text ends after a bounded number of steps, and so the whole
 * takes time in proportion to the text. Look-arounds and back references are refused with them.
 */
export function problemOfExpression(source: string): string | undefined {
  if (source.length > MAX_LENGTH) return `is longer than ${MAX_LENGTH} characters`
  const bare = source.replace(/\\./gs, 'x').replace(/\[[^\]]*\]/g, 'x')
  if (/[*+]/.test(bare)) return 'holds an unbounded repetition'
  if (/\{\d*,\}/.test(bare)) return 'holds an unbounded repetition'
  if (/\(\?[^:]/.test(bare) || /\\[1-9k]/.test(source)) return 'holds a look-around, a named group or a back reference'
  for (const [, digits = ''] of bare.matchAll(/\{(?:\d+,)?(\d+)\}/g)) {
    if (Number(digits) > MAX_REPEATS) return `repeats more than ${MAX_REPEATS} times`
  }
  try {
    new RegExp(source, 'u')
  } catch {
    return 'is no regular expression'
  }
  return undefined
}

export function schemaOfExpression() {
  return z.string().superRefine((source, context) => {
    const problem = problemOfExpression(source)
    if (problem !== undefined) context.addIssue(problem)
  })
}

export function compileExpression(source: string): RegExp {
  return new RegExp(source, 'u')
}
