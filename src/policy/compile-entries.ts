/** From the entries of a document to compiled ones, with every problem at its place. */

import type { GlobCompiler } from './glob.js'
import { DOCKER_HUB, parseImageReference, splitName } from './image-reference.js'
import type { DeniedTag } from './namespace-rules.js'
import { admitsPublicRegistry, type Pattern, parsePattern, parseTagRule } from './pattern.js'
import { faultOfTag } from './pattern-fault.js'
import type { AllowEntryDocument, DenyEntryDocument } from './policy-document.js'
import type { MirrorEntry, PolicyEntry } from './policy-entry.js'
import { type DocumentPath, formatOrigin, type ProblemList, type ValueLocator } from './policy-problem.js'
import { endsStep, type Steps } from './steps.js'

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

/** What a compilation gathers: what stops it, what it only warns about, its globs, and the next free ordinal. */
export interface Compilation {
  readonly errors: ProblemList
  readonly warnings: ProblemList
  readonly globs: GlobCompiler
  nextOrdinal(): number
}

export function* compileAllowEntries(
  lists: readonly PlacedList<AllowEntryDocument>[],
  run: Compilation,
): Steps<readonly PolicyEntry[]> {
  return yield* compileEntries(lists, run, ({ pattern }, item) => {
    if (!admitsPublicRegistry(pattern)) return
    const hint = 'name the organisations or repositories that you trust'
    run.warnings.add(item.source, pathOfPattern(item), `admits whatever anybody publishes on ${pattern.text}`, hint)
  })
}

export function* compileDenyEntries(
  lists: readonly PlacedList<DenyEntryDocument>[],
  run: Compilation,
): Steps<readonly PolicyEntry[]> {
  return yield* compileEntries(lists, run, (entry, { source, path }) => {
    const fix = entry.fix === undefined ? undefined : parseImageReference(entry.fix)
    if (fix?.ok === false) run.errors.add(source, [...path, 'fix'], `is no image reference: ${fix.problem}`)
  })
}

/** A pattern of any list, or undefined after its fault was noted. */
export function compilePattern({ value, source, path }: Placed<string>, run: Compilation): Pattern | undefined {
  const parsed = parsePattern(value, run.globs)
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

export function compileDeniedTags(items: readonly Placed<string>[], run: Compilation): readonly DeniedTag[] {
  return items.flatMap(({ value, source, path }) => {
    const fault = faultOfTag(value, 0)
    if (fault !== undefined) {
      run.errors.add(source, path, `${JSON.stringify(value)}: ${fault.message}`, fault.hint, fault.offset)
      return []
    }
    return [{ text: value, rule: parseTagRule(value, run.globs) }]
  })
}

export function compileMirrors(
  items: readonly Placed<{ readonly from: string; readonly to: string }>[],
  run: Compilation,
): readonly MirrorEntry[] {
  return items.flatMap(({ value, source, path }) => {
    const pattern = compilePattern({ value: value.from, source, path: [...path, 'from'] }, run)
    const to = compileMirrorTarget({ value: value.to, source, path: [...path, 'to'] }, run)
    if (pattern === undefined || to === undefined) return []
    const isPlain = pattern.parts.every(part => typeof part === 'string') && !pattern.isHostWildcard
    if (!isPlain || pattern.tag.kind !== 'any' || pattern.digest !== undefined) {
      const hint = 'write host/path, or host/path/* for everything below'
      run.errors.add(source, [...path, 'from'], 'a mirror maps one repository, or everything below one path', hint)
      return []
    }
    return [{ pattern, to, ordinal: run.nextOrdinal() }]
  })
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

type PlacedEntry = Placed<AllowEntryDocument | DenyEntryDocument>

/** @param check notes what else is wrong, or doubtful, about an entry whose pattern is in order. */
function* compileEntries(
  lists: readonly PlacedList<AllowEntryDocument | DenyEntryDocument>[],
  run: Compilation,
  check: (entry: PolicyEntry, item: PlacedEntry) => void,
): Steps<readonly PolicyEntry[]> {
  const entries: PolicyEntry[] = []
  const firsts = new Map<string, PolicyEntry>()
  for (const { values, source, path } of lists) {
    for (const [index, value] of values.entries()) {
      if (endsStep(index)) yield
      const item = { value, source, path: [...path, index] }
      const entry = compileEntry(item, run)
      if (entry === undefined) continue
      check(entry, item)
      const first = firsts.get(entry.pattern.normalised)
      if (first === undefined) firsts.set(entry.pattern.normalised, entry)
      else warnOfDuplicate(first, item, run)
      entries.push(entry)
    }
  }
  return entries
}

function compileEntry(item: PlacedEntry, run: Compilation): PolicyEntry | undefined {
  const { value, source, path } = item
  const fields: DenyEntryDocument & object = typeof value === 'string' ? { pattern: value } : value
  const pattern = compilePattern({ value: fields.pattern, source, path: pathOfPattern(item) }, run)
  if (pattern === undefined) return undefined
  const { line, column } = source.locate(path)
  const { reason, owner, fix } = fields
  return { pattern, ordinal: run.nextOrdinal(), at: { file: source.file, line, column }, reason, owner, fix }
}

function pathOfPattern({ value, path }: PlacedEntry): DocumentPath {
  return typeof value === 'string' ? path : [...path, 'pattern']
}

function warnOfDuplicate(first: PolicyEntry, item: PlacedEntry, run: Compilation): void {
  const message = `says the same as ${formatOrigin(first.at)}`
  run.warnings.add(item.source, pathOfPattern(item), message, 'remove one of the two')
}
