import t from 'tap'
import { type CompiledPolicy, evaluate, parseImageReference, type Verdict } from '../../src/policy/index.js'
import { acceptedPattern, plainReference } from '../support/arbitraries.js'
import { NOW, policyOf, scope } from '../support/policies.js'
import { assertProperty, fc } from '../support/properties.js'

const DIGEST = `@sha256:${'a'.repeat(64)}`
const EXCEPTION = {
  id: 'EX-1',
  images: ['docker.io/bitnami/redis'],
  namespaces: ['team-a'],
  from: '2026-08-01T00:00:00Z',
  expires: '2026-10-01T00:00:00Z',
  reason: 'migration',
  owner: 'team-a',
}
const judge = (policy: CompiledPolicy, image: string, namespace = scope(), now = NOW): Verdict =>
  evaluate(policy, image, { namespace, now })

t.test('each step of the order has its outcome, reason and entry', async t => {
  const policy = policyOf({
    mode: 'enforce',
    allow: ['gcr.io/org/*', 'docker.io/library/nginx', 'gcr.io/pinned/app:1.2'],
    deny: [{ pattern: 'gcr.io/org/bad', reason: 'vulnerable' }, 'docker.io/bitnami/redis:6.*'],
    tags: { deny: ['latest', 'dev-*'] },
    exceptions: [EXCEPTION, { ...EXCEPTION, id: 'EX-2', images: ['gcr.io/org/bad'] }],
  })
  const table: readonly (readonly [string, string, string, string | undefined])[] = [
    ['gcr.io/org/app:1', 'allowed', 'allow-entry', 'gcr.io/org/*'],
    [`gcr.io/org/app${DIGEST}`, 'allowed', 'allow-entry', 'gcr.io/org/*'],
    ['gcr.io/org/app', 'denied', 'tag-denied', 'tags.deny latest'],
    ['gcr.io/org/app:dev-7', 'denied', 'tag-denied', 'tags.deny dev-*'],
    ['gcr.io/org/app:LATEST', 'allowed', 'allow-entry', 'gcr.io/org/*'],
    [`gcr.io/org/app:latest${DIGEST}`, 'allowed', 'allow-entry', 'gcr.io/org/*'],
    ['gcr.io/org/bad:1', 'denied', 'deny-entry', 'gcr.io/org/bad'],
    ['bitnami/redis:7', 'excepted', 'exception', 'EX-1'],
    ['bitnami/redis', 'excepted', 'exception', 'EX-1'],
    ['bitnami/redis:6.2', 'denied', 'deny-entry', 'docker.io/bitnami/redis:6.*'],
    ['quay.io/x/y', 'denied', 'not-allowed', undefined],
    [`gcr.io/pinned/app:1.2${DIGEST}`, 'denied', 'digest-not-covered', 'gcr.io/pinned/app:1.2'],
    ['gcr.io/pinned/app:1.3', 'denied', 'not-allowed', undefined],
    ['Evil/App', 'denied', 'image-unreadable', undefined],
  ]
  for (const [image, outcome, reason, entry] of table) {
    const verdict = judge(policy, image)
    t.strictSame([verdict.outcome, verdict.reason, verdict.entry], [outcome, reason, entry], image)
  }
})

t.test('an exception holds in its namespaces, from its start until just before its end', async t => {
  const policy = policyOf({
    mode: 'enforce',
    allow: [],
    exceptions: [{ ...EXCEPTION, namespaces: ['team-a', 'dev-*'] }],
  })
  const outcome = (namespace: string, time: string) =>
    judge(policy, 'bitnami/redis', scope(namespace), Date.parse(time)).outcome
  t.equal(outcome('team-a', '2026-07-31T23:59:59Z'), 'denied')
  t.equal(outcome('team-a', '2026-08-01T00:00:00Z'), 'excepted')
  t.equal(outcome('team-a', '2026-09-30T23:59:59.999Z'), 'excepted')
  t.equal(outcome('team-a', '2026-10-01T00:00:00Z'), 'denied')
  t.equal(outcome('dev-1', '2026-09-01T00:00:00Z'), 'excepted')
  t.equal(outcome('team-b', '2026-09-01T00:00:00Z'), 'denied')
})

t.test('two exceptions never combine', async t => {
  const policy = policyOf({
    mode: 'enforce',
    allow: [],
    exceptions: [
      { ...EXCEPTION, id: 'A', namespaces: ['other'] },
      { ...EXCEPTION, id: 'B', images: ['docker.io/library/nginx'] },
    ],
  })
  t.equal(judge(policy, 'bitnami/redis').outcome, 'denied')
})

t.test('the first deny entry is reported, and the order of allow entries changes no outcome', async t => {
  const policy = policyOf({ mode: 'enforce', allow: ['gcr.io/*'], deny: ['gcr.io/a/*', 'gcr.io/a/b'] })
  t.equal(judge(policy, 'gcr.io/a/b').entry, 'gcr.io/a/*')
  assertProperty(
    fc.property(fc.uniqueArray(acceptedPattern(), { minLength: 1, maxLength: 6 }), plainReference(), (allow, image) => {
      const forwards = judge(policyOf({ mode: 'enforce', allow }), image)
      const backwards = judge(policyOf({ mode: 'enforce', allow: allow.toReversed() }), image)
      return forwards.outcome === backwards.outcome
    }),
    { numRuns: 300 },
  )
})

t.test('adding an allow entry never denies', async () => {
  assertProperty(
    fc.property(
      fc.array(acceptedPattern(), { maxLength: 5 }),
      acceptedPattern(),
      plainReference(),
      (allow, more, image) => {
        const before = judge(policyOf({ mode: 'enforce', allow }), image).outcome
        return (
          before === 'denied' || judge(policyOf({ mode: 'enforce', allow: [...allow, more] }), image).outcome === before
        )
      },
    ),
    { numRuns: 500 },
  )
})

t.test('adding an exception never denies, and never lifts a deny entry', async () => {
  assertProperty(
    fc.property(
      fc.array(acceptedPattern(), { maxLength: 4 }),
      fc.array(acceptedPattern(), { maxLength: 2 }),
      acceptedPattern(),
      plainReference(),
      (allow, deny, excepted, image) => {
        const spec = { mode: 'enforce', allow, deny, tags: { deny: ['latest'] } }
        const before = judge(policyOf(spec), image)
        const after = judge(policyOf({ ...spec, exceptions: [{ ...EXCEPTION, images: [excepted] }] }), image)
        if (before.reason === 'deny-entry') return after.reason === 'deny-entry'
        return before.outcome === 'denied' || after.outcome !== 'denied'
      },
    ),
    { numRuns: 500 },
  )
})

t.test('the index agrees with judging each entry alone', async () => {
  assertProperty(
    fc.property(fc.array(acceptedPattern(), { minLength: 1, maxLength: 6 }), plainReference(), (allow, image) => {
      const together = judge(policyOf({ mode: 'enforce', allow }), image).outcome === 'allowed'
      const alone = allow.some(
        pattern => judge(policyOf({ mode: 'enforce', allow: [pattern] }), image).outcome === 'allowed',
      )
      return together === alone
    }),
    { numRuns: 500 },
  )
})

t.test('every string gets a verdict', async () => {
  const policy = policyOf({
    mode: 'enforce',
    allow: ['gcr.io/*a*b/**/c*/*', 'docker.io/library/*'],
    mirrors: [{ from: 'docker.io/*', to: 'gcr.io/hub' }],
  })
  assertProperty(
    fc.property(fc.string({ unit: 'binary' }), image => judge(policy, image).written === image),
    { numRuns: 500 },
  )
})

t.test('a namespace rule adds to allow and deny, and the stricter tag and digest rules hold', async t => {
  const policy = policyOf({
    mode: 'enforce',
    allow: ['gcr.io/org/*'],
    namespaces: [
      { names: ['sandbox'], allow: ['docker.io/*'] },
      { names: ['payments', 'pay-*'], digest: { require: true } },
      { names: ['pay-eu'], deny: ['gcr.io/org/us-*'], tags: { deny: ['rc'] } },
    ],
  })
  const reason = (image: string, namespace: string) => judge(policy, image, scope(namespace)).reason
  t.equal(reason('nginx', 'sandbox'), 'allow-entry')
  t.equal(reason('nginx', 'team-a'), 'not-allowed')
  t.equal(reason('gcr.io/org/app:1', 'payments'), 'digest-required')
  t.equal(reason(`gcr.io/org/app:1${DIGEST}`, 'payments'), 'allow-entry')
  t.equal(reason('gcr.io/org/us-app:1', 'pay-eu'), 'deny-entry')
  t.equal(reason('gcr.io/org/app:rc', 'pay-eu'), 'tag-denied')
})

t.test(
  'mode: by name, then by labels, then the default; unknown labels take the strictest that could apply',
  async t => {
    const policy = policyOf({
      mode: 'audit',
      allow: [],
      namespaces: [
        { names: ['payments'], mode: 'warn' },
        { selector: { matchLabels: { env: 'prod' } }, mode: 'enforce' },
        { selector: { matchExpressions: [{ key: 'team', operator: 'Exists' }] }, mode: 'warn' },
        { names: ['a-*'], mode: 'audit' },
        { names: ['a-b'], mode: 'enforce' },
      ],
    })
    t.ok(policy.needsNamespaceLabels)
    const table: readonly (readonly [string, Record<string, string> | undefined, string])[] = [
      ['payments', { env: 'prod' }, 'warn'],
      ['payments', undefined, 'warn'],
      ['web', { env: 'prod' }, 'enforce'],
      ['web', { team: 'x' }, 'warn'],
      ['web', { team: 'x', env: 'prod' }, 'enforce'],
      ['web', {}, 'audit'],
      ['web', undefined, 'enforce'],
      ['a-b', {}, 'enforce'],
      ['a-c', {}, 'audit'],
    ]
    for (const [name, labels, mode] of table)
      t.equal(policy.modeFor({ name, labels }), mode, `${name} ${JSON.stringify(labels)}`)
  },
)

t.test('a selector selects as the API server would', async t => {
  const selects = (selector: object, labels: Record<string, string>) =>
    policyOf({ mode: 'audit', allow: [], namespaces: [{ selector, mode: 'enforce' }] }).modeFor({
      name: 'x',
      labels,
    }) === 'enforce'
  const expression = (key: string, operator: string, values?: string[]) => ({
    matchExpressions: [{ key, operator, ...(values && { values }) }],
  })
  t.ok(selects({}, {}))
  t.ok(selects(expression('a', 'In', ['1', '2']), { a: '2' }))
  t.notOk(selects(expression('a', 'In', ['1']), {}))
  t.ok(selects(expression('a', 'NotIn', ['1']), {}))
  t.notOk(selects(expression('a', 'NotIn', ['1']), { a: '1' }))
  t.ok(selects(expression('a', 'DoesNotExist'), { b: '1' }))
  t.notOk(selects({ matchLabels: { toString: 'x' } }, {}))
})

t.test('labels that cannot be read add nothing to allow and keep every deny and digest rule', async t => {
  const policy = policyOf({
    mode: 'enforce',
    allow: ['gcr.io/org/*'],
    namespaces: [
      { selector: { matchLabels: { a: '1' } }, allow: ['docker.io/*'] },
      { selector: { matchLabels: { b: '1' } }, deny: ['gcr.io/org/x'] },
      { selector: { matchLabels: { c: '1' } }, digest: { require: true } },
    ],
  })
  t.equal(judge(policy, 'nginx', scope('n')).reason, 'not-allowed')
  t.equal(judge(policy, 'nginx', scope('n', { a: '1' })).reason, 'allow-entry')
  t.equal(judge(policy, 'gcr.io/org/x', scope('n')).reason, 'deny-entry')
  t.equal(judge(policy, 'gcr.io/org/x:1', scope('n', {})).reason, 'allow-entry')
  t.equal(judge(policy, 'gcr.io/org/y:1', scope('n')).reason, 'digest-required')
})

t.test('what is suggested is itself allowed', async t => {
  const policy = policyOf({
    mode: 'enforce',
    allow: ['registry.corp.example/hub/*'],
    deny: [
      { pattern: 'docker.io/library/nginx:1.14.*', fix: 'registry.corp.example/hub/nginx:1.27' },
      'registry.corp.example/hub/library/evil',
      { pattern: 'quay.io/old/*', fix: 'quay.io/new/app' },
    ],
    tags: { deny: ['latest'] },
    mirrors: [
      { from: 'docker.io/*', to: 'registry.corp.example/hub' },
      { from: 'ghcr.io/org/tool', to: 'registry.corp.example/hub/tool' },
    ],
  })
  const table: readonly (readonly [string, string | undefined])[] = [
    ['redis:7', 'registry.corp.example/hub/library/redis:7'],
    [`redis:7${DIGEST}`, `registry.corp.example/hub/library/redis:7${DIGEST}`],
    ['ghcr.io/org/tool:2', 'registry.corp.example/hub/tool:2'],
    ['nginx:1.14.2', 'registry.corp.example/hub/nginx:1.27'],
    ['redis', undefined],
    ['evil:1', undefined],
    ['quay.io/old/app', undefined],
  ]
  for (const [image, suggestion] of table) t.equal(judge(policy, image).suggestion, suggestion, image)
  assertProperty(
    fc.property(plainReference(), image => {
      const { suggestion } = judge(policy, image)
      return suggestion === undefined || judge(policy, suggestion).outcome === 'allowed'
    }),
  )
})

t.test('the closest entry names where the image parts from it', async t => {
  const policy = policyOf({
    mode: 'enforce',
    allow: ['gcr.io/distroless/*', 'registry.corp.example/team/app:1.2', 'quay.io/org/tool'],
  })
  const table: readonly (readonly [string, string | undefined, string | undefined])[] = [
    ['gcr.io/distroles/static', 'gcr.io/distroless/*', 'distroles'],
    ['gcr.io/other/static', 'gcr.io/distroless/*', 'other'],
    ['registry.corp.exmple/team/app:1.2', 'registry.corp.example/team/app:1.2', 'registry.corp.exmple'],
    ['registry.corp.example/team/app:1.3', 'registry.corp.example/team/app:1.2', '1.3'],
    ['registry.corp.example/team/ap:1.2', 'registry.corp.example/team/app:1.2', 'ap'],
    ['gcr.io/distroless', 'gcr.io/distroless/*', 'distroless'],
    ['far.example/x/y', undefined, undefined],
  ]
  for (const [image, pattern, differsAt] of table) {
    const { closest } = judge(policy, image)
    t.strictSame([closest?.pattern, closest?.differsAt], [pattern, differsAt], image)
  }
})

t.test('whatever Docker Hub image is written, it is compared in normal form', async t => {
  const policy = policyOf({ mode: 'enforce', allow: ['docker.io/library/nginx:1'] })
  for (const image of [
    'nginx:1',
    'library/nginx:1',
    'docker.io/nginx:1',
    'index.docker.io/library/nginx:1',
    'DOCKER.IO/nginx:1',
  ]) {
    t.equal(judge(policy, image).outcome, 'allowed', image)
    t.ok(parseImageReference(image).ok)
  }
})
