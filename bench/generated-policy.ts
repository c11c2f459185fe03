/** Policies of any size, as a large company might keep them, with images that they allow and images that they do not. */

import { createHash } from 'node:crypto'
import { parsePolicyText, toPolicySource } from '../src/adapters/yaml.js'
import { type CompiledPolicy, compilePolicy } from '../src/policy/index.js'

/** Where and when images are judged: a namespace that no policy here has rules for. */
export const CONTEXT = { namespace: { name: 'team-a', labels: undefined }, now: Date.UTC(2026, 10, 22) }

/** So many registries, and so many organisations in each, share the entries. */
const REGISTRIES = 50
const ORGANISATIONS = 400

export interface GeneratedEntry {
  readonly pattern: string
  /** An image that the pattern accepts, without a tag. */
  readonly allowed: string
}

/** Exact ones and prefixes by turns. */
export function generateEntries(count: number): readonly GeneratedEntry[] {
  return Array.from({ length: count }, (_, index) => {
    const repository = `${organisationOf(index)}/app-${index}`
    return index % 2 === 0
      ? { pattern: repository, allowed: repository }
      : { pattern: `${repository}/*`, allowed: `${repository}/server/worker` }
  })
}

/** Patterns with a wildcard segment, each behind another literal beginning. */
export function generateSpreadWildcards(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${organisationOf(index)}/app-${index}/*-server/v*`)
}

/** Patterns with a wildcard segment right behind the same host: every one of them must be asked. */
export function generateCrowdedWildcards(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `registry-0.example.com/*-team/app-${index}`)
}

/** Images that entries of this policy accept, from all over the list, no two the same. */
export function allowedImages(entries: readonly GeneratedEntry[], count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => {
    const entry = entries[Math.floor((index * entries.length) / count)]
    return `${entry?.allowed}:1.27.${index}`
  })
}

/** Images that no entry accepts: mistyped at the repository, at the organisation and at the registry, by turns. */
export function deniedImages(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => {
    const [registry = '', organisation = ''] = organisationOf(index).split('/')
    switch (index % 3) {
      case 0:
        return `${registry}/${organisation}/axp-${index}:1.27.3`
      case 1:
        return `${registry}/taem-${index}/app-${index}:1.27.3`
      default:
        return `registri-${index % REGISTRIES}.example.com/${organisation}/app-${index}:1.27.3`
    }
  })
}

/** The text of a policy file with these allow entries. */
export function policyText(patterns: readonly string[]): string {
  const head =
    'apiVersion: sallyport.dev/v1\nkind: ImagePolicy\nmetadata: { name: bench }\nspec:\n  mode: enforce\n  allow:\n'
  return head + patterns.map(pattern => `    - "${pattern}"\n`).join('')
}

/** From text to a compiled policy, as the commands do it once the file is read. */
export function compileText(text: string): CompiledPolicy {
  return compilePolicy(parsePolicyText(text, 'bench.yaml').map(toPolicySource), content =>
    createHash('sha256').update(content).digest('hex'),
  )
}

/**
 * A compiled policy with these allow patterns, and what else its `spec` shall hold, without a detour over text.
 *
 * @param compile for a process that measures the compiled program: that program's own.
 */
export function policyOf(patterns: readonly string[], rest: object = {}, compile = compilePolicy): CompiledPolicy {
  const start = { line: 1, column: 1 }
  const value = {
    apiVersion: 'sallyport.dev/v1',
    kind: 'ImagePolicy',
    metadata: { name: 'bench' },
    spec: { mode: 'enforce', allow: patterns, ...rest },
  }
  return compile([{ file: 'bench.yaml', value, locate: () => start, locateKey: () => start }], () => '0000000')
}

/** Have every image judged anew that is judged in a namespace without rules of its own. */
export function forgetVerdicts(policy: CompiledPolicy): void {
  policy.rulesFor(CONTEXT.namespace).memo.clear()
}

function organisationOf(index: number): string {
  return `registry-${index % REGISTRIES}.example.com/team-${Math.floor(index / REGISTRIES) % ORGANISATIONS}`
}
