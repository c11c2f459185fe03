/** Why an unwanted image runs: a case for each code, for what makes it less sure, and for the pairs that compete. */

import t from 'tap'
import { DRIFT_CODES } from '../../src/correlator/drift-code.js'
import type { DriftEvidence } from '../../src/correlator/drift-evidence.js'
import { DRIFT_RULES, explainAdmission } from '../../src/correlator/explain-admission.js'
import { evaluate } from '../../src/policy/index.js'
import {
  CREATED,
  clusterOf,
  DIGEST_A,
  DIGEST_B,
  evidenceOf,
  gateOf,
  governedBy,
  HOUR,
  knownContainerOf,
  knownNamespaceOf,
  knownPodOf,
  LONG_AGO,
  peerOf,
  requestOf,
  WITH_GAP,
} from '../support/drift.js'
import { imageRecord, recordOf } from '../support/events.js'
import { policyOf } from '../support/policies.js'
import { assertProperty, fc } from '../support/properties.js'

type Case = readonly [title: string, evidence: Partial<DriftEvidence>, code: string | undefined, ...also: string[]]

const SHUT_NAMESPACE = { match: { called: 'no', because: 'namespace-selector' } } as const
const SHUT_OBJECT = { match: { called: 'no', because: 'object-selector' } } as const
const SHUT_RULES = { match: { called: 'no', because: 'rules' } } as const
const EXCLUDING = { namespaceSelector: { matchLabels: {}, matchExpressions: [] } }
const YOUNG = { createdAt: CREATED + HOUR / 2 }
const IGNORING = { failurePolicy: 'Ignore' } as const
const YOUNG_JOURNAL = {
  status: 'recording',
  spans: [{ from: CREATED + HOUR / 2, to: CREATED + HOUR }],
  lossySpans: [],
} as const
const REFUSED = recordOf({ at: CREATED, allowed: false, action: 'deny', mode: 'enforce' })
const CREATION = recordOf({ at: CREATED, images: [imageRecord({ container: 'other' })] })
const FORMER = recordOf({
  at: CREATED,
  images: [imageRecord({ written: 'registry.corp.example/x:1', outcome: 'allowed' })],
})

const inCluster = (...args: Parameters<typeof clusterOf>) => ({ cluster: clusterOf(...args) })
const asked = (...named: ReturnType<typeof requestOf>[]) => ({ requests: { named, unnamed: [] } })
const ephemeral = (gate = gateOf({}, SHUT_RULES)) => {
  const container = knownContainerOf({ list: 'ephemeralContainers' })
  return inCluster({ container, gates: [gate] })
}
const decided = (decision: string, violations?: string) => ({
  decisions: [
    {
      webhook: 'images.sallyport.dev',
      decision,
      mode: decision === 'admit' ? 'enforce' : decision,
      policy: 'test@0000000',
      recordId: 'r-9',
      violations,
      exceptions: undefined,
    },
  ],
})
const verdictOf = (image: string, allow: readonly string[] = ['registry.corp.example/*']) =>
  evaluate(policyOf({ allow }), image, { namespace: { name: 'team-a', labels: {} }, now: CREATED })

const patched = (changes: Partial<DriftEvidence> = {}): Partial<DriftEvidence> => ({ records: [FORMER], ...changes })
const bare = { imageName: DIGEST_A, imageId: DIGEST_A, containerId: undefined, startedAt: CREATED }
const memfd = { origin: 'memfd', path: '/memfd:x' } as const

/** `code certainty`, and the others that hold. */
const SINGLE: readonly Case[] = [
  ['a mirror pod', inCluster({ pod: knownPodOf({ mirror: { source: 'file' } }) }), 'bypass.static-pod proved'],
  [
    'a waived record',
    { cluster: clusterOf({ pod: undefined }), ...governedBy({ waived: 'mirror-pod', mode: 'enforce' }) },
    'bypass.static-pod proved',
  ],
  [
    'an event whose workload is a node',
    {
      cluster: clusterOf({ state: { status: 'absent' }, pod: undefined, container: undefined, gates: undefined }),
      subject: { ...evidenceOf().subject, workloadKind: 'Node' },
    },
    'bypass.static-pod likely',
  ],
  [
    'an ordinary pod, whatever the event says',
    { subject: { ...evidenceOf().subject, workloadKind: 'Node' } },
    'unexplained proved',
  ],
  [
    'a namespace that a label shuts out, unchanged since',
    inCluster({ gates: [gateOf(EXCLUDING, { ...SHUT_NAMESPACE, isFirm: true })] }),
    'bypass.namespace-excluded proved',
  ],
  [
    'a namespace that a missing label shuts out: it may have been there',
    inCluster({ gates: [gateOf(EXCLUDING, SHUT_NAMESPACE)] }),
    'bypass.namespace-excluded likely',
  ],
  [
    'a namespace whose labels were set since',
    inCluster({
      gates: [gateOf(EXCLUDING, { ...SHUT_NAMESPACE, isFirm: true })],
      namespace: knownNamespaceOf({ labelsChangedAt: CREATED + HOUR }),
    }),
    'bypass.namespace-excluded likely',
  ],
  [
    'a registration that was changed since',
    inCluster({ gates: [gateOf({ generation: 2, changedAt: CREATED + HOUR }, { ...SHUT_NAMESPACE, isFirm: true })] }),
    'bypass.namespace-excluded likely',
  ],
  ['one of two webhooks is called', inCluster({ gates: [gateOf({}, SHUT_NAMESPACE), gateOf()] }), 'unexplained proved'],
  [
    'older than the webhook',
    { ...inCluster({ gates: [gateOf(YOUNG)] }), journal: YOUNG_JOURNAL },
    'bypass.webhook-absent proved',
  ],
  [
    'older than this registration, and a webhook had recorded before: there may have been another one',
    { ...inCluster({ gates: [gateOf(YOUNG)] }), journal: WITH_GAP },
    'bypass.webhook-absent likely',
  ],
  [
    'older than the registration, by a pod whose image may be younger',
    {
      ...inCluster({ gates: [gateOf(YOUNG)], container: knownContainerOf({ imageWriter: undefined }) }),
      journal: YOUNG_JOURNAL,
    },
    'bypass.webhook-absent likely',
  ],
  [
    'within a moment of the registration',
    { ...inCluster({ gates: [gateOf({ createdAt: CREATED - 1_000 })] }), journal: YOUNG_JOURNAL },
    'bypass.webhook-absent likely',
  ],
  ['nothing is registered', inCluster({ gates: [] }), 'bypass.webhook-absent likely'],
  ['rules that leave pods out', inCluster({ gates: [gateOf({}, SHUT_RULES)] }), 'bypass.webhook-absent proved'],
  [
    'an objectSelector that leaves the pod out: its labels may have changed',
    inCluster({ gates: [gateOf({}, SHUT_OBJECT)] }),
    'bypass.webhook-absent likely',
  ],
  [
    'the audit log names our webhook as passed over',
    asked(requestOf({ failedOpen: ['images.sallyport.dev'] })),
    'bypass.fail-open proved',
  ],
  [
    'the audit log names the webhook of others',
    asked(requestOf({ failedOpen: ['validate.kyverno.svc'] })),
    'unexplained proved',
  ],
  [
    'the audit log cannot name the pod, and all creations of that second failed open',
    { requests: { named: [], unnamed: [requestOf({ failedOpen: ['images.sallyport.dev'] })] } },
    'bypass.fail-open likely',
  ],
  [
    'a refused pod that runs',
    { records: [REFUSED], cluster: clusterOf({ gates: [gateOf(IGNORING)] }) },
    'bypass.fail-open proved',
  ],
  [
    'a refused pod of the same name, with another uid',
    { records: [{ ...REFUSED, uid: 'uid-0' }] },
    'unexplained proved',
  ],
  [
    'no webhook was up, under Ignore',
    { ...inCluster({ gates: [gateOf(IGNORING)] }), journal: WITH_GAP },
    'bypass.fail-open likely',
  ],
  ['no webhook was up, under Fail', { journal: WITH_GAP }, 'unexplained unknown'],
  [
    'a webhook lost records just then: that says nothing',
    {
      ...inCluster({ gates: [gateOf(IGNORING)] }),
      journal: { status: 'recording', spans: WITH_GAP.spans, lossySpans: [{ from: CREATED - 1, to: CREATED + 1 }] },
    },
    'unexplained unknown',
  ],
  [
    'no webhook has been up since, under Ignore',
    {
      ...inCluster({ gates: [gateOf(IGNORING)] }),
      journal: { status: 'recording', lossySpans: [], spans: [{ from: LONG_AGO, to: CREATED - HOUR }] },
    },
    'bypass.fail-open likely',
  ],
  [
    'the journal is a copy that ends before',
    {
      ...inCluster({ gates: [gateOf(IGNORING)], state: { status: 'snapshot', at: CREATED } }),
      journal: { status: 'recording', lossySpans: [], spans: [{ from: LONG_AGO, to: CREATED - HOUR }] },
    },
    'unexplained unknown',
  ],
  [
    'the last heartbeat was a moment ago: the next may be on its way',
    {
      ...inCluster({ gates: [gateOf(IGNORING)] }),
      journal: { status: 'recording', lossySpans: [], spans: [{ from: LONG_AGO, to: CREATED - 4_000 }] },
    },
    'unexplained unknown',
  ],
  ['an ephemeral container, by rules without the subresource', ephemeral(), 'bypass.subresource proved'],
  [
    'the same, by rules that were changed since',
    ephemeral(gateOf({ generation: 3, changedAt: CREATED + HOUR }, SHUT_RULES)),
    'bypass.subresource likely',
  ],
  [
    'a container that the record of the creation does not have',
    { records: [CREATION], cluster: clusterOf({ container: undefined, pod: undefined, gates: undefined }) },
    'bypass.subresource likely',
  ],
  ['an ephemeral container for which the webhook is called', ephemeral(gateOf()), 'unexplained likely'],
  ['warn mode', governedBy(), 'admitted.warn-mode proved'],
  ['audit mode', governedBy({ mode: 'audit', action: 'audit' }), 'admitted.warn-mode proved'],
  [
    'warn mode, by the audit log alone',
    asked(requestOf(decided('warn', '{"images":[{"field":"x","image":"docker.io/library/redis:7"}],"more":0}'))),
    'admitted.warn-mode proved',
  ],
  [
    'warn mode, about another image of the pod perhaps',
    asked(requestOf(decided('warn', '{'))),
    'admitted.warn-mode likely',
  ],
  [
    'an exception that lives',
    { verdict: { ...verdictOf('redis:7'), outcome: 'excepted' }, ...governedBy({}, { outcome: 'excepted' }) },
    'admitted.exception-active proved',
  ],
  [
    'an exception that is gone',
    governedBy({}, { outcome: 'excepted', exception: 'EX-0' }),
    'admitted.exception-expired proved',
  ],
  ['allowed by another revision', governedBy({}, { outcome: 'allowed' }), 'admitted.policy-tightened proved'],
  [
    'allowed by another revision, by the audit log alone',
    asked(requestOf(decided('admit'))),
    'admitted.policy-tightened proved',
  ],
  ['another image was admitted', patched(), 'mutated.after-admission proved'],
  [
    'the same image in other words was admitted',
    { records: [recordOf({ at: CREATED, images: [imageRecord({ written: 'docker.io/library/redis:7' })] })] },
    'unexplained proved',
  ],
  ['the tag is another content elsewhere', inCluster({ peers: [peerOf()] }), 'digest.tag-moved proved'],
  [
    'a replica runs another content, on another node',
    inCluster({ peers: [peerOf({ isReplica: true, pod: knownPodOf({ uid: 'uid-2', nodeName: 'node-2' }) })] }),
    'digest.mixed-rollout likely',
  ],
  [
    'digests of nodes that may name contents differently',
    inCluster({ peers: [peerOf({ isComparable: false }), peerOf({ isComparable: false, isReplica: true })] }),
    'unexplained proved',
  ],
  ['the same digest elsewhere', inCluster({ peers: [peerOf({ digest: DIGEST_A })] }), 'unexplained proved'],
  [
    'the next start of the container has another content',
    inCluster({
      container: knownContainerOf({
        status: {
          image: undefined,
          imageId: `docker.io/library/redis@${DIGEST_B}`,
          containerId: 'd'.repeat(64),
          startedAt: undefined,
          restartCount: 1,
        },
      }),
    }),
    'digest.tag-moved proved',
  ],
  [
    'the image id of another repository is an alias',
    {
      running: { ...bare, imageName: 'a/b:1', imageId: `mirror.example/redis@${DIGEST_A}` },
      ...inCluster({ peers: [peerOf()] }),
    },
    'unexplained proved',
  ],
  ['content without a name', { running: bare }, 'image.local-or-unknown likely'],
  [
    'content whose id is bare, under a readable name: another runtime perhaps',
    { running: { ...bare, imageName: 'docker.io/library/redis:7' } },
    'unexplained proved',
  ],
  ['a program in memory', { program: memfd }, 'binary.not-from-image proved'],
  ['a program whose file is gone', { program: { origin: 'deleted', path: '/x' } }, 'binary.not-from-image likely'],
  ['everything says that the webhook ran', {}, 'unexplained proved'],
  ['the same, under Ignore', inCluster({ gates: [gateOf(IGNORING)] }), 'unexplained likely'],
  [
    'the same, and the event knows no uid',
    { subject: { ...evidenceOf().subject, uid: undefined } },
    'unexplained likely',
  ],
  [
    'whether the webhook is called cannot be told',
    inCluster({ gates: [gateOf({}, { match: { called: 'unknown', because: 'match-conditions' } })] }),
    'unexplained unknown',
  ],
  ['the registration is not known', inCluster({ gates: undefined }), 'unexplained unknown'],
  ['the pod is not known', inCluster({ pod: undefined, container: undefined }), 'unexplained unknown'],
  ['no journal', { journal: { status: 'absent' } }, 'unexplained unknown'],
  ['an empty journal', { journal: { status: 'empty' } }, 'unexplained unknown'],
  [
    'the journal begins later',
    { journal: { status: 'recording', lossySpans: [], spans: [{ from: CREATED + HOUR, to: CREATED + HOUR }] } },
    'unexplained unknown',
  ],
  [
    'an image that is allowed',
    { verdict: verdictOf('registry.corp.example/x'), image: 'registry.corp.example/x', ...inCluster({ gates: [] }) },
    undefined,
  ],
  ['an exception, and no record', { verdict: { ...verdictOf('redis:7'), outcome: 'excepted' } }, undefined],
  [
    'an allowed image whose tag was moved',
    { verdict: verdictOf('redis:7', ['docker.io/*']), ...inCluster({ peers: [peerOf()], gates: [] }) },
    'digest.tag-moved proved',
  ],
]

/** The first code explains; the others hold too, in this order. */
const PAIRS: readonly Case[] = [
  [
    'a static pod in an excluded namespace, older than the webhook',
    {
      ...inCluster({ pod: knownPodOf({ mirror: { source: 'file' } }), gates: [gateOf(YOUNG, SHUT_NAMESPACE)] }),
      journal: YOUNG_JOURNAL,
    },
    'bypass.static-pod proved',
    'bypass.namespace-excluded likely',
    'bypass.webhook-absent proved',
  ],
  [
    'a static pod that warn mode let in too',
    { ...inCluster({ pod: knownPodOf({ mirror: { source: 'file' } }) }), ...governedBy() },
    'bypass.static-pod proved',
    'admitted.warn-mode proved',
  ],
  [
    'excluded now, perhaps; surely older than the webhook',
    { ...inCluster({ gates: [gateOf(YOUNG, SHUT_NAMESPACE)] }), journal: YOUNG_JOURNAL },
    'bypass.webhook-absent proved',
    'bypass.namespace-excluded likely',
  ],
  [
    'excluded, and no webhook was up',
    { ...inCluster({ gates: [gateOf(IGNORING, { ...SHUT_NAMESPACE, isFirm: true })] }), journal: WITH_GAP },
    'bypass.namespace-excluded proved',
  ],
  [
    'an ephemeral container in an excluded namespace',
    ephemeral(gateOf({}, { ...SHUT_NAMESPACE, isFirm: true })),
    'bypass.namespace-excluded proved',
  ],
  [
    'nothing is registered, and the API server noted a failure',
    { ...inCluster({ gates: [] }), ...asked(requestOf({ failedOpen: ['images.sallyport.dev'] })) },
    'bypass.fail-open proved',
    'bypass.webhook-absent likely',
  ],
  [
    'an ephemeral container of a pod that is older than the webhook',
    {
      cluster: clusterOf({
        container: knownContainerOf({ list: 'ephemeralContainers' }),
        gates: [gateOf(YOUNG, SHUT_RULES)],
      }),
      journal: YOUNG_JOURNAL,
    },
    'bypass.webhook-absent likely',
    'bypass.subresource likely',
  ],
  [
    'a patch while no webhook was up',
    patched({
      ...inCluster({
        gates: [gateOf(IGNORING)],
        container: knownContainerOf({
          imageWriter: { manager: 'kubectl-set', operation: 'Update', subresource: undefined, at: CREATED + HOUR / 2 },
        }),
      }),
      journal: {
        status: 'recording',
        spans: [
          { from: LONG_AGO, to: CREATED + 60_000 },
          { from: CREATED + HOUR, to: CREATED + 2 * HOUR },
        ],
        lossySpans: [],
      },
    }),
    'mutated.after-admission proved',
    'bypass.fail-open likely',
  ],
  [
    'a patch that the API server noted as failed open',
    patched(asked(requestOf({ verb: 'patch', at: CREATED + 1_000, failedOpen: ['images.sallyport.dev'] }))),
    'bypass.fail-open proved',
    'mutated.after-admission proved',
  ],
  [
    'warn mode, and a tag that was moved',
    { ...governedBy(), ...inCluster({ peers: [peerOf()] }) },
    'admitted.warn-mode proved',
    'digest.tag-moved proved',
  ],
  [
    'warn mode, and content without a name',
    { ...governedBy(), running: bare },
    'admitted.warn-mode proved',
    'image.local-or-unknown likely',
  ],
  [
    'an exception that lives, and mixed replicas',
    {
      verdict: { ...verdictOf('redis:7'), outcome: 'excepted' },
      ...governedBy({}, { outcome: 'excepted' }),
      ...inCluster({ peers: [peerOf({ isReplica: true })] }),
    },
    'admitted.exception-active proved',
    'digest.mixed-rollout proved',
  ],
  [
    'an exception that is over, and a program in memory',
    { ...governedBy({}, { outcome: 'excepted', exception: 'EX-0' }), program: memfd },
    'admitted.exception-expired proved',
    'binary.not-from-image proved',
  ],
  [
    'a likely way in goes before a proved oddity',
    { ...inCluster({ gates: [gateOf(IGNORING)], peers: [peerOf()] }), journal: WITH_GAP },
    'bypass.fail-open likely',
    'digest.tag-moved proved',
  ],
  [
    'a moved tag, mixed replicas, a program in memory',
    { ...inCluster({ peers: [peerOf(), peerOf({ isReplica: true })] }), program: memfd },
    'digest.tag-moved proved',
    'digest.mixed-rollout proved',
    'binary.not-from-image proved',
  ],
  [
    'content without a name, a program in memory',
    { running: bare, program: memfd },
    'image.local-or-unknown likely',
    'binary.not-from-image proved',
  ],
  [
    'tightened, and mixed replicas',
    { ...governedBy({}, { outcome: 'allowed' }), ...inCluster({ peers: [peerOf({ isReplica: true })] }) },
    'admitted.policy-tightened proved',
    'digest.mixed-rollout proved',
  ],
]

t.test('why an unwanted image runs', async t => {
  const told = new Set<string>()
  for (const [title, evidence, code, ...also] of [...SINGLE, ...PAIRS]) {
    const explanation = explainAdmission(evidenceOf(evidence))
    const said = explanation && `${explanation.code} ${explanation.certainty}`
    t.strictSame(
      [said, ...(explanation?.alsoTrue ?? []).map(each => `${each.code} ${each.certainty}`)],
      [code, ...also],
      title,
    )
    if (explanation === undefined) continue
    told.add(explanation.code)
    if (explanation.certainty === 'unknown') continue
    t.ok(explanation.evidence.length > 0, `${title}: with evidence`)
    for (const other of explanation.alsoTrue) t.ok(other.evidence.length > 0, `${title}: ${other.code} with evidence`)
  }
  t.strictSame([...told].sort(), [...DRIFT_CODES].sort(), 'every code has a case')
})

t.test('the table of rules has every code once, in the order of the list', async t => {
  t.strictSame([...DRIFT_RULES.map(({ code }) => code), 'unexplained'], [...DRIFT_CODES])
})

t.test('what is missing is said', async t => {
  const said = (evidence: Partial<DriftEvidence>) => explainAdmission(evidenceOf(evidence))?.summary ?? ''
  t.match(said({ journal: { status: 'absent' } }), '--journal')
  t.match(
    said(inCluster({ state: { status: 'absent' }, pod: undefined, container: undefined, gates: undefined })),
    '--inventory',
  )
  t.match(
    said(inCluster({ gates: [gateOf({}, { match: { called: 'unknown', because: 'match-conditions' } })] })),
    'match-conditions',
  )
})

t.test('nothing foreign forges a line', async t => {
  const evil = 'x\n\u001b[2J\u202e'
  const pod = knownPodOf({ name: evil, nodeName: evil, mirror: { source: evil } })
  const cases = [
    { ...inCluster({ pod }) },
    asked(requestOf({ ...decided('warn', '{'), user: evil, auditId: evil })),
    inCluster({
      gates: [gateOf({ name: evil, configuration: evil }, SHUT_NAMESPACE)],
      namespace: knownNamespaceOf({ labels: { [evil]: evil } }),
    }),
    patched(inCluster({ container: knownContainerOf({ image: evil }) })),
    inCluster({ peers: [peerOf({ pod })] }),
    { program: { origin: 'memfd', path: evil } as const },
  ]
  for (const evidence of cases) {
    const explanation = explainAdmission(evidenceOf(evidence))
    t.ok(explanation)
    const texts = Object.values(explanation ?? {}).map(value =>
      typeof value === 'string' ? value : JSON.stringify(value),
    )
    t.notMatch(texts.join(' '), /\p{Cc}|\u202e|\\u001b/u)
  }
})

t.test(
  'explaining is total: whatever the evidence, an answer with readable times, and for a denied image always one',
  async () => {
    const time = fc.oneof(fc.constantFrom(CREATED, LONG_AGO, CREATED + 1, Number.NaN, 9e15, -9e15), fc.integer())
    const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined })
    const text = fc.oneof(
      fc.constantFrom(
        '',
        'app',
        'redis:7',
        'registry.corp.example/x:1',
        DIGEST_A,
        `docker.io/library/redis@${DIGEST_A}`,
      ),
      fc.string(),
    )
    const outcome = fc.constantFrom('allowed' as const, 'denied' as const, 'excepted' as const)
    const image = fc
      .record({ written: text, container: text, outcome, isChanged: fc.boolean(), exception: maybe(text) })
      .map(imageRecord)
    const record = fc
      .record({
        at: time,
        operation: fc.constantFrom('CREATE', 'UPDATE', ''),
        allowed: fc.boolean(),
        dryRun: fc.boolean(),
        mode: fc.constantFrom('enforce' as const, 'warn' as const, 'audit' as const),
        uid: maybe(fc.constantFrom('uid-1', 'uid-0')),
        waived: maybe(fc.constant('mirror-pod' as const)),
        images: fc.array(image, { maxLength: 3 }),
        imagesOmitted: fc.nat(1),
      })
      .map(recordOf)
    const span = fc.record({ from: time, to: time })
    const spans = fc.array(span, { maxLength: 3 })
    const journal: fc.Arbitrary<DriftEvidence['journal']> = fc.oneof(
      fc.constantFrom({ status: 'absent' } as const, { status: 'empty' } as const),
      fc.record({ status: fc.constant('recording' as const), spans, lossySpans: spans }),
    )
    const writer = fc.record({ manager: text, operation: text, subresource: maybe(text), at: time })
    const status = fc.record({
      image: maybe(text),
      imageId: maybe(text),
      containerId: maybe(text),
      startedAt: maybe(time),
      restartCount: fc.nat(),
    })
    const list = fc.constantFrom('containers' as const, 'initContainers' as const, 'ephemeralContainers' as const)
    const container = fc
      .record({ list, name: text, image: text, imageWriter: maybe(writer), status: maybe(status) })
      .map(knownContainerOf)
    const pod = fc
      .record({
        createdAt: time,
        deletedAt: maybe(time),
        nodeName: maybe(text),
        mirror: maybe(fc.record({ source: maybe(text) })),
        seenAt: time,
      })
      .map(knownPodOf)
    const match = fc.constantFrom(
      { called: 'yes' } as const,
      SHUT_NAMESPACE.match,
      SHUT_OBJECT.match,
      SHUT_RULES.match,
      {
        called: 'unknown',
        because: 'match-conditions',
      } as const,
    )
    const gate = fc
      .tuple(
        fc.record({
          createdAt: time,
          changedAt: maybe(time),
          generation: maybe(fc.nat()),
          failurePolicy: fc.constantFrom('Fail' as const, 'Ignore' as const),
          seenAt: time,
        }),
        fc.record({ match, isFirm: fc.boolean() }),
      )
      .map(([webhook, changes]) => gateOf(webhook, changes))
    const peer = fc.record({ pod, digest: text, isReplica: fc.boolean(), isComparable: fc.boolean() }).map(peerOf)
    const request = fc
      .record({
        at: time,
        verb: fc.constantFrom('create', 'patch', 'x'),
        subresource: maybe(text),
        user: maybe(text),
        failedOpen: fc.array(fc.constantFrom('images.sallyport.dev', 'x'), { maxLength: 2 }),
        decision: maybe(text),
        violations: maybe(fc.oneof(fc.json(), text)),
      })
      .map(({ decision, violations, ...rest }) =>
        requestOf({ ...rest, ...(decision === undefined ? {} : decided(decision, violations)) }),
      )
    const cluster = fc
      .record({
        state: fc.constantFrom(
          { status: 'absent' } as const,
          { status: 'synced' } as const,
          { status: 'snapshot', at: CREATED } as const,
          { status: 'syncing', problem: undefined } as const,
        ),
        pod: maybe(pod),
        container: maybe(container),
        namespace: maybe(fc.record({ labelsChangedAt: maybe(time), seenAt: time }).map(knownNamespaceOf)),
        gates: maybe(fc.array(gate, { maxLength: 3 })),
        peers: fc.array(peer, { maxLength: 3 }),
      })
      .map(clusterOf)
    const evidence = fc
      .record({
        verdict: fc.tuple(text, outcome).map(([written, to]) => ({ ...verdictOf(written), outcome: to })),
        running: fc.record({
          imageName: maybe(text),
          imageId: maybe(text),
          containerId: maybe(text),
          startedAt: maybe(time),
        }),
        program: maybe(fc.record({ origin: fc.constantFrom('memfd' as const, 'deleted' as const), path: text })),
        journal,
        records: fc.array(record, { maxLength: 3 }),
        governing: maybe(fc.tuple(record, image).map(([of, its]) => ({ record: of, image: its }))),
        exception: maybe(fc.record({ isLive: fc.boolean(), expires: time, owner: text })),
        cluster,
        requests: fc.record({
          named: fc.array(request, { maxLength: 2 }),
          unnamed: fc.array(request, { maxLength: 2 }),
        }),
      })
      .map(evidenceOf)
    assertProperty(
      fc.property(evidence, each => {
        const explanation = explainAdmission(each)
        if (explanation === undefined) return each.verdict.outcome !== 'denied'
        const facts = [...explanation.evidence, ...explanation.alsoTrue.flatMap(other => other.evidence)]
        const codes = [explanation.code, ...explanation.alsoTrue.map(({ code }) => code)]
        return (
          facts.every(
            ({ seen }) => seen === undefined || seen === 'an unreadable time' || !Number.isNaN(Date.parse(seen)),
          ) &&
          !/NaN|undefined|Invalid/.test(explanation.summary.replaceAll(/"[^"]*"/g, '')) &&
          new Set(codes).size === codes.length &&
          // Only where the webhook ran and left no record is that the answer with any certainty.
          (explanation.code !== 'unexplained' ||
            explanation.certainty === 'unknown' ||
            each.journal.status === 'recording')
        )
      }),
      { numRuns: 1000 },
    )
  },
)
