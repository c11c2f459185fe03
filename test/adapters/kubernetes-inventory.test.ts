import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { InventoryIndex } from '../../src/adapters/inventory-index.js'
import {
  followInventory,
  type LiveInventory,
  type LiveInventoryOptions,
} from '../../src/adapters/kubernetes-inventory.js'
import { decodePod } from '../../src/adapters/kubernetes-pod.js'
import { decodeNamespace, decodeWebhookConfiguration } from '../../src/adapters/kubernetes-registration.js'
import type { KnownPod } from '../../src/correlator/inventory.js'
import {
  CONTAINER_ID,
  CREATED,
  configurationObject,
  DIGEST,
  namespaceObject,
  type PodChanges,
  podObject,
} from '../support/cluster-objects.js'
import { FakeApiServer } from '../support/fake-api-server.js'
import { assertProperty, fc } from '../support/properties.js'
import { settledHeap } from '../support/settled-heap.js'

const HOUR = 3_600_000
const AT = Date.parse(CREATED)
const BACKOFF = { minMs: 5, maxMs: 20 }

function known(changes: PodChanges = {}): KnownPod {
  const decoded = decodePod(podObject(changes), 1)
  if (!decoded.ok) throw new Error(decoded.problem)
  return decoded.value
}

const identity = (name: string, uid?: string) => ({ namespace: 'team-a', name, uid })

async function until(t: Test, what: string, isSo: () => boolean, timeoutMs = 60_000): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!isSo() && Date.now() < deadline) await sleep(2)
  t.ok(isSo(), what)
}

t.test('of a pod are kept: who it is, who owns it, what its spec names, and what runs', async t => {
  const write = (manager: string, time: string, fieldsV1: object, more: object = {}) => ({
    manager,
    operation: 'Update',
    apiVersion: 'v1',
    time,
    fieldsType: 'FieldsV1',
    fieldsV1,
    ...more,
  })
  const image = (list: string, name: string) => ({
    'f:spec': { [`f:${list}`]: { [`k:{"name":"${name}"}`]: { 'f:image': {} } } },
  })
  const pod = known({
    metadata: {
      labels: { app: 'web', 'pod-template-hash': '5d4f' },
      ownerReferences: [
        { apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: 'x' },
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-5d4f', uid: 'rs', controller: true },
      ],
      managedFields: [
        write('kubectl-create', CREATED, image('containers', 'app')),
        write('kubectl-set', '2026-11-21T23:21:00Z', image('containers', 'app')),
        write('debugger', '2026-11-21T23:22:00Z', image('ephemeralContainers', 'debug'), {
          subresource: 'ephemeralcontainers',
        }),
        write('kubelet', '2026-11-21T23:23:00Z', { 'f:status': {} }),
        write('odd', 'no time', image('containers', 'app')),
        write('odd', '2027-01-01T00:00:00Z', {
          'f:spec': { 'f:containers': { 'k:{"name":': {}, 'k:[]': { 'f:image': {} } } },
        }),
      ],
    },
    spec: {
      initContainers: [{ name: 'setup', image: 'redis:7' }],
      ephemeralContainers: [{ name: 'debug', image: 'busybox' }],
      volumes: [
        { name: 'data', emptyDir: {} },
        { name: 'model', image: { reference: 'models.example/a:1' } },
      ],
    },
    status: {
      initContainerStatuses: [
        {
          name: 'setup',
          image: '',
          imageID: '',
          restartCount: 1,
          state: { waiting: { reason: 'CrashLoopBackOff' } },
          lastState: { terminated: { startedAt: CREATED, containerID: 'docker://abc' } },
        },
      ],
    },
  })
  t.match(pod, {
    namespace: 'team-a',
    name: 'web-1',
    uid: 'uid-1',
    nodeName: 'node-1',
    createdAt: AT,
    mirror: undefined,
    controller: { kind: 'ReplicaSet', name: 'web-5d4f', uid: 'rs' },
    topOwner: { kind: 'Deployment', name: 'web' },
    volumeImages: [{ name: 'model', image: 'models.example/a:1' }],
  })
  t.match(pod.containers, [
    {
      list: 'containers',
      name: 'app',
      image: 'registry.corp.example/web:1.4',
      imageWriter: { manager: 'kubectl-set', operation: 'Update', subresource: undefined, at: AT + 60_000 },
      status: {
        image: 'docker.io/library/alias:1',
        imageId: `docker.io/library/alias@${DIGEST}`,
        containerId: CONTAINER_ID,
        startedAt: Date.parse('2026-11-21T23:21:58Z'),
        restartCount: 2,
      },
    },
    {
      list: 'initContainers',
      name: 'setup',
      status: { image: undefined, containerId: 'abc', startedAt: AT, restartCount: 1 },
    },
    {
      list: 'ephemeralContainers',
      name: 'debug',
      imageWriter: { subresource: 'ephemeralcontainers' },
      status: undefined,
    },
  ])
})

t.test('a mirror is told by annotation and owner together; owners by what their names prove', async t => {
  const owner = (kind: string, name: string, apiVersion = 'v1') => [
    { apiVersion, kind, name, uid: 'u', controller: true },
  ]
  const annotations = { 'kubernetes.io/config.mirror': 'hash', 'kubernetes.io/config.source': 'file' }
  t.same(known({ metadata: { annotations, ownerReferences: owner('Node', 'node-1') } }).mirror, { source: 'file' })
  t.equal(known({ metadata: { annotations } }).mirror, undefined, 'anybody may set an annotation')
  t.equal(known({ metadata: { ownerReferences: owner('Node', 'node-1') } }).mirror, undefined)
  const labels = { 'pod-template-hash': '5d4f' }
  const top = (kind: string, name: string) =>
    known({ metadata: { labels, ownerReferences: owner(kind, name, 'apps/v1') } }).topOwner
  t.same(top('ReplicaSet', 'web-5d4f'), { kind: 'Deployment', name: 'web' })
  t.same(top('ReplicaSet', 'web-abcd'), { kind: 'ReplicaSet', name: 'web-abcd' })
  t.same(top('ReplicaSet', '-5d4f'), { kind: 'ReplicaSet', name: '-5d4f' })
  t.same(top('Job', 'web-5d4f'), { kind: 'Job', name: 'web-5d4f' })
  t.equal(known().topOwner, undefined)
})

t.test('webhooks are ours by the configuration that was named, or by their own name and path', async t => {
  const ours = (object: object, name?: string) => {
    const decoded = decodeWebhookConfiguration(object, name, 1)
    return decoded.ok ? decoded.value.webhooks.map(each => each.name) : decoded.problem
  }
  const url = (url: string) => ({ clientConfig: { url } })
  t.same(ours(configurationObject()), ['images.sallyport.dev'])
  t.same(ours(configurationObject('x', url('https://10.0.0.1:8443/validate'))), ['images.sallyport.dev'])
  t.same(ours(configurationObject('x', url('https://10.0.0.1:8443/other'))), [])
  t.same(ours(configurationObject('x', url('nonsense'))), [])
  t.same(ours(configurationObject('x', { name: 'images.notsallyport.dev' })), [])
  t.same(ours(configurationObject('x', { name: 'a.example' }), 'x'), ['a.example'])
  t.same(ours(configurationObject('y'), 'x'), [])
  const expression = (operator: string) => ({
    namespaceSelector: { matchExpressions: [{ key: 'a', operator, values: ['b'] }] },
  })
  const decoded = (webhook: object) => {
    const value = decodeWebhookConfiguration(configurationObject('x', webhook), undefined, 1)
    return value.ok ? value.value.webhooks[0] : undefined
  }
  t.match(decoded(expression('NotIn')), {
    failurePolicy: 'Ignore',
    namespaceSelector: { matchExpressions: [{ operator: 'NotIn' }] },
  })
  t.match(decoded(expression('Near')), { namespaceSelector: 'unreadable' })
  t.match(decoded({ objectSelector: { matchWhatever: 1 } }), { objectSelector: 'unreadable' })
  t.match(
    decoded({
      failurePolicy: undefined,
      matchPolicy: undefined,
      namespaceSelector: undefined,
      rules: [{ resources: ['pods'] }],
      matchConditions: [{}],
    }),
    {
      failurePolicy: 'Fail',
      matchPolicy: 'Equivalent',
      namespaceSelector: undefined,
      rules: [{ scope: '*' }],
      matchConditions: 1,
    },
    "what is missing has the API's default",
  )
})

t.test('whatever is sent, decoding gives a value or a problem', async t => {
  const objects = fc.oneof(
    fc.jsonValue(),
    fc.record({
      metadata: fc.record({
        name: fc.oneof(fc.string(), fc.jsonValue()),
        namespace: fc.string(),
        uid: fc.string(),
        creationTimestamp: fc.oneof(fc.constant(CREATED), fc.jsonValue()),
        ownerReferences: fc.jsonValue(),
        managedFields: fc.oneof(
          fc.jsonValue(),
          fc.array(fc.record({ time: fc.constant(CREATED), fieldsV1: fc.jsonValue() })),
        ),
        labels: fc.jsonValue(),
      }),
      spec: fc.oneof(fc.jsonValue(), fc.record({ containers: fc.array(fc.jsonValue()), volumes: fc.jsonValue() })),
      status: fc.oneof(fc.jsonValue(), fc.record({ containerStatuses: fc.jsonValue() })),
      webhooks: fc.jsonValue(),
    }),
  )
  const property = fc.property(objects, object => {
    const all = [decodePod(object, 1), decodeNamespace(object, 1), decodeWebhookConfiguration(object, 'x', 1)]
    return all.every(decoded => decoded.ok || decoded.problem.length > 0)
  })
  t.doesNotThrow(() => assertProperty(property, { numRuns: 500 }))
})

t.test('a pod is found by its uid, else by its name and container, also when it is gone', async t => {
  let now = AT
  const index = new InventoryIndex({ now: () => now, maxGone: 3 })
  const status = (id: string) => ({ containerStatuses: [{ name: 'app', containerID: `containerd://${id}` }] })
  index.putPod(known({ uid: 'first', status: status('1'.repeat(64)) }))
  index.removePod('first')
  index.putPod(known({ uid: 'second', status: status('2'.repeat(64)) }))
  const uidOf = (uid: string | undefined, id?: string) => index.podOf(identity('web-1', uid), id)?.uid
  t.equal(uidOf('first'), 'first')
  t.equal(uidOf('second'), 'second')
  t.equal(uidOf('third'), undefined, 'another pod of that name')
  t.equal(uidOf(undefined), 'second', 'the latest')
  t.equal(uidOf(undefined, `containerd://${'1'.repeat(64)}`), 'first')
  t.equal(uidOf(undefined, '1'.repeat(31)), 'first', 'by the beginning, as agents give it')
  t.equal(uidOf(undefined, '3'.repeat(31)), undefined, 'both are known to run others')
  t.equal(index.podOf(identity('web-1', 'first'))?.deletedAt, AT)
  index.putPod(known({ uid: 'third', status: { containerStatuses: [] } }))
  t.equal(uidOf(undefined, '3'.repeat(31)), 'third', 'which has not told its containers yet')

  const annotations = { 'kubernetes.io/config.mirror': 'hash' }
  const ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name: 'node-1', uid: 'n' }]
  index.putPod(known({ name: 'static', uid: 'mirror', metadata: { annotations, ownerReferences } }))
  t.equal(index.podOf(identity('static', 'of-the-kubelet'))?.uid, 'mirror', 'a static pod has two uids')

  for (const uid of ['a', 'b', 'c', 'd']) {
    index.putPod(known({ name: uid, uid }))
    index.removePod(uid)
  }
  t.equal(uidOf('first'), undefined, 'the oldest goes first')
  t.equal(index.podOf(identity('a', 'a')), undefined)
  t.equal(index.podOf(identity('d'))?.uid, 'd')
  now += HOUR + 1
  t.equal(index.podOf(identity('d', 'd')), undefined, 'too long ago')
  t.same(
    [...index.pods()].map(({ uid }) => uid),
    ['second', 'third', 'mirror'],
  )
})

t.test('what stays the same stays the same object; a label that went is noticed', async t => {
  let now = AT
  const index = new InventoryIndex({ now: () => now })
  const namespace = (labels: object, seenAt: number) => {
    const decoded = decodeNamespace(namespaceObject('team-a', labels), seenAt)
    if (decoded.ok) index.putNamespace(decoded.value)
    return index.namespaceOf('team-a')
  }
  const first = namespace({ env: 'prod' }, 1)
  t.equal(first?.labelsChangedAt, undefined)
  t.equal(namespace({ env: 'prod' }, 2), first)
  now += 5
  t.match(namespace({}, 3), { labels: {}, labelsChangedAt: AT + 5 })
  index.putPod(known())
  const pod = index.podOf(identity('web-1'))
  index.putPod({ ...known(), seenAt: 99 })
  t.equal(index.podOf(identity('web-1')), pod)
  index.putPod(known({ spec: { containers: [{ name: 'app', image: 'other' }] } }))
  t.not(index.podOf(identity('web-1')), pod)
  const configure = (webhook: object, seenAt: number) => {
    const decoded = decodeWebhookConfiguration(configurationObject('x', webhook), undefined, seenAt)
    if (decoded.ok) index.putConfiguration(decoded.value)
    return index.webhooks()
  }
  const webhooks = configure({}, 1)
  t.equal(configure({}, 2), webhooks)
  t.not(configure({ failurePolicy: 'Fail' }, 3), webhooks)
  index.removeConfiguration('x')
  t.same(index.webhooks(), [])
})

async function startFake(t: Test): Promise<FakeApiServer> {
  const server = new FakeApiServer()
  server.put('namespaces', namespaceObject('team-a', { env: 'prod' }))
  server.put('configurations', configurationObject())
  server.put('pods', podObject())
  await server.start()
  t.teardown(() => server.stop().catch(() => undefined))
  return server
}

async function followFake(
  t: Test,
  server: FakeApiServer,
  options: Partial<Omit<LiveInventoryOptions, 'kubeconfig'>> = {},
): Promise<LiveInventory> {
  const kubeconfig = join(t.testdir(), 'kubeconfig')
  const cluster = { server: server.url, 'insecure-skip-tls-verify': true }
  const text = JSON.stringify({
    clusters: [{ name: 'c', cluster }],
    users: [{ name: 'u', user: { token: 'secret' } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  })
  writeFileSync(kubeconfig, text)
  const inventory = await followInventory({ kubeconfig, backoff: BACKOFF, now: Date.now, ...options })
  t.teardown(() => inventory.close())
  return inventory
}

t.test('pods, namespaces and webhooks are followed; what is gone stays known for a while', async t => {
  const server = await startFake(t)
  const inventory = await followFake(t, server)
  t.same(inventory.state(), { status: 'syncing', problem: undefined })
  t.equal(inventory.webhooks(), undefined)
  await inventory.whenSynced()
  t.same(inventory.state(), { status: 'synced' })
  t.equal(inventory.podOf(identity('web-1', 'uid-1'))?.containers[0]?.image, 'registry.corp.example/web:1.4')
  t.same(inventory.namespaceOf('team-a')?.labels, { env: 'prod' })
  t.match(inventory.webhooks(), [{ configuration: 'sallyport', generation: 1, createdAt: AT }])
  await until(t, 'all watches stand', () => server.openWatches === 3)

  server.put('pods', podObject({ name: 'web-2', uid: 'uid-2' }))
  server.put('configurations', configurationObject('sallyport', { failurePolicy: 'Fail' }, { generation: 2 }))
  server.put('namespaces', namespaceObject('team-b'))
  server.delete('pods', 'team-a/web-1')
  await until(t, 'gone', () => inventory.podOf(identity('web-1', 'uid-1'))?.deletedAt !== undefined)
  await until(
    t,
    'all seen',
    () => inventory.namespaceOf('team-b') !== undefined && inventory.webhooks()?.[0]?.generation === 2,
  )
  t.same(
    [...inventory.pods()].map(({ uid }) => uid),
    ['uid-2', 'uid-1'],
  )
  server.delete('configurations', 'sallyport')
  await until(t, 'no webhook is known for certain', () => inventory.webhooks()?.length === 0)
})

t.test('of one node only its pods are asked for', async t => {
  const server = await startFake(t)
  for (let index = 2; index < 600; index += 1) {
    server.put('pods', podObject({ name: `web-${index}`, uid: `uid-${index}`, node: 'node-2' }))
  }
  server.put('pods', podObject({ name: 'pending', uid: 'pending', node: '' }))
  const inventory = await followFake(t, server, { nodeName: 'node-1' })
  await inventory.whenSynced()
  t.equal(inventory.nodeName, 'node-1')
  t.equal([...inventory.pods()].length, 1)
  await until(t, 'all watches stand', () => server.openWatches === 3)
  server.put('pods', podObject({ name: 'pending', uid: 'pending', node: 'node-1' }))
  await until(t, 'scheduled', () => inventory.podOf(identity('pending')) !== undefined)
  t.equal([...inventory.pods()].length, 2)
})

t.test('a kind that may not be listed leaves the others known, and is named with the right that lacks', async t => {
  const server = await startFake(t)
  server.forbidden.add('configurations')
  const told: string[] = []
  const inventory = await followFake(t, server, { onConnection: sentence => told.push(sentence) })
  await until(
    t,
    'the others',
    () => inventory.podOf(identity('web-1')) !== undefined && inventory.namespaceOf('team-a') !== undefined,
  )
  await until(t, 'told', () => told.length > 0)
  t.match(inventory.state(), { status: 'syncing', problem: /validatingwebhookconfigurations.*403.*ClusterRole/ })
  t.equal(inventory.webhooks(), undefined)
  await sleep(100)
  t.equal(told.length, 1, 'once')
  server.forbidden.clear()
  await inventory.whenSynced()
  await until(t, 'over', () => inventory.state().status === 'synced')
  t.equal(told.length, 2)
})

t.test(
  'an API server that is away for an hour: what was known stays, and since when it may be old is said',
  async t => {
    const server = await startFake(t)
    let now = AT
    const inventory = await followFake(t, server, { now: () => now })
    await inventory.whenSynced()
    await until(t, 'all watches stand', () => server.openWatches === 3)
    await server.stop()
    await until(t, 'noticed', () => inventory.state().status === 'stale')
    now += HOUR
    t.match(inventory.state(), { status: 'stale', since: AT })
    t.equal(inventory.podOf(identity('web-1'))?.deletedAt, undefined)
    t.equal(inventory.webhooks()?.length, 1)

    server.delete('pods', 'team-a/web-1')
    server.put('pods', podObject({ name: 'web-1', uid: 'new' }))
    server.put('namespaces', namespaceObject('team-a'))
    server.compact()
    await server.start()
    await until(
      t,
      'synced anew',
      () => inventory.state().status === 'synced' && inventory.podOf(identity('web-1', 'new')) !== undefined,
    )
    t.equal(inventory.podOf(identity('web-1', 'uid-1'))?.deletedAt, AT + HOUR)
    await until(
      t,
      'the label went unseen, and is known to have gone',
      () => inventory.namespaceOf('team-a')?.labelsChangedAt === AT + HOUR,
    )
  },
)

t.test('thousands of pods that come and go leave no more than the bound behind', async t => {
  const server = await startFake(t)
  const inventory = await followFake(t, server, { maxGone: 100 })
  await until(t, 'all watches stand', () => server.openWatches === 3)
  let made = 0
  const churn = async (count: number) => {
    for (let index = 0; index < count; index += 1) {
      made += 1
      server.put('pods', podObject({ name: `web-${made}`, uid: `churn-${made}` }))
      server.delete('pods', `team-a/web-${made}`)
      if (made % 200 === 0)
        await until(
          t,
          'kept up',
          () => inventory.podOf(identity(`web-${made}`, `churn-${made}`))?.deletedAt !== undefined,
        )
    }
    server.compact()
  }
  await churn(1_000)
  const before = settledHeap()
  await churn(3_000)
  t.ok([...inventory.pods()].length <= 101)
  const grown = settledHeap() - before
  t.ok(grown < 4 * 1024 * 1024, `${Math.round(grown / 1024)} KiB more`)
})

t.test('closing is quick while the server is away, and what was known can still be asked for', async t => {
  const server = await startFake(t)
  const inventory = await followFake(t, server, { backoff: { minMs: 600_000, maxMs: 600_000 } })
  await inventory.whenSynced()
  await server.stop()
  await until(t, 'noticed', () => inventory.state().status === 'stale')
  await inventory.close()
  t.equal(inventory.podOf(identity('web-1'))?.uid, 'uid-1')
  t.notOk(process.getActiveResourcesInfo().includes('TCPSocketWrap'))
})
