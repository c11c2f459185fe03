/** Answers: every recorded case through the judge, the words of each reason, and limits that hold for any input. */

import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import type { Decision, JudgedImage, NamespaceScope, Reason, Verdict } from '../../src/policy/index.js'
import { MODES, parseImageReference, visibleJson } from '../../src/policy/index.js'
import {
  type AdmissionAnswer,
  decodeAdmissionReview,
  encodeAdmissionReview,
} from '../../src/webhook/admission-review.js'
import {
  answerDecision,
  describeDenial,
  describeWarnings,
  MAX_DENIAL_BYTES,
  MAX_WARNING_RUNES,
} from '../../src/webhook/answer.js'
import { AnswerWriter } from '../../src/webhook/answer-writer.js'
import { createDecisionRecord, retryKeyOf } from '../../src/webhook/decision-record.js'
import { DecisionWriter } from '../../src/webhook/decision-writer.js'
import { encodeDecisionRecord } from '../../src/webhook/encode-decision-record.js'
import { judge } from '../../src/webhook/judge.js'
import { readObjectMetadata } from '../../src/webhook/object-metadata.js'
import { createRecordIds } from '../../src/webhook/record-id.js'
import { policyOf } from '../support/policies.js'
import { assertProperty, fc } from '../support/properties.js'

const NOW = Date.parse('2026-09-01T00:00:00Z')
const LABELS = { labelsOf: () => undefined }
const TEAM_A: NamespaceScope = { name: 'team-a', labels: undefined }
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u
const CORP = {
  mode: 'enforce',
  allow: ['registry.corp.example/*', 'gcr.io/distroless/*', 'quay.io/corp/app:1.*', 'a.example/*', 'b.example/*'],
  deny: [
    { pattern: 'docker.io/library/nginx:1.14.*', reason: 'end of life', fix: 'registry.corp.example/hub/nginx:1.27' },
  ],
  mirrors: [{ from: 'docker.io/*', to: 'registry.corp.example/hub' }],
  help: 'https://wiki.corp.example/images',
}

interface Case {
  readonly id: string
  readonly policy: object
  readonly request: Record<string, unknown>
  readonly expected: { readonly allowed: boolean; readonly warns?: boolean }
  readonly expectedPolicyLoad?: string
  readonly messageMustContain?: readonly string[]
}

const cases: readonly Case[] = JSON.parse(
  readFileSync(new URL('../fixtures/admission/cases.json', import.meta.url), 'utf8'),
)
const CORP_POLICY = policyOf(CORP)

function review(request: object): unknown {
  return { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request }
}

function judged(policy: ReturnType<typeof policyOf>, request: object) {
  const decoded = decodeAdmissionReview(review(request))
  if (!decoded.ok) throw new Error(decoded.problem)
  const judgement = judge(policy, decoded.request, LABELS, NOW)
  if (judgement.status === 'passed') throw new Error(`passed: ${judgement.why}`)
  return judgement
}

function pod(spec: object, extra: object = {}, metadata: object = {}): Record<string, unknown> {
  return {
    uid: 'r-1',
    kind: { group: '', version: 'v1', kind: 'Pod' },
    operation: 'CREATE',
    namespace: 'team-a',
    name: 'web',
    userInfo: { username: 'dev', groups: [] },
    object: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web', ...metadata }, spec },
    ...extra,
  }
}

function deployment(spec: object): Record<string, unknown> {
  return pod({}, { kind: { kind: 'Deployment' }, object: { kind: 'Deployment', spec: { template: { spec } } } })
}

t.test('every recorded case is answered as it says, within the limits', async t => {
  // A policy that does not load, or has no `allow`, is the loader's to refuse: see the policy's own tests.
  const loadable = cases.filter(one => one.expectedPolicyLoad === undefined && 'allow' in one.policy)
  t.ok(loadable.length > 40, 'most cases load')
  for (const { id, policy: spec, request, expected, messageMustContain = [] } of loadable) {
    const policy = policyOf(spec)
    const { decision, subject } = judged(policy, request)
    t.equal(decision.allowed, expected.allowed, id)
    const message = describeDenial(decision, subject, policy)
    const warnings = describeWarnings(decision, subject, policy)
    if (expected.warns === true) t.ok(warnings.length > 0, `${id} warns`)
    for (const part of messageMustContain) t.ok(message.includes(part), `${id}: the message has ${part}`)
    t.notOk(
      [...warnings, ...message.split('\n')].some(line => UNSEEN.test(line)),
      `${id}: nothing unseen`,
    )
    t.ok(
      warnings.every(line => [...line].length <= MAX_WARNING_RUNES),
      `${id}: short warnings`,
    )
  }
})

t.test('a denial reads like the example of the design', async t => {
  const spec = {
    initContainers: [{ name: 'setup', image: 'gcr.io/distroles/static:1' }],
    containers: [
      { name: 'app', image: 'redis:7' },
      { name: 'side', image: 'gcr.io/distroless/static:1' },
    ],
  }
  const { decision, subject } = judged(CORP_POLICY, deployment(spec))
  const lines = describeDenial(decision, subject, CORP_POLICY).split('\n')
  t.strictSame(lines.slice(0, 1), [
    `2 of 3 images in Deployment team-a/web are not allowed (policy test, rev ${CORP_POLICY.revision})`,
  ])
  const body = lines.slice(1, 3).sort()
  t.match(
    body[0],
    '- container app (containers[0]): docker.io/library/redis:7 (written "redis:7") is not allowed; try ',
  )
  t.match(body[0], 'registry.corp.example/hub/library/redis:7')
  t.match(
    body[1],
    '- initContainer setup (initContainers[0]): gcr.io/distroles/static:1 is not allowed; closest entry ',
  )
  t.match(body[1], 'gcr.io/distroless/* differs at "distroles"')
  t.strictSame(lines.slice(3), [
    `Allowed in team-a: ${CORP.allow.join(', ')}`,
    'Check first: sallyport check -f web.yaml -n team-a   Exceptions: https://wiki.corp.example/images',
  ])
})

t.test('each reason has words of its own', async t => {
  const digest = `sha256:${'a'.repeat(64)}`
  const table: readonly (readonly [string, object, Reason, string])[] = [
    ['nginx:1.14.2', CORP, 'deny-entry', 'is denied by docker.io/library/nginx:1.14.* (end of life); try registry.'],
    ['evil_host.com/app', CORP, 'image-unreadable', 'cannot be read: '],
    [`quay.io/corp/app:1.2@${digest}`, CORP, 'digest-not-covered', 'drop the tag from quay.io/corp/app:1.*'],
    ['a.example/x', { ...CORP, tags: { deny: ['latest'] } }, 'tag-denied', 'uses a tag that is denied here'],
    ['a.example/x:1', { ...CORP, digest: { require: true } }, 'digest-required', 'must be pinned by digest here'],
    ['evil.example/x', { mode: 'enforce', allow: [] }, 'not-allowed', 'is not allowed\nNothing is allowed in team-a'],
  ]
  for (const [image, spec, reason, words] of table) {
    const policy = policyOf(spec)
    const { decision, subject } = judged(policy, pod({ containers: [{ name: 'c', image }] }))
    t.equal(decision.violations[0]?.verdict.reason, reason)
    t.ok(describeDenial(decision, subject, policy).includes(words), `${reason}: ${words}`)
    const answer = answerDecision(decision, { requestUid: 'u', subject, policy, recordId: 'r', warnings: [] })
    t.match(answer.status, {
      code: 403,
      reason: 'Forbidden',
      details: { causes: [{ reason, field: 'spec.containers[0].image' }] },
    })
    t.match(answer.auditAnnotations, { decision: 'deny', mode: 'enforce', record: 'r', violations: reason })
  }
})

t.test('one image in several containers is one violation', async t => {
  const containers = ['a', 'b', 'c', 'd', 'e'].map(name => ({ name, image: 'evil.example/x:1' }))
  const { decision, subject } = judged(CORP_POLICY, pod({ containers }))
  const lines = describeDenial(decision, subject, CORP_POLICY).split('\n')
  t.match(lines[0], /^5 of 5 images in Pod team-a\/web are not allowed/)
  t.match(
    lines[1],
    '- container a (containers[0]), container b (containers[1]), container c (containers[2]) (+2 more): ',
  )
  t.equal(lines.filter(line => line.startsWith('- ')).length, 1)
})

t.test('an object that should hold a pod spec and cannot be read says so', async t => {
  const { decision, subject } = judged(CORP_POLICY, pod({}, { object: { kind: 'Pod', spec: 7 } }))
  t.equal(decision.allowed, false)
  t.match(describeDenial(decision, subject, CORP_POLICY), /^Pod team-a\/web cannot be judged: /)
})

t.test('a name that the API server has yet to generate stands for itself, and is no file', async t => {
  const request = pod(
    { containers: [{ name: 'c', image: 'x' }] },
    { name: '' },
    { name: undefined, generateName: 'web-' },
  )
  const { decision, subject } = judged(CORP_POLICY, request)
  const message = describeDenial(decision, subject, CORP_POLICY)
  t.match(message, 'Pod team-a/web-* ')
  t.match(message, 'sallyport check -f FILE -n team-a')
})

t.test('a name that is no name never reaches the command that people copy', async t => {
  const request = pod({ containers: [{ name: 'c', image: 'x' }] }, { name: '$(id)', namespace: 'a; rm -rf ~' })
  const { decision, subject } = judged(CORP_POLICY, request)
  t.ok(describeDenial(decision, subject, CORP_POLICY).includes('Check first: sallyport check -f FILE   Exceptions'))
})

t.test('what is admitted in spite of a denied image is said in a warning', async t => {
  const bad = { containers: [{ name: 'c', image: 'evil.example/x:1' }] }
  const warnPolicy = policyOf({ ...CORP, mode: 'warn' })
  const auditPolicy = policyOf({ ...CORP, mode: 'audit' })
  const node = { kind: 'Node', apiVersion: 'v1', name: 'n', uid: 'u', controller: true }
  const mirror = pod(
    bad,
    { userInfo: { username: 'system:node:n', groups: ['system:nodes'] } },
    { annotations: { 'kubernetes.io/config.mirror': 'x' }, ownerReferences: [node] },
  )
  const table: readonly (readonly [
    string,
    ReturnType<typeof policyOf>,
    Record<string, unknown>,
    string,
    readonly RegExp[],
  ])[] = [
    [
      'warn mode',
      warnPolicy,
      pod(bad),
      'warn',
      [/^Pod team-a\/web: container c \(containers\[0\]\): evil.* is not allowed/],
    ],
    ['audit mode', auditPolicy, pod(bad), 'audit', []],
    [
      'unchanged',
      CORP_POLICY,
      pod(bad, { operation: 'UPDATE', oldObject: { spec: bad } }),
      'warn',
      [/does not change it/],
    ],
    ['mirror pod', CORP_POLICY, mirror, 'warn', [/static pod/]],
    ['mirror annotation alone', CORP_POLICY, { ...mirror, userInfo: { username: 'dev', groups: [] } }, 'deny', []],
    ['placeholder', CORP_POLICY, deployment({ containers: [{ name: 'c' }] }), 'admit', [/is a placeholder/]],
    ['unreadable', warnPolicy, pod({}, { object: null }), 'warn', [/cannot be judged/]],
  ]
  for (const [title, policy, request, action, expected] of table) {
    const { decision, subject } = judged(policy, request)
    t.equal(decision.action, action, title)
    const warnings = describeWarnings(decision, subject, policy)
    t.equal(warnings.length, expected.length, title)
    for (const [at, pattern] of expected.entries()) t.match(warnings[at], pattern, title)
  }
})

t.test('ephemeral containers are read in both forms, and belong to a pod', async t => {
  const ephemeralContainers = [{ name: 'debug', image: 'evil.example/debug:1' }]
  const asKind = pod(
    {},
    {
      kind: { kind: 'EphemeralContainers' },
      subResource: 'ephemeralcontainers',
      operation: 'UPDATE',
      object: { kind: 'EphemeralContainers', metadata: { name: 'web' }, ephemeralContainers },
      oldObject: { kind: 'EphemeralContainers', metadata: { name: 'web' }, ephemeralContainers: [] },
    },
  )
  const old = { containers: [{ name: 'c', image: 'a.example/x:1' }] }
  const asPod = pod(
    { ...old, ephemeralContainers },
    { subResource: 'ephemeralcontainers', operation: 'UPDATE', oldObject: { kind: 'Pod', spec: old } },
  )
  for (const request of [asKind, asPod]) {
    const { decision, subject, metadata, request: decoded } = judged(CORP_POLICY, request)
    t.equal(decision.action, 'deny')
    t.match(
      describeDenial(decision, subject, CORP_POLICY),
      /in Pod team-a\/web .*\n- ephemeralContainer debug \(ephemeral/,
    )
    const record = createDecisionRecord(decoded, metadata, decision, context())
    t.match(record, { kind: 'Pod', subResource: 'ephemeralcontainers', name: 'web', operation: 'UPDATE' })
  }
})

function context() {
  return { id: 'r', now: NOW, cluster: undefined, policy: { name: 'p', revision: 'abc' }, warnings: [] }
}

t.test('retries of a denied pod share a key, two admitted pods of one owner do not', async t => {
  const owner = { kind: 'ReplicaSet', name: 'web-1', uid: 'rs-uid', controller: true }
  const keyOf = (image: string, name: string, uid: string, extra: object = {}) => {
    const request = pod(
      { containers: [{ name: 'c', image }] },
      { name, ...extra },
      { name, uid, ownerReferences: [owner] },
    )
    const judgement = judged(CORP_POLICY, request)
    const record = createDecisionRecord(judgement.request, judgement.metadata, judgement.decision, context())
    return JSON.stringify(retryKeyOf(record))
  }
  t.equal(keyOf('evil.example/x', 'web-1-a', 'u1'), keyOf('evil.example/x', 'web-1-b', 'u2'))
  t.not(keyOf('a.example/x', 'web-1-a', 'u1'), keyOf('a.example/x', 'web-1-b', 'u2'))
  t.not(keyOf('evil.example/x', 'web-1-a', 'u1'), keyOf('evil.example/y', 'web-1-a', 'u1'))
  t.not(
    keyOf('evil.example/x', 'a', 'u1'),
    keyOf('evil.example/x', 'a', 'u1', { dryRun: true }),
    'a dry run is its own',
  )
})

t.test('record ids sort by time and never repeat', async t => {
  const ids = createRecordIds(count => crypto.getRandomValues(new Uint8Array(count)))
  const made = Array.from({ length: 2_000 }, (_, at) => ids(NOW + at))
  t.strictSame([...made].sort(), made)
  t.equal(new Set(Array.from({ length: 2_000 }, () => ids(NOW))).size, 2_000)
  t.match(made[0], /^[0-9a-hjkmnp-tv-z]{22}$/)
})

const hostile = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 600 }),
  fc.string({ maxLength: 60 }),
  fc.constantFrom('', ' ', '\n', '\u202e', '\ud800', 'x'.repeat(5_000), '😀'.repeat(400), 'a.example/ok:1', 'redis:7'),
)
const images = fc.array(fc.record({ name: hostile, image: hostile }), { maxLength: 60 })
const hostileRequest = fc.record({ containers: images, initContainers: images, name: hostile, namespace: hostile })

const reviewWith = (response: AdmissionAnswer) => ({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  response,
})

t.test('whatever is sent: the limits hold, nothing unseen is shown, the record is bounded', async () => {
  const policies = MODES.map(mode => policyOf({ ...CORP, mode }))
  assertProperty(
    fc.property(hostileRequest, fc.nat(2), ({ containers, initContainers, name, namespace }, mode) => {
      const policy = policies[mode] ?? CORP_POLICY
      const request = pod({ containers, initContainers }, { name, namespace })
      const { decision, subject, metadata, request: decoded } = judged(policy, request)
      const message = describeDenial(decision, subject, policy)
      const warnings = describeWarnings(decision, subject, policy)
      const answer = answerDecision(decision, { requestUid: 'u', subject, policy, recordId: 'r', warnings })
      const record = createDecisionRecord(decoded, metadata, decision, { ...context(), warnings })
      const isSafe = ![...message.split('\n'), ...warnings].some(line => UNSEEN.test(line))
      const total = warnings.reduce((sum, line) => sum + [...line].length, 0)
      return (
        Buffer.byteLength(message) <= MAX_DENIAL_BYTES &&
        message.split('\n').every(line => line !== '') &&
        isSafe &&
        warnings.length <= 10 &&
        total <= 4_096 &&
        warnings.every(line => line !== '' && [...line].length <= MAX_WARNING_RUNES) &&
        Object.values(answer.auditAnnotations ?? {}).every(value => value.length <= 4_096) &&
        JSON.stringify(record).length < 400_000 &&
        record.images.length <= 64 &&
        encodeAdmissionReview(answer) === visibleJson(reviewWith(answer)) &&
        encodeDecisionRecord(record) === visibleJson(record)
      )
    }),
    { numRuns: 150 },
  )
})

t.test('answers and records are written quickly as they are written plainly', async t => {
  const exceptions = [
    {
      id: 'EX-1',
      images: ['docker.io/library/redis'],
      namespaces: ['team-a'],
      expires: '2027-01-01T00:00:00Z',
      reason: 'because',
      owner: 'o',
    },
  ]
  const policies = MODES.map(mode => policyOf({ ...CORP, mode, exceptions }))
  const names = ['', 'web', 'x'.repeat(253), 'x'.repeat(254), 'x'.repeat(400), 'a\tb', 'a"b', 'a\\b', 'ü', '\u007f']
  const name = fc.oneof({ weight: 3, arbitrary: fc.constantFrom('web', 'app') }, fc.constantFrom(...names))
  const image = fc.constantFrom(
    '',
    ' ',
    'redis:7',
    'a.example/ok:1',
    'b.example/x',
    'evil.example/y',
    'http://x',
    'z\n',
  )
  const container = fc.record({ name, image })
  const owner = fc.record({ kind: name, name, uid: name, controller: fc.boolean(), apiVersion: fc.constant('v1') })
  const kind = fc.constantFrom('Pod', 'Deployment', 'EphemeralContainers', 'Job')
  const facts = { name, namespace: fc.oneof(name, fc.constant('team-a')), user: name, uid: name, generateName: name }
  const sent = fc.record({
    ...facts,
    kind,
    containers: fc.array(container, { maxLength: 10 }),
    owners: fc.array(owner, { maxLength: 2 }),
    operation: fc.constantFrom('CREATE', 'UPDATE'),
    dryRun: fc.boolean(),
    // Mostly one policy: another one makes the answers forget.
    mode: fc.oneof({ weight: 9, arbitrary: fc.constant(2) }, fc.nat(2)),
    at: fc.nat(3),
  })
  // One for all: what it remembers of one record must not show in another.
  const writer = new DecisionWriter()
  const answers = new AnswerWriter()
  let quick = 0
  assertProperty(
    fc.property(sent, ({ name, namespace, user, uid, generateName, containers, owners, mode, at, ...rest }) => {
      const policy = policies[mode] ?? CORP_POLICY
      const spec = { containers, template: { spec: { containers } } }
      const metadata = { name, uid, generateName, ownerReferences: owners }
      const extra = { ...rest, kind: { kind: rest.kind }, name, namespace, userInfo: { username: user, groups: [] } }
      const object = { metadata, spec, ephemeralContainers: containers }
      const {
        request,
        metadata: read,
        decision,
        subject,
      } = judged(policy, pod({}, { ...extra, object, oldObject: object }))
      const warnings = describeWarnings(decision, subject, policy)
      const isPlain = /^[ -~]*$/.test(JSON.stringify(request).replaceAll(/\\./g, '\n'))
      const given = { id: `r${at}`, now: NOW + at, cluster: at === 0 ? 'a"b' : undefined, policy, warnings, isPlain }
      const record = createDecisionRecord(request, read, decision, given)
      const written = writer.write(request, read, decision, given)
      const facts = { requestUid: `u${at}${name}`, subject, policy, recordId: `r${at}`, warnings }
      const answer = encodeAdmissionReview(answerDecision(decision, facts))
      quick += isPlain && warnings.length === 0 ? 1 : 0
      return (
        answers.write(decision, facts) === answer &&
        // Again, now that it is remembered.
        answers.write(decision, facts) === answer &&
        JSON.stringify(written.record) === JSON.stringify(record) &&
        written.json === encodeDecisionRecord(record)
      )
    }),
    { numRuns: 2_000 },
  )
  t.ok(quick > 100, 'enough of them were', { quick })
})

t.test('texts written piece by piece are the same as those of the whole, and safe to print', async () => {
  const sent = judged(CORP_POLICY, pod({ containers: [{ name: 'c', image: 'nginx' }] }))
  const record = createDecisionRecord(sent.request, sent.metadata, sent.decision, context())
  assertProperty(
    fc.property(fc.array(fc.oneof(hostile, fc.string({ unit: 'binary' })), { minLength: 10, maxLength: 10 }), texts => {
      const text = (at: number) => texts[at] ?? ''
      const orNull = (at: number) => (text(at).length % 2 === 0 ? text(at) : null)
      const image = { container: text(0), field: text(1), written: text(2), image: orNull(3) }
      const changed = {
        ...record,
        ...{ cluster: orNull(0), requestUid: text(1), objectUid: orNull(2), kind: text(3), subResource: orNull(4) },
        ...{ namespace: text(5), name: orNull(6), generateName: orNull(7), user: text(8), unreadable: orNull(9) },
        topOwner: { kind: text(4), name: text(5), uid: text(6) },
        images: record.images.map(one => ({ ...one, ...image, entry: orNull(4), exception: orNull(5) })),
        exceptions: texts,
        warnings: texts,
      }
      const answer = {
        uid: text(0),
        allowed: true,
        warnings: texts,
        auditAnnotations: { policy: text(1), mode: text(2) },
      }
      return (
        encodeDecisionRecord(changed) === visibleJson(changed) &&
        !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u.test(encodeDecisionRecord(changed)) &&
        isDeepStrictEqual(JSON.parse(encodeDecisionRecord(changed)), JSON.parse(JSON.stringify(changed))) &&
        encodeAdmissionReview(answer) === visibleJson(reviewWith(answer))
      )
    }),
    { numRuns: 200 },
  )
})

t.test('an object with 20,000 images is answered within its limits and without a pause', async t => {
  const containers = Array.from({ length: 20_000 }, (_, at) => ({ name: `c${at}`, image: `evil.example/x:${at}` }))
  const { decision, subject } = judged(CORP_POLICY, pod({ containers }))
  const start = process.cpuUsage()
  const message = describeDenial(decision, subject, CORP_POLICY)
  t.match(message, /^20000 of 20000 images/)
  t.match(message, /\n- and 199\d\d more\n/)
  const { user, system } = process.cpuUsage(start)
  t.ok(user + system < 2_000_000)
})

t.test('a verdict of the longest readable reference still fits', async t => {
  const written = `${'a'.repeat(60)}.example/${'b/'.repeat(100)}c:${'t'.repeat(128)}@sha256:${'0'.repeat(64)}`
  const parsed = parseImageReference(written)
  if (!parsed.ok) throw new Error(parsed.problem)
  const verdict: Verdict = {
    written,
    reference: parsed.reference,
    outcome: 'denied',
    reason: 'not-allowed',
    entry: undefined,
    detail: undefined,
    closest: undefined,
    suggestion: written,
    origin: undefined,
  }
  const image = { list: 'containers', name: 'n'.repeat(63), field: 'spec.containers[0].image', written } as const
  const violations: readonly JudgedImage[] = [{ image, verdict, isChanged: true }]
  const facts = { judged: violations, violations, carried: [], unreadable: undefined, waived: undefined }
  const decision: Decision = { action: 'deny', allowed: false, mode: 'enforce', ...facts }
  const message = describeDenial(decision, { kind: 'Pod', namespace: TEAM_A, name: 'web' }, CORP_POLICY)
  t.ok(Buffer.byteLength(message) <= MAX_DENIAL_BYTES)
  t.match(message, '- container nnn')
})

t.test('metadata of any shape is read without a throw', async t => {
  assertProperty(fc.property(fc.anything(), object => typeof readObjectMetadata(object).uid === 'string'))
  const owned = { metadata: { ownerReferences: [null, 7, { controller: true, kind: 'Job', name: 'j', uid: 'u' }] } }
  t.strictSame(readObjectMetadata(owned).controller, { kind: 'Job', name: 'j', uid: 'u' })
})
