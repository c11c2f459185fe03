/** What the policy says for one namespace: its mode, the tag and digest rules, and the entries that count there. */

import type { EntryIndex } from './entry-index.js'
import type { GlobMatcher } from './glob.js'
import { matchesSelector } from './label-selector.js'
import type { SelectorDocument } from './policy-document.js'
import type { PolicyEntry } from './policy-entry.js'
import { MODES, type Mode, type Verdict } from './verdict.js'

/** A namespace as far as the asking gate knows it. */
export interface NamespaceScope {
  readonly name: string
  /** Undefined when they cannot be read: the strictest rules that could apply then hold. */
  readonly labels: Readonly<Record<string, string>> | undefined
}

/** A tag or glob of `tags.deny`. */
export interface DeniedTag {
  readonly text: string
  readonly matches: GlobMatcher
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
  /** Verdicts that depend on nothing but the image, by the written string: a cluster runs the same few again and again. */
  readonly memo: Map<string, Verdict>
}

/** How many namespaces, and how many different sets of rules, are remembered; then the memory starts anew. */
const MAX_NAMESPACES = 10_000
const MAX_RULE_SETS = 200

type Defaults = RuleSet & { readonly mode: Mode }

/**
 * A function that resolves a namespace's rules. Namespaces to which the same entries apply share one object, and with it
 * the memo; a namespace is looked at anew when its labels object is another one.
 */
export function createRulesResolver(
  defaults: Defaults,
  rules: readonly NamespaceRule[],
): (scope: NamespaceScope) => NamespaceRules {
  const byNamespace = new Map<string, { readonly labels: NamespaceScope['labels']; readonly rules: NamespaceRules }>()
  const byEntries = new Map<string, NamespaceRules>()
  return scope => {
    const known = byNamespace.get(scope.name)
    if (known !== undefined && known.labels === scope.labels) return known.rules
    const applying = applyingRules(rules, scope)
    const key = Object.values(applying)
      .map(list => list.map((rule: NamespaceRule) => rules.indexOf(rule)).join())
      .join(';')
    const resolved = byEntries.get(key) ?? combine(defaults, applying)
    remember(byEntries, key, resolved, MAX_RULE_SETS)
    remember(byNamespace, scope.name, { labels: scope.labels, rules: resolved }, MAX_NAMESPACES)
    return resolved
  }
}

/** The entries that apply to one namespace, by how sure that is. */
interface ApplyingRules {
  readonly named: readonly NamespaceRule[]
  readonly selected: readonly NamespaceRule[]
  /** Labels cannot be read: each selector might select. */
  readonly possible: readonly NamespaceRule[]
}

function applyingRules(rules: readonly NamespaceRule[], { name, labels }: NamespaceScope): ApplyingRules {
  const selects = ({ target }: NamespaceRule): boolean =>
    target.by === 'labels' && labels !== undefined && matchesSelector(target.selector, labels)
  return {
    named: rules.filter(({ target }) => target.by === 'name' && target.names.some(matches => matches(name))),
    selected: rules.filter(selects),
    possible: labels === undefined ? rules.filter(({ target }) => target.by === 'labels') : [],
  }
}

/** Whatever is stricter among the possible holds, and only what certainly applies adds to allow. */
function combine(defaults: Defaults, { named, selected, possible }: ApplyingRules): NamespaceRules {
  const certain = [defaults, ...named, ...selected]
  const strict = [...certain, ...possible]
  return {
    mode: modeOf(defaults.mode, named, selected, possible),
    requireDigest: requiresDigest(defaults, [...named, ...selected], possible),
    deniedTags: strict.flatMap(rule => rule.deniedTags),
    allow: certain.map(rule => rule.allow).filter(hasEntries),
    deny: strict.map(rule => rule.deny).filter(hasEntries),
    memo: new Map(),
  }
}

function remember<Value>(memory: Map<string, Value>, key: string, value: Value, limit: number): void {
  if (memory.size >= limit) memory.clear()
  memory.set(key, value)
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
  return index.tree.to > index.tree.from
}
