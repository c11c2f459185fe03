/**
 * The inventory and the audit log of a real API server, and our answer to "would the webhook have been called?" held
 * against whether it was.
 */

import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { loadAuditLogs } from '../../src/adapters/audit-log-file.js'
import { createCertificates } from '../../src/adapters/certificates.js'
import { loadInventoryFiles } from '../../src/adapters/inventory-file.js'
import { followInventory } from '../../src/adapters/kubernetes-inventory.js'
import { matchWebhook, type ReviewableRequest } from '../../src/correlator/webhook-match.js'
import { type ApiServer, missingAssets, startApiServer } from './api-server.js'
import { kubeconfigOf } from './cluster-files.js'
import { deployment, pod } from './objects.js'
import { eventually, freePort } from './process-group.js'

const CONFIGURATIONS = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations'
const BACKOFF = { minMs: 50, maxMs: 200 }
const LABELS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  prod: { env: 'prod', tier: '1' },
  dev: { env: 'dev' },
  bare: {},
}

async function until(t: Test, what: string, isSo: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000
  while (!isSo() && Date.now() < deadline) await sleep(10)
  t.ok(isSo(), what)
}

interface Probe {
  readonly server: Server
  readonly port: number
  readonly ca: string
  /** The webhooks that were called since, by the path of their review. */
  readonly called: Set<string>
}

/** Admits everything, and notes who was asked: each webhook has a path of its own. */
async function startProbe(t: Test): Promise<Probe> {
  const set = await createCertificates({ dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'], now: Date.now() })
  const called = new Set<string>()
  const server = createServer({ cert: set.certificate, key: set.key }, (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'https://localhost')
    called.add(pathname.slice(1))
    let body = ''
    request.setEncoding('utf8')
    request.on('data', chunk => {
      body += chunk
    })
    request.on('end', () => {
      const { uid } = JSON.parse(body).request
      const review = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: { uid, allowed: true } }
      response.setHeader('content-type', 'application/json').end(JSON.stringify(review))
    })
  })
  const port = await freePort()
  await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve))
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return { server, port, ca: set.caCertificate, called }
}

type WebhookSpec = Readonly<Record<string, unknown>>

const RULE = { apiGroups: [''], apiVersions: ['v1'], resources: ['pods'], operations: ['CREATE'], scope: '*' }
const rule = (changes: object = {}) => ({ rules: [{ ...RULE, ...changes }] })
const expression = (key: string, operator: string, ...values: readonly string[]) => ({
  matchExpressions: [values.length === 0 ? { key, operator } : { key, operator, values }],
})

/** Every filter in every way, one webhook each. */
const WEBHOOKS: readonly WebhookSpec[] = [
  rule(),
  rule({ resources: ['*'] }),
  rule({ resources: ['*/*'], apiGroups: ['*'], apiVersions: ['*'], operations: ['*'] }),
  rule({ resources: ['pods/*'] }),
  rule({ resources: ['pods/status'] }),
  rule({ resources: ['pods/ephemeralcontainers'], operations: ['UPDATE'] }),
  rule({ scope: 'Namespaced' }),
  rule({ scope: 'Cluster', resources: ['*'] }),
  rule({ operations: ['UPDATE', 'DELETE'] }),
  rule({ apiVersions: ['v2'] }),
  rule({ apiGroups: ['apps'], resources: ['deployments', 'pods'] }),
  { ...rule({ apiGroups: ['apps'], apiVersions: ['v1beta1'], resources: ['deployments'] }), matchPolicy: 'Exact' },
  rule({ apiGroups: ['apps'], apiVersions: ['v1beta1'], resources: ['deployments'] }),
  { ...rule(), namespaceSelector: { matchLabels: { env: 'prod' } } },
  { ...rule(), namespaceSelector: expression('env', 'In', 'prod', 'stage') },
  { ...rule(), namespaceSelector: expression('env', 'NotIn', 'prod') },
  { ...rule(), namespaceSelector: expression('env', 'Exists') },
  { ...rule(), namespaceSelector: expression('env', 'DoesNotExist') },
  { ...rule(), namespaceSelector: { matchLabels: { tier: '1' }, ...expression('env', 'NotIn', 'dev') } },
  { ...rule(), objectSelector: { matchLabels: { app: 'web' } } },
  { ...rule(), objectSelector: expression('app', 'NotIn', 'web') },
  { ...rule(), objectSelector: expression('app', 'DoesNotExist'), namespaceSelector: expression('tier', 'Exists') },
  { ...rule({ resources: ['namespaces', 'pods'] }), namespaceSelector: { matchLabels: { env: 'prod' } } },
  { ...rule({ resources: ['namespaces'], scope: 'Namespaced' }) },
  { ...rule({ resources: ['namespaces'], scope: 'Cluster' }) },
]

async function register(server: ApiServer, probe: Probe): Promise<void> {
  const webhooks = WEBHOOKS.map((spec, index) => ({
    name: `w${index}.e2e.sallyport.dev`,
    clientConfig: {
      url: `https://127.0.0.1:${probe.port}/w${index}.e2e.sallyport.dev`,
      caBundle: Buffer.from(probe.ca).toString('base64'),
    },
    failurePolicy: 'Fail',
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
    ...spec,
  }))
  const { status, body } = await server.request('POST', CONFIGURATIONS, {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name: 'matrix' },
    webhooks,
  })
  if (status !== 201) throw new Error(JSON.stringify(body))
}

interface Question {
  readonly title: string
  readonly method: string
  readonly path: string
  readonly body: object
  readonly request: ReviewableRequest
}

function questions(): readonly Question[] {
  const of = (changes: Partial<ReviewableRequest>): ReviewableRequest => ({
    operation: 'CREATE',
    group: '',
    version: 'v1',
    resource: 'pods',
    subresource: '',
    namespace: '',
    namespaceLabels: undefined,
    objectLabels: [{}],
    ...changes,
  })
  const inNamespaces = Object.entries(LABELS).flatMap(([namespace, namespaceLabels]) => {
    const pods = [{}, { app: 'web' }, { app: 'db' }].map(labels => ({
      title: `pod ${JSON.stringify(labels)} in ${namespace}`,
      method: 'POST',
      path: `/api/v1/namespaces/${namespace}/pods?dryRun=All`,
      body: pod({ name: 'probe', labels }, 'redis:7'),
      request: of({ namespace, namespaceLabels, objectLabels: [labels] }),
    }))
    const apps = {
      title: `deployment in ${namespace}`,
      method: 'POST',
      path: `/apis/apps/v1/namespaces/${namespace}/deployments?dryRun=All`,
      body: deployment({ name: 'probe' }, 0, 'redis:7'),
      request: of({ group: 'apps', resource: 'deployments', namespace, namespaceLabels }),
    }
    return [...pods, apps]
  })
  const namespaces = Object.entries(LABELS).map(([name, labels]) => ({
    title: `namespace like ${name}`,
    method: 'POST',
    path: '/api/v1/namespaces?dryRun=All',
    body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: `new-${name}`, labels } },
    request: of({ resource: 'namespaces', namespaceLabels: labels, objectLabels: [labels] }),
  }))
  const update = {
    title: 'a label of a pod goes',
    method: 'PUT',
    path: '/api/v1/namespaces/prod/pods/kept?dryRun=All',
    body: pod({ name: 'kept' }, 'redis:7'),
    request: of({
      operation: 'UPDATE',
      namespace: 'prod',
      namespaceLabels: LABELS['prod'],
      objectLabels: [{}, { app: 'web' }],
    }),
  }
  return [...inNamespaces, ...namespaces, update]
}

t.test('inventory, audit log and webhook matching', { skip: missingAssets() ?? false }, async t => {
  const server = await startApiServer({ controllers: false })
  t.teardown(() => server.stop())
  const must = async (method: string, path: string, body: object): Promise<void> => {
    const answer = await server.request(method, path, body)
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${JSON.stringify(answer.body)}`)
  }
  // Kubernetes 1.21 and later add the name of each namespace as a label, which no selector here asks for.
  for (const [name, labels] of Object.entries(LABELS)) {
    await must('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } })
  }
  await must('POST', '/api/v1/namespaces/prod/pods', pod({ name: 'kept', labels: { app: 'web' } }, 'redis:7'))
  const inventory = await followInventory({
    kubeconfig: server.kubeconfig,
    webhookConfiguration: 'matrix',
    now: Date.now,
    backoff: BACKOFF,
  })
  t.teardown(() => inventory.close())
  await inventory.whenSynced()
  const kept = { namespace: 'prod', name: 'kept', uid: undefined }

  t.test('pods, namespaces and webhooks are followed', async t => {
    const stored = JSON.parse((await server.kubectl(['-n', 'prod', 'get', 'pod', 'kept', '-o', 'json'])).stdout)
    const known = inventory.podOf(kept)
    t.match(known, {
      uid: stored.metadata.uid,
      labels: { app: 'web' },
      containers: [{ name: 'c0', image: 'redis:7', status: undefined }],
    })
    t.equal(known?.createdAt, Date.parse(stored.metadata.creationTimestamp))
    t.match(inventory.namespaceOf('prod')?.labels, { env: 'prod', tier: '1' })
    t.same(inventory.webhooks(), [])
    t.equal((await server.kubectl(['-n', 'prod', 'set', 'image', 'pod/kept', 'c0=redis:8'])).status, 0)
    await until(t, 'the image was changed', () => inventory.podOf(kept)?.containers[0]?.image === 'redis:8')
    t.match(inventory.podOf(kept)?.containers[0]?.imageWriter, { manager: /kubectl/, operation: 'Update' })

    const containerID = `containerd://${'d'.repeat(64)}`
    const running = {
      name: 'c0',
      image: 'docker.io/library/redis:8',
      imageID: 'x',
      containerID,
      ready: true,
      restartCount: 0,
    }
    const status = {
      phase: 'Running',
      containerStatuses: [{ ...running, state: { running: { startedAt: '2026-11-21T00:00:00Z' } } }],
    }
    const changed = { ...stored, metadata: { name: 'kept', namespace: 'prod' }, spec: undefined, status }
    await must('PUT', '/api/v1/namespaces/prod/pods/kept/status', {
      ...changed,
      spec: { ...stored.spec, containers: [{ ...stored.spec.containers[0], image: 'redis:8' }] },
    })
    await until(t, 'it runs', () => inventory.podOf(kept, 'd'.repeat(31))?.containers[0]?.status !== undefined)
    t.equal(inventory.podOf(kept, 'e'.repeat(31)), undefined, 'another container')
  })

  t.test('the webhook is called exactly when we say so', async t => {
    const probe = await startProbe(t)
    await register(server, probe)
    const all = questions()
    await until(t, 'the registration is known', () => inventory.webhooks()?.length === WEBHOOKS.length)
    const webhooks = inventory.webhooks() ?? []
    t.match(webhooks[0], { configuration: 'matrix', generation: 1, failurePolicy: 'Fail', matchPolicy: 'Equivalent' })
    const [first] = all
    await eventually('the API server to ask', async () => {
      if (first !== undefined) await server.request(first.method, first.path, first.body)
      return probe.called.size > 0 || undefined
    })
    let compared = 0
    let uncertain = 0
    for (const { title, method, path, body, request } of all) {
      probe.called.clear()
      const answer = await server.request(method, path, body)
      t.ok(answer.status < 300, `${title}: ${answer.status < 300 ? 'let in' : JSON.stringify(answer.body)}`)
      const matches = webhooks.map(webhook => ({ webhook, match: matchWebhook(webhook, request) }))
      const unknown = matches.filter(({ match }) => match.called === 'unknown')
      for (const { webhook, match } of unknown) {
        t.match(match, { because: 'equivalent-version' })
        probe.called.delete(webhook.name)
      }
      compared += matches.length
      uncertain += unknown.length
      const expected = matches.flatMap(({ webhook, match }) => (match.called === 'yes' ? [webhook.name] : []))
      t.same([...probe.called].toSorted(), expected.toSorted(), title)
    }
    t.equal(compared, all.length * WEBHOOKS.length)
    t.equal(uncertain, Object.keys(LABELS).length, 'one webhook cannot be told, for deployments alone')
    t.comment(`${compared} answers compared with the API server`)
  })

  t.test('what kubectl writes is the same inventory', async t => {
    const kinds = 'pods,namespaces,validatingwebhookconfigurations'
    const argv = ['get', kinds, '--all-namespaces', '-o', 'json']
    // From 1.21 on kubectl leaves out who wrote what, unless it is asked.
    const asked = await server.kubectl([...argv, '--show-managed-fields'])
    const { stdout } = asked.status === 0 ? asked : await server.kubectl(argv)
    const file = join(t.testdir({ 'inventory.json': stdout }), 'inventory.json')
    const reading = { stdin: process.stdin, signal: new AbortController().signal, now: Date.now }
    const fromFile = await loadInventoryFiles([file], { ...reading, webhookConfiguration: 'matrix' })
    const timeless = (value: object | undefined) => ({ ...value, seenAt: 0 })
    t.same(timeless(fromFile.podOf(kept)), timeless(inventory.podOf(kept)))
    t.same(fromFile.namespaceOf('prod')?.labels, inventory.namespaceOf('prod')?.labels)
    t.same(fromFile.webhooks()?.map(timeless), inventory.webhooks()?.map(timeless))
  })

  t.test('the audit log names who changed the image', async t => {
    const log = join(server.processes.folder, 'audit.log')
    const audit = await loadAuditLogs([log], { stdin: process.stdin, signal: new AbortController().signal })
    t.match(audit.requestsOf(kept), [
      { verb: 'create', user: 'admin', responseCode: 201, dryRun: false },
      { verb: 'patch', user: 'admin', responseCode: 200, userAgent: /kubectl/ },
    ])
    t.ok(audit.requestsOf({ namespace: 'dev', name: 'probe', uid: undefined }).every(({ dryRun }) => dryRun))
    t.equal(audit.stats.unreadable, 0)
    t.equal(audit.stats.lines, readFileSync(log, 'utf8').trimEnd().split('\n').length)
  })

  t.test('a pod that was removed is remembered; who may not list is told so', async t => {
    await must('DELETE', `${CONFIGURATIONS}/matrix`, {})
    await until(t, 'no webhook is left', () => inventory.webhooks()?.length === 0)
    const remove = async () => {
      // The API server forgets a registration a moment later.
      const answer = await server.request('DELETE', '/api/v1/namespaces/prod/pods/kept?gracePeriodSeconds=0', {})
      return answer.status === 200 || undefined
    }
    await eventually('the pod to go', remove)
    await until(t, 'gone', () => inventory.podOf(kept)?.deletedAt !== undefined)
    const kubeconfig = kubeconfigOf(server.processes.folder, 'dev')
    const refused = await followInventory({ kubeconfig, now: Date.now, backoff: BACKOFF })
    await until(t, 'refused', () => {
      const state = refused.state()
      return state.status === 'syncing' && state.problem !== undefined
    })
    t.match(refused.state(), { problem: /403.*ClusterRole with list and watch/ })
    await refused.close()
  })
})
