/** What is wrong, or doubtful, about a policy: where, why, and what to write instead. */

import { KnownError } from '../errors.js'
import { editDistance } from './edit-distance.js'

/** At most so many problems are printed; the rest is counted. */
const MAX_SHOWN_PROBLEMS = 50

/** 1-based, as editors count. */
export interface Position {
  readonly line: number
  readonly column: number
}

/** Keys and list indexes from the document's root to a value. */
export type DocumentPath = readonly (string | number)[]

/** Says where the parts of a document stand. */
export interface ValueLocator {
  readonly file: string
  /**
   * Where the value at `path` begins or, with an offset, that character of its text (behind the quotes, if any). For a
   * path that does not exist: the nearest thing above it that does.
   */
  locate(path: DocumentPath, offset?: number): Position
}

/** One document of one file, already decoded. */
export interface PolicySource extends ValueLocator {
  readonly value: unknown
  /** Where the key itself stands. */
  locateKey(path: DocumentPath): Position
}

/** A place in a policy file. */
export interface Origin extends Position {
  readonly file: string
}

export interface PolicyProblem extends Origin {
  /** `spec.allow[3]` */
  readonly path: string
  readonly message: string
  readonly hint: string | undefined
}

/** One line: `file:line:column: path: message (hint)`. */
export function formatProblem(problem: PolicyProblem): string {
  const hint = problem.hint === undefined ? '' : ` (${problem.hint})`
  const path = problem.path === '' ? '' : `${problem.path}: `
  return `${problem.file}:${problem.line}:${problem.column}: ${path}${problem.message}${hint}`
}

/** `file:line`, as editors and terminals understand it. */
export function formatOrigin({ file, line }: Origin): string {
  return `${file}:${line}`
}

/** `['spec', 'allow', 3]` as `spec.allow[3]`. */
export function formatPath(path: DocumentPath): string {
  let text = ''
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`
    else text += text === '' ? step : `.${step}`
  }
  return text
}

/** The known word that a mistyped one was probably meant to be. */
export function nearestWord(word: string, known: Iterable<string>): string | undefined {
  const limit = Math.max(1, Math.floor(word.length / 3))
  let best: { word: string; distance: number } | undefined
  for (const candidate of known) {
    const apart = editDistance(candidate.toLowerCase(), word.toLowerCase(), limit)
    if (apart <= limit && (best === undefined || apart < best.distance)) {
      best = { word: candidate, distance: apart }
    }
  }
  return best?.word
}

/** Gathers problems in the order in which they are found, so that an author sees all of them at once. */
export class ProblemList {
  readonly problems: PolicyProblem[] = []

  /** @throws KnownError POLICY_INVALID with the problems in the order of their places, one a line; nothing without any. */
  throwIfAny(): void {
    if (this.problems.length === 0) return
    const lines = this.problems.toSorted(byPlace).slice(0, MAX_SHOWN_PROBLEMS).map(formatProblem)
    const rest = this.problems.length - lines.length
    throw new KnownError('POLICY_INVALID', [...lines, ...(rest > 0 ? [`and ${rest} more problems`] : [])].join('\n'))
  }

  add(source: ValueLocator, path: DocumentPath, message: string, hint?: string, offset?: number): void {
    this.#push(source, source.locate(path, offset), path, message, hint)
  }

  addAt({ file, line, column }: Origin, message: string, hint?: string): void {
    this.problems.push({ file, line, column, path: '', message, hint })
  }

  addAtKey(source: PolicySource, path: DocumentPath, message: string, hint?: string): void {
    this.#push(source, source.locateKey(path), path, message, hint)
  }

  #push(source: ValueLocator, at: Position, path: DocumentPath, message: string, hint: string | undefined): void {
    this.problems.push({ file: source.file, ...at, path: formatPath(path), message, hint })
  }
}

function byPlace(left: PolicyProblem, right: PolicyProblem): number {
  if (left.file !== right.file) return left.file < right.file ? -1 : 1
  return left.line - right.line || left.column - right.column
}
