/** The files of rules beside the catalogue, and the catalogue itself: held to their schemas, with sentences for errors. */

import type * as z from 'zod'
import { KnownError } from '../errors.js'
import { escapeForeign } from './escape-foreign.js'

/** Each file is read once in a run; to compile the checks of its objects first would take longer than the checks. */
const ONCE = { jitless: true } as const

export interface RuleSource {
  /** The decoded JSON. */
  readonly data: unknown
  /** Its name, for messages. */
  readonly file: string
  /** It is, to the byte, what was read without a fault when the program was built: to do it again takes longer than the rest. */
  readonly isChecked?: boolean
}

/**
 * @param schemaOf makes the schema: what is not checked does not pay for it.
 * @throws KnownError POLICY_INVALID that names the file and the field; the first problem only.
 */
export function readRuleFile<Schema extends z.ZodType>(
  schemaOf: () => Schema,
  { data, file, isChecked }: RuleSource,
): z.infer<Schema> {
  // The schemas of rules have no fallbacks: what fits is what would be read.
  if (isChecked === true) return data as z.infer<Schema>
  const parsed = schemaOf().safeParse(data, ONCE)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw ruleFileError(file, fieldOf(data, issue?.path ?? []), escapeForeign(issue?.message ?? 'is invalid', 300))
}

export function ruleFileError(file: string, where: string, problem: string): KnownError {
  return new KnownError('POLICY_INVALID', `${file}: ${where === '' ? '' : `${where}: `}${problem}`)
}

/** `tools[3] (nmap).patterns[0]`: an index alone is hard to find in a file of hundreds of lines. */
function fieldOf(data: unknown, path: readonly PropertyKey[]): string {
  let text = ''
  let value = data
  for (const step of path) {
    text += typeof step === 'number' ? `[${step}]` : `${text === '' ? '' : '.'}${escapeForeign(String(step), 100)}`
    value = childOf(value, step)
    const named = childOf(value, 'name')
    if (typeof step === 'number' && typeof named === 'string') text += ` (${escapeForeign(named, 100)})`
  }
  return text
}

function childOf(value: unknown, key: PropertyKey): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined
}
