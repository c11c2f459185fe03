/** From the schema library's issues to sentences that an author can act on, each at its place in the file. */

import type * as z from 'zod'
import { API_VERSION, KIND, type PolicyDocument, policyDocumentSchema, policyJsonSchema } from './policy-document.js'
import type { DocumentPath, PolicySource, ProblemList } from './policy-problem.js'
import { nearestWord } from './policy-problem.js'

type Issue = z.core.$ZodIssue

/** Far more than are shown: a list of a hundred thousand entries of the wrong form is wrong in one way. */
const MAX_ISSUES = 200

/** The document, or undefined after its problems were added to the list. */
export function readDocument(source: PolicySource, problems: ProblemList): PolicyDocument | undefined {
  const result = policyDocumentSchema.safeParse(source.value)
  if (result.success) return result.data
  const { value } = source
  if (!isRecord(value) || value['apiVersion'] !== API_VERSION || value['kind'] !== KIND) {
    problems.add(source, [], 'is no ImagePolicy', `write "apiVersion: ${API_VERSION}" and "kind: ${KIND}"`)
    return undefined
  }
  for (const issue of result.error.issues.slice(0, MAX_ISSUES)) addIssue(source, problems, issue, [])
  return undefined
}

function addIssue(source: PolicySource, problems: ProblemList, issue: Issue, above: DocumentPath): void {
  const path = [...above, ...issue.path.map(step => (typeof step === 'symbol' ? String(step) : step))]
  if (issue.code === 'unrecognized_keys') {
    for (const key of issue.keys) addUnknownKey(source, problems, [...path, key], key)
    return
  }
  if (issue.code === 'invalid_union') {
    addUnion(source, problems, issue, path)
    return
  }
  const value = valueAt(source.value, path)
  if (value === undefined && path.length > 0) {
    problems.add(source, path.slice(0, -1), `${quoted(path)} is missing`, hintFor(issue))
    return
  }
  problems.add(source, path, sentenceOf(issue, value), undefined)
}

/** Entries are text or an object: report what is wrong with the form that the author chose. */
function addUnion(source: PolicySource, problems: ProblemList, issue: Issue, path: DocumentPath): void {
  const value = valueAt(source.value, path)
  if (issue.code !== 'invalid_union' || !isRecord(value)) {
    problems.add(source, path, `must be a pattern or an object with a "pattern", and is ${nameOf(value)}`)
    return
  }
  for (const inner of issue.errors.at(-1) ?? []) addIssue(source, problems, inner, path)
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

function sentenceOf(issue: Issue, value: unknown): string {
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${article(issue.expected)}, and is ${nameOf(value)}`
    case 'invalid_value':
      return `must be ${issue.values.map(known => JSON.stringify(known)).join(' or ')}, and is ${nameOf(value)}`
    case 'too_small':
      return 'must not be empty'
    case 'too_big':
      return `is longer than ${issue.maximum} characters`
    default:
      return issue.message
  }
}

function hintFor(issue: Issue): string | undefined {
  return issue.code === 'invalid_value'
    ? `write ${issue.values.map(value => JSON.stringify(value)).join(' or ')}`
    : undefined
}

function quoted(path: DocumentPath): string {
  return `"${String(path.at(-1))}"`
}

function article(expected: string): string {
  if (expected === 'array') return 'a list'
  if (expected === 'string') return 'text'
  if (expected === 'boolean') return 'true or false'
  return expected === 'object' || expected === 'record' ? 'an object' : `a ${expected}`
}

function nameOf(value: unknown): string {
  if (value === null || value === undefined) return 'empty'
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' ? 'an object' : `${typeof value} ${String(value)}`
}

function valueAt(root: unknown, path: DocumentPath): unknown {
  let value = root
  for (const step of path) {
    if (Array.isArray(value) && typeof step === 'number') value = value[step]
    else if (isRecord(value) && typeof step === 'string') value = value[step]
    else return undefined
  }
  return value
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
