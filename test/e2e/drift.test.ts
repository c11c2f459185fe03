/**
 * How did it get in, asked of a real API server: pods that came in by every way, events that name their real uids, and
 * the explanations of `sallyport correlate`, as a process, and of `sallyport trace`.
 */

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Finding } from '../../src/correlator/finding.js'
import type { PodTrace } from '../../src/correlator/pod-trace.js'
import { eventOf, lineOf, podOf } from '../support/events.js'
import { runCommand } from '../support/run-command.js'
import type { ApiServer } from './api-server.js'
import { missingAssets, startApiServer } from './api-server.js'
import { findRecord } from './journal.js'
import { BAD_IMAGE, boundPod, GOOD_IMAGE, list, pod } from './objects.js'
import { eventually, freePort, pause, tailOf } from './process-group.js'
import {
  registerWebhook,
  startSallyport,
  startWebhookProcess,
  untilGuarded,
  type WebhookFiles,
  writePolicy,
  writeWebhookFiles,
} from './webhook-process.js'

const WIDE = {
  mode: 'enforce',
  allow: ['registry.corp.example/*', 'quay.io/once-allowed/*'],
  namespaces: [{ names: ['warn-a'], mode: 'warn' }],
}
/** What is judged by when the events come. */
const NARROW = { ...WIDE, allow: ['registry.corp.example/*'] }
const ONCE_ALLOWED = 'quay.io/once-allowed/app:1'
/** The journal's readers take a shorter gap between two runs for none. */
const TELLING_GAP_MS = 7_000
const NAMESPACES = ['team-a', 'warn-a', 'shut-a']
/** The containers that are to be explained. */
const DRIFTED = 9
const DIGEST = `sha256:${'a'.repeat(64)}`

const missing = missingAssets()
interface StoredPod {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly uid: string }
  readonly spec: {
    readonly nodeName?: string
    readonly containers: readonly { readonly name: string; readonly image: string }[]
    readonly ephemeralContainers?: readonly { readonly name: string; readonly image: string }[]
  }
}

t.test('how an image got in, behind a real API server', { skip: missing ?? false }, async t => {
  const server = await startApiServer({ controllers: false })
  t.teardown(() => server.stop())
  const files = await writeWebhookFiles(server.processes, WIDE)
  await letThemIn(server, files)
  const cluster = join(server.processes.folder, 'cluster.json')
  const sources = await writeSources(server, cluster)
  const options = ['--policy', narrowPolicy(server), '--journal', files.journal]
  const known = ['--inventory', cluster, '--audit-log', join(server.processes.folder, 'audit.log')]

  const findings = await correlated(server, files, cluster, sources.events)

  await t.test('each is explained by its code, with certainty, evidence and remedy', async t => {
    const expected: readonly (readonly [
      pod: string,
      container: string,
      code: string,
      certainty: string,
      source: string,
    ])[] = [
      ['warned', 'c0', 'admitted.warn-mode', 'proved', 'journal'],
      ['shut', 'c0', 'bypass.namespace-excluded', 'proved', 'webhook-configuration'],
      ['unseen', 'c0', 'bypass.fail-open', 'likely', 'heartbeat'],
      ['older', 'c0', 'bypass.webhook-absent', 'proved', 'webhook-configuration'],
      ['tightened', 'c0', 'admitted.policy-tightened', 'proved', 'journal'],
      ['debugged', 'debug', 'bypass.subresource', 'proved', 'webhook-configuration'],
      ['patched', 'c0', 'admitted.warn-mode', 'proved', 'journal'],
      ['swapped', 'c0', 'mutated.after-admission', 'proved', 'inventory'],
      ['static-node-1', 'c0', 'bypass.static-pod', 'proved', 'inventory'],
    ]
    for (const [name, container, code, certainty, source] of expected) {
      const finding = findings.find(each => {
        return each.kind === 'image-drift' && each.pod_name === name && each.container === container
      })
      t.match(finding, { code, certainty, admission: { code, certainty } }, `${name}: ${code}`)
      t.ok(
        finding?.admission?.evidence.some(fact => fact.source === source),
        `${name}: evidence of ${source}`,
      )
      t.ok(finding?.admission?.remedy)
    }
    const patch = findings.find(each => each.kind === 'image-drift' && each.pod_name === 'patched')
    t.ok(patch?.admission?.evidence.some(({ field, value }) => field === 'operation' && value === 'UPDATE'))
    const swap = findings.find(each => each.kind === 'image-drift' && each.pod_name === 'swapped')
    t.match(swap?.admission?.alsoTrue, [{ code: 'bypass.fail-open', certainty: 'likely' }])
    t.notOk(
      findings.some(each => each.pod_name === 'good'),
      'an allowed image is no finding, whatever its status name',
    )
  })

  await t.test('sallyport trace tells the same of one pod, from the live API server', async t => {
    const live = ['--kubeconfig', server.kubeconfig, '--events', sources.events]
    const traced = await runCommand(['trace', ...options, ...live, '-n', 'warn-a', '-o', 'json', 'warned'], {
      now: Date.now(),
    })
    t.equal(traced.exitCode, 0, traced.stderr)
    const trace = JSON.parse(traced.stdout) as PodTrace
    t.match(trace, {
      pod: { namespace: 'warn-a', name: 'warned', uid: sources.uids.get('warned') },
      mode: 'warn',
      decisions: [{ operation: 'CREATE', user: 'admin', mode: 'warn', action: 'warn' }],
      containers: [
        { name: 'c0', use: { image: BAD_IMAGE }, admission: { code: 'admitted.warn-mode' }, execs: { count: 1 } },
      ],
    })
    t.ok(trace.findings.some(({ kind, code }) => kind === 'image-drift' && code === 'admitted.warn-mode'))
  })

  await t.test('by uid, and as text that names all of it', async t => {
    const uid = sources.uids.get('unseen') ?? ''
    const { stdout, exitCode } = await runCommand(['trace', ...options, ...known, uid], { now: Date.now() })
    t.equal(exitCode, 0)
    for (const said of ['team-a/unseen', uid, 'no webhook recording', 'bypass.fail-open (likely)', 'failurePolicy']) {
      t.match(stdout, said)
    }
    const unknown = await runCommand(['trace', ...options, ...known, '-n', 'team-a', 'nobody'], { now: Date.now() })
    t.match(unknown, { exitCode: 1, stdout: '', stderr: /nothing is known of nobody/ })
  })
})

/** What `sallyport correlate` writes, as a process: the last line of each fingerprint. */
async function correlated(
  server: ApiServer,
  files: WebhookFiles,
  cluster: string,
  events: string,
): Promise<readonly Finding[]> {
  const { folder } = server.processes
  const written = join(folder, 'findings.jsonl')
  const audit = join(folder, 'audit.log')
  const known = ['--journal', files.journal, '--inventory', cluster, '--audit-log', audit]
  const source = ['--source', `file:${events}`, '--from-start', '--sink', `file:${written}`]
  const correlator = await startSallyport(server.processes, 'correlate', [
    '--policy',
    narrowPolicy(server),
    ...known,
    ...source,
  ])
  const read = (): readonly Finding[] => {
    const lines = existsSync(written) ? readFileSync(written, 'utf8').split('\n').slice(0, -1) : []
    return lines.map(line => JSON.parse(line))
  }
  // The last event is of the pod that came last; a signal then writes all that there is.
  const isRead = () => (read().filter(({ kind }) => kind === 'image-drift').length >= DRIFTED ? true : undefined)
  await eventually('the findings', isRead, { timeoutMs: 120_000, evidence: () => tailOf(correlator.log()) })
  const status = await correlator.end('SIGTERM')
  if (status !== 0) throw new Error(`correlate ended with ${status}:\n${tailOf(correlator.log())}`)
  return [...new Map(read().map(finding => [finding.fingerprint, finding])).values()]
}

/** One pod for each way in, in the order that makes it so. */
async function letThemIn(server: ApiServer, files: WebhookFiles): Promise<void> {
  const create = async (namespace: string, object: object): Promise<void> => {
    const { status, stderr } = await server.kubectl(['-n', namespace, 'create', '-f', '-'], { stdin: object })
    if (status !== 0) throw new Error(stderr)
  }
  const patch = async (namespace: string, name: string, image: string): Promise<void> => {
    const { status, stderr } = await server.kubectl(['-n', namespace, 'set', 'image', `pod/${name}`, `c0=${image}`])
    if (status !== 0) throw new Error(stderr)
  }
  for (const name of NAMESPACES) {
    const labels = name === 'shut-a' ? { 'sallyport.dev/ignore': 'true' } : {}
    await create('default', { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } })
  }
  await create('team-a', pod({ name: 'older' }, BAD_IMAGE))
  // Older by more than the time that the API server takes up a registration in.
  await pause(TELLING_GAP_MS)
  const port = await freePort()
  const register = async (failurePolicy: 'Fail' | 'Ignore'): Promise<void> => {
    const ca = readFileSync(join(files.certificates, 'ca.crt'), 'utf8')
    await registerWebhook(server, { port, ca, failurePolicy, ...REGISTRATION })
  }
  let webhook = await startWebhookProcess(server.processes, files, port)
  await register('Ignore')
  await untilGuarded(server, 'team-a', BAD_IMAGE)
  await pause(TELLING_GAP_MS)

  await create('shut-a', pod({ name: 'shut' }, BAD_IMAGE))
  await create('warn-a', pod({ name: 'warned' }, BAD_IMAGE))
  await create('team-a', pod({ name: 'good' }, GOOD_IMAGE))
  await create('team-a', pod({ name: 'tightened' }, ONCE_ALLOWED))
  await create('team-a', pod({ name: 'debugged' }, GOOD_IMAGE))
  await create('team-a', pod({ name: 'swapped' }, GOOD_IMAGE))
  await create('warn-a', pod({ name: 'patched' }, GOOD_IMAGE))
  await patch('warn-a', 'patched', BAD_IMAGE)
  await createStaticPod(server)
  await addEphemeralContainer(server, 'team-a', 'debugged', BAD_IMAGE)
  await findRecord(files.journal, { name: 'patched', operation: 'UPDATE' })

  await webhook.end('SIGKILL')
  await pause(TELLING_GAP_MS)
  await create('team-a', pod({ name: 'unseen' }, BAD_IMAGE))
  await patch('team-a', 'swapped', BAD_IMAGE)
  await pause(TELLING_GAP_MS)
  webhook = await startWebhookProcess(server.processes, files, port)
  await untilGuarded(server, 'team-a', BAD_IMAGE)
}

/** Without the subresource, and not for the namespaces that ask to be left out. */
const REGISTRATION = {
  coreResources: ['pods'],
  namespaceSelector: { matchExpressions: [{ key: 'sallyport.dev/ignore', operator: 'DoesNotExist' }] },
}

async function createStaticPod(server: ApiServer): Promise<void> {
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-1' } }
  const { stdout } = await server.kubectl(['create', '-f', '-', '-o', 'json'], { stdin: node })
  const { metadata } = JSON.parse(stdout) as StoredPod
  const mirror = boundPod(
    'node-1',
    {
      name: 'static-node-1',
      annotations: { 'kubernetes.io/config.mirror': 'x', 'kubernetes.io/config.source': 'file' },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'node-1', uid: metadata.uid, controller: true }],
    },
    BAD_IMAGE,
  )
  await server.kubectl([
    'create',
    'clusterrolebinding',
    'e2e',
    '--clusterrole=cluster-admin',
    '--user=system:node:node-1',
  ])
  const { status, stderr } = await server.kubectl(['-n', 'team-a', 'create', '-f', '-'], { stdin: mirror, as: 'node' })
  if (status !== 0) throw new Error(stderr)
}

/** In the form of 1.20 and 1.21, or as a patch of the pod from 1.22 on. */
async function addEphemeralContainer(server: ApiServer, namespace: string, name: string, image: string): Promise<void> {
  const container = { name: 'debug', image, imagePullPolicy: 'Always', terminationMessagePolicy: 'File' }
  const path = `/api/v1/namespaces/${namespace}/pods/${name}`
  const stored = (await server.request('GET', path)).body as { readonly spec: object }
  const body =
    server.minor < 22
      ? {
          apiVersion: 'v1',
          kind: 'EphemeralContainers',
          metadata: { name, namespace },
          ephemeralContainers: [container],
        }
      : { ...stored, spec: { ...stored.spec, ephemeralContainers: [container] } }
  const answer = await server.request('PUT', `${path}/ephemeralcontainers`, body)
  if (answer.status >= 300) throw new Error(JSON.stringify(answer.body))
}

/** What kubectl writes of the cluster, and an event for each container, as an agent on its node would write it. */
async function writeSources(
  server: ApiServer,
  cluster: string,
): Promise<{ readonly events: string; readonly uids: ReadonlyMap<string, string> }> {
  const items = await eventually('the pods', async () => {
    const all = await storedObjects(server)
    return all.some(({ metadata }) => metadata.name === 'unseen') ? all : undefined
  })
  // As `kubectl get … -o json --show-managed-fields` has it.
  writeFileSync(cluster, JSON.stringify(list(...items)))
  const pods = items.filter(({ kind }) => kind === 'Pod')
  const events = join(server.processes.folder, 'events.jsonl')
  const startTime = new Date().toISOString()
  const lines = pods.flatMap(({ metadata, spec }) =>
    [...spec.containers, ...(spec.ephemeralContainers ?? [])].map(({ name, image }) => {
      // The runtime's first name of an allowed content may be any: it must not matter.
      const imageName = image === GOOD_IMAGE ? 'docker.io/library/alias:1' : image
      const container = {
        id: `containerd://${'c'.repeat(64)}`,
        name,
        imageName,
        imageId: `x.example/y@${DIGEST}`,
        startTime,
        isExecProbe: false,
      }
      const { namespace, uid } = metadata
      const subject = podOf({
        namespace,
        name: metadata.name,
        uid,
        workload: undefined,
        workloadKind: undefined,
        container,
      })
      return lineOf(eventOf({ time: Date.now(), pod: subject, nodeName: 'node-1' }))
    }),
  )
  writeFileSync(events, `${lines.join('\n')}\n`)
  return { events, uids: new Map(pods.map(({ metadata }) => [metadata.name, metadata.uid])) }
}

/** Straight from the API server: what kubectl prints of `managedFields` depends on its version. */
async function storedObjects(server: ApiServer): Promise<readonly (StoredPod & { readonly kind: string })[]> {
  const kinds: readonly (readonly [path: string, apiVersion: string, kind: string])[] = [
    ['/api/v1/pods', 'v1', 'Pod'],
    ['/api/v1/namespaces', 'v1', 'Namespace'],
    [
      '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations',
      'admissionregistration.k8s.io/v1',
      'ValidatingWebhookConfiguration',
    ],
  ]
  const lists = kinds.map(async ([path, apiVersion, kind]) => {
    const { items } = (await server.request('GET', path)).body as { readonly items: readonly StoredPod[] }
    return items.map(item => ({ ...item, apiVersion, kind }))
  })
  return (await Promise.all(lists)).flat()
}

/** A policy file; written once more each time it is asked for. */
function narrowPolicy(server: ApiServer): string {
  const mount = join(server.processes.folder, 'narrow')
  writePolicy({ policy: mount, certificates: '', journal: '' }, NARROW)
  return join(mount, 'policy.yaml')
}
