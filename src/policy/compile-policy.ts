/** From policy documents, several of them merged, to one compiled policy; throws with every problem at once. */

import {
  type Compilation,
  compileAllowEntries,
  compileDeniedTags,
  compileDenyEntries,
  compileMirrors,
  itemsOf,
  type PlacedList,
} from './compile-entries.js'
import { compileExceptions } from './compile-exceptions.js'
import { compileMaintenance } from './compile-maintenance.js'
import { compileNamespaceRules } from './compile-namespaces.js'
import type { CompiledPolicy, RuntimeTools } from './compiled-policy.js'
import { buildEntryIndex, type EntryIndex } from './entry-index.js'
import { evaluate } from './evaluate.js'
import { createGlobCompiler } from './glob.js'
import { MAX_STEPS, workOf } from './match-work.js'
import { createRulesResolver, type NamespaceRule, type NamespaceRules, type RuleSet } from './namespace-rules.js'
import type { PolicySpec } from './policy-document.js'
import { type PlacedDocument, type PolicyDocuments, readPolicyDocuments } from './policy-documents.js'
import type { ExceptionEntry } from './policy-entry.js'
import { type PolicyProblem, type PolicySource, ProblemList, type ValueLocator } from './policy-problem.js'
import { runSteps, type Steps } from './steps.js'
import type { Mode } from './verdict.js'

/**
 * Compile one policy from its documents, in the order in which they are named.
 *
 * Lists are joined; a single value (mode, digest.require, help, profile) may be set in several documents only to the same value.
 *
 * @param hash a cryptographic digest as lower-case hex: the revision is its first seven characters over the merged document.
 * @throws KnownError POLICY_INVALID with every problem as `file:line:column: path: message (hint)`, one a line.
 */
export function compilePolicy(sources: readonly PolicySource[], hash: (text: string) => string): CompiledPolicy {
  return runSteps(compileDocuments(readPolicyDocuments(sources, hash)))
}
/** The same in steps, from documents whose shape has been judged. @throws as `compilePolicy` does. */
export function* compileDocuments({ placed, revision }: PolicyDocuments): Steps<CompiledPolicy> {
  const run = createCompilation()
  const lists = <Value>(
    pick: (spec: PolicySpec) => readonly Value[] | undefined,
    ...path: string[]
  ): PlacedList<Value>[] =>
    placed.map(({ source, document }) => ({ values: pick(document.spec) ?? [], source, path: ['spec', ...path] }))

  checkAllowIsThere(placed, run)
  const deniedTags = lists(spec => spec.tags?.deny, 'tags', 'deny')
  const allow = lists(spec => spec.allow, 'allow')
  const deny = lists(spec => spec.deny, 'deny')
  const defaults: Defaults = {
    mode: single(placed, run, spec => spec.mode, 'mode') ?? 'enforce',
    requireDigest: single(placed, run, spec => spec.digest?.require, 'digest', 'require'),
    deniedTags: compileDeniedTags(itemsOf(deniedTags), run),
    allow: yield* buildEntryIndex(yield* compileAllowEntries(allow, run)),
    deny: yield* buildEntryIndex(yield* compileDenyEntries(deny, run)),
  }
  const namespaces = lists(spec => spec.namespaces, 'namespaces')
  const rules = yield* compileNamespaceRules(itemsOf(namespaces), run)
  const listed = lists(spec => spec.exceptions, 'exceptions')
  const { exceptions, entries } = yield* compileExceptions(itemsOf(listed), run)
  const windows = lists(spec => spec.runtime?.maintenance, 'runtime', 'maintenance')
  const taken = exceptions.map(({ id }) => id)
  const maintenance = compileMaintenance(itemsOf(windows), taken, run)
  const mirrors = lists(spec => spec.mirrors, 'mirrors')
  const exceptionIndex = yield* buildEntryIndex(entries)
  const mirrorIndex = yield* buildEntryIndex(compileMirrors(itemsOf(mirrors), run))
  const policy = assemble(defaults, rules, {
    name: [...new Set(placed.map(({ document }) => document.metadata.name))].join('+'),
    revision,
    help: single(placed, run, spec => spec.help, 'help'),
    runtime: mergeRuntime(placed, run),
    maintenance,
    exceptions,
    exceptionIndex,
    mirrorIndex,
  })
  yield* checkWork([defaults, ...rules], exceptionIndex, run)
  run.errors.throwIfAny()
  return { ...policy, warnings: [...run.warnings.problems, ...(yield* findUselessFixes(policy))] }
}

type Defaults = RuleSet & { readonly mode: Mode }
type PlainParts =
  | 'name'
  | 'revision'
  | 'help'
  | 'runtime'
  | 'maintenance'
  | 'exceptions'
  | 'exceptionIndex'
  | 'mirrorIndex'

/** Apart from the compilation, whose documents and places the functions made here would keep in memory with them. */
function assemble(
  defaults: Defaults,
  rules: readonly NamespaceRule[],
  parts: Pick<CompiledPolicy, PlainParts>,
): CompiledPolicy {
  const rulesFor = createRulesResolver(defaults, rules)
  return {
    ...parts,
    needsNamespaceLabels: rules.some(rule => rule.target.by === 'labels'),
    warnings: [],
    denyEntries: [...defaults.deny.entries, ...rules.flatMap(rule => rule.deny.entries)],
    rulesFor,
    modeFor: scope => rulesFor(scope).mode,
    allowedIn: (scope, limit) => firstPatterns(rulesFor(scope), limit),
    allowedCountIn: scope => rulesFor(scope).allow.reduce((sum, index) => sum + index.entries.length, 0),
  }
}

function createCompilation(): Compilation {
  let ordinal = 0
  return {
    errors: new ProblemList(),
    warnings: new ProblemList(),
    globs: createGlobCompiler(),
    nextOrdinal: () => ordinal++,
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

/** An image names its path as it likes: what the wildcards of all lists can make of one must have a bound. */
function* checkWork(
  sets: readonly RuleSet[],
  exceptions: EntryIndex<ExceptionEntry>,
  { errors }: Compilation,
): Steps<void> {
  const ofExceptions = workOf(exceptions)
  let total = ofExceptions?.steps ?? 0
  let dearest = { steps: total, at: ofExceptions?.example.exception.at }
  for (const index of sets.flatMap(({ allow, deny }) => [allow, deny])) {
    yield
    const work = workOf(index)
    if (work === undefined) continue
    total += work.steps
    if (work.steps > dearest.steps) dearest = { steps: work.steps, at: work.example.at }
  }
  if (total <= MAX_STEPS || dearest.at === undefined) return
  const message = `with wildcards like these, one image could take ${total} comparisons; ${MAX_STEPS} are the limit`
  errors.addAt(dearest.at, message, 'use fewer "**", and write what is literal in front of the first wildcard')
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
  let first: { readonly value: Value; readonly source: ValueLocator } | undefined
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

/** Fixes that no denial will ever show, because the policy itself does not allow them. */
function* findUselessFixes(policy: CompiledPolicy): Steps<readonly PolicyProblem[]> {
  // No name and no labels: the defaults. No exception lives at this time.
  const context = { namespace: { name: '', labels: {} }, now: Number.NaN }
  const problems: PolicyProblem[] = []
  for (const { fix, at, pattern } of policy.denyEntries) {
    if (fix === undefined) continue
    yield
    if (evaluate(policy, fix, context).outcome === 'allowed') continue
    const message = `the fix ${JSON.stringify(fix)} of ${JSON.stringify(pattern.text)} is itself not allowed, so it is never shown`
    problems.push({ ...at, path: '', message, hint: 'allow it, or correct it' })
  }
  return problems
}

function mergeRuntime(documents: readonly PlacedDocument[], run: Compilation): RuntimeTools {
  const tools = documents.flatMap(({ document }) => document.spec.runtime?.tools ?? [])
  return {
    profile: single(documents, run, spec => spec.runtime?.tools?.profile, 'runtime', 'tools', 'profile') ?? 'default',
    add: tools.flatMap(section => section.add ?? []),
    remove: tools.flatMap(section => section.remove ?? []),
  }
}
