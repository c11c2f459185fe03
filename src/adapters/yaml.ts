/** YAML, and JSON with it: the only owner of the `yaml` package. Values with their places, and sentences for errors. */

import {
  type Document,
  isMap,
  isNode,
  isScalar,
  LineCounter,
  type Node,
  parseAllDocuments,
  visit,
  type YAMLError,
} from 'yaml'
import { KnownError, type KnownErrorCode } from '../errors.js'
import { type DocumentPath, escapeForeign, type PolicySource, type Position } from '../policy/index.js'

/** Manifests may use anchors; a bounded number of aliases keeps "a billion laughs" from being expanded. */
const MAX_MANIFEST_ALIASES = 1000
/** So many errors of one file are shown. */
const MAX_SHOWN_ERRORS = 10

/**
 * The documents of one policy file, each with a way to locate its parts.
 *
 * @throws KnownError POLICY_INVALID with `file:line:column: reason` for what is no YAML; anchors are not accepted.
 */
export function parsePolicyText(text: string, file: string): readonly PolicySource[] {
  const { documents, lines } = parseText(text, file, 'POLICY_INVALID')
  for (const document of documents) refuseAliases(document, file, lines)
  return documents.map(document => ({
    file,
    value: toValue(document, 0, file, 'POLICY_INVALID'),
    locate: (path, offset) => locate(document, lines, path, offset),
    locateKey: path => locateKey(document, lines, path),
  }))
}

/** The objects of a manifest: every document that is not empty, with `kind: List` left as it is. */
export function parseManifestText(
  text: string,
  file: string,
): readonly { readonly value: unknown; readonly line: number }[] {
  const { documents, lines } = parseText(text, file, 'MANIFEST_INVALID')
  return documents.map(document => ({
    value: toValue(document, MAX_MANIFEST_ALIASES, file, 'MANIFEST_INVALID'),
    line: locate(document, lines, []).line,
  }))
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

function locate(document: Document, lines: LineCounter, path: DocumentPath, offset?: number): Position {
  for (let length = path.length; length >= 0; length -= 1) {
    const node = length === 0 ? document.contents : document.getIn(path.slice(0, length), true)
    if (!isNode(node) || node.range === undefined || node.range === null) continue
    return positionAt(
      lines,
      node.range[0] + (length === path.length && offset !== undefined ? offsetIn(node, offset) : 0),
    )
  }
  return { line: 1, column: 1 }
}

/** Inside quotes, the text begins one character later; inside a block scalar it begins on a later line: stay at its start. */
function offsetIn(node: Node, offset: number): number {
  if (!isScalar(node)) return 0
  if (node.type === 'PLAIN') return offset
  return node.type === 'QUOTE_SINGLE' || node.type === 'QUOTE_DOUBLE' ? offset + 1 : 0
}

function locateKey(document: Document, lines: LineCounter, path: DocumentPath): Position {
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true)
  if (isMap(parent)) {
    const pair = parent.items.find(item => isScalar(item.key) && String(item.key.value) === String(path.at(-1)))
    if (isNode(pair?.key) && pair.key.range) return positionAt(lines, pair.key.range[0])
  }
  return locate(document, lines, path)
}

function positionAt(lines: LineCounter, at: number): Position {
  const { line, col } = lines.linePos(at)
  return { line, column: col }
}
