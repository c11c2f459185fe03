import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { createCertificates } from '../../src/adapters/certificates.js'
import type { DecisionRecord } from '../../src/webhook/decision-record.js'
import { createWebhookServer, type WebhookServer } from '../../src/webhook/server.js'
import type { ServingTls } from '../../src/webhook/tls-options.js'
import { createClientCertificate } from '../support/client-certificate.js'
import { NOW, policyOf } from '../support/policies.js'
import { fc } from '../support/properties.js'
import { settledHeap } from '../support/settled-heap.js'
import { createTally } from '../support/tally.js'

const FUZZED_BODIES = 100_000
const MAX_GROWTH_BYTES = 48 * 1024 * 1024
// At the root, so that the runner's limit for the whole file is lifted: a slow machine takes minutes for the fuzzed bodies.
t.setTimeout(900_000)
const JSON_HEADERS = { 'content-type': 'application/json' }

const recorded: Readonly<Record<string, object>> = JSON.parse(
  readFileSync('test/fixtures/admission/reviews-kube-1.20.2.json', 'utf8'),
)
const policy = policyOf({
  mode: 'enforce',
  allow: ['gcr.io/*', 'registry.corp.example/**/app:1.*'],
  deny: ['gcr.io/bad/*'],
  tags: { deny: ['latest'] },
  mirrors: [{ from: 'docker.io/*', to: 'gcr.io/hub' }],
})

function serverWith(tls?: ServingTls) {
  const tally = createTally()
  const errors: object[] = []
  const records: DecisionRecord[] = []
  const server = createWebhookServer({
    policy: () => policy,
    labels: { labelsOf: () => undefined },
    recorder: { record: record => records.push(record) },
    observer: tally,
    log: { warn: fields => errors.push(fields), error: fields => errors.push(fields) },
    now: () => NOW,
    recordIds: () => 'id',
    cluster: undefined,
    tls,
  })
  return { server, tally, errors, records }
}

const send = (server: WebhookServer, payload: string | Buffer) =>
  server.inject({ method: 'POST', url: '/validate', headers: JSON_HEADERS, payload })

/** A recorded review with one of its values replaced, one key dropped or renamed, or its text cut or overwritten. */
function mutatedReview(): fc.Arbitrary<string> {
  const foreign = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.constantFrom('', ' ', 'nginx', 'a'.repeat(5000), 'x\n2', '\u202egcr.io/x', '__proto__', -1.5, []),
  )
  const text = fc.constantFrom(...Object.values(recorded).map(review => JSON.stringify(review)))
  const value = fc.tuple(text, fc.nat(), foreign).map(([json, at, by]) => {
    let index = 0
    const target = at % 120
    return JSON.stringify(JSON.parse(json, (_key, old) => (index++ === target ? by : old)))
  })
  const bytes = fc
    .tuple(text, fc.nat(), fc.string({ unit: 'binary', maxLength: 6 }), fc.boolean())
    .map(([json, at, by, isCut]) => {
      const place = at % json.length
      return isCut ? json.slice(0, place) : json.slice(0, place) + by + json.slice(place + by.length)
    })
  return fc.oneof(
    { weight: 6, arbitrary: value },
    { weight: 3, arbitrary: bytes },
    { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
  )
}

t.test('a hundred thousand fuzzed bodies: each gets an answer, none crashes it, memory stays flat', async t => {
  const rejections: unknown[] = []
  const onRejection = (reason: unknown) => rejections.push(reason)
  process.on('unhandledRejection', onRejection)
  t.teardown(() => process.off('unhandledRejection', onRejection))
  const { server, tally, errors, records } = serverWith()
  t.teardown(() => server.close())

  const statuses = new Map<number, number>()
  let heapAtTenth = 0
  let sent = 0
  const bodies = fc.sample(mutatedReview(), { numRuns: 5_000, seed: 20_261_122 })
  while (sent < FUZZED_BODIES) {
    const body = bodies[sent % bodies.length] ?? ''
    // Each round sends other bodies: the uid and a suffix change, so that no memory of former ones answers.
    const round = Math.floor(sent / bodies.length)
    const { statusCode, body: answer } = await send(
      server,
      round === 0 ? body : body.replaceAll('nginx', `nginx-${round}`),
    )
    statuses.set(statusCode, (statuses.get(statusCode) ?? 0) + 1)
    if (statusCode === 200 ? !isAnswer(answer) : !isSentence(answer)) t.fail(`${statusCode} ${answer.slice(0, 300)}`)
    records.length = 0
    sent += 1
    if (sent === FUZZED_BODIES / 10) heapAtTenth = settledHeap()
  }
  const growth = settledHeap() - heapAtTenth
  t.ok(growth < MAX_GROWTH_BYTES, 'flat memory', { growth })
  t.strictSame([...statuses.keys()].sort(), [200, 400])
  t.strictSame(errors, [], 'no bug was met')
  t.strictSame(rejections, [])
  const counted = Object.values(tally.read()).reduce((sum, count) => sum + count, 0)
  t.equal(counted, FUZZED_BODIES, 'every one is counted')
})

function isAnswer(text: string): boolean {
  const { apiVersion, kind, response } = JSON.parse(text)
  const isDenialWhole =
    response.allowed === true || (response.status.code === 403 && response.status.message.length > 0)
  return (
    apiVersion === 'admission.k8s.io/v1' &&
    kind === 'AdmissionReview' &&
    typeof response.uid === 'string' &&
    isDenialWhole
  )
}

function isSentence(text: string): boolean {
  const { code, message } = JSON.parse(text)
  return /^[A-Z_]+$/.test(code) && message.length > 0 && message.length < 500 && !/\n|\bat \//.test(message)
}

t.test('what is remembered of images is bounded, however long they are', async t => {
  const { server, records } = serverWith()
  t.teardown(() => server.close())
  const body = JSON.stringify(recorded['pod'])
  const before = settledHeap()
  for (let sent = 0; sent < 300; sent += 1) {
    const image = `evil.example/x:1 ${sent} ${'x'.repeat(400_000)}`
    const { statusCode } = await send(server, body.replace('evil.example/x:1', image))
    if (statusCode !== 200) t.fail(`${statusCode}`)
    records.length = 0
  }
  const growth = settledHeap() - before
  t.ok(growth < MAX_GROWTH_BYTES, 'of 120 MB', { growth })
})

t.test('an event loop that lags is told at once, and recovers', async t => {
  const { server, tally } = serverWith()
  t.teardown(() => server.close())
  await server.ready()
  const body = JSON.stringify(recorded['pod'])
  t.ok(await untilStatus(server, body, 200))
  const until = performance.now() + 3_500
  while (performance.now() < until) JSON.stringify(recorded)
  const refused = await untilStatus(server, body, 503)
  t.equal(JSON.parse(refused).code, 'OVERLOADED')
  t.equal(tally.read()['rejected.OVERLOADED'], 1)
  t.ok(await untilStatus(server, body, 200), 'recovered')
})

/** The delay is sampled once a second: ask until the answer changes. */
async function untilStatus(server: WebhookServer, body: string, status: number): Promise<string> {
  for (let tries = 0; tries < 600; tries += 1) {
    const answer = await send(server, body)
    if (answer.statusCode === status) return answer.body
    await sleep(50)
  }
  throw new Error(`no ${status} came`)
}

t.test('with a client CA, only clients that it signed are served', async t => {
  const own = await createCertificates({ dnsNames: ['localhost'], now: Date.now() })
  const client = await createCertificates({ dnsNames: ['api-server'], now: Date.now() })
  const stranger = await createCertificates({ dnsNames: ['api-server'], now: Date.now() })
  // Before the server is there: making keys holds up the event loop, which a server would say.
  const signed = createClientCertificate(client)
  const foreign = createClientCertificate(stranger)
  const { server } = serverWith({ cert: own.certificate, key: own.key, ca: client.caCertificate })
  t.teardown(() => server.close())
  await server.listen({ host: '127.0.0.1', port: 0 })
  const { port } = server.server.address() as AddressInfo
  const post = async (identity: object) => {
    const sent = request({
      host: '127.0.0.1',
      port,
      path: '/validate',
      method: 'POST',
      headers: JSON_HEADERS,
      servername: 'localhost',
      ca: own.caCertificate,
      agent: false,
      ...identity,
    })
    sent.end(JSON.stringify(recorded['pod']))
    const [response] = await once(sent, 'response')
    response.resume()
    return response.statusCode
  }
  t.equal(await post(signed), 200)
  await t.rejects(post({}), 'without a certificate')
  await t.rejects(post(foreign), 'of another CA')
  await t.rejects(post({ cert: client.certificate, key: client.key }), 'a certificate that is not for clients')
})

t.test('old protocols and weak ciphers are refused', async t => {
  const own = await createCertificates({ dnsNames: ['localhost'], now: Date.now() })
  const { server } = serverWith({ cert: own.certificate, key: own.key })
  t.teardown(() => server.close())
  await server.listen({ host: '127.0.0.1', port: 0 })
  const { port } = server.server.address() as AddressInfo
  const connect = async (options: object) => {
    const sent = request({
      host: '127.0.0.1',
      port,
      path: '/validate',
      method: 'GET',
      servername: 'localhost',
      ca: own.caCertificate,
      agent: false,
      ...options,
    })
    sent.end()
    const [response] = await once(sent, 'response')
    response.resume()
    return response.statusCode
  }
  t.equal(await connect({ maxVersion: 'TLSv1.2' }), 405)
  t.equal(await connect({ minVersion: 'TLSv1.3' }), 405)
  await t.rejects(connect({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }))
  await t.rejects(connect({ maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' }), 'no forward secrecy')
})

t.test('a body over the limit is refused, whatever its length says', async t => {
  const { server } = serverWith()
  t.teardown(() => server.close())
  const big = Buffer.alloc(7 * 1024 * 1024 + 1, 0x20)
  t.equal((await send(server, big)).statusCode, 413)
  t.equal((await send(server, big.subarray(0, 7 * 1024 * 1024))).statusCode, 400, 'just within: read, and no JSON')
})
