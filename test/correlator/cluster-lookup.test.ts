/** What inventory and registration say of a container: firmly shut namespaces, who shares a tag, and for how long it holds. */

import t from 'tap'
import { createClusterLookup } from '../../src/correlator/cluster-lookup.js'
import { type Inventory, type KnownPod, type KnownWebhook, NO_INVENTORY } from '../../src/correlator/inventory.js'
import { DIGEST_A, DIGEST_B, knownContainerOf, knownNamespaceOf, knownPodOf, knownWebhookOf } from '../support/drift.js'

const IDENTITY = { uid: 'uid-1', namespace: 'team-a', name: 'web-1' }
const OWN = knownPodOf()
const CONTAINER = { name: 'app', id: undefined }

function lookup(changes: Partial<Inventory>, now: () => number = () => 0) {
  const cluster = createClusterLookup(
    { ...NO_INVENTORY, podOf: () => OWN, state: () => ({ status: 'synced' }), ...changes },
    undefined,
    now,
  )
  return () => cluster.describe(cluster.find(IDENTITY, CONTAINER), IDENTITY, 'create')
}

function running(image: string, digest: string, changes: Partial<KnownPod> = {}): KnownPod {
  const imageId = `${image.replace(/:.*/, '')}@${digest}`
  const status = { image: undefined, imageId, containerId: undefined, startedAt: undefined, restartCount: 0 }
  const full = image.includes('.') ? imageId : `docker.io/library/${imageId}`
  return knownPodOf({
    uid: 'uid-2',
    ...changes,
    containers: [knownContainerOf({ image, status: { ...status, imageId: full } })],
  })
}

t.test('a namespace is firmly shut out by a label that is there, and not by one that is missing', async t => {
  const selector = (expressions: object[], matchLabels = {}): Partial<KnownWebhook> => ({
    namespaceSelector: { matchLabels, matchExpressions: expressions as never },
  })
  const labels = { env: 'dev' }
  const cases: readonly (readonly [string, Partial<KnownWebhook>, boolean])[] = [
    ['no selector', {}, false],
    ['another value', selector([], { env: 'prod' }), true],
    ['a missing label', selector([], { team: 'x' }), false],
    ['NotIn', selector([{ key: 'env', operator: 'NotIn', values: ['dev'] }]), true],
    ['In', selector([{ key: 'env', operator: 'In', values: ['prod'] }]), true],
    ['In, missing', selector([{ key: 'team', operator: 'In', values: ['x'] }]), false],
    ['DoesNotExist', selector([{ key: 'env', operator: 'DoesNotExist', values: [] }]), true],
    ['Exists, missing', selector([{ key: 'team', operator: 'Exists', values: [] }]), false],
    ['a label of every object in JavaScript', selector([{ key: 'constructor', operator: 'DoesNotExist' }]), false],
  ]
  for (const [title, webhook, expected] of cases) {
    const namespaceOf = () => knownNamespaceOf({ labels })
    const describe = lookup({ namespaceOf, webhooks: () => [knownWebhookOf(webhook)] })
    t.equal(describe().gates?.[0]?.isFirm, expected, title)
  }
})

t.test('who shares a tag, and whether the digests may be compared', async t => {
  const elsewhere = { nodeName: 'node-2' } as const
  const cases: readonly (readonly [string, readonly KnownPod[], readonly (readonly [string, boolean, boolean])[]])[] = [
    ['nobody else', [OWN], []],
    ['on the same node', [running('redis:7', DIGEST_B)], [[DIGEST_B, true, true]]],
    [
      'on another node, which may name contents differently',
      [running('redis:7', DIGEST_B, elsewhere)],
      [[DIGEST_B, true, false]],
    ],
    [
      'on another node that agrees about another tag',
      [
        running('redis:7', DIGEST_B, elsewhere),
        running('pause:3', DIGEST_A, { uid: 'uid-3' }),
        running('pause:3', DIGEST_A, { uid: 'uid-4', ...elsewhere }),
      ],
      [[DIGEST_B, true, true]],
    ],
    [
      'on another node that disagrees about the other tag too: another platform perhaps',
      [
        running('redis:7', DIGEST_B, elsewhere),
        running('pause:3', DIGEST_A, { uid: 'uid-3' }),
        running('pause:3', DIGEST_B, { uid: 'uid-4', ...elsewhere }),
      ],
      [[DIGEST_B, true, false]],
    ],
    ['of another workload', [running('redis:7', DIGEST_B, { topOwner: undefined })], [[DIGEST_B, false, true]]],
    ['another tag', [running('redis:8', DIGEST_B)], []],
    ['the same, written in full', [running('docker.io/library/redis:7', DIGEST_B)], [[DIGEST_B, true, true]]],
    ['pinned by digest', [running(`redis:7@${DIGEST_B}`, DIGEST_B)], []],
  ]
  for (const [title, pods, expected] of cases) {
    const { peers } = lookup({ pods: () => pods })()
    t.strictSame(
      peers.map(({ digest, isReplica, isComparable }) => [digest, isReplica, isComparable]),
      expected,
      title,
    )
  }
})

t.test('the index of tags is made anew after some seconds, and not before', async t => {
  let now = 0
  let pods: readonly KnownPod[] = []
  let reads = 0
  const describe = lookup(
    {
      pods: () => {
        reads += 1
        return pods
      },
    },
    () => now,
  )
  t.equal(describe().peers.length, 0)
  pods = [running('redis:7', DIGEST_B)]
  t.equal(describe().peers.length, 0)
  t.equal(reads, 1)
  now = 6_000
  t.equal(describe().peers.length, 1)
  t.equal(reads, 2)
})

t.test('without inventory and audit log nothing is known, and nothing ever changes', async t => {
  const cluster = createClusterLookup(undefined, undefined, () => 1e9)
  t.notOk(cluster.isKnown)
  t.equal(cluster.epoch(), 0)
  t.match(cluster.describe(cluster.find(IDENTITY, CONTAINER), IDENTITY, 'create'), {
    state: { status: 'absent' },
    gates: undefined,
  })
})
