/** What the policy says for one namespace: its mode, the tag and digest rules, and the entries that count there. */

import type { EntryIndex } from './entry-index.js'
import type { GlobMatcher } from './glob.js'
import type { TagRule } from './pattern.js'
import type { SelectorDocument } from './policy-document.js'
import type { PolicyEntry } from './policy-entry.js'
import { MODES, type Mode } from './verdict.js'

/** A namespace as far as the asking gate knows it. */
export interface NamespaceScope {
  readonly name: string
  /** Undefined when they cannot be read: the strictest rules that could apply then hold. */
  readonly labels: Readonly<Record<string, string>> | undefined
}

/** A tag of `tags.deny`, as written and as a rule. */
export interface DeniedTag {
  readonly text: string
  readonly rule: TagRule
}

/** One entry of `spec.namespaces`, or the policy's defaults. */
export interface RuleSet {
  readonly mode: Mode | undefined
  readonly requireDigest: boolean | undefined
  readonly deniedTags: readonly DeniedTag[]
  readonly allow: EntryIndex<PolicyEntry>
  readonly deny: EntryIndex<PolicyEntry>
}

export interface NamespaceRule extends RuleSet {
  readonly target:
    | { readonly by: 'name'; readonly names: readonly GlobMatcher[] }
    | { readonly by: 'labels'; readonly selector: SelectorDocument }
}

/** What holds in one namespace, ready to judge with. */
export interface NamespaceRules {
  readonly mode: Mode
  readonly requireDigest: boolean
  readonly deniedTags: readonly DeniedTag[]
  readonly allow: readonly EntryIndex<PolicyEntry>[]
  readonly deny: readonly EntryIndex<PolicyEntry>[]
}

/** How many namespaces are remembered; then the memory starts anew. */
const MAX_REMEMBERED = 10_000

/** A function that resolves a namespace's rules, and remembers them until its labels object is another one. */
export function createRulesResolver(
  defaults: RuleSet & { readonly mode: Mode },
  rules: readonly NamespaceRule[],
): (scope: NamespaceScope) => NamespaceRules {
  const remembered = new Map<string, { readonly labels: NamespaceScope['labels']; readonly rules: NamespaceRules }>()
  return scope => {
    const known = remembered.get(scope.name)
    if (known !== undefined && known.labels === scope.labels) return known.rules
    if (remembered.size >= MAX_REMEMBERED) remembered.clear()
    const resolved = resolveRules(defaults, rules, scope)
    remembered.set(scope.name, { labels: scope.labels, rules: resolved })
    return resolved
  }
}

function resolveRules(
  defaults: RuleSet & { readonly mode: Mode },
  rules: readonly NamespaceRule[],
  scope: NamespaceScope,
): NamespaceRules {
  const named = rules.filter(
    rule => rule.target.by === 'name' && rule.target.names.some(matches => matches(scope.name)),
  )
  const { labels } = scope
  const selected = rules.filter(
    rule => rule.target.by === 'labels' && labels !== undefined && matchesSelector(rule.target.selector, labels),
  )
  // Labels that cannot be read: each selector might select, so whatever is stricter holds and nothing is added to allow.
  const possible = labels === undefined ? rules.filter(rule => rule.target.by === 'labels') : []
  const certain = [defaults, ...named, ...selected]
  const strict = [...certain, ...possible]
  return {
    mode: modeOf(defaults.mode, named, selected, possible),
    requireDigest: requiresDigest(defaults, [...named, ...selected], possible),
    deniedTags: strict.flatMap(rule => rule.deniedTags),
    allow: certain.map(rule => rule.allow).filter(hasEntries),
    deny: strict.map(rule => rule.deny).filter(hasEntries),
  }
}

function modeOf(
  fallback: Mode,
  named: readonly NamespaceRule[],
  selected: readonly NamespaceRule[],
  possible: readonly NamespaceRule[],
): Mode {
  return strictest(named) ?? strictest(selected) ?? strictest([{ mode: fallback }, ...possible]) ?? fallback
}

function strictest(rules: readonly { readonly mode: Mode | undefined }[]): Mode | undefined {
  const ranks = rules.flatMap(rule => (rule.mode === undefined ? [] : [MODES.indexOf(rule.mode)]))
  return ranks.length === 0 ? undefined : MODES[Math.max(...ranks)]
}

function requiresDigest(defaults: RuleSet, certain: readonly RuleSet[], possible: readonly RuleSet[]): boolean {
  if (possible.some(rule => rule.requireDigest === true)) return true
  const said = certain.flatMap(rule => (rule.requireDigest === undefined ? [] : [rule.requireDigest]))
  return said.length === 0 ? defaults.requireDigest === true : said.includes(true)
}

function hasEntries(index: EntryIndex<PolicyEntry>): boolean {
  return index.entries.length > 0
}

/** As the API server evaluates a label selector: all of it must hold; an empty one selects everything. */
export function matchesSelector(selector: SelectorDocument, labels: Readonly<Record<string, string>>): boolean {
  const wanted = Object.entries(selector.matchLabels ?? {})
  if (!wanted.every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value)) return false
  return (selector.matchExpressions ?? []).every(({ key, operator, values = [] }) =>
    matchesOperator(operator, Object.hasOwn(labels, key) ? labels[key] : undefined, values),
  )
}

type Operator = NonNullable<SelectorDocument['matchExpressions']>[number]['operator']

function matchesOperator(operator: Operator, value: string | undefined, values: readonly string[]): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
  }
}
