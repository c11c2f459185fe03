/** Exceptions: compiled, with their dates read and their scopes checked. */

import { type Compilation, compilePattern, originAt, type Placed } from './compile-entries.js'
import type { EntryTree } from './entry-forest.js'
import { countStars, MAX_STARS } from './glob.js'
import type { ExceptionDocument } from './policy-document.js'
import type { ExceptionDraft } from './policy-draft.js'
import { type DocumentPath, formatOrigin, type ValueLocator } from './policy-problem.js'

const TIMESTAMP = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})$/
const NAMESPACE_GLOB = /^[a-z0-9*](?:[a-z0-9*-]{0,61}[a-z0-9*])?$/
const TOOL_GLOB = /^[a-z0-9*][a-z0-9*._+/ -]{0,99}$/

export interface CompiledExceptions {
  readonly exceptions: readonly ExceptionDraft[]
  readonly exceptionTree: EntryTree
}

export function compileExceptions(items: readonly Placed<ExceptionDocument>[], run: Compilation): CompiledExceptions {
  const exceptions: ExceptionDraft[] = []
  const seen = new Map<string, ExceptionDraft>()
  const tree = run.forest.beginTree()
  for (const item of items) {
    const exception = compileException(item, run)
    const former = seen.get(exception.id)
    if (former !== undefined) {
      run.errors.add(
        item.source,
        [...item.path, 'id'],
        `exception ${JSON.stringify(exception.id)} stands at ${formatOrigin(former.at)} already`,
      )
    }
    seen.set(exception.id, exception)
    exceptions.push(exception)
    for (const [index, image] of exception.images.entries()) {
      const path = [...item.path, 'images', index]
      const pattern = compilePattern({ value: image, source: item.source, path }, run)
      if (pattern !== undefined) run.forest.insert(tree, pattern, { at: originAt(item.source, path) })
    }
  }
  return { exceptions, exceptionTree: run.forest.endTree(tree) }
}

/** Globs for names of namespaces, each bad one noted. */
export function compileNamespaceGlobs(
  names: readonly string[],
  source: ValueLocator,
  path: DocumentPath,
  run: Compilation,
): readonly string[] {
  return compileGlobs(names, { source, path, shape: NAMESPACE_GLOB, noun: 'name of a namespace' }, run)
}

/** Globs for names of tools, which are in lower case. */
export function compileToolGlobs(
  names: readonly string[],
  source: ValueLocator,
  path: DocumentPath,
  run: Compilation,
): readonly string[] {
  const lower = names.map(name => name.toLowerCase())
  return compileGlobs(lower, { source, path, shape: TOOL_GLOB, noun: 'name of a tool' }, run)
}

function compileException({ value, source, path }: Placed<ExceptionDocument>, run: Compilation): ExceptionDraft {
  if (value.images === undefined && value.tools === undefined) {
    run.errors.add(source, path, 'an exception names images or tools', 'add "images" or "tools"')
  }
  const expires = readTime(value.expires, source, [...path, 'expires'], run)
  const from =
    value.from === undefined ? Number.NEGATIVE_INFINITY : readTime(value.from, source, [...path, 'from'], run)
  if (from >= expires) run.errors.add(source, [...path, 'expires'], 'lies before "from"')
  return {
    id: value.id,
    images: value.images ?? [],
    tools: compileToolGlobs(value.tools ?? [], source, [...path, 'tools'], run),
    namespaces: compileNamespaceGlobs(value.namespaces, source, [...path, 'namespaces'], run),
    from,
    expires,
    reason: value.reason,
    owner: value.owner,
    ticket: value.ticket,
    at: originAt(source, path),
  }
}

interface GlobScope {
  readonly source: ValueLocator
  readonly path: DocumentPath
  readonly shape: RegExp
  readonly noun: string
}

function compileGlobs(globs: readonly string[], scope: GlobScope, run: Compilation): readonly string[] {
  return globs.flatMap((glob, index) => {
    const at = [...scope.path, index]
    if (!scope.shape.test(glob)) {
      run.errors.add(
        scope.source,
        at,
        `${JSON.stringify(glob)} is no ${scope.noun}`,
        'lower case; "*" stands for any characters',
      )
      return []
    }
    if (countStars(glob) > MAX_STARS) {
      run.errors.add(scope.source, at, `${JSON.stringify(glob)} holds more than ${MAX_STARS} "*"`)
      return []
    }
    return [glob]
  })
}

/** Milliseconds since the epoch; NaN, with the problem noted, for what is no time. */
export function readTime(text: string, source: ValueLocator, path: DocumentPath, run: Compilation): number {
  const time = TIMESTAMP.test(text) ? Date.parse(text) : Number.NaN
  if (!Number.isNaN(time)) return time
  run.errors.add(source, path, `${JSON.stringify(text)} is no time with a zone`, 'write e.g. 2026-12-31T00:00:00Z')
  return Number.NaN
}
