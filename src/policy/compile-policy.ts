/** From policy documents, several of them merged, to one compiled policy; throws with every problem at once. */

import { assemblePolicy } from './assemble-policy.js'
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
import { compileRuntimeTools } from './compile-runtime.js'
import type { CompiledPolicy } from './compiled-policy.js'
import { type EntryForest, type EntryTree, entryField, FIX, originOf } from './entry-forest.js'
import { evaluate } from './evaluate.js'
import { ForestBuilder } from './forest-builder.js'
import { MAX_STEPS, workOf } from './match-work.js'
import type { PolicySpec } from './policy-document.js'
import { type PlacedDocument, type PolicyDocuments, readPolicyDocuments } from './policy-documents.js'
import type { DefaultsDraft, PolicyDraft, RuleSetDraft } from './policy-draft.js'
import { readPolicyEntry } from './policy-entry.js'
import { type PolicyProblem, type PolicySource, ProblemList, type ValueLocator } from './policy-problem.js'
import { runSteps } from './steps.js'

/** A list of a hundred thousand doubtful entries is doubtful in one way. */
const MAX_WARNINGS = 1_000

/**
 * Compile one policy from its documents, in the order in which they are named.
 *
 * Lists are joined; a single value (mode, digest.require, help, profile) may be set in several documents only to the same value.
 *
 * @param hash a cryptographic digest as lower-case hex: the revision is its first seven characters over the merged document.
 * @throws KnownError POLICY_INVALID with every problem as `file:line:column: path: message (hint)`, one a line.
 */
export function compilePolicy(sources: readonly PolicySource[], hash: (text: string) => string): CompiledPolicy {
  return runSteps(assemblePolicy(compileDraft(readPolicyDocuments(sources, hash))))
}

/** All that can go wrong, and all that takes long; the rest is `assemblePolicy`. @throws as `compilePolicy` does. */
export function compileDraft({ placed, revision }: PolicyDocuments): PolicyDraft {
  const run: Compilation = { errors: new ProblemList(), warnings: new ProblemList(), forest: new ForestBuilder() }
  const lists = <Value>(
    pick: (spec: PolicySpec) => readonly Value[] | undefined,
    ...path: string[]
  ): PlacedList<Value>[] =>
    placed.map(({ source, document }) => ({ values: pick(document.spec) ?? [], source, path: ['spec', ...path] }))
  const items = <Value>(pick: (spec: PolicySpec) => readonly Value[] | undefined, ...path: string[]) =>
    itemsOf(lists(pick, ...path))

  checkAllowIsThere(placed, run)
  const defaults: DefaultsDraft = {
    mode: single(placed, run, spec => spec.mode, 'mode') ?? 'enforce',
    requireDigest: single(placed, run, spec => spec.digest?.require, 'digest', 'require'),
    deniedTags: compileDeniedTags(
      items(spec => spec.tags?.deny, 'tags', 'deny'),
      run,
    ),
    allow: compileAllowEntries(
      lists(spec => spec.allow, 'allow'),
      run,
    ),
    deny: compileDenyEntries(
      lists(spec => spec.deny, 'deny'),
      run,
    ),
  }
  const rules = compileNamespaceRules(
    items(spec => spec.namespaces, 'namespaces'),
    run,
  )
  const ofExceptions = compileExceptions(
    items(spec => spec.exceptions, 'exceptions'),
    run,
  )
  const windows = items(spec => spec.runtime?.maintenance, 'runtime', 'maintenance')
  const taken = ofExceptions.exceptions.map(({ id }) => id)
  const maintenance = compileMaintenance(windows, taken, run)
  const ofMirrors = compileMirrors(
    items(spec => spec.mirrors, 'mirrors'),
    run,
  )
  const help = single(placed, run, spec => spec.help, 'help')
  const runtime = compileRuntimeTools(
    single(placed, run, spec => spec.runtime?.tools?.profile, 'runtime', 'tools', 'profile') ?? 'default',
    items(spec => spec.runtime?.tools?.add, 'runtime', 'tools', 'add'),
    items(spec => spec.runtime?.tools?.remove, 'runtime', 'tools', 'remove'),
    run,
  )
  const forest = run.forest.build()
  checkWork(forest, [defaults, ...rules], ofExceptions.exceptionTree, run)
  run.errors.throwIfAny()
  const name = [...new Set(placed.map(({ document }) => document.metadata.name))].join('+')
  const draft = { name, revision, help, runtime, forest, defaults, rules, ...ofExceptions, maintenance, ...ofMirrors }
  const warnings = [...run.warnings.problems, ...findUselessFixes({ ...draft, warnings: [] })]
  return { ...draft, warnings: bounded(warnings) }
}

/** An image names its path as it likes: what the wildcards of all lists can make of one must have a bound. */
function checkWork(
  forest: EntryForest,
  sets: readonly RuleSetDraft[],
  exceptions: EntryTree,
  { errors }: Compilation,
): void {
  const ofExceptions = workOf(forest, exceptions)
  let total = ofExceptions?.steps ?? 0
  let dearest = ofExceptions
  for (const tree of sets.flatMap(({ allow, deny }) => [allow, deny])) {
    const work = workOf(forest, tree)
    if (work === undefined) continue
    total += work.steps
    if (dearest === undefined || work.steps > dearest.steps) dearest = work
  }
  if (total <= MAX_STEPS || dearest === undefined) return
  const message = `with wildcards like these, one image could take ${total} comparisons; ${MAX_STEPS} are the limit`
  const hint = 'use fewer "**", and write what is literal in front of the first wildcard'
  errors.addAt(originOf(forest, dearest.example), message, hint)
}

function bounded(warnings: readonly PolicyProblem[]): readonly PolicyProblem[] {
  const first = warnings[MAX_WARNINGS]
  if (first === undefined) return warnings
  const message = `is the first of ${warnings.length - MAX_WARNINGS} more places that are doubtful`
  return [...warnings.slice(0, MAX_WARNINGS), { ...first, message, hint: undefined }]
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
function findUselessFixes(draft: PolicyDraft): readonly PolicyProblem[] {
  const { forest } = draft
  const withFix = [draft.defaults, ...draft.rules].flatMap(({ deny }) => {
    const entries = Array.from({ length: deny.to - deny.from }, (_, index) => deny.from + index)
    return entries.filter(entry => entryField(forest, entry, FIX) !== 0)
  })
  if (withFix.length === 0) return []
  // No name and no labels: the defaults. No exception lives at this time.
  const context = { namespace: { name: '', labels: {} }, now: Number.NaN }
  const policy = runSteps(assemblePolicy(draft))
  return withFix.flatMap(entry => {
    const { pattern, fix = '', at } = readPolicyEntry(forest, entry)
    if (evaluate(policy, fix, context).outcome === 'allowed') return []
    const said = `the fix ${JSON.stringify(fix)} of ${JSON.stringify(pattern)} is itself not allowed, so it is never shown`
    return [{ ...at, path: '', message: said, hint: 'allow it, or correct it' }]
  })
}
