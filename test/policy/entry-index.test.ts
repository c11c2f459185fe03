import t from 'tap'
import { evaluate } from '../../src/policy/index.js'
import { NOW, policyOf, scope } from '../support/policies.js'
import { assertProperty, fc } from '../support/properties.js'

/** The plain meaning of a path pattern, one segment after the other, with all the backtracking that it likes. */
function accepts(parts: readonly string[], segments: readonly string[]): boolean {
  const [part, ...others] = parts
  const [segment, ...rest] = segments
  if (part === undefined) return segment === undefined
  if (others.length === 0 && (part === '*' || part === '**')) return segment !== undefined
  if (part === '**') return accepts(others, segments) || (segment !== undefined && accepts(parts, rest))
  if (segment === undefined) return false
  const expression = new RegExp(`^${part.replaceAll('*', '.*')}$`)
  return expression.test(segment) && accepts(others, rest)
}

const part = fc.constantFrom('a', 'b', 'ab', '*', '**', 'a*', '*b', '*a*', '*a*b')
const path = fc
  .array(part, { minLength: 1, maxLength: 6 })
  .filter(parts => parts.filter(one => one === '**').length <= 2)
const tag = fc.constantFrom('', '', ':a', ':a*')
const entries = fc.array(fc.tuple(path, tag), { minLength: 1, maxLength: 8 })
const segments = fc.array(fc.constantFrom('a', 'b', 'ab', 'ba', 'aab'), { minLength: 1, maxLength: 7 })

t.test('entries that share their beginnings are found as if each were asked alone, the first one first', async () => {
  assertProperty(
    fc.property(entries, segments, fc.constantFrom('a', 'ab', 'b'), (list, repository, imageTag) => {
      const patterns = list.map(([parts, suffix]) => `h.io/${parts.join('/')}${suffix}`)
      const policy = policyOf({ allow: [], deny: patterns })
      const image = `h.io/${repository.join('/')}:${imageTag}`
      const verdict = evaluate(policy, image, { namespace: scope(), now: NOW })
      const expected = list.findIndex(([parts, suffix]) => {
        const isTag = suffix === '' || (suffix === ':a*' ? imageTag.startsWith('a') : suffix === `:${imageTag}`)
        return isTag && accepts(parts, repository)
      })
      return verdict.entry === patterns[expected]
    }),
    { numRuns: 3000 },
  )
})

t.test('wildcards that would be too much for one image stop the load, at the place of one of them', async t => {
  const worst = (index: number) => `h.io/**/*a*${index}/${Array.from({ length: 14 }, () => '*a*b').join('/')}`
  const some = Array.from({ length: 20 }, (_, index) => worst(index))
  t.doesNotThrow(() => policyOf({ allow: some }))
  const many = Array.from({ length: 100 }, (_, index) => worst(index))
  t.throws(() => policyOf({ allow: ['h.io/app', ...many] }), {
    code: 'POLICY_INVALID',
    message: /^test-0\.yaml:1:\d+: .*comparisons/,
  })
  const lists = Array.from({ length: 6 }, () => ({ names: ['*'], allow: some }))
  t.throws(() => policyOf({ allow: [], namespaces: lists }), { code: 'POLICY_INVALID' }, 'all lists count together')
})

t.test(
  'what patterns have in common counts once, and what stands in different places is never asked together',
  async t => {
    const tags = Array.from({ length: 1_000 }, (_, index) => `h.io/**/*a*b/**/*a*b:v${index}`)
    const teams = Array.from({ length: 5_000 }, (_, index) => `h.io/*-team/**/app-${index}`)
    const spread = Array.from({ length: 5_000 }, (_, index) => `h.io/team-${index}/**/*-app`)
    t.doesNotThrow(() => policyOf({ allow: [...tags, ...teams, ...spread] }))
  },
)
