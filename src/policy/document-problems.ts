/** From what does not fit the shape to sentences that an author can act on, each at its place in the file. */

import { readShape, type ShapeProblem } from '../shapes/index.js'
import { API_VERSION, KIND, type PolicyDocument, policyDocumentShape, policyJsonSchema } from './policy-document.js'
import type { DocumentPath, PolicySource, ProblemList } from './policy-problem.js'
import { nearestWord } from './policy-problem.js'

/** Far more than are shown: a list of a hundred thousand entries of the wrong form is wrong in one way. */
const MAX_PROBLEMS = 200

/** The document, or undefined after its problems were added to the list. */
export function readDocument(source: PolicySource, problems: ProblemList): PolicyDocument | undefined {
  const result = readShape(policyDocumentShape, source.value)
  if (result.ok) return result.value
  const { value } = source
  if (!isRecord(value) || value['apiVersion'] !== API_VERSION || value['kind'] !== KIND) {
    problems.add(source, [], 'is no ImagePolicy', `write "apiVersion: ${API_VERSION}" and "kind: ${KIND}"`)
    return undefined
  }
  for (const problem of result.problems.slice(0, MAX_PROBLEMS)) addProblem(source, problems, problem)
  return undefined
}

function addProblem(source: PolicySource, problems: ProblemList, problem: ShapeProblem): void {
  const { path } = problem
  if (problem.kind === 'unknown-key') addUnknownKey(source, problems, path, problem.key)
  else if (problem.kind === 'missing') {
    problems.add(source, path.slice(0, -1), `"${String(path.at(-1))}" is missing`, problem.hint)
  } else problems.add(source, path, problem.message)
}

function addUnknownKey(source: PolicySource, problems: ProblemList, path: DocumentPath, key: string): void {
  const meant = nearestWord(key, knownKeys())
  problems.addAtKey(
    source,
    path,
    'unknown key',
    meant === undefined || meant === key ? undefined : `did you mean "${meant}"?`,
  )
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Every key that the schema knows anywhere: enough to recognise a typing error. */
function knownKeys(): ReadonlySet<string> {
  const keys = new Set<string>()
  collectKeys(policyJsonSchema(), keys)
  return keys
}

function collectKeys(schema: unknown, keys: Set<string>): void {
  if (Array.isArray(schema)) for (const inner of schema) collectKeys(inner, keys)
  if (!isRecord(schema)) return
  const properties = schema['properties']
  if (isRecord(properties)) for (const key of Object.keys(properties)) keys.add(key)
  for (const inner of Object.values(schema)) collectKeys(inner, keys)
}
