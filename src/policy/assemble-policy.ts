/** From a draft to a policy that judges: what is made of functions, and so cannot come from another thread. */

import type { CompiledPolicy } from './compiled-policy.js'
import { type EntryForest, type EntryTree, patternText } from './entry-forest.js'
import type { EntryIndex } from './entry-index.js'
import { textAt } from './flat-numbers.js'
import { createGlobCompiler, type GlobCompiler, type GlobMatcher } from './glob.js'
import { createWallClock, type MaintenanceWindow } from './maintenance.js'
import { createRulesResolver, type NamespaceRule, type NamespaceRules, type RuleSet } from './namespace-rules.js'
import type { MaintenanceDraft, NamespaceRuleDraft, PolicyDraft, RuleSetDraft } from './policy-draft.js'
import { type ImageException, type PolicyEntry, readPolicyEntry } from './policy-entry.js'
import type { Steps } from './steps.js'

/** In steps: an expression takes 30 µs to make, and a large policy may hold thousands of globs. */
export function* assemblePolicy(draft: PolicyDraft): Steps<CompiledPolicy> {
  const { forest, defaults, exceptionTree, mirrorTree, mirrors } = draft
  const globs = createGlobCompiler()
  const matchers = yield* compileGlobs(forest, globs)
  const indexOf = <Entry>(tree: EntryTree, entryAt: (entry: number) => Entry): EntryIndex<Entry> => {
    return { forest, tree, matchers, entryAt }
  }
  const listOf = (tree: EntryTree) => indexOf(tree, (entry): PolicyEntry => readPolicyEntry(forest, entry))
  const rules = yield* each(draft.rules, (rule): NamespaceRule => {
    return { ...assembleSet(rule, globs, listOf), target: assembleTarget(rule, globs) }
  })
  const exceptions = yield* each(draft.exceptions, (exception): ImageException => {
    const isNamespace = anyOf(exception.namespaces, globs)
    return { ...exception, isNamespace, isTool: anyOf(exception.tools, globs) }
  })
  const byImage = exceptions.flatMap(exception => exception.images.map(() => exception))
  const rulesFor = createRulesResolver({ ...assembleSet(defaults, globs, listOf), mode: defaults.mode }, rules)
  return {
    name: draft.name,
    revision: draft.revision,
    help: draft.help,
    runtime: draft.runtime,
    warnings: draft.warnings,
    needsNamespaceLabels: rules.some(rule => rule.target.by === 'labels'),
    maintenance: yield* each(draft.maintenance, window => assembleWindow(window, globs)),
    exceptions,
    exceptionIndex: indexOf(exceptionTree, entry => byImage[entry - exceptionTree.from]),
    mirrorIndex: indexOf(mirrorTree, entry => mirrors[entry - mirrorTree.from]),
    rulesFor,
    modeFor: scope => rulesFor(scope).mode,
    allowedIn: (scope, limit) => firstPatterns(rulesFor(scope), limit),
    allowedCountIn: scope => rulesFor(scope).allow.reduce((sum, { tree }) => sum + tree.to - tree.from, 0),
  }
}

function* each<Item, Made>(items: readonly Item[], make: (item: Item) => Made): Steps<readonly Made[]> {
  const made: Made[] = []
  for (const item of items) {
    yield
    made.push(make(item))
  }
  return made
}

function* compileGlobs({ globs, texts }: EntryForest, compile: GlobCompiler): Steps<readonly GlobMatcher[]> {
  const matchers: GlobMatcher[] = []
  for (const number of globs) {
    yield
    matchers.push(compile(textAt(texts, number)))
  }
  return matchers
}

function assembleSet(
  { mode, requireDigest, deniedTags, allow, deny }: RuleSetDraft,
  globs: GlobCompiler,
  listOf: (tree: EntryTree) => EntryIndex<PolicyEntry>,
): RuleSet {
  return {
    mode,
    requireDigest,
    deniedTags: deniedTags.map(text => ({ text, matches: globs(text) })),
    allow: listOf(allow),
    deny: listOf(deny),
  }
}

function assembleTarget({ target }: NamespaceRuleDraft, globs: GlobCompiler): NamespaceRule['target'] {
  return target.by === 'labels' ? target : { by: 'name', names: target.names.map(globs) }
}

function assembleWindow({ namespaces, tools, kinds, schedule, ...rest }: MaintenanceDraft, globs: GlobCompiler) {
  return {
    ...rest,
    isNamespace: anyOf(namespaces, globs),
    isTool: tools && anyOf(tools, globs),
    kinds: kinds && new Set(kinds),
    schedule:
      schedule.type === 'once'
        ? schedule
        : { ...schedule, days: new Set(schedule.days), clock: createWallClock(schedule.timeZone) },
  } satisfies MaintenanceWindow
}

/** No glob at all matches nothing. */
function anyOf(texts: readonly string[], globs: GlobCompiler): GlobMatcher {
  const matchers = texts.map(globs)
  return text => matchers.some(matches => matches(text))
}

function firstPatterns({ allow }: NamespaceRules, limit = Number.POSITIVE_INFINITY): readonly string[] {
  const patterns: string[] = []
  for (const { forest, tree } of allow) {
    for (let entry = tree.from; entry < tree.to && patterns.length < limit; entry += 1) {
      patterns.push(patternText(forest, entry))
    }
  }
  return patterns
}
