import { readFileSync } from 'node:fs'
import t from 'tap'
import { parsePolicyText, toPolicySource } from '../../src/adapters/yaml.js'
import { KnownError } from '../../src/errors.js'
import { type CompiledPolicy, compilePolicy, findException, policyJsonSchema } from '../../src/policy/index.js'
import { documentOf, policyOf, scope, sha256, sourceOf } from '../support/policies.js'

const HEAD = 'apiVersion: sallyport.dev/v1\nkind: ImagePolicy\nmetadata: { name: test }\nspec:\n'
const compileText = (...bodies: string[]): CompiledPolicy =>
  compilePolicy(
    bodies.flatMap((body, index) => parsePolicyText(HEAD + body, `${'abc'.charAt(index)}.yaml`).map(toPolicySource)),
    sha256,
  )

/** The problems of a text that must not compile, one a line. */
function problemsOf(...bodies: string[]): readonly string[] {
  try {
    compileText(...bodies)
  } catch (error) {
    if (error instanceof KnownError && error.code === 'POLICY_INVALID') return error.message.split('\n')
    throw error
  }
  throw new Error('the policy compiled')
}

t.test('each mistake is reported at its line and column, with a hint where there is one', async t => {
  const table: readonly (readonly [string, string])[] = [
    ['  alow: []\n  allow: []\n', 'a.yaml:5:3: spec.alow: unknown key (did you mean "allow"?)'],
    ['  mode: Warn\n  allow: []\n', 'a.yaml:5:9: spec.mode: must be "enforce" or "warn" or "audit", and is "Warn"'],
    ['  mode: warn\n', 'a.yaml:5:3: spec: "allow" is missing'],
    ['  allow: nginx\n', 'a.yaml:5:10: spec.allow: must be a list, and is "nginx"'],
    ['  allow:\n    - gcr.io*/x\n', 'a.yaml:6:13: spec.allow[0]: pattern "gcr.io*/x" has a wildcard inside the host'],
    ['  allow:\n    - "gcr.io/[a]"\n', 'a.yaml:6:15: spec.allow[0]: pattern "gcr.io/[a]" holds "["'],
    ['  allow:\n    - { pattern: gcr.io/A }\n', 'a.yaml:6:25: spec.allow[0].pattern: pattern "gcr.io/A" cannot match'],
    ['  allow:\n    - { patern: x }\n', 'a.yaml:6:9: spec.allow[0].patern: unknown key (did you mean "pattern"?)'],
    ['  allow: [3]\n', 'a.yaml:5:11: spec.allow[0]: must be a pattern or an object with a "pattern", and is number 3'],
    ['  allow:\n    - *.example.com/x\n', 'a.yaml:6:7: "*.example.com/x" is an alias in YAML'],
    ['  allow: []\n  allow: []\n', 'a.yaml:6:3: is no valid YAML: Map keys must be unique'],
    ['  allow: []\n  tags: { deny: ["a b"] }\n', 'a.yaml:6:19: spec.tags.deny[0]: "a b": the tag is malformed'],
    ['  allow: []\n  namespaces: [{ mode: warn }]\n', 'a.yaml:6:16: spec.namespaces[0]: says for no namespace'],
    [
      '  allow: []\n  namespaces: [{ names: [A] }]\n',
      'a.yaml:6:26: spec.namespaces[0].names[0]: "A" is no name of a namespace',
    ],
    ['  allow: []\n  namespaces: [{ names: [a], selector: {} }]\n', 'a.yaml:6:16: spec.namespaces[0]: has both'],
    [
      '  allow: []\n  mirrors: [{ from: "docker.io/*x", to: a.b/c }]\n',
      'a.yaml:6:21: spec.mirrors[0].from: a mirror maps',
    ],
    [
      '  allow: []\n  mirrors: [{ from: docker.io/*, to: hub }]\n',
      'a.yaml:6:38: spec.mirrors[0].to: "hub" is no place',
    ],
    ['  allow: []\n  deny: [{ pattern: x, fix: "a b" }]\n', 'a.yaml:6:29: spec.deny[0].fix: is no image reference'],
    [
      '  allow: []\n  runtime: { tools: { add: [{ name: x, category: y, patterns: [abc, "a*"] }] } }\n',
      'a.yaml:6:69: spec.runtime.tools.add[0].patterns[1]: "a*" names fewer than 3 characters',
    ],
    [
      '  allow: []\n  runtime: { tools: { add: [{ name: x, category: y, patterns: [abc], attack: [T1] }] } }\n',
      'a.yaml:6:79: spec.runtime.tools.add[0].attack[0]: "T1" is no ATT&CK technique id',
    ],
  ]
  for (const [body, expected] of table) {
    const problems = problemsOf(body)
    t.ok(
      problems.some(problem => problem.startsWith(expected)),
      expected,
      { problems },
    )
  }
})

t.test('an exception lacks nothing: each missing or impossible part stops the load', async t => {
  const whole = { id: 'E1', images: ['x'], namespaces: ['a'], expires: '2026-12-31T00:00:00Z', reason: 'r', owner: 'o' }
  t.doesNotThrow(() => policyOf({ allow: [], exceptions: [whole] }))
  for (const key of ['id', 'namespaces', 'expires', 'reason', 'owner', 'images'] as const) {
    const { [key]: _, ...rest } = whole
    t.throws(() => policyOf({ allow: [], exceptions: [rest] }), { code: 'POLICY_INVALID' }, `without ${key}`)
  }
  const bad = [
    { ...whole, expires: '2026-12-31' },
    { ...whole, expires: '2026-13-31T00:00:00Z' },
    { ...whole, from: '2027-01-01T00:00:00Z' },
    { ...whole, namespaces: [] },
    { ...whole, images: ['gcr.io*/x'] },
    { ...whole, tools: ['a*b*c*'] },
  ]
  for (const exception of bad)
    t.throws(() => policyOf({ allow: [], exceptions: [exception] }), { code: 'POLICY_INVALID' })
  t.throws(() => policyOf({ allow: [], exceptions: [whole, whole] }), { code: 'POLICY_INVALID' }, 'the same id twice')
})

t.test('all problems of all files come at once, in the order of the files', async t => {
  const lines = problemsOf('  mode: x\n  alow: []\n', '  allow: [1]\n')
  t.strictSame(
    lines.map(line => line.split(': ')[0]),
    ['a.yaml:5:9', 'a.yaml:6:3', 'b.yaml:5:11'],
  )
})

t.test('what is no ImagePolicy is said in one sentence', async t => {
  for (const value of [null, 3, 'text', [], {}, { apiVersion: 'v1', kind: 'Pod' }]) {
    t.throws(() => compilePolicy([sourceOf(value)], sha256), {
      code: 'POLICY_INVALID',
      message: /^test\.yaml:1:1: is no ImagePolicy/,
    })
  }
})

t.test('several files join their lists and must agree on single values', async t => {
  const policy = compileText('  mode: warn\n  allow: [gcr.io/a/*]\n', '  allow: [gcr.io/b/*]\n  mode: warn\n')
  t.strictSame(policy.allowedIn(scope()), ['gcr.io/a/*', 'gcr.io/b/*'])
  t.equal(policy.modeFor(scope()), 'warn')
  const [problem = ''] = problemsOf('  mode: warn\n  allow: []\n', '  mode: audit\n')
  t.match(problem, /^b\.yaml:5:9: spec\.mode: audit contradicts warn at a\.yaml:5/)
})

t.test('the revision follows the content, not the writing', async t => {
  const revision = (body: string) => compileText(body).revision
  t.match(revision('  allow: [x]\n'), /^[0-9a-f]{7}$/)
  t.equal(revision('  allow: [x]\n  mode: warn\n'), revision('  mode: warn\n  allow:\n    # why\n    - x\n'))
  t.not(revision('  allow: [x]\n'), revision('  allow: [y]\n'))
  t.not(revision('  allow: [x]\n'), revision('  allow: [x]\n  mode: warn\n'))
})

t.test('doubtful entries are warned about and still work', async t => {
  const warn = (spec: object) => policyOf({ mode: 'warn', ...spec }).warnings.map(warning => warning.message)
  t.match(warn({ allow: ['docker.io/*'] }), [/^admits whatever anybody publishes/])
  t.match(warn({ allow: ['*.io/*'] }), [/^admits whatever anybody publishes/])
  t.match(warn({ allow: ['quay.io/**'] }), [/^admits whatever anybody publishes/])
  t.match(warn({ allow: ['gcr.io:99999/x'] }), [/never be reached/])
  t.match(warn({ allow: ['nginx', 'docker.io/library/nginx'] }), [/^says the same as test-0\.yaml:1/])
  t.match(warn({ allow: ['gcr.io/a/*'], deny: [{ pattern: 'x', fix: 'y' }] }), [/itself not allowed/])
  t.strictSame(warn({ allow: ['docker.io/myco/*'], deny: [{ pattern: 'x', fix: 'myco/x:1' }] }), [])
})

t.test('mode is enforce where the policy names none, and an exception is found by its id', async t => {
  const policy = policyOf({
    allow: [],
    exceptions: [
      { id: 'E1', tools: ['NMAP'], namespaces: ['*'], expires: '2026-12-31T00:00:00Z', reason: 'r', owner: 'o' },
    ],
  })
  t.equal(policy.modeFor(scope()), 'enforce')
  t.strictSame(findException(policy, 'E1')?.tools, ['nmap'])
  t.equal(findException(policy, 'E2'), undefined)
})

t.test('the JSON Schema that editors get is made from the same source', async t => {
  const shipped: unknown = JSON.parse(readFileSync('policies/image-policy.schema.json', 'utf8'))
  t.strictSame(shipped, JSON.parse(JSON.stringify(policyJsonSchema())), 'run `npm run schema`')
})

t.test('hundred thousand entries load and answer', async t => {
  const allow = Array.from({ length: 100_000 }, (_, index) => `registry.example.com/team-${index % 1000}/app-${index}`)
  const policy = compilePolicy([sourceOf(documentOf({ mode: 'enforce', allow }))], sha256)
  t.equal(policy.allowedIn(scope()).length, 100_000)
})
