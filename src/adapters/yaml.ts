/** YAML, and JSON with it: values with their places, and sentences for errors. */

import { type Document, LineCounter, parseAllDocuments, visit, type YAMLError } from 'yaml'
import { KnownError, type KnownErrorCode } from '../errors.js'
import { escapeForeign, type PolicySource, type Position } from '../policy/index.js'
import { type DocumentPlaces, lineStartsOf, locateKey, locateValue } from './document-places.js'
import { type FoldedText, foldListRuns } from './list-runs.js'
import { placesOf } from './yaml-places.js'

/** Manifests may use anchors; a bounded number of aliases keeps "a billion laughs" from being expanded. */
const MAX_MANIFEST_ALIASES = 1000
/** So many errors of one file are shown. */
const MAX_SHOWN_ERRORS = 10

/** One document of a policy file: nothing but data, so that it can be parsed in another thread. */
export interface ParsedDocument {
  readonly file: string
  readonly value: unknown
  readonly places: DocumentPlaces
}

/**
 * The documents of one policy file.
 *
 * @throws KnownError POLICY_INVALID with `file:line:column: reason` for what is no YAML; anchors are not accepted.
 */
export function parsePolicyText(text: string, file: string): readonly ParsedDocument[] {
  const folded = foldListRuns(text)
  return (folded && parseFolded(text, file, folded)) ?? parseWhole(text, file)
}

/** A document as the policy's compiler takes it. */
export function toPolicySource(parsed: ParsedDocument): ParsedDocument & PolicySource {
  const { value, places } = parsed
  return {
    ...parsed,
    locate: (path, offset) => locateValue(places, value, path, offset),
    locateKey: path => locateKey(places, value, path),
  }
}

/** The objects of a manifest: every document that is not empty, with `kind: List` left as it is. */
export function parseManifestText(
  text: string,
  file: string,
): readonly { readonly value: unknown; readonly line: number }[] {
  const { documents, lines } = parseText(text, file, 'MANIFEST_INVALID')
  return documents.map(document => ({
    value: toValue(document, MAX_MANIFEST_ALIASES, file, 'MANIFEST_INVALID'),
    line: positionAt(lines, document.contents?.range?.[0] ?? 0).line,
  }))
}

function parseWhole(text: string, file: string): readonly ParsedDocument[] {
  const { documents, lines } = parseText(text, file, 'POLICY_INVALID')
  for (const document of documents) refuseAliases(document, file, lines)
  const lineStarts = lineStartsOf(text)
  return documents.map(document => {
    const value = toValue(document, 0, file, 'POLICY_INVALID')
    return { file, value, places: placesOf(document.contents, value).build(lineStarts) }
  })
}

/** Undefined when the whole text must be parsed: a stand-in is no item of a list, or there is an error to locate. */
function parseFolded(text: string, file: string, folded: FoldedText): readonly ParsedDocument[] | undefined {
  try {
    const { documents, lines } = parseText(folded.text, file, 'POLICY_INVALID')
    for (const document of documents) refuseAliases(document, file, lines)
    const lineStarts = lineStartsOf(text)
    const unfolding = { ...folded, found: new Set<string>() }
    const parsed = documents.map(document => {
      const value = toValue(document, 0, file, 'POLICY_INVALID')
      return { file, value, places: placesOf(document.contents, value, unfolding).build(lineStarts) }
    })
    return unfolding.found.size === folded.runs.size ? parsed : undefined
  } catch (error) {
    if (error instanceof KnownError) return undefined
    throw error
  }
}

interface ParsedText {
  readonly documents: readonly Document[]
  readonly lines: LineCounter
}

function parseText(text: string, file: string, code: KnownErrorCode): ParsedText {
  const lines = new LineCounter()
  const parsed = parseAllDocuments(text, {
    lineCounter: lines,
    uniqueKeys: true,
    logLevel: 'silent',
    prettyErrors: false,
  })
  const documents = 'empty' in parsed ? [] : parsed
  const errors = documents.flatMap(document => document.errors)
  if (errors.length > 0) {
    throw new KnownError(
      code,
      errors
        .slice(0, MAX_SHOWN_ERRORS)
        .map(error => sentenceOf(error, text, file, lines))
        .join('\n'),
    )
  }
  return { documents: documents.filter(document => document.contents !== null), lines }
}

function sentenceOf(error: YAMLError, text: string, file: string, lines: LineCounter): string {
  const [at] = error.pos
  const { line, col } = lines.linePos(at)
  const message = error.message.split('\n', 1)[0] ?? ''
  const hint = text.charAt(at) === '*' || error.code === 'BAD_ALIAS' ? ' (quote a value that begins with "*")' : ''
  return `${file}:${line}:${col}: is no valid YAML: ${escapeForeign(message, 200)}${hint}`
}

/** An unquoted pattern that begins with a star is an alias to YAML: say so, at its place. */
function refuseAliases(document: Document, file: string, lines: LineCounter): void {
  visit(document, {
    Alias(_, alias) {
      const { line, column } = positionAt(lines, alias.range?.[0] ?? 0)
      const said = `${file}:${line}:${column}: ${JSON.stringify(`*${alias.source}`)} is an alias in YAML`
      throw new KnownError('POLICY_INVALID', `${said} (quote a value that begins with "*"; anchors are not accepted)`)
    },
  })
}

function toValue(document: Document, maxAliasCount: number, file: string, code: KnownErrorCode): unknown {
  try {
    return document.toJS({ maxAliasCount })
  } catch (cause) {
    const reason = cause instanceof Error ? escapeForeign(cause.message, 200) : 'it cannot be read'
    throw new KnownError(code, `${file}: ${reason}`, { cause })
  }
}

function positionAt(lines: LineCounter, at: number): Position {
  const { line, col } = lines.linePos(at)
  return { line, column: col }
}
