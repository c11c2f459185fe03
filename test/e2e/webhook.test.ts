/** What people and controllers get from the webhook behind a real API server, driven with real kubectl. */

import t from 'tap'
import { openJournalReader } from '../../src/adapters/journal-reader.js'
import { MAX_WARNING_RUNES } from '../../src/webhook/answer.js'
import type { DecisionRecord } from '../../src/webhook/decision-record.js'
import { runCommand } from '../support/run-command.js'
import { missingAssets, startApiServer } from './api-server.js'
import type { User } from './cluster-files.js'
import type { StoredObject } from './guarded-cluster.js'
import { guard, OLD_DEPLOYMENT } from './guarded-cluster.js'
import { findRecord, readJournal } from './journal.js'
import { DENIED, denialsIn, warningsIn } from './kubectl-output.js'
import { BAD_IMAGE, boundPod, cronJob, deployment, GOOD_IMAGE, list, pod, templatedWorkloads } from './objects.js'
import { eventually } from './process-group.js'
import type { WebhookFiles } from './webhook-process.js'
import { WEBHOOK_NAME } from './webhook-process.js'

const REPLICASET_CONTROLLER = 'system:serviceaccount:kube-system:replicaset-controller'
const NODE = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-1' } }
const EVENT_PREFIX = `Error creating: ${DENIED}`
/** An event holds no more, in characters. */
const MAX_EVENT_CHARACTERS = 1024

const missing = missingAssets()

t.test('the webhook behind a real API server', { skip: missing ?? false }, async t => {
  const server = await startApiServer()
  t.teardown(() => server.stop())
  const { files, create, get } = await guard(server)

  await t.test('a denial reaches kubectl whole, in the words of `sallyport check`', async t => {
    const object = pod({ name: 'denied' }, BAD_IMAGE, GOOD_IMAGE, 'quay.io/x/y@sha256:short')
    const { status, stdout, stderr } = await create('team-a', object)
    t.equal(status, 1)
    t.equal(stdout, '')
    t.same(denialsIn(stderr), await checked(files, 'team-a', object))
    const { record } = await findRecord(files.journal, { namespace: 'team-a', name: 'denied' })
    t.match(record, { kind: 'Pod', operation: 'CREATE', action: 'deny', allowed: false, user: 'dev', cluster: 'e2e' })
    t.strictSame(reasonsOf(record), ['not-allowed', 'allow-entry', 'image-unreadable'])
  })

  await t.test('API clients get a 403 with a cause for each image', async t => {
    const { status, body } = await server.request('POST', podsOf('team-a'), pod({ name: 'api' }, BAD_IMAGE, 'redis'))
    t.equal(status, 403)
    t.match(body, {
      kind: 'Status',
      reason: 'Forbidden',
      details: {
        causes: [
          { reason: 'not-allowed', field: 'spec.containers[0].image' },
          { reason: 'not-allowed', field: 'spec.containers[1].image' },
        ],
      },
    })
  })

  await t.test('every kind that holds a pod template is refused at the workload itself', async t => {
    const objects = [...templatedWorkloads('bad', BAD_IMAGE), cronJob('bad', BAD_IMAGE, server.minor)]
    const { status, stderr } = await create('team-a', list(...objects))
    t.equal(status, 1)
    t.same(denialsIn(stderr), await checked(files, 'team-a', list(...objects)))
    const good = [...templatedWorkloads('good', GOOD_IMAGE), cronJob('good', GOOD_IMAGE, server.minor)]
    t.match(await create('team-a', list(...good)), { status: 0, stderr: '' })
  })

  await t.test('in warn mode the same is admitted, with a warning a violation that kubectl shows', async t => {
    const { status, stdout, stderr } = await create('warn-a', pod({ name: 'warned' }, BAD_IMAGE, 'redis', GOOD_IMAGE))
    t.equal(status, 0)
    t.equal(stdout, 'pod/warned created\n')
    const warnings = warningsIn(stderr)
    t.equal(warnings.length, 2)
    const { record } = await findRecord(files.journal, { namespace: 'warn-a', name: 'warned' })
    t.match(record, { action: 'warn', mode: 'warn', allowed: true })
    t.strictSame(warnings, record.warnings, 'each arrives as it was sent')
  })

  await t.test('forty violations still arrive as warnings: nine, and a count of the rest', async t => {
    const images = Array.from({ length: 40 }, (_, index) => `docker.io/${'long-'.repeat(30)}name/app:${index}`)
    const { status, stderr } = await create('warn-a', pod({ name: 'many' }, ...images))
    t.equal(status, 0)
    const warnings = warningsIn(stderr)
    t.equal(warnings.length, 10)
    t.match(warnings[9], /and 31 more/)
    for (const warning of warnings) t.ok([...warning].length <= MAX_WARNING_RUNES)
    t.strictSame(warnings, (await findRecord(files.journal, { name: 'many' })).record.warnings)
  })

  await t.test('an image name forges no line of a terminal, and its warning is not dropped', async t => {
    const image = 'nginx:1\nError from server: all is well \u{202e}evil\u{7}'
    const denied = denialsIn((await create('team-a', pod({ name: 'forged' }, image))).stderr)
    t.same(denied, await checked(files, 'team-a', pod({ name: 'forged' }, image)))
    for (const raw of ['\u{7}', '\u{202e}', '\nError']) t.notOk(denied[0]?.includes(raw))
    const { status, stderr } = await create('warn-a', pod({ name: 'forged' }, image))
    t.equal(status, 0)
    t.match(warningsIn(stderr), [/"nginx:1\\nError from server: .*cannot be read/])
    t.equal(warningsIn(stderr).length, 1)
  })

  await t.test('in audit mode nobody is told, and it is recorded', async t => {
    const { status, stderr } = await create('audit-a', pod({ name: 'audited' }, BAD_IMAGE))
    t.equal(status, 0)
    t.equal(stderr, '')
    const { record } = await findRecord(files.journal, { namespace: 'audit-a', name: 'audited' })
    t.match(record, { action: 'audit', mode: 'audit', allowed: true, warnings: [] })
  })

  await t.test('the record of a pod has the uid and the name that the pod is stored under', async t => {
    await create('warn-a', pod({ generateName: 'generated-' }, BAD_IMAGE))
    await create('warn-a', deployment({ name: 'owned' }, server.hasControllers ? 2 : 0, BAD_IMAGE))
    const isRecorded = ({ generateName }: DecisionRecord) => generateName !== null
    const wanted = server.hasControllers ? 3 : 1
    const records = await eventually('records of the pods', () => {
      const found = readJournal(files.journal).map(({ record }) => record)
      const ofPods = found.filter(record => record.namespace === 'warn-a' && isRecorded(record))
      return ofPods.length === wanted ? ofPods : undefined
    })
    const reader = openJournalReader(files.journal)
    t.teardown(() => reader.close())
    for (const { name, objectUid, topOwner } of records) {
      t.ok(name)
      const { metadata } = await get('warn-a', 'pod', name ?? '')
      t.equal(objectUid, metadata.uid)
      const admissions = reader.findAdmissions({ uid: metadata.uid, namespace: 'warn-a', name: metadata.name })
      t.match(admissions, [{ uid: metadata.uid, name: metadata.name }])
      t.equal(admissions.length, 1)
      if (name?.startsWith('owned-')) t.match(topOwner, { kind: 'ReplicaSet', name: /^owned-/ })
    }
  })

  await t.test('a dry run gets the same answer, and its record says that it was one', async t => {
    const bad = pod({ name: 'dry' }, BAD_IMAGE)
    const denied = await create('team-a', bad, '--dry-run=server')
    t.equal(denied.status, 1)
    t.same(denialsIn(denied.stderr), denialsIn((await create('team-a', bad)).stderr))
    const warned = await create('warn-a', bad, '--dry-run=server')
    t.match(warned, { status: 0, stdout: 'pod/dry created (server dry run)\n', stderr: /^Warning: / })
    t.match(await findRecord(files.journal, { name: 'dry', namespace: 'team-a', dryRun: true }), { count: 1 })
    t.match(await findRecord(files.journal, { name: 'dry', namespace: 'team-a', dryRun: false }), { count: 1 })
    t.match(await findRecord(files.journal, { name: 'dry', namespace: 'warn-a' }), { record: { dryRun: true } })
  })

  await t.test('a pod that is older than the webhook can be labelled, freed and deleted, not made worse', async t => {
    const kubectl = (...args: readonly string[]) => server.kubectl(['-n', 'team-a', ...args], { as: 'dev' })
    const labelled = await kubectl('label', 'pod', 'old', 'team=a')
    t.equal(labelled.status, 0)
    t.match(warningsIn(labelled.stderr), [/container c0.*this update does not change it/])
    t.equal((await get('team-a', 'pod', 'old')).metadata.labels?.['team'], 'a')

    const worse = await kubectl('set', 'image', 'pod/old', 'c0=redis')
    t.equal(worse.status, 1)
    t.match(worse.stderr, DENIED)
    t.equal((await get('team-a', 'pod', 'old')).spec.containers[0]?.image, BAD_IMAGE)
    t.match(await kubectl('set', 'image', 'pod/old', `c0=${GOOD_IMAGE}`), { status: 0, stderr: '' })
    t.match(await kubectl('delete', 'pod', 'old', '--wait=false'), { status: 0, stderr: '' })

    t.equal((await kubectl('delete', 'pod', 'held', '--wait=false')).status, 0)
    const freed = await kubectl('patch', 'pod', 'held', '-p', '{"metadata":{"finalizers":null}}')
    t.equal(freed.status, 0, 'a finalizer can be removed')
    t.match(await kubectl('get', 'pod', 'held'), { status: 1, stderr: /NotFound/ })
    const { record } = await findRecord(files.journal, { name: 'old', action: 'warn' })
    t.match(record, { operation: 'UPDATE', allowed: true, images: [{ outcome: 'denied', changed: false }] })
  })

  const noControllers = server.hasControllers ? false : 'KUBEBUILDER_ASSETS has no kube-controller-manager'
  await t.test('a refused pod of a controller: the event has the message whole', { skip: noControllers }, async t => {
    // Its Deployment and ReplicaSet are older than the webhook; scaling is no update of the Deployment to plain rules.
    t.equal((await server.kubectl(['-n', 'team-a', 'scale', 'deployment', OLD_DEPLOYMENT, '--replicas=2'])).status, 0)
    const owned = { namespace: 'team-a', kind: 'Pod', action: 'deny', user: REPLICASET_CONTROLLER } as const
    await eventually('retries', async () => (await findRecord(files.journal, owned)).count > 2 || undefined)
    const messages = await eventually('FailedCreate events', async () => {
      const { body } = await server.request('GET', '/api/v1/namespaces/team-a/events?fieldSelector=reason=FailedCreate')
      const found = itemsOf<{ readonly message: string }>(body)
      return found.length === 0 ? undefined : found.map(({ message }) => message)
    })
    t.equal(messages.length, 1, 'the retries are one event with a count')
    for (const message of messages) {
      t.ok(message.length <= MAX_EVENT_CHARACTERS)
      t.match(message, EVENT_PREFIX)
      const lines = message.slice(message.indexOf(EVENT_PREFIX) + EVENT_PREFIX.length).split('\n')
      t.match(lines[0], new RegExp(`^3 of 3 images in Pod team-a/${OLD_DEPLOYMENT}-.* are not allowed \\(policy e2e`))
      t.equal(lines.filter(line => line.startsWith('- container c')).length, 3, 'every violation')
      t.match(lines.at(-1), /^Check first: .* Exceptions: https:\/\/wiki\.corp\.example\/images$/, 'to its last word')
    }
    const records = readJournal(files.journal).filter(({ record }) => record.user === REPLICASET_CONTROLLER)
    const denied = records.filter(({ record }) => record.namespace === 'team-a' && !record.allowed)
    t.equal(denied.length, 1, 'the retries are one record with a count')
    t.match(denied[0]?.record.topOwner, { kind: 'ReplicaSet' })
    const rolled = await findRecord(files.journal, { namespace: 'team-a', kind: 'ReplicaSet', operation: 'UPDATE' })
    t.match(rolled.record, { action: 'warn', allowed: true, topOwner: { kind: 'Deployment', name: OLD_DEPLOYMENT } })
  })

  const newForm = server.minor >= 22 ? 'from 1.22 on the API server takes a whole pod' : false
  await t.test('an ephemeral container is judged in the form of 1.20 and 1.21', { skip: newForm }, async t => {
    t.equal((await create('team-a', pod({ name: 'debugged' }, GOOD_IMAGE))).status, 0)
    const debug = (image: string) => {
      const container = { name: 'debug', image, imagePullPolicy: 'Always', terminationMessagePolicy: 'File' }
      const metadata = { name: 'debugged', namespace: 'team-a' }
      const stdin = { apiVersion: 'v1', kind: 'EphemeralContainers', metadata, ephemeralContainers: [container] }
      return server.kubectl(['replace', '--raw', `${podsOf('team-a')}/debugged/ephemeralcontainers`, '-f', '-'], {
        stdin,
      })
    }
    const refused = await debug(BAD_IMAGE)
    t.equal(refused.status, 1)
    t.match(refused.stderr, '1 of 1 image in Pod team-a/debugged is not allowed')
    t.match(refused.stderr, '- ephemeralContainer debug (ephemeralContainers[0]): docker.io/library/nginx:1.27')
    t.equal((await debug(GOOD_IMAGE)).status, 0)
    const { record } = await findRecord(files.journal, { name: 'debugged', subResource: 'ephemeralcontainers' })
    const { metadata } = await get('team-a', 'pod', 'debugged')
    t.match(record, { kind: 'Pod', operation: 'UPDATE', action: 'deny', objectUid: metadata.uid })
  })

  await t.test("a kubelet's mirror pod is admitted and recorded; nobody else can use that door", async t => {
    const { metadata } = JSON.parse(
      (await server.kubectl(['create', '-f', '-', '-o', 'json'], { stdin: NODE })).stdout,
    ) as StoredObject
    const mirror = (name: string) =>
      boundPod(
        'node-1',
        {
          name,
          annotations: { 'kubernetes.io/config.mirror': 'x', 'kubernetes.io/config.source': 'file' },
          ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'node-1', uid: metadata.uid, controller: true }],
        },
        BAD_IMAGE,
      )
    const createAs = (as: User, name: string) =>
      server.kubectl(['-n', 'team-a', 'create', '-f', '-'], { stdin: mirror(name), as })
    const admitted = await createAs('node', 'static-node-1')
    t.equal(admitted.status, 0, admitted.stderr)
    const { record } = await findRecord(files.journal, { name: 'static-node-1' })
    t.match(record, { allowed: true, action: 'warn', waived: 'mirror-pod', user: 'system:node:node-1' })
    t.match(await createAs('dev', 'static-fake'), { status: 1, stderr: DENIED })
  })

  await t.test("the API server's audit log says what was decided, by which policy, and names the record", async t => {
    const denied = await findRecord(files.journal, { namespace: 'team-a', name: 'denied' })
    const audited = await findRecord(files.journal, { namespace: 'audit-a', name: 'audited' })
    for (const { record } of [denied, audited]) {
      const key = (name: string) => `${WEBHOOK_NAME}/${name}`
      const isEvent = (annotations: Readonly<Record<string, string>> = {}) => annotations[key('record')] === record.id
      const event = server.auditEvents().find(({ annotations }) => isEvent(annotations))
      t.match(event, { verb: 'create', user: { username: 'dev' }, objectRef: { name: record.name } })
      t.match(event?.annotations, {
        [key('decision')]: record.action,
        [key('mode')]: record.mode,
        [key('policy')]: `e2e@${record.revision}`,
      })
      const violations: unknown = JSON.parse(event?.annotations?.[key('violations')] ?? '')
      const images = record.images.filter(({ outcome }) => outcome === 'denied')
      t.strictSame(violations, {
        images: images.map(({ field, written, reason }) => ({ field, image: written, reason })),
        more: 0,
      })
    }
  })

  await t.test('what is removed, or is no workload, passes without a record', async t => {
    const stdin = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' }, data: { image: BAD_IMAGE } }
    t.match(await server.kubectl(['-n', 'team-a', 'create', '-f', '-'], { stdin }), { status: 0, stderr: '' })
    t.match(await server.kubectl(['-n', 'warn-a', 'delete', 'pod', 'warned', '--wait=false']), {
      status: 0,
      stderr: '',
    })
    await create('audit-a', pod({ name: 'last' }, GOOD_IMAGE))
    await findRecord(files.journal, { name: 'last' })
    for (const { record } of readJournal(files.journal)) {
      t.not(record.kind, 'ConfigMap')
      t.match(record.operation, /^(?:CREATE|UPDATE)$/)
    }
  })
})

/** What `sallyport check` says of the same objects. */
async function checked(files: WebhookFiles, namespace: string, object: object): Promise<readonly string[]> {
  const argv = ['check', '--policy', files.policy, '-n', namespace, '-o', 'json', '-f', '-']
  const { stdout } = await runCommand(argv, { stdin: JSON.stringify(object), now: Date.now() })
  const { objects } = JSON.parse(stdout) as { readonly objects: readonly { readonly message: string }[] }
  return objects.map(({ message }) => message)
}

function reasonsOf(record: DecisionRecord): readonly string[] {
  return record.images.map(({ reason }) => reason)
}

function podsOf(namespace: string): string {
  return `/api/v1/namespaces/${namespace}/pods`
}

function itemsOf<T>(body: unknown): readonly T[] {
  return typeof body === 'object' && body !== null && 'items' in body ? (body.items as readonly T[]) : []
}
