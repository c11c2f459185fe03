/** From policy documents, several of them merged, to one compiled policy; throws with every problem at once. */

import { KnownError } from '../errors.js'
import {
  type Compilation,
  compileAllowEntries,
  compileDeniedTags,
  compileDenyEntries,
  compileMirrors,
  type Placed,
} from './compile-entries.js'
import { compileExceptions, compileNamespaceGlobs } from './compile-exceptions.js'
import type { CompiledPolicy, RuntimeTools } from './compiled-policy.js'
import { readDocument } from './document-problems.js'
import { buildEntryIndex } from './entry-index.js'
import { evaluate } from './evaluate.js'
import { createRulesResolver, type NamespaceRule, type NamespaceRules, type RuleSet } from './namespace-rules.js'
import type { NamespaceRuleDocument, PolicyDocument, PolicySpec } from './policy-document.js'
import {
  type DocumentPath,
  formatProblem,
  type PolicyProblem,
  type PolicySource,
  ProblemList,
} from './policy-problem.js'
import type { Mode } from './verdict.js'

/** At most so many problems are printed; the rest is counted. */
const MAX_SHOWN_PROBLEMS = 50

/**
 * Compile one policy from its documents, in the order in which they are named.
 *
 * Lists are joined; a single value (mode, digest.require, help, profile) may be set in several documents only to the same value.
 *
 * @param hash a cryptographic digest as lower-case hex: the revision is its first seven characters over the merged document.
 * @throws KnownError POLICY_INVALID with every problem as `file:line:column: path: message (hint)`, one a line.
 */
export function compilePolicy(sources: readonly PolicySource[], hash: (text: string) => string): CompiledPolicy {
  const run = createCompilation()
  if (sources.length === 0) throw new KnownError('POLICY_INVALID', 'no policy document was given')
  const documents = sources.flatMap(source => {
    const document = readDocument(source, run.errors)
    return document === undefined ? [] : [{ source, document }]
  })
  throwIfAny(run.errors)
  const policy = compileDocuments(documents, run, hash)
  throwIfAny(run.errors)
  return { ...policy, warnings: [...run.warnings.problems, ...findUselessFixes(policy)] }
}

interface PlacedDocument {
  readonly source: PolicySource
  readonly document: PolicyDocument
}

function createCompilation(): Compilation {
  let ordinal = 0
  return { errors: new ProblemList(), warnings: new ProblemList(), nextOrdinal: () => ordinal++ }
}

function throwIfAny(errors: ProblemList): void {
  const { problems } = errors
  if (problems.length === 0) return
  const lines = problems.toSorted(byPlace).slice(0, MAX_SHOWN_PROBLEMS).map(formatProblem)
  const rest = problems.length - lines.length
  throw new KnownError('POLICY_INVALID', [...lines, ...(rest > 0 ? [`and ${rest} more problems`] : [])].join('\n'))
}

function byPlace(left: PolicyProblem, right: PolicyProblem): number {
  if (left.file !== right.file) return left.file < right.file ? -1 : 1
  return left.line - right.line || left.column - right.column
}

function compileDocuments(
  documents: readonly PlacedDocument[],
  run: Compilation,
  hash: (text: string) => string,
): CompiledPolicy {
  const list = <Value>(pick: (spec: PolicySpec) => readonly Value[] | undefined, ...path: string[]): Placed<Value>[] =>
    documents.flatMap(({ source, document }) => placed(pick(document.spec), source, ['spec', ...path]))

  checkAllowIsThere(documents, run)
  const defaults: RuleSet & { readonly mode: Mode } = {
    mode: single(documents, run, spec => spec.mode, 'mode') ?? 'enforce',
    requireDigest: single(documents, run, spec => spec.digest?.require, 'digest', 'require'),
    deniedTags: compileDeniedTags(
      list(spec => spec.tags?.deny, 'tags', 'deny'),
      run,
    ),
    allow: buildEntryIndex(
      compileAllowEntries(
        list(spec => spec.allow, 'allow'),
        run,
      ),
    ),
    deny: buildEntryIndex(
      compileDenyEntries(
        list(spec => spec.deny, 'deny'),
        run,
      ),
    ),
  }
  const rules = list(spec => spec.namespaces, 'namespaces').flatMap(item => compileNamespaceRule(item, run))
  const { exceptions, entries } = compileExceptions(
    list(spec => spec.exceptions, 'exceptions'),
    run,
  )
  const rulesFor = createRulesResolver(defaults, rules)
  return {
    name: [...new Set(documents.map(({ document }) => document.metadata.name))].join('+'),
    revision: hash(JSON.stringify(documents.map(({ document }) => document))).slice(0, 7),
    help: single(documents, run, spec => spec.help, 'help'),
    needsNamespaceLabels: rules.some(rule => rule.target.by === 'labels'),
    warnings: [],
    runtime: mergeRuntime(documents, run),
    exceptions,
    exceptionIndex: buildEntryIndex(entries),
    mirrorIndex: buildEntryIndex(
      compileMirrors(
        list(spec => spec.mirrors, 'mirrors'),
        run,
      ),
    ),
    denyEntries: [...defaults.deny.entries, ...rules.flatMap(rule => rule.deny.entries)],
    rulesFor,
    modeFor: scope => rulesFor(scope).mode,
    allowedIn: (scope, limit) => firstPatterns(rulesFor(scope), limit),
    allowedCountIn: scope => rulesFor(scope).allow.reduce((sum, index) => sum + index.entries.length, 0),
  }
}

function firstPatterns({ allow }: NamespaceRules, limit = Number.POSITIVE_INFINITY): readonly string[] {
  const patterns: string[] = []
  for (const { entries } of allow) {
    for (const { pattern } of entries) {
      if (patterns.length >= limit) return patterns
      patterns.push(pattern.text)
    }
  }
  return patterns
}

function placed<Value>(
  values: readonly Value[] | undefined,
  source: PolicySource,
  path: DocumentPath,
): Placed<Value>[] {
  return (values ?? []).map((value, index) => ({ value, source, path: [...path, index] }))
}

/** A missing allow list is more likely forgotten than meant; `[]` says that nothing is allowed. */
function checkAllowIsThere(documents: readonly PlacedDocument[], run: Compilation): void {
  const first = documents[0]
  if (first === undefined || documents.some(({ document }) => document.spec.allow !== undefined)) return
  run.errors.add(first.source, ['spec'], '"allow" is missing', 'list what may run; "allow: []" denies everything')
}

function single<Value extends string | boolean>(
  documents: readonly PlacedDocument[],
  run: Compilation,
  pick: (spec: PolicySpec) => Value | undefined,
  ...path: string[]
): Value | undefined {
  let first: { readonly value: Value; readonly source: PolicySource } | undefined
  for (const { source, document } of documents) {
    const value = pick(document.spec)
    if (value === undefined) continue
    if (first === undefined) first = { value, source }
    if (first.value === value) continue
    const at = first.source.locate(['spec', ...path])
    run.errors.add(
      source,
      ['spec', ...path],
      `${String(value)} contradicts ${String(first.value)} at ${first.source.file}:${at.line}`,
    )
  }
  return first?.value
}

function compileNamespaceRule(item: Placed<NamespaceRuleDocument>, run: Compilation): readonly NamespaceRule[] {
  const { value, source, path } = item
  const target = targetOf(item, run)
  if (target === undefined) return []
  return [
    {
      target,
      mode: value.mode,
      requireDigest: value.digest?.require,
      deniedTags: compileDeniedTags(placed(value.tags?.deny, source, [...path, 'tags', 'deny']), run),
      allow: buildEntryIndex(compileAllowEntries(placed(value.allow, source, [...path, 'allow']), run)),
      deny: buildEntryIndex(compileDenyEntries(placed(value.deny, source, [...path, 'deny']), run)),
    },
  ]
}

function targetOf(
  { value, source, path }: Placed<NamespaceRuleDocument>,
  run: Compilation,
): NamespaceRule['target'] | undefined {
  const { names, selector } = value
  if (names !== undefined && selector !== undefined) {
    run.errors.add(
      source,
      path,
      'has both "names" and "selector"',
      'write two entries: a name counts before a selector',
    )
    return undefined
  }
  if (names !== undefined) {
    return { by: 'name', names: compileNamespaceGlobs(names, source, [...path, 'names'], run) }
  }
  if (selector === undefined) {
    run.errors.add(source, path, 'says for no namespace', 'add "names" or "selector"')
    return undefined
  }
  for (const [index, { operator, values = [] }] of (selector.matchExpressions ?? []).entries()) {
    const at = [...path, 'selector', 'matchExpressions', index]
    const needsValues = operator === 'In' || operator === 'NotIn'
    if (needsValues && values.length === 0) run.errors.add(source, at, `${operator} needs "values"`)
    if (!needsValues && values.length > 0) run.errors.add(source, at, `${operator} takes no "values"`)
  }
  return { by: 'labels', selector }
}

/** Fixes that no denial will ever show, because the policy itself does not allow them. */
function findUselessFixes(policy: CompiledPolicy): readonly PolicyProblem[] {
  // No name and no labels: the defaults. No exception lives at this time.
  const context = { namespace: { name: '', labels: {} }, now: Number.NaN }
  return policy.denyEntries.flatMap(({ fix, at, pattern }) => {
    if (fix === undefined || evaluate(policy, fix, context).outcome === 'allowed') return []
    const message = `the fix ${JSON.stringify(fix)} of ${JSON.stringify(pattern.text)} is itself not allowed, so it is never shown`
    return [{ ...at, path: '', message, hint: 'allow it, or correct it' }]
  })
}

function mergeRuntime(documents: readonly PlacedDocument[], run: Compilation): RuntimeTools {
  const tools = documents.flatMap(({ document }) => document.spec.runtime?.tools ?? [])
  return {
    profile: single(documents, run, spec => spec.runtime?.tools?.profile, 'runtime', 'tools', 'profile') ?? 'default',
    add: tools.flatMap(section => section.add ?? []),
    remove: tools.flatMap(section => section.remove ?? []),
  }
}
