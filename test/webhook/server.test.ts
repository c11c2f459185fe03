/** The wire: what is accepted and refused, the recorded reviews of a real API server, real TLS, start and stop. */

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Agent, request as httpsRequest } from 'node:https'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { connect } from 'node:tls'
import type { Command } from 'commander'
import t from 'tap'
import { createCertificates } from '../../src/adapters/certificates.js'
import { openJournalReader } from '../../src/adapters/journal-reader.js'
import { startWebhook } from '../../src/commands/start-webhook.js'
import { webhookCommand } from '../../src/commands/webhook.js'
import type { CompiledPolicy } from '../../src/policy/index.js'
import { decodeAdmissionReview } from '../../src/webhook/admission-review.js'
import type { DecisionRecord } from '../../src/webhook/decision-record.js'
import { BODY_LIMIT_BYTES, HTTP_ERRORS } from '../../src/webhook/http-errors.js'
import { createRecordIds } from '../../src/webhook/record-id.js'
import { createWebhookServer } from '../../src/webhook/server.js'
import { policyOf } from '../support/policies.js'
import { assertAsyncProperty, fc } from '../support/properties.js'
import { createTally } from '../support/tally.js'

const NOW = Date.parse('2026-11-22T08:00:00Z')
const POLICY = policyOf({ mode: 'enforce', allow: ['docker.io/library/nginx'] })
const reviews: Readonly<Record<string, { request: Record<string, unknown> }>> = JSON.parse(
  readFileSync(new URL('../fixtures/admission/reviews-kube-1.20.2.json', import.meta.url), 'utf8'),
)
const certificates = createCertificates({ dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'], now: Date.now() })

function serverWith(policy: () => CompiledPolicy = () => POLICY) {
  const records: { record: DecisionRecord; json: string }[] = []
  const errors: object[] = []
  const tally = createTally()
  const server = createWebhookServer({
    policy,
    labels: { labelsOf: () => undefined },
    recorder: { record: (record, json) => records.push({ record, json }) },
    observer: tally,
    log: { warn: () => {}, error: fields => errors.push(fields) },
    now: () => NOW,
    recordIds: createRecordIds(count => new Uint8Array(count)),
    cluster: 'test',
    tls: undefined,
  })
  const send = (payload: string | object, headers: Record<string, string> = {}) =>
    server.inject({
      method: 'POST',
      url: '/validate?timeout=5s',
      headers: { 'content-type': 'application/json', ...headers },
      payload,
    })
  return { server, send, records, errors, tally }
}

t.test('what is no AdmissionReview v1 is refused with a sentence, and answered with 400', async t => {
  const { request } = reviews.pod ?? { request: {} }
  const with_ = (change: object) => ({ ...reviews.pod, request: { ...request, ...change } })
  const table: readonly (readonly [string, unknown])[] = [
    ['null', null],
    ['a list', []],
    ['a string', 'x'],
    ['another kind', { ...reviews.pod, kind: 'Pod' }],
    ['v1beta1', { ...reviews.pod, apiVersion: 'admission.k8s.io/v1beta1' }],
    ['no apiVersion', { kind: 'AdmissionReview', request }],
    ['no request', { ...reviews.pod, request: undefined }],
    ['a request that is a list', { ...reviews.pod, request: [] }],
    ['no uid', with_({ uid: undefined })],
    ['an empty uid', with_({ uid: '' })],
    ['a number as uid', with_({ uid: 7 })],
    ['a huge uid', with_({ uid: 'x'.repeat(257) })],
    ['no kind', with_({ kind: undefined })],
    ['a kind that is a string', with_({ kind: 'Pod' })],
    ['an empty kind', with_({ kind: { kind: '' } })],
    ['no operation', with_({ operation: undefined })],
    ['an unknown operation', with_({ operation: 'PATCH' })],
    ['a namespace that is no string', with_({ namespace: 7 })],
    ['a name that is no string', with_({ name: {} })],
    ['a subResource that is no string', with_({ subResource: [] })],
    ['a dryRun that is no boolean', with_({ dryRun: 'yes' })],
    ['a userInfo that is a string', with_({ userInfo: 'root' })],
    ['a username that is a number', with_({ userInfo: { username: 0 } })],
    ['groups that are a string', with_({ userInfo: { groups: 'system:nodes' } })],
    ['groups that hold a number', with_({ userInfo: { groups: [1] } })],
  ]
  const { server, send, records, tally } = serverWith()
  for (const [title, body] of table) {
    const decoded = decodeAdmissionReview(body)
    t.equal(decoded.ok, false, title)
    if (!decoded.ok) t.match(decoded.problem, /^[A-Zr][^\n]{10,120}\.$/, `${title}: one sentence`)
    const response = await send(JSON.stringify(body))
    t.equal(response.statusCode, 400, title)
    t.match(response.json(), { code: 'REVIEW_INVALID' }, title)
  }
  t.equal(records.length, 0)
  t.strictSame(tally.read(), { 'rejected.REVIEW_INVALID': table.length })
  await server.close()
})

t.test('each HTTP error has its code, its status and one sentence', async t => {
  const { server, send } = serverWith()
  const post = { method: 'POST', url: '/validate' } as const
  const json = { 'content-type': 'application/json' }
  const table = [
    ['BODY_NOT_JSON', await send('{"a":')],
    ['BODY_NOT_JSON', await send('')],
    ['BODY_NOT_JSON', await send('\u0000\u0001binary')],
    ['BODY_TOO_LARGE', await send(`"${'x'.repeat(BODY_LIMIT_BYTES)}"`)],
    ['BODY_INCOMPLETE', await send('{}', { 'content-length': '7' })],
    ['MEDIA_TYPE_UNSUPPORTED', await send('{}', { 'content-type': 'text/plain' })],
    ['MEDIA_TYPE_UNSUPPORTED', await server.inject({ ...post, headers: { 'content-type': '' }, payload: '{}' })],
    ['REVIEW_INVALID', await server.inject(post)],
    ['NOT_FOUND', await server.inject({ method: 'GET', url: '/' })],
    ['NOT_FOUND', await server.inject({ ...post, url: '/mutate', headers: json, payload: '{}' })],
    ['REQUEST_MALFORMED', await server.inject({ method: 'GET', url: '/%zz' })],
    ['METHOD_NOT_ALLOWED', await server.inject({ method: 'GET', url: '/validate' })],
    ['METHOD_NOT_ALLOWED', await server.inject({ method: 'PUT', url: '/validate', headers: json, payload: '{' })],
  ] as const
  for (const [code, response] of table) {
    t.equal(response.statusCode, HTTP_ERRORS[code].status, `${code}: ${response.body}`)
    const body = response.json()
    t.equal(body.code, code)
    t.match(body.message, /^[^\n]+\.$/)
    t.strictSame(Object.keys(body), ['code', 'message'], 'no stack, no internals')
  }
  t.equal((await server.inject({ method: 'GET', url: '/validate' })).headers.allow, 'POST')
  t.equal((await send(reviews.pod ?? {}, { 'content-type': 'application/json; charset=utf-8' })).statusCode, 200)
  await server.close()
})

t.test('a bug answers 500 without a word of it, and is logged', async t => {
  const { server, send, errors } = serverWith(() => {
    throw new Error('secret detail')
  })
  const response = await send(reviews.pod ?? {})
  t.equal(response.statusCode, 500)
  t.notMatch(response.body, 'secret')
  t.match(errors, [{ err: { message: 'secret detail' } }])
  await server.close()
})

t.test('the reviews of a real API server are answered and recorded', async t => {
  const expected = {
    pod: { allowed: false, kind: 'Pod', owner: null },
    podFromReplicaSet: { allowed: true, kind: 'Pod', owner: 'ReplicaSet' },
    podUpdate: { allowed: false, kind: 'Pod', owner: null },
    deployment: { allowed: false, kind: 'Deployment', owner: null },
    dryRun: { allowed: true, kind: 'Pod', owner: null },
    podFromJob: { allowed: false, kind: 'Pod', owner: 'Job' },
  } as const
  const { server, send, records } = serverWith()
  for (const [name, { allowed, kind, owner }] of Object.entries(expected)) {
    const { request } = reviews[name] ?? { request: {} }
    const response = await send(reviews[name] ?? {})
    t.equal(response.statusCode, 200, name)
    t.match(response.headers['content-type'], 'application/json')
    const body = response.json()
    t.match(body, { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview' })
    t.equal(body.response.uid, request.uid, `${name}: the uid is echoed`)
    t.equal(body.response.allowed, allowed, name)
    t.equal(body.response.status?.code, allowed ? undefined : 403, name)
    const annotations = Object.entries(body.response.auditAnnotations)
    t.ok(annotations.every(([key, value]) => !key.includes('/') && typeof value === 'string'))
    const latest = records.at(-1)
    t.equal(body.response.auditAnnotations.record, latest?.record.id)
    t.match(latest?.record, { kind, allowed, namespace: 'app1', cluster: 'test', dryRun: name === 'dryRun' })
    t.equal(latest?.record.topOwner?.kind ?? null, owner, name)
    t.equal(latest?.record.objectUid, JSON.parse(JSON.stringify(request.object)).metadata.uid, name)
    t.strictSame(JSON.parse(latest?.json ?? ''), latest?.record, 'the JSON is the record')
  }
  t.equal(records.length, 6)
  await server.close()
})

t.test('removals, connections and other kinds are admitted unread, counted and not recorded', async t => {
  const { server, send, records, tally } = serverWith()
  const { request } = reviews.pod ?? { request: {} }
  for (const change of [
    { operation: 'DELETE', object: null },
    { operation: 'CONNECT', object: { kind: 'PodExecOptions' } },
    { kind: { kind: 'ConfigMap' }, object: { kind: 'ConfigMap' } },
    { kind: { kind: 'Scale' }, subResource: 'scale', operation: 'UPDATE', object: { kind: 'Scale' } },
  ]) {
    const response = await send({ ...reviews.pod, request: { ...request, ...change } })
    t.strictSame(response.json().response, { uid: request.uid, allowed: true })
  }
  t.strictSame(tally.read(), { 'passed.operation': 2, 'passed.other-kind': 2 })
  t.equal(records.length, 0)
  await server.close()
})

t.test('mutated reviews never bring the server down', async t => {
  const { server, send, errors } = serverWith()
  const junk = fc.oneof(fc.jsonValue(), fc.constantFrom(null, {}, [], '', -1, { __proto__: null }))
  const targets = fc.constantFrom('object', 'oldObject', 'userInfo', 'kind', 'namespace', 'name', 'operation', 'spec')
  const names = fc.constantFrom(...Object.keys(reviews))
  await assertAsyncProperty(
    fc.asyncProperty(names, targets, junk, async (name, target, value) => {
      const copy = structuredClone(reviews[name] ?? { request: {} })
      if (target === 'spec') Object.assign(copy.request.object ?? {}, { spec: value })
      else copy.request[target] = value
      const { statusCode } = await send(JSON.stringify(copy))
      return statusCode === 200 || statusCode === 400
    }),
    { numRuns: 300 },
  )
  t.strictSame(errors, [])
  await server.close()
})

function post(url: string, body: string, agent: Agent): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const request = httpsRequest(url, { method: 'POST', agent, headers }, response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }))
    })
    request.on('error', reject)
    request.end(body)
  })
}

/** A review whose headers the server has read, and whose body comes when `finish` is called; it gives the status. */
function holdReview(url: string, ca: string): Promise<(body: string) => Promise<number>> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', expect: '100-continue' }
    const request = httpsRequest(url, { method: 'POST', ca, headers, agent: false })
    const status = new Promise<number>((answered, failed) => {
      request.on('response', response => answered(response.resume().statusCode ?? 0))
      request.on('error', failed)
    })
    status.catch(reject)
    request.on('continue', () => {
      resolve(body => {
        request.end(body)
        return status
      })
    })
    request.flushHeaders()
  })
}

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

t.test('over real TLS: answered, recorded in the journal and the audit log, drained at the end', async t => {
  const { certificate, key, caCertificate } = await certificates
  const directory = t.testdir()
  const auditLog = join(directory, 'audit.ndjson')
  const webhook = await startWebhook({
    policy: () => POLICY,
    tls: { cert: certificate, key },
    listen: { host: '127.0.0.1', port: 0 },
    journal: join(directory, 'journal'),
    auditLog,
    log: silent,
    now: Date.now,
  })
  t.equal(webhook.url, `https://127.0.0.1:${webhook.port}/validate`)
  const agent = new Agent({ ca: caCertificate, keepAlive: true, maxSockets: 2 })
  const answers = await Promise.all(Object.values(reviews).map(one => post(webhook.url, JSON.stringify(one), agent)))
  t.strictSame(
    answers.map(({ status }) => status),
    [200, 200, 200, 200, 200, 200],
  )

  const old = connect({
    host: '127.0.0.1',
    port: webhook.port,
    ca: caCertificate,
    maxVersion: 'TLSv1.1',
    minVersion: 'TLSv1',
  })
  const [error] = await once(old, 'error')
  t.ok(error, 'TLS 1.1 is refused')

  const held = await Promise.all([1, 2].map(() => holdReview(webhook.url, caCertificate)))
  const closing = webhook.close()
  t.strictSame(await Promise.all(held.map(finish => finish(JSON.stringify(reviews.pod)))), [200, 200], 'drained')
  await closing
  t.strictSame(webhook.droppedRecords(), { journal: 0, auditLog: 0 })
  agent.destroy()

  const lines = readFileSync(auditLog, 'utf8').trimEnd().split('\n')
  t.equal(lines.length, 8, 'the audit log has every review')
  const reader = openJournalReader(join(directory, 'journal'))
  const records = [...reader.records({})]
  t.equal(records.length, 6, 'the journal counts retries once')
  t.equal(
    records.reduce((sum, { count }) => sum + count, 0),
    8,
  )
  const pod = reader.findAdmissions({ uid: '40f6dd36-5694-41de-9883-2e9568bad75e', namespace: '', name: '' })
  t.match(pod, [{ name: 'd2-cf6694bc8-f7nvf', topOwner: { kind: 'ReplicaSet' }, action: 'admit' }])
  reader.close()
})

t.test('an operator’s mistake is one sentence with its code', async t => {
  const { certificate, key } = await certificates
  const settings = { policy: () => POLICY, tls: { cert: certificate, key }, log: silent, now: Date.now }
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const address = taken.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const directory = t.testdir({ file: 'not a folder' })
  await t.rejects(startWebhook({ ...settings, listen: { host: '127.0.0.1', port } }), { code: 'LISTEN_FAILED' })
  const listen = { host: '127.0.0.1', port: 0 }
  await t.rejects(startWebhook({ ...settings, listen, auditLog: directory }), { code: 'FILE_UNWRITABLE' })
  await t.rejects(startWebhook({ ...settings, listen, journal: join(directory, 'file') }), { code: 'JOURNAL_UNUSABLE' })
  taken.close()
})

function commandIo(controller: AbortController) {
  const stderr = new PassThrough()
  const stdout = new PassThrough()
  const exit: number[] = []
  const io = {
    version: '0.0.0-test',
    stdin: new PassThrough(),
    stdout,
    stderr,
    setExitCode: (code: number) => exit.push(code),
    now: () => NOW,
    signal: controller.signal,
  }
  return { io, stderr, stdout, exit }
}

function run(command: Command, args: readonly string[]): Promise<Command> {
  return command
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .parseAsync(args, { from: 'user' })
}

t.test('the command serves until it is told to stop, and names what is wrong before it listens', async t => {
  const { certificate, key, caCertificate, caKey } = await certificates
  const directory = t.testdir({
    'policy.yaml': 'apiVersion: sallyport.dev/v1\nkind: ImagePolicy\nmetadata: { name: p }\nspec: { allow: [] }\n',
    'tls.crt': certificate,
    'tls.key': key,
    'other.key': caKey,
  })
  const at = (file: string) => join(directory, file)
  const given = (cert: string, keyFile: string) => [
    '--policy',
    at('policy.yaml'),
    '--tls-cert',
    at(cert),
    '--tls-key',
    at(keyFile),
  ]
  const fails = (args: readonly string[]) => run(webhookCommand(commandIo(new AbortController()).io), args)
  await t.rejects(fails(given('missing.crt', 'tls.key')), { code: 'FILE_UNREADABLE' })
  await t.rejects(fails(given('policy.yaml', 'tls.key')), { code: 'TLS_INVALID' })
  await t.rejects(fails(given('tls.crt', 'policy.yaml')), { code: 'TLS_INVALID' })
  await t.rejects(fails(given('tls.crt', 'other.key')), { code: 'TLS_INVALID' })
  await t.rejects(fails([...given('tls.crt', 'tls.key'), '--listen', 'nowhere']), { code: 'commander.invalidArgument' })
  await t.rejects(fails(['--policy', at('policy.yaml')]), { code: 'USAGE' })
  const inCluster = ['--tls-secret', 'a/b', '--tls-dns', 'a.example', '--webhook-configuration', 'c', '--in-cluster']
  for (const args of [
    [...given('tls.crt', 'tls.key'), ...inCluster],
    [...given('tls.crt', 'tls.key'), '--tls-dns', 'a.example'],
    ['--policy', at('policy.yaml'), ...inCluster.slice(0, -1)],
    ['--policy', at('policy.yaml'), ...inCluster.slice(0, 2), '--in-cluster'],
    ['--policy', at('policy.yaml'), ...inCluster, '--tls-lifetime', '59s'],
  ]) {
    await t.rejects(fails(args), { code: 'USAGE' }, args.slice(-3).join(' '))
  }
  const noSecret = ['--policy', at('policy.yaml'), '--tls-secret', 'no-slash', ...inCluster.slice(2)]
  await t.rejects(fails(noSecret), { code: 'commander.invalidArgument' })

  const controller = new AbortController()
  const { io, stderr, stdout, exit } = commandIo(controller)
  const args = [
    ...given('tls.crt', 'tls.key'),
    '--listen',
    '127.0.0.1:0',
    '--audit-log',
    '-',
    '--cluster',
    'c1',
    '--shutdown-delay',
    '0',
  ]
  const running = run(webhookCommand(io), args)
  let log = ''
  stderr.setEncoding('utf8')
  stderr.on('data', (chunk: string) => {
    log += chunk
  })
  while (!log.includes('Listening')) await once(stderr, 'data')
  const url = /"url":"([^"]+)"/.exec(log)?.[1] ?? ''
  t.equal(new URL(url).pathname, '/validate')
  const agent = new Agent({ ca: caCertificate })
  t.match(await post(url, JSON.stringify(reviews.pod), agent), { status: 200 })
  controller.abort()
  await running
  t.strictSame(exit, [0])
  t.match(JSON.parse(String(stdout.read())), { cluster: 'c1', namespace: 'app1' })
  t.match(log, /"msg":"Stopped"/)
})
