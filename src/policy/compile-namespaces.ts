/** The entries of `spec.namespaces`: compiled, with what they say for and the lists that they add. */

import {
  type Compilation,
  compileAllowEntries,
  compileDeniedTags,
  compileDenyEntries,
  itemsOf,
  type Placed,
  type PlacedList,
} from './compile-entries.js'
import { compileNamespaceGlobs } from './compile-exceptions.js'
import type { NamespaceRuleDocument } from './policy-document.js'
import type { NamespaceRuleDraft } from './policy-draft.js'

export function compileNamespaceRules(
  items: readonly Placed<NamespaceRuleDocument>[],
  run: Compilation,
): readonly NamespaceRuleDraft[] {
  const rules: NamespaceRuleDraft[] = []
  for (const item of items) {
    const { value, source, path } = item
    const target = targetOf(item, run)
    if (target === undefined) continue
    const listOf = <Value>(values: readonly Value[] | undefined, ...below: string[]): PlacedList<Value> => {
      return { values: values ?? [], source, path: [...path, ...below] }
    }
    rules.push({
      target,
      mode: value.mode,
      requireDigest: value.digest?.require,
      deniedTags: compileDeniedTags(itemsOf([listOf(value.tags?.deny, 'tags', 'deny')]), run),
      allow: compileAllowEntries([listOf(value.allow, 'allow')], run),
      deny: compileDenyEntries([listOf(value.deny, 'deny')], run),
    })
  }
  return rules
}

function targetOf(
  { value, source, path }: Placed<NamespaceRuleDocument>,
  run: Compilation,
): NamespaceRuleDraft['target'] | undefined {
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
