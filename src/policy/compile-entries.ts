/** From the entries of a document to compiled ones, with every problem at its place. */

import { DOCKER_HUB, parseImageReference, splitName } from './image-reference.js'
import type { DeniedTag } from './namespace-rules.js'
import { admitsPublicRegistry, type Pattern, parsePattern, parseTagRule } from './pattern.js'
import { faultOfTag } from './pattern-fault.js'
import type { AllowEntryDocument, DenyEntryDocument } from './policy-document.js'
import type { MirrorEntry, PolicyEntry } from './policy-entry.js'
import { type DocumentPath, formatOrigin, type PolicySource, type ProblemList } from './policy-problem.js'

/** Where one item of a merged list comes from. */
export interface Placed<Value> {
  readonly value: Value
  readonly source: PolicySource
  readonly path: DocumentPath
}

/** What a compilation gathers: what stops it, what it only warns about, and the next free ordinal. */
export interface Compilation {
  readonly errors: ProblemList
  readonly warnings: ProblemList
  nextOrdinal(): number
}

export function compileAllowEntries(
  items: readonly Placed<AllowEntryDocument>[],
  run: Compilation,
): readonly PolicyEntry[] {
  const entries = compileEntries(items, run)
  for (const { entry, item } of entries) {
    if (!admitsPublicRegistry(entry.pattern)) continue
    const hint = 'name the organisations or repositories that you trust'
    run.warnings.add(
      item.source,
      pathOfPattern(item),
      `admits whatever anybody publishes on ${entry.pattern.text}`,
      hint,
    )
  }
  warnOfDuplicates(entries, run)
  return entries.map(({ entry }) => entry)
}

export function compileDenyEntries(
  items: readonly Placed<DenyEntryDocument>[],
  run: Compilation,
): readonly PolicyEntry[] {
  const entries = compileEntries(items, run)
  for (const { entry, item } of entries) {
    const fix = entry.fix === undefined ? undefined : parseImageReference(entry.fix)
    if (fix?.ok === false) run.errors.add(item.source, [...item.path, 'fix'], `is no image reference: ${fix.problem}`)
  }
  warnOfDuplicates(entries, run)
  return entries.map(({ entry }) => entry)
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

export function compileDeniedTags(items: readonly Placed<string>[], run: Compilation): readonly DeniedTag[] {
  return items.flatMap(({ value, source, path }) => {
    const fault = faultOfTag(value, 0)
    if (fault !== undefined) {
      run.errors.add(source, path, `${JSON.stringify(value)}: ${fault.message}`, fault.hint, fault.offset)
      return []
    }
    return [{ text: value, rule: parseTagRule(value) }]
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
    const isPlain = pattern.parts.every(part => part.kind === 'literal') && !pattern.isHostWildcard
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

interface CompiledEntry {
  readonly entry: PolicyEntry
  readonly item: Placed<AllowEntryDocument | DenyEntryDocument>
}

function compileEntries(
  items: readonly Placed<AllowEntryDocument | DenyEntryDocument>[],
  run: Compilation,
): readonly CompiledEntry[] {
  return items.flatMap(item => {
    const { value, source } = item
    const fields: DenyEntryDocument & object = typeof value === 'string' ? { pattern: value } : value
    const path = pathOfPattern(item)
    const pattern = compilePattern({ value: fields.pattern, source, path }, run)
    if (pattern === undefined) return []
    const { reason, owner, fix } = fields
    const at = { file: source.file, ...source.locate(path) }
    return [{ entry: { pattern, ordinal: run.nextOrdinal(), at, reason, owner, fix }, item }]
  })
}

function pathOfPattern({ value, path }: Placed<AllowEntryDocument | DenyEntryDocument>): DocumentPath {
  return typeof value === 'string' ? path : [...path, 'pattern']
}

function warnOfDuplicates(entries: readonly CompiledEntry[], run: Compilation): void {
  const seen = new Map<string, PolicyEntry>()
  for (const { entry, item } of entries) {
    const first = seen.get(entry.pattern.normalised)
    if (first === undefined) seen.set(entry.pattern.normalised, entry)
    else
      run.warnings.add(
        item.source,
        pathOfPattern(item),
        `says the same as ${formatOrigin(first.at)}`,
        'remove one of the two',
      )
  }
}
