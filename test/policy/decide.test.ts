import { readFileSync } from 'node:fs'
import t from 'tap'
import { KnownError } from '../../src/errors.js'
import {
  type AdmissionQuestion,
  type CompiledPolicy,
  type Decision,
  decide,
  parseWorkload,
  WORKLOAD_KINDS,
} from '../../src/policy/index.js'
import { plainReference } from '../support/arbitraries.js'
import { NOW, policyOf, scope } from '../support/policies.js'
import { assertProperty, fc } from '../support/properties.js'

interface Case {
  readonly id: string
  readonly why: string
  readonly policy: { readonly allow?: readonly string[]; readonly mode: string }
  readonly expectedPolicyLoad?: 'error'
  readonly request: {
    readonly kind: { readonly kind: string }
    readonly namespace: string
    readonly object: Readonly<Record<string, unknown>>
    readonly oldObject: Readonly<Record<string, unknown>> | null
  }
  readonly expected: { readonly allowed: boolean; readonly warns?: boolean }
}

const cases: readonly Case[] = JSON.parse(readFileSync('test/fixtures/admission/cases.json', 'utf8'))

function ask(policy: CompiledPolicy, kind: string, object: unknown, rest: Partial<AdmissionQuestion> = {}): Decision {
  return decide(policy, {
    workload: parseWorkload(object, kind),
    before: undefined,
    namespace: scope(),
    now: NOW,
    isMirrorPod: false,
    ...rest,
  })
}

const pod = (...images: (string | undefined)[]) => ({
  spec: { containers: images.map((image, index) => ({ name: `c${index}`, ...(image !== undefined && { image }) })) },
})

t.test('the recorded cases of other admission controllers', async t => {
  t.equal(cases.length, 50)
  for (const { id, why, policy: spec, expectedPolicyLoad, request, expected } of cases) {
    await t.test(`${id}: ${why}`, async t => {
      // A case that only denies says nothing of allow: let everything else in, so that the deny entry decides.
      const compile = () => policyOf({ allow: ['docker.io/*', 'evil-registry.com/*'], ...spec })
      if (expectedPolicyLoad === 'error') {
        t.throws(compile, KnownError)
        return
      }
      const { kind, object, oldObject, namespace } = request
      const decision = ask(compile(), kind.kind, object, {
        before: oldObject === null ? undefined : parseWorkload(oldObject, kind.kind),
        namespace: scope(namespace),
        isMirrorPod: id.startsWith('mirror'),
      })
      t.equal(decision.allowed, expected.allowed)
      if (expected.warns === true) t.equal(decision.action, 'warn')
    })
  }
})

t.test('every kind and every list gives up its images', async t => {
  const spec = {
    containers: [{ name: 'a', image: 'i/a' }],
    initContainers: [{ name: 'b', image: 'i/b' }],
    ephemeralContainers: [{ name: 'c', image: 'i/c' }],
    volumes: [
      { name: 'd', image: { reference: 'i/d' } },
      { name: 'e', emptyDir: {} },
      { name: 'f', image: null },
    ],
  }
  const template = { template: { spec } }
  const objects: Readonly<Record<string, [object, string]>> = {
    Pod: [{ spec }, 'spec'],
    ReplicationController: [{ spec: template }, 'spec.template.spec'],
    ReplicaSet: [{ spec: template }, 'spec.template.spec'],
    Deployment: [{ spec: template }, 'spec.template.spec'],
    StatefulSet: [{ spec: template }, 'spec.template.spec'],
    DaemonSet: [{ spec: template }, 'spec.template.spec'],
    Job: [{ spec: template }, 'spec.template.spec'],
    CronJob: [{ spec: { jobTemplate: { spec: template } } }, 'spec.jobTemplate.spec.template.spec'],
    PodTemplate: [template, 'template.spec'],
  }
  t.same([...WORKLOAD_KINDS].sort(), [...Object.keys(objects), 'EphemeralContainers'].sort())
  for (const [kind, [object, path]] of Object.entries(objects)) {
    const parsed = parseWorkload(object, kind)
    t.match(parsed, { status: 'workload', workload: { kind, isTemplate: kind !== 'Pod' } })
    if (parsed.status !== 'workload') continue
    t.strictSame(
      parsed.workload.images.map(({ list, name, field, written }) => [list, name, field, written]),
      [
        ['containers', 'a', `${path}.containers[0].image`, 'i/a'],
        ['initContainers', 'b', `${path}.initContainers[0].image`, 'i/b'],
        ['ephemeralContainers', 'c', `${path}.ephemeralContainers[0].image`, 'i/c'],
        ['volumes', 'd', `${path}.volumes[0].image.reference`, 'i/d'],
      ],
      kind,
    )
  }
  t.match(parseWorkload({ ephemeralContainers: [{ name: 'd', image: 'i/d' }] }, 'EphemeralContainers'), {
    workload: { isTemplate: false, images: [{ field: 'ephemeralContainers[0].image' }] },
  })
})

t.test('an object that should hold a pod spec and cannot be read is denied in enforce mode', async t => {
  const policy = policyOf({ mode: 'enforce', allow: ['docker.io/*'] })
  const lenient = policyOf({ mode: 'warn', allow: ['docker.io/*'] })
  const broken: readonly (readonly [unknown, string])[] = [
    [null, 'Pod'],
    [[], 'Pod'],
    ['text', 'Deployment'],
    [{}, 'Pod'],
    [{ spec: {} }, 'Pod'],
    [{ spec: { containers: 'x' } }, 'Pod'],
    [{ spec: { containers: [3] } }, 'Pod'],
    [{ spec: { containers: [{ name: 'a', image: {} }] } }, 'Pod'],
    [{ spec: { containers: [], volumes: [{ image: 3 }] } }, 'Pod'],
    [{ spec: { containers: [], volumes: [{ image: { reference: [] } }] } }, 'Pod'],
    [{ spec: { template: null } }, 'Deployment'],
    [{ spec: { replicas: 0 } }, 'ReplicationController'],
    [{ ephemeralContainers: {} }, 'EphemeralContainers'],
    [3, 'EphemeralContainers'],
  ]
  for (const [object, kind] of broken) {
    t.match(ask(policy, kind, object), { action: 'deny', unreadable: String }, `${kind} ${JSON.stringify(object)}`)
    t.match(ask(lenient, kind, object), { action: 'warn' })
  }
  t.match(ask(policy, 'Service', { spec: {} }), { action: 'admit', judged: [] }, 'a kind that is none of ours')
})

t.test('a blank image waits in a template and is denied in a Pod', async t => {
  const policy = policyOf({ mode: 'enforce', allow: ['docker.io/*'] })
  for (const blank of ['', ' ', undefined]) {
    t.match(ask(policy, 'Pod', pod(blank)), {
      action: 'deny',
      violations: [{ verdict: { reason: 'image-unreadable' } }],
    })
    t.match(ask(policy, 'Job', { spec: { template: pod(blank) } }), {
      action: 'admit',
      judged: [{ verdict: { reason: 'image-placeholder' } }],
    })
  }
})

t.test('an UPDATE is judged by what it changes, by list and container name', async t => {
  const policy = policyOf({ mode: 'enforce', allow: ['gcr.io/*'] })
  const named = (list: string, images: Readonly<Record<string, string>>) => ({
    spec: { containers: [], [list]: Object.entries(images).map(([name, image]) => ({ name, image })) },
  })
  const update = (before: object, after: object) => ask(policy, 'Pod', after, { before: parseWorkload(before, 'Pod') })
  const old = named('containers', { a: 'nginx', b: 'gcr.io/x' })
  t.match(update(old, old), { action: 'warn', violations: [], carried: [{ image: { name: 'a' } }] }, 'nothing changed')
  t.match(update(old, named('containers', { b: 'gcr.io/x', a: 'nginx' })), { action: 'warn' }, 'only the order')
  t.match(
    update(old, named('containers', { a: 'gcr.io/x', b: 'nginx' })),
    { action: 'deny' },
    'moved to another container',
  )
  t.match(update(old, named('initContainers', { a: 'nginx' })), { action: 'deny' }, 'moved to another list')
  t.match(
    update(old, named('containers', { a: 'nginx', b: 'redis' })),
    { action: 'deny', violations: [{ image: { name: 'b' } }] },
    'one changed',
  )
  t.match(update({ spec: 3 }, old), { action: 'deny' }, 'what it was cannot be read')
})

t.test('the mode is looked at last: the verdicts are the same in each', async t => {
  const actions = { enforce: 'deny', warn: 'warn', audit: 'audit' }
  for (const [mode, action] of Object.entries(actions)) {
    const decision = ask(policyOf({ mode, allow: ['gcr.io/*'] }), 'Pod', pod('gcr.io/a', 'nginx'))
    t.match(decision, {
      action,
      allowed: action !== 'deny',
      mode,
      violations: [{ verdict: { written: 'nginx', reason: 'not-allowed' } }],
    })
    t.match(ask(policyOf({ mode, allow: ['gcr.io/*'] }), 'Pod', pod('gcr.io/a')), { action: 'admit', violations: [] })
  }
})

t.test('a mirror pod is admitted and its violations are kept', async t => {
  const decision = ask(policyOf({ mode: 'enforce', allow: [] }), 'Pod', pod('nginx'), { isMirrorPod: true })
  t.match(decision, { action: 'warn', waived: 'mirror-pod', violations: [{ verdict: { written: 'nginx' } }] })
})

t.test('enforce allows exactly when there is no denial', async () => {
  const policy = policyOf({ mode: 'enforce', allow: ['docker.io/a/*', 'gcr.io/**/app'], tags: { deny: ['latest'] } })
  assertProperty(
    fc.property(fc.array(plainReference(), { maxLength: 4 }), images => {
      const decision = ask(policy, 'Pod', pod(...images))
      return decision.allowed === decision.judged.every(({ verdict }) => verdict.outcome !== 'denied')
    }),
  )
})

t.test('no object makes it throw', async () => {
  const policy = policyOf({ mode: 'enforce', allow: ['docker.io/*'] })
  assertProperty(
    fc.property(fc.anything({ withNullPrototype: true }), fc.constantFrom(...WORKLOAD_KINDS, 'Node'), (object, kind) =>
      ['admit', 'deny', 'warn'].includes(ask(policy, kind, object).action),
    ),
    { numRuns: 1000 },
  )
})
