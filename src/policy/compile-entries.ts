/** From the entries of a document to compiled ones, with every problem at its place. */

import type { EntryTree } from './entry-forest.js'
import type { ForestBuilder } from './forest-builder.js'
import { DOCKER_HUB, parseImageReference, splitName } from './image-reference.js'
import { admitsPublicRegistry, type Pattern, parsePattern } from './pattern.js'
import { faultOfTag } from './pattern-fault.js'
import type { AllowEntryDocument, DenyEntryDocument } from './policy-document.js'
import type { Mirror } from './policy-draft.js'
import { type DocumentPath, formatOrigin, type Origin, type ProblemList, type ValueLocator } from './policy-problem.js'

/** Where one item of a merged list comes from. */
export interface Placed<Value> {
  readonly value: Value
  readonly source: ValueLocator
  readonly path: DocumentPath
}

/** A list of one document, which may be long: its items get their paths when they are looked at. */
export interface PlacedList<Value> {
  readonly values: readonly Value[]
  readonly source: ValueLocator
  readonly path: DocumentPath
}

/** The items of lists that are never long. */
export function itemsOf<Value>(lists: readonly PlacedList<Value>[]): readonly Placed<Value>[] {
  return lists.flatMap(({ values, source, path }) =>
    values.map((value, index) => ({ value, source, path: [...path, index] })),
  )
}

/** What a compilation gathers: what stops it, what it only warns about, and the entries of all lists. */
export interface Compilation {
  readonly errors: ProblemList
  readonly warnings: ProblemList
  readonly forest: ForestBuilder
}

export function compileAllowEntries(lists: readonly PlacedList<AllowEntryDocument>[], run: Compilation): EntryTree {
  return compileEntries(lists, run, (pattern, item) => {
    if (!admitsPublicRegistry(pattern)) return
    const hint = 'name the organisations or repositories that you trust'
    run.warnings.add(item.source, pathOfPattern(item), `admits whatever anybody publishes on ${pattern.text}`, hint)
  })
}

export function compileDenyEntries(lists: readonly PlacedList<DenyEntryDocument>[], run: Compilation): EntryTree {
  return compileEntries(lists, run, (_, { value, source, path }) => {
    const fix = fieldsOf(value).fix
    const parsed = fix === undefined ? undefined : parseImageReference(fix)
    if (parsed?.ok === false) run.errors.add(source, [...path, 'fix'], `is no image reference: ${parsed.problem}`)
  })
}

/** A pattern of any list, or undefined after its fault was noted. */
export function compilePattern({ value, source, path }: Placed<string>, run: Compilation): Pattern | undefined {
  const parsed = parsePattern(value)
  if (!parsed.ok) {
    const { message, hint, offset } = parsed.fault
    run.errors.add(source, path, `pattern ${JSON.stringify(value)} ${message}`, hint, offset)
    return undefined
  }
  for (const { message, hint, offset } of parsed.warnings) {
    run.warnings.add(source, path, `pattern ${JSON.stringify(value)} ${message}`, hint, offset)
  }
  return parsed.pattern
}

export function compileDeniedTags(items: readonly Placed<string>[], run: Compilation): readonly string[] {
  for (const { value, source, path } of items) {
    const fault = faultOfTag(value, 0)
    if (fault === undefined) continue
    run.errors.add(source, path, `${JSON.stringify(value)}: ${fault.message}`, fault.hint, fault.offset)
  }
  return items.map(({ value }) => value)
}

export function compileMirrors(
  items: readonly Placed<{ readonly from: string; readonly to: string }>[],
  run: Compilation,
): { readonly mirrors: readonly Mirror[]; readonly mirrorTree: EntryTree } {
  const mirrors: Mirror[] = []
  const tree = run.forest.beginTree()
  for (const { value, source, path } of items) {
    const at = [...path, 'from']
    const pattern = compilePattern({ value: value.from, source, path: at }, run)
    const to = compileMirrorTarget({ value: value.to, source, path: [...path, 'to'] }, run)
    if (pattern === undefined || to === undefined) continue
    const isPlain = pattern.parts.every(part => typeof part === 'string') && !pattern.isHostWildcard
    if (!isPlain || pattern.tag.kind !== 'any' || pattern.digest !== undefined) {
      const hint = 'write host/path, or host/path/* for everything below'
      run.errors.add(source, at, 'a mirror maps one repository, or everything below one path', hint)
      continue
    }
    run.forest.insert(tree, pattern, { at: originAt(source, at) })
    mirrors.push({ depth: pattern.parts.length, to })
  }
  return { mirrors, mirrorTree: run.forest.endTree(tree) }
}

/** Where the value at a path stands. */
export function originAt(source: ValueLocator, path: DocumentPath): Origin {
  const { line, column } = source.locate(path)
  return { file: source.file, line, column }
}

function compileMirrorTarget({ value, source, path }: Placed<string>, run: Compilation): string | undefined {
  const trimmed = value.endsWith('/*') ? value.slice(0, -2) : value
  const probe = parseImageReference(`${trimmed}/x:probe`)
  const hasHost = splitName(`${trimmed}/x`).host !== undefined
  if (probe.ok && hasHost && !trimmed.includes('@'))
    return `${probe.reference.registry}/${probe.reference.repository}`.slice(0, -2)
  const hint = `write host/path, e.g. registry.example.com/hub${hasHost ? '' : ` or ${DOCKER_HUB}/${trimmed}`}`
  run.errors.add(source, path, `${JSON.stringify(value)} is no place in a registry`, hint)
  return undefined
}

type EntryDocument = AllowEntryDocument | DenyEntryDocument
type PlacedEntry = Placed<EntryDocument>

/** @param check notes what else is wrong, or doubtful, about an entry whose pattern is in order. */
function compileEntries(
  lists: readonly PlacedList<EntryDocument>[],
  run: Compilation,
  check: (pattern: Pattern, item: PlacedEntry) => void,
): EntryTree {
  const tree = run.forest.beginTree()
  for (const { values, source, path } of lists) {
    for (const [index, value] of values.entries()) {
      const item = { value, source, path: [...path, index] }
      const { pattern: written, reason, fix } = fieldsOf(value)
      const pattern = compilePattern({ value: written, source, path: pathOfPattern(item) }, run)
      if (pattern === undefined) continue
      check(pattern, item)
      const first = run.forest.insert(tree, pattern, { at: originAt(source, item.path), reason, fix })
      if (first !== undefined) warnOfDuplicate(first, item, run)
    }
  }
  return run.forest.endTree(tree)
}

function fieldsOf(value: EntryDocument): DenyEntryDocument & object {
  return typeof value === 'string' ? { pattern: value } : value
}

function pathOfPattern({ value, path }: PlacedEntry): DocumentPath {
  return typeof value === 'string' ? path : [...path, 'pattern']
}

function warnOfDuplicate(first: Origin, item: PlacedEntry, run: Compilation): void {
  const message = `says the same as ${formatOrigin(first)}`
  run.warnings.add(item.source, pathOfPattern(item), message, 'remove one of the two')
}
