/** The files of rules beside the catalogue, and the catalogue itself: held to their shapes, with sentences for errors. */

import { KnownError } from '../errors.js'
import { describeShapeProblem, readShape, type Shape } from '../shapes/index.js'
import { escapeForeign } from './escape-foreign.js'

export interface RuleSource {
  /** The decoded JSON. */
  readonly data: unknown
  /** Its name, for messages. */
  readonly file: string
  /** It is, to the byte, what was read without a fault when the program was built: to do it again takes longer than the rest. */
  readonly isChecked?: boolean
}

/** @throws KnownError POLICY_INVALID that names the file and the field; the first problem only. */
export function readRuleFile<Value>(shape: Shape<Value>, { data, file, isChecked }: RuleSource): Value {
  // The shapes of rules have no fallbacks: what fits is what would be read.
  if (isChecked === true) return data as Value
  const read = readShape(shape, data)
  if (read.ok) return read.value
  const [problem] = read.problems
  if (problem === undefined) throw new TypeError('a shape refused a value and told no problem')
  throw ruleFileError(file, fieldOf(data, problem.path), describeShapeProblem(problem))
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
