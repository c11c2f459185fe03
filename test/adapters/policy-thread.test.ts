import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { loadPolicy } from '../../src/adapters/policy-files.js'
import { loadPolicyAside } from '../../src/adapters/policy-thread.js'
import { type CompiledPolicy, evaluate, findMaintenance } from '../../src/policy/index.js'
import { NOW } from '../support/policies.js'
import { assertProperty, fc } from '../support/properties.js'

const NEVER = new AbortController().signal
const DIGEST = `sha256:${'a'.repeat(64)}`
/** A Sunday, 23:00 in Berlin. */
const WINDOW_AT = Date.parse('2026-09-06T21:00:00Z')
const SEGMENTS = ['app', 'api', 'web-1', 'team-a', 'x', 'app-server']
const TAGS = ['', ':1', ':1.27.3', ':latest', `@${DIGEST}`, `:1.27.3@${DIGEST}`, '::']
const HOSTS = ['gcr.io/', 'h.io:5000/', 'a.h.io/', '', 'GCR.io/', 'gcx.io/']
const NAMESPACES = [
  { name: 'team-a', labels: {} },
  { name: 'other', labels: { env: 'prod' } },
  { name: 'unknown', labels: undefined },
] as const

/** A policy in which everything occurs, in several files and with doubtful parts; more than is read in place. */
function files(): Readonly<Record<string, string>> {
  const list = (count: number, line: (index: number) => string) =>
    Array.from({ length: count }, (_, i) => line(i)).join('')
  const head = 'apiVersion: sallyport.dev/v1\nkind: ImagePolicy\nmetadata: { name: whole }\nspec:\n'
  return {
    'a.yaml': `${head}  mode: warn
  tags: { deny: [latest, "1.*"] }
  mirrors: [{ from: docker.io/*, to: h.io:5000/hub }]
  allow:
${list(400, index => `    - gcr.io/team-${index}/app\n`)}    - gcr.io/team-a/*
    - { pattern: "gcr.io/*/api:1.2*", reason: "Grund: ä€😀", owner: someone }
    - "h.io:5000/**/app-*:1.27.3"
    - h.io:5000/hub/*
    - gcr.io/x/app@${DIGEST}
    - gcr.io/team-a/**
    - ubuntu
  deny:
    - { pattern: "gcr.io/team-a/web-1", reason: end of life, fix: "gcr.io/team-a/web-2:1" }
    - { pattern: "gcr.io/x", fix: "nowhere.example/x" }
    - "*.h.io/**/x:*.27.*"
`,
    'b.yaml': `${head}  help: https://wiki.example/
  namespaces:
    - { names: [team-a, "t*"], mode: enforce, digest: { require: true }, allow: [a.h.io/*] }
    - { selector: { matchLabels: { env: prod } }, mode: enforce, deny: ["gcr.io/**/api"] }
  exceptions:
${list(
  250,
  index =>
    `    - { id: EX-${index}, images: [docker.io/e${index}/*, "gcr.io/x/web-${index}"], tools: [nmap, "n${index}*"], ` +
    `namespaces: ["team-*"], expires: 2026-12-31T00:00:00Z, reason: ü, owner: o }\n`,
)}  runtime:
    tools: { profile: strict, remove: [tcpdump], add: [{ name: own, patterns: [own*], category: own }] }
    maintenance:
      - { id: M-1, namespaces: ["*"], days: [Mon, Sun], start: "22:00", duration: 2h, timeZone: Europe/Berlin, tools: [NMAP], reason: r, owner: o }
      - { id: M-2, namespaces: [other], kinds: [fileless-exec], from: 2026-01-01T00:00:00Z, until: 2026-12-01T00:00:00Z, reason: r, owner: o }
`,
  }
}

/** What depends on nothing but the policy. */
function facts(policy: CompiledPolicy): unknown {
  const { name, revision, help, runtime, warnings, needsNamespaceLabels, exceptions, maintenance } = policy
  const scopes = NAMESPACES.map(namespace => ({
    mode: policy.modeFor(namespace),
    allowed: [policy.allowedIn(namespace), policy.allowedIn(namespace, 3), policy.allowedCountIn(namespace)],
    tools: exceptions.filter(each => each.isTool('n7x') && each.isNamespace(namespace.name)).map(({ id }) => id),
    windows: [['nmap'], []].map(tools =>
      findMaintenance(maintenance, { kind: 'fileless-exec', tools, namespace: namespace.name }, WINDOW_AT),
    ),
  }))
  const listed = exceptions.map(({ isNamespace: _, isTool: __, ...rest }) => rest)
  return JSON.stringify({ name, revision, help, runtime, warnings, needsNamespaceLabels, scopes, listed })
}

t.test('a policy that comes from a thread says what one that was compiled in place says', async t => {
  const folder = t.testdir(files())
  const [here, aside] = await Promise.all([loadPolicy([folder]), loadPolicyAside([folder], NEVER)])
  t.equal(facts(aside), facts(here))
  t.match(facts(here), /"id":"M-1".*"id":"M-2"/)
  t.ok(here.warnings.length >= 2 && here.exceptions.length === 250)
  const made = fc
    .tuple(
      fc.constantFrom(...HOSTS),
      fc.array(fc.constantFrom(...SEGMENTS), { minLength: 1, maxLength: 4 }),
      fc.constantFrom(...TAGS),
    )
    .map(([host, path, tag]) => `${host}${path.join('/')}${tag}`)
  // For what hardly ever comes about by chance.
  const rare = fc.constantFrom(`gcr.io/a/api:1.2.3@${DIGEST}`, 'gcr.io/x/web-7:2', 'docker.io/e9/a/b:2')
  const image = fc.oneof({ weight: 9, arbitrary: made }, { weight: 1, arbitrary: rare })
  const reasons = new Set<string>()
  assertProperty(
    fc.property(image, fc.constantFrom(NOW, Date.parse('2027-01-01T00:00:00Z')), (one, now) => {
      for (const namespace of NAMESPACES) reasons.add(evaluate(here, one, { namespace, now }).reason)
      return NAMESPACES.every(namespace => {
        const context = { namespace, now }
        return isDeepStrictEqual(evaluate(aside, one, context), evaluate(here, one, context))
      })
    }),
    { numRuns: 1_000 },
  )
  t.equal(reasons.size, 8, [...reasons].join(' '))
})

t.test('what is wrong is said in the same words, at the same places', async t => {
  const good = files()
  const path = join(t.testdir(good), 'a.yaml')
  for (const [from, to] of [
    ['- ubuntu', '- Ubuntu/x:'],
    ['reason: end of life', 'raeson: end of life'],
    ['from: docker.io/*', 'from: "docker.io/*x"'],
  ] as const) {
    writeFileSync(path, (good['a.yaml'] ?? '').replace(from, to))
    const messages = await Promise.all(
      [loadPolicy([path]), loadPolicyAside([path], NEVER)].map(async loading => {
        const error: unknown = await loading.then(
          () => undefined,
          (reason: unknown) => reason,
        )
        return error instanceof Error ? error.message.split('\n')[0] : 'none'
      }),
    )
    t.match(messages[0], /a\.yaml:\d+:\d+: /, to)
    t.equal(messages[1], messages[0])
  }
})
