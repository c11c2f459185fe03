/** Events and policy reports on a real API server, with the rights that docs/sinks.md lists and no other. */

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { type KubernetesClient, openKubernetesClient } from '../../src/adapters/kubernetes-client.js'
import { openEventsSink } from '../../src/adapters/sink-events.js'
import { openReportSink } from '../../src/adapters/sink-report.js'
import { compileSinks, type EventsSink, type ReportSink } from '../../src/adapters/sink-spec.js'
import type { SendOutcome } from '../../src/correlator/delivery.js'
import type { Finding } from '../../src/correlator/finding.js'
import { eventOf, lineOf, podOf as podFactsOf } from '../support/events.js'
import { findingOf, fingerprintOf } from '../support/findings.js'
import { runCommand } from '../support/run-command.js'
import { type ApiServer, missingAssets, startApiServer } from './api-server.js'
import { kubeconfigOf } from './cluster-files.js'
import { BAD_IMAGE, cronJob, deployment, pod } from './objects.js'
import { OPEN_REPORTS, POLICY_REPORTS } from './report-crds.js'

const never = new AbortController().signal
const ROLE = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRole',
  metadata: { name: 'sallyport-sinks' },
  rules: [
    { apiGroups: [''], resources: ['pods', 'nodes', 'replicationcontrollers'], verbs: ['get'] },
    { apiGroups: ['apps'], resources: ['deployments', 'replicasets', 'statefulsets', 'daemonsets'], verbs: ['get'] },
    { apiGroups: ['batch'], resources: ['jobs', 'cronjobs'], verbs: ['get'] },
    { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch'] },
    {
      apiGroups: ['openreports.io', 'wgpolicyk8s.io'],
      resources: ['reports', 'clusterreports', 'policyreports', 'clusterpolicyreports'],
      verbs: ['get', 'create', 'update'],
    },
  ],
}

interface StoredEvent {
  readonly metadata: { readonly name: string }
  readonly involvedObject: { readonly kind: string; readonly name: string; readonly uid: string }
  readonly type: string
  readonly reason: string
  readonly message: string
  readonly count: number
}

interface StoredReport {
  readonly metadata: {
    readonly resourceVersion: string
    readonly annotations: Readonly<Record<string, string>>
    readonly ownerReferences: readonly { readonly uid: string; readonly kind: string }[]
  }
  readonly scope: { readonly kind: string; readonly name: string }
  readonly summary: Readonly<Record<string, number>>
  readonly results: readonly {
    readonly result: string
    readonly severity: string
    readonly message: string
    readonly rule: string
    readonly resources?: readonly object[]
    readonly properties: Readonly<Record<string, string>>
  }[]
}

function eventsSpec(options = ''): EventsSink {
  const [spec] = compileSinks([`kubernetes-events?rate=6000${options}`])
  if (spec?.type !== 'kubernetes-events') throw new Error('no events')
  return spec
}

function reportSpec(options = ''): ReportSink {
  const [spec] = compileSinks([`policy-report?max-results=100${options}`])
  if (spec?.type !== 'policy-report') throw new Error('no report')
  return spec
}

async function until<Value>(t: Test, what: string, look: () => Promise<Value | undefined>): Promise<Value | undefined> {
  const deadline = Date.now() + 150_000
  while (Date.now() < deadline) {
    const value = await look()
    if (value !== undefined) return value
    await sleep(100)
  }
  t.fail(what)
  return undefined
}

async function make(server: ApiServer, path: string, object: object): Promise<void> {
  const { status, body } = await server.request('POST', path, object)
  if (status !== 201) throw new Error(`${path}: ${status} ${JSON.stringify(body)}`)
}

async function itemsAt<Item>(server: ApiServer, path: string): Promise<readonly Item[]> {
  const { body } = await server.request('GET', path)
  return (body as { readonly items?: readonly Item[] }).items ?? []
}

/** The pod of a Deployment `name`, once the controllers have made it. */
async function podOf(t: Test, server: ApiServer, name: string): Promise<string> {
  await make(server, '/apis/apps/v1/namespaces/team-a/deployments', deployment({ name }, 1, BAD_IMAGE))
  const found = await until(t, 'the controllers make a pod', async () => {
    const pods = await itemsAt<{ metadata: { name: string } }>(server, '/api/v1/namespaces/team-a/pods')
    return pods.map(each => each.metadata.name).find(each => each.startsWith(`${name}-`))
  })
  return found ?? ''
}

const eventsOf = async (server: ApiServer, namespace = 'team-a'): Promise<readonly StoredEvent[]> => {
  const all = await itemsAt<StoredEvent>(server, `/api/v1/namespaces/${namespace}/events`)
  return all.filter(({ metadata }) => metadata.name.startsWith('sallyport-'))
}

t.test('sinks of the API server', { skip: missingAssets() ?? false }, async t => {
  const server = await startApiServer()
  t.teardown(() => server.stop())
  const client = await openKubernetesClient({ kubeconfig: kubeconfigOf(server.processes.folder, 'dev') })
  for (const name of ['team-a', 'leaving']) {
    await make(server, '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
  }
  await t.test('events', { skip: !server.hasControllers && 'needs the controller manager' }, async t =>
    testEvents(t, server, client),
  )
  await t.test('reports', { skip: !server.hasControllers && 'needs the controller manager' }, async t =>
    testReports(t, server, client),
  )
})

async function testEvents(t: Test, server: ApiServer, client: KubernetesClient): Promise<void> {
  const sink = openEventsSink(eventsSpec(), client)
  const pod_name = await podOf(t, server, 'web')
  const send = (changes: Partial<Finding>, to = sink): Promise<SendOutcome> =>
    to.send([findingOf({ pod_name, ...changes })], never)

  t.match(await send({}), { type: 'refused', problem: /403.*needs create and patch on events, get on pods/ })
  await make(server, '/apis/rbac.authorization.k8s.io/v1/clusterroles', ROLE)
  const binding = ['create', 'clusterrolebinding', 'sinks', '--clusterrole=sallyport-sinks', '--user=dev']
  t.equal((await server.kubectl(binding)).status, 0)
  await until(t, 'the role is in force', async () => ((await send({})).type === 'delivered' ? true : undefined))

  t.same(await send({}, openEventsSink(eventsSpec('&dry-run=true'), client)), { type: 'delivered' })
  const first = await eventsOf(server)
  t.equal(first.length, 2, 'one on the pod, one on the Deployment')
  const onPod = first.find(({ involvedObject }) => involvedObject.kind === 'Pod')
  t.match(onPod, {
    involvedObject: { name: pod_name, uid: /./ },
    type: 'Warning',
    reason: 'NonAllowlistedImage',
    message: /redis:7 runs in Deployment team-a\/web and is not allowed\. add it/,
    count: 3,
  })
  t.match(
    first.find(({ involvedObject }) => involvedObject.kind === 'Deployment'),
    { count: 3 },
  )
  t.match((await server.kubectl(['-n', 'team-a', 'describe', 'pod', pod_name])).stdout, /Warning +NonAllowlistedImage/)
  t.match((await server.kubectl(['-n', 'team-a', 'describe', 'deployment', 'web'])).stdout, /NonAllowlistedImage/)

  await send({ count: 9, emission: 2 })
  await send({ count: 12, emission: 3, title: 'x\u001b[31m\u202e' }, openEventsSink(eventsSpec(), client))
  const grown = await eventsOf(server)
  t.equal(grown.length, 2, 'an update, of a later run too, is no new event')
  t.match(
    grown.find(({ involvedObject }) => involvedObject.kind === 'Pod'),
    { count: 12, message: /^x\\u\{1b\}/ },
  )
  t.match(
    grown.find(({ involvedObject }) => involvedObject.kind === 'Deployment'),
    { count: 3 },
  )
  await send({ status: 'resolved', emission: 4 })
  const [resolved] = (await eventsOf(server)).filter(({ involvedObject }) => involvedObject.kind === 'Pod')
  t.match(resolved, { type: 'Normal', reason: 'NonAllowlistedImageResolved', message: /^resolved: / })
  t.equal((await server.kubectl(['-n', 'team-a', 'delete', 'event', onPod?.metadata.name ?? ''])).status, 0)
  t.equal((await send({ emission: 5 })).type, 'delivered')
  t.equal((await eventsOf(server)).length, 2, 'one that expired is made anew')

  const gone = { type: 'skipped' }
  t.match(await send({ pod_name: 'gone', owner: { kind: 'Pod', name: 'gone' } }), gone)
  t.match(await send({ pod_namespace: 'nowhere' }), gone)
  for (const name of ['../../../../api/v1/secrets/x', '..', 'a/b', 'A?x=y', '', 'x'.repeat(300)]) {
    t.match(await send({ pod_name: name, owner: { kind: 'Deployment', name } }), gone, name)
    t.match(await send({ pod_namespace: name }), gone, name)
  }
  t.match(await send({ pod_name: undefined, pod_namespace: undefined, owner: undefined }), gone)

  const minor = server.minor < 21 ? 'v1beta1' : 'v1'
  await make(server, `/apis/batch/${minor}/namespaces/team-a/cronjobs`, cronJob('nightly', BAD_IMAGE, server.minor))
  const nightly = { fingerprint: fingerprintOf(7), owner: { kind: 'CronJob', name: 'nightly' } }
  t.match(await send({ ...nightly, pod_name: 'gone' }), { type: 'delivered' })
  await make(server, '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-1' } })
  const ofNode = {
    kind: 'coverage',
    pod_name: undefined,
    pod_namespace: undefined,
    fingerprint: fingerprintOf(8),
  } as const
  t.match(await send({ ...ofNode, owner: { kind: 'Node', name: 'node-1' } }), { type: 'delivered' })
  t.match(await eventsOf(server, 'default'), [{ involvedObject: { kind: 'Node', name: 'node-1' } }])

  const held = { name: 'held', finalizers: ['sallyport.dev/e2e'] }
  await make(server, '/api/v1/namespaces/leaving/pods', pod(held, BAD_IMAGE))
  t.equal((await server.request('DELETE', '/api/v1/namespaces/leaving')).status, 200)
  const leaving = { pod_namespace: 'leaving', pod_name: 'held', owner: { kind: 'Pod', name: 'held' } }
  t.match(await send(leaving), { type: 'skipped', problem: /being terminated/ })
}

async function testReports(t: Test, server: ApiServer, client: KubernetesClient): Promise<void> {
  const pod_name = await podOf(t, server, 'api')
  const owner = { kind: 'Deployment', name: 'api' }
  const sink = openReportSink(reportSpec(), client)
  const send = (changes: Partial<Finding>, to = sink): Promise<SendOutcome> =>
    to.send([findingOf({ pod_name, owner, ...changes })], never)
  const path = '/apis/wgpolicyk8s.io/v1alpha2/namespaces/team-a/policyreports/sallyport-deployment-api'
  const report = async (at = path): Promise<StoredReport> => (await server.request('GET', at)).body as StoredReport

  t.match(await send({}), { type: 'refused', problem: /serves neither openreports/ })
  for (const one of POLICY_REPORTS) await make(server, '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', one)
  await until(t, 'the definitions are served', async () => ((await send({})).type === 'delivered' ? true : undefined))
  const first = await report()
  t.match(first, {
    metadata: { ownerReferences: [{ kind: 'Deployment' }] },
    scope: { kind: 'Deployment', name: 'api' },
    summary: { pass: 0, fail: 1, warn: 0, error: 0, skip: 0 },
    results: [
      {
        result: 'fail',
        severity: 'medium',
        rule: 'non-allowlisted-image/not-allowed',
        resources: [{ kind: 'Pod', name: pod_name }],
        properties: { fingerprint: findingOf().fingerprint, count: '3', image: 'docker.io/library/redis:7' },
      },
    ],
  })
  t.match(await server.kubectl(['-n', 'team-a', 'get', 'policyreports']), {
    status: 0,
    stdout: /sallyport-deployment-api/,
  })

  await send({ count: 4, emission: 2, lastSeen: '2026-11-21T23:31:05Z' })
  t.equal((await report()).metadata.resourceVersion, first.metadata.resourceVersion, 'a mere count is no write')
  await send({ fingerprint: fingerprintOf(1), status: 'suppressed', title: 'x\n\u202e', severity: 'low' })
  await send({ emission: 3, status: 'resolved' })
  const later = await report()
  t.match(later, { summary: { pass: 1, fail: 0, skip: 1 } })
  t.match(
    later.results.find(({ result }) => result === 'skip'),
    { message: /^x\\n\\u\{202e\}$/ },
  )
  await send({ emission: 4, severity: 'high' })
  t.match(await report(), { summary: { pass: 0, fail: 1, skip: 1 } }, 'open again')

  const ofNodes = ['node-1', 'node-2'].map(node => openReportSink(reportSpec(`&reporter=${node}`), client))
  const numbers = Array.from({ length: 10 }, (_, index) => fingerprintOf(100 + index))
  const outcomes = await Promise.all(
    ofNodes.map(async to => {
      const told: SendOutcome[] = []
      for (const fingerprint of numbers) {
        // Who loses the race again and again is told to come later, as the runner does.
        let outcome = await send({ fingerprint }, to)
        while (outcome.type === 'retry') outcome = await send({ fingerprint }, to)
        told.push(outcome)
      }
      return told
    }),
  )
  t.same(new Set(outcomes.flat().map(({ type }) => type)), new Set(['delivered']))
  t.match((await report()).summary, { fail: 21, skip: 1 }, 'two correlators at once lose nothing of each other')
  const [one] = ofNodes
  await send({ fingerprint: fingerprintOf(100), status: 'resolved' }, one)
  t.match((await report()).summary, { fail: 20, pass: 1 }, 'what one node has resolved may still run on another')

  await send({ fingerprint: fingerprintOf(200) }, openReportSink(reportSpec('&dry-run=true'), client))
  t.match((await report()).summary, { fail: 20 }, 'a dry run writes nothing')
  const small = openReportSink({ ...reportSpec(), maxResults: 5 }, client)
  await send({ fingerprint: fingerprintOf(201), lastSeen: '2026-11-22T10:00:00Z' }, small)
  const capped = await report()
  t.equal(capped.results.length, 5)
  t.equal(capped.metadata.annotations['sallyport.dev/omitted-results'], '18')
  t.match(capped.summary, { fail: 5, pass: 0, skip: 0 }, 'what is bad stays')

  await make(server, '/apis/apps/v1/namespaces/team-a/deployments', deployment({ name: 'a'.repeat(63) }, 0, BAD_IMAGE))
  t.match(await send({ owner: { kind: 'Deployment', name: 'a'.repeat(63) } }), { type: 'delivered' })
  const ofNode = { kind: 'coverage', pod_name: undefined, pod_namespace: undefined } as const
  t.match(await send({ ...ofNode, owner: { kind: 'Node', name: 'node-1' } }), { type: 'delivered' })
  t.match(await report('/apis/wgpolicyk8s.io/v1alpha2/clusterpolicyreports/sallyport-node-node-1'), {
    metadata: { ownerReferences: [{ kind: 'Node' }] },
  })
  t.match(await send({ owner: { kind: 'Deployment', name: 'never-was' } }), { type: 'skipped' })

  for (const one of OPEN_REPORTS) await make(server, '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', one)
  const open = '/apis/openreports.io/v1alpha1/namespaces/team-a/reports/sallyport-deployment-api'
  await until(t, 'a later run prefers openreports.io', async () => {
    const told = await send({}, openReportSink(reportSpec(), client))
    return told.type === 'delivered' && (await server.request('GET', open)).status === 200 ? true : undefined
  })
  t.match(await report(open), { source: 'sallyport', summary: { fail: 1 } })
  const old = ['delete', 'crd', 'policyreports.wgpolicyk8s.io', 'clusterpolicyreports.wgpolicyk8s.io']
  t.equal((await server.kubectl(old)).status, 0)
  const moved = { fingerprint: fingerprintOf(300) }
  await until(t, 'whose API is taken away uses the other', async () =>
    (await send(moved)).type === 'delivered' ? true : undefined,
  )
  t.match((await report(open)).summary, { fail: 2 })

  await testCommand(t, server, pod_name)
  const told = (await eventsOf(server)).filter(({ involvedObject }) => involvedObject.name === pod_name)
  t.match(told, [{ reason: 'NonAllowlistedImage', count: 2 }], 'one event that counts')
  t.match((await report(open)).summary, { fail: 3 })

  t.equal((await server.kubectl(['-n', 'team-a', 'delete', 'deployment', 'api'])).status, 0)
  await until(t, 'a report goes with its workload', async () =>
    (await server.request('GET', open)).status === 404 ? true : undefined,
  )
}

/** Two execs of the pod, through the command. */
async function testCommand(t: Test, server: ApiServer, pod_name: string): Promise<void> {
  const policy = {
    apiVersion: 'sallyport.dev/v1',
    kind: 'ImagePolicy',
    metadata: { name: 'test' },
    spec: { allow: [] },
  }
  const file = join(t.testdir({ 'policy.json': JSON.stringify(policy) }), 'policy.json')
  const event = eventOf({ pod: podFactsOf({ namespace: 'team-a', name: pod_name, workload: 'api' }) })
  const kubeconfig = ['--kubeconfig', kubeconfigOf(server.processes.folder, 'dev')]
  const argv = ['correlate', '--policy', file, '--source', '-', ...kubeconfig]
  const sinks = ['kubernetes-events?rate=6000&kinds=non-allowlisted-image', 'policy-report']
  const stdin = `${lineOf(event)}\n${lineOf(event)}\n`
  const { exitCode, stderr } = await runCommand([...argv, '--sink', ...sinks], { stdin })
  t.equal(exitCode, 0, stderr)
  t.notMatch(stderr, /gave up/)
}
