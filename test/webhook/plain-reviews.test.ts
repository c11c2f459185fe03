/** The two ways of a request, straight and through Fastify: over a real socket, the same bytes get the same answer. */

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { createCertificates } from '../../src/adapters/certificates.js'
import type { CompiledPolicy } from '../../src/policy/index.js'
import { BODY_LIMIT_BYTES } from '../../src/webhook/http-errors.js'
import { isPlain } from '../../src/webhook/plain-reviews.js'
import { createWebhookServer } from '../../src/webhook/server.js'
import { NOW, policyOf } from '../support/policies.js'
import { assertAsyncProperty, fc } from '../support/properties.js'
import { createTally } from '../support/tally.js'

const POLICY = policyOf({ mode: 'enforce', allow: ['docker.io/library/nginx'] })
const STRAIGHT = '/validate?timeout=10s'
/** The same path to a router, and another one to whoever compares. */
const THROUGH_FASTIFY = '/%76alidate?timeout=10s'
const DATE = /\r\nDate: [^\r]+/
const reviews: Readonly<Record<string, object>> = JSON.parse(
  readFileSync(new URL('../fixtures/admission/reviews-kube-1.20.2.json', import.meta.url), 'utf8'),
)
const review = JSON.stringify(reviews['pod'])
const certificates = createCertificates({ dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'], now: Date.now() })

interface Behaviour {
  readonly policy?: () => CompiledPolicy
  readonly record?: () => void
  readonly isStopping?: () => boolean
}

async function serve(t: Test, { policy = () => POLICY, record = () => {}, isStopping = () => false }: Behaviour) {
  const { certificate, key, caCertificate } = await certificates
  const tally = createTally()
  const errors: object[] = []
  const server = createWebhookServer({
    policy,
    labels: { labelsOf: () => undefined },
    recorder: { record },
    observer: tally,
    log: { warn: () => {}, error: fields => errors.push(fields) },
    now: () => NOW,
    recordIds: () => 'record-1',
    cluster: undefined,
    tls: { cert: certificate, key },
    isStopping,
  })
  t.teardown(() => server.close())
  await server.listen({ host: '127.0.0.1', port: 0 })
  const { port } = server.server.address() as AddressInfo
  const open = async (): Promise<TLSSocket> => {
    const socket = connect({ host: '127.0.0.1', port, ca: caCertificate, servername: 'localhost' })
    await once(socket, 'secureConnect')
    return socket
  }
  return { server, tally, errors, open }
}

/** What the server sends until it has sent so many answers, or ends the connection; then the socket is closed. */
async function readAnswers(socket: TLSSocket, count: number): Promise<string> {
  let text = ''
  // A character for each byte: lengths are told in bytes.
  socket.setEncoding('latin1')
  for await (const chunk of socket) {
    text += chunk
    if (countAnswers(text) >= count) break
  }
  return text.replaceAll(new RegExp(DATE, 'g'), '')
}

function countAnswers(text: string): number {
  let rest = text
  for (let count = 0; ; count += 1) {
    const headEnd = rest.indexOf('\r\n\r\n')
    if (headEnd === -1) return count
    const end = headEnd + 4 + Number(/\r\ncontent-length: (\d+)/i.exec(rest.slice(0, headEnd))?.[1] ?? 0)
    if (rest.length < end) return count
    // What says "go on" is no answer.
    if (rest.startsWith('HTTP/1.1 100')) count -= 1
    rest = rest.slice(end)
  }
}

/** Writes are awaited, so that each is a record of its own. */
async function ask(socket: TLSSocket, pieces: readonly (string | Buffer)[], count = 1): Promise<string> {
  const answers = readAnswers(socket, count)
  for (const piece of pieces) await new Promise(done => socket.write(piece, done))
  return answers
}

function requestTo(path: string, body: string, headers: readonly string[] = [], version = '1.1'): string {
  const lines = ['Host: localhost', 'Content-Type: application/json', `Content-Length: ${Buffer.byteLength(body)}`]
  return `POST ${path} HTTP/${version}\r\n${[...lines, ...headers].join('\r\n')}\r\n\r\n${body}`
}

/** On a machine that is starved the event loop lags, and the server says so, which is no answer to this request. */
async function askUntilHeard(
  open: () => Promise<TLSSocket>,
  pieces: readonly (string | Buffer)[],
  count = 1,
): Promise<string> {
  for (;;) {
    const answer = await ask(await open(), pieces, count)
    if (!answer.startsWith('HTTP/1.1 503 ')) return answer
  }
}

/** How a request is sent: in which pieces, and how many answers it gets. */
type Sending = (path: string) => { readonly pieces: readonly (string | Buffer)[]; readonly answers?: number }

const whole =
  (body: string, headers: readonly string[] = [], version = '1.1'): Sending =>
  path => ({ pieces: [requestTo(path, body, headers, version)] })

const SENDINGS: Readonly<Record<string, Sending>> = {
  ...Object.fromEntries(Object.entries(reviews).map(([name, one]) => [name, whole(JSON.stringify(one))])),
  'a newline behind it, as Go writes it': whole(`${review}\n`),
  'beyond ASCII': whole(review.replace('"app1"', '"äpp\\u001b[31m"')),
  'no body': whole(''),
  'no JSON': whole('{"a":'),
  'no review': whole('{}'),
  binary: whole('\u0000\u0001\u00ff'),
  'one that closes': whole(review, ['Connection: close']),
  'HTTP/1.0': whole(review, [], '1.0'),
  'HTTP/1.0 kept alive': whole(review, ['Connection: keep-alive'], '1.0'),
  'asks before it sends': whole(review, ['Expect: 100-continue']),
  'expects what there is not': whole(review, ['Expect: miracles']),
  'an upgrade that is not offered': whole(review, ['Connection: upgrade', 'Upgrade: h2c']),
  compressed: whole(review, ['Content-Encoding: gzip']),
  'a version of the route': whole(review, ['Accept-Version: 2']),
  'in pieces': path => {
    const bytes = Buffer.from(requestTo(path, review))
    const cuts = [0, 10, 150, 400, 2_000, bytes.length]
    return { pieces: cuts.slice(1).map((cut, at) => bytes.subarray(cuts[at], cut)) }
  },
  'several records long': path => ({
    pieces: [requestTo(path, review.replace('"app1"', JSON.stringify('a'.repeat(300_000))))],
  }),
  'three at once': path => ({ pieces: [requestTo(path, review).repeat(3)], answers: 3 }),
  'a good one behind a bad one': path => ({
    pieces: [requestTo(path, 'x') + requestTo(path, review)],
    answers: 2,
  }),
  'rubbish behind a good one': path => ({ pieces: [`${requestTo(path, review)}RUBBISH\r\n\r\n`], answers: 3 }),
  'a length that is none': path => ({
    pieces: [requestTo(path, review).replace(/Content-Length: \d+/, 'Content-Length: x')],
  }),
  'two lengths': path => ({ pieces: [requestTo(path, review, ['Content-Length: 3'])] }),
  'in chunks': path => ({
    pieces: [
      requestTo(path, '', ['Transfer-Encoding: chunked']).replace('Content-Length: 0\r\n', ''),
      `${review.length.toString(16)}\r\n${review}\r\n0\r\n\r\n`,
    ],
  }),
  'too large': path => ({
    pieces: [requestTo(path, '').replace('Content-Length: 0', `Content-Length: ${BODY_LIMIT_BYTES + 1}`)],
  }),
}

async function compare(t: Test, behaviour: Behaviour, sendings: Readonly<Record<string, Sending>>): Promise<void> {
  const { tally, open } = await serve(t, behaviour)
  for (const [name, sending] of Object.entries(sendings)) {
    const answers: string[] = []
    const counts: object[] = []
    for (const path of [STRAIGHT, THROUGH_FASTIFY]) {
      const before = tally.read()
      const { pieces, answers: count = 1 } = sending(path)
      answers.push(await askUntilHeard(open, pieces, count))
      counts.push(differenceOf(before, tally.read()))
    }
    t.match(answers[0], /^HTTP\/1\.1 \d{3} /, name)
    t.equal(answers[0], answers[1], name)
    t.strictSame(counts[0], counts[1], `${name}: counted the same`)
  }
}

function differenceOf(before: Readonly<Record<string, number>>, after: Readonly<Record<string, number>>): object {
  const counts = Object.entries(after).map(([word, count]) => [word, count - (before[word] ?? 0)])
  return Object.fromEntries(counts.filter(([word]) => word !== 'rejected.OVERLOADED'))
}

t.test('whatever is sent, both ways answer the same, and count the same', async t => {
  await compare(t, {}, SENDINGS)
})

t.test('bodies that were tampered with are answered the same', async t => {
  const { open } = await serve(t, {})
  const tampered = fc
    .tuple(fc.nat(review.length), fc.nat(12), fc.string({ unit: 'binary', maxLength: 12 }))
    .map(([at, drop, by]) => review.slice(0, at) + by + review.slice(at + drop))
  await assertAsyncProperty(
    fc.asyncProperty(tampered, async body => {
      const answers = [STRAIGHT, THROUGH_FASTIFY].map(path => askUntilHeard(open, [requestTo(path, body)]))
      const [one, other] = await Promise.all(answers)
      if (one !== other) throw new Error(`${one}\n\n${other}`)
    }),
    { numRuns: 100 },
  )
})

t.test('while stopping, both ask for another connection', async t => {
  await compare(t, { isStopping: () => true }, { review: whole(review), 'no JSON': whole('x') })
})

t.test('a bug is 500 on both ways; one that comes after the answer does not change it', async t => {
  const fails = (): never => {
    throw new Error('secret detail')
  }
  await compare(t, { policy: fails }, { review: whole(review) })
  const { open, errors } = await serve(t, { record: fails })
  for (const path of [STRAIGHT, THROUGH_FASTIFY]) {
    t.match(await askUntilHeard(open, [requestTo(path, review)]), /^HTTP\/1\.1 200 /, path)
    t.match(await askUntilHeard(open, [requestTo(path, review)]), /^HTTP\/1\.1 200 /, 'and the server lives')
  }
  t.equal(errors.length, 4, 'each is logged')
})

t.test('while closing, what is under way is answered, and told that it is the last', async t => {
  for (const path of [STRAIGHT, THROUGH_FASTIFY]) {
    const { open, server } = await serve(t, {})
    const socket = await open()
    const request = requestTo(path, review)
    const cut = request.length - 100
    const arrived = once(server.server, 'request')
    socket.write(request.slice(0, cut))
    await arrived
    const closing = server.close()
    await new Promise(done => setImmediate(done))
    const answer = await ask(socket, [request.slice(cut)])
    t.match(answer, /^HTTP\/1\.1 200 /, path)
    t.match(answer, /\r\nconnection: close\r\n/i, path)
    await closing
  }
})

t.test('an upload that is broken off is counted, once, and judged by nobody', async t => {
  const { tally, open, server } = await serve(t, {})
  for (const path of [STRAIGHT, THROUGH_FASTIFY]) {
    const before = tally.read()['rejected.BODY_INCOMPLETE'] ?? 0
    const socket = await open()
    const arrived = once(server.server, 'request')
    socket.write(requestTo(path, review).slice(0, -100))
    await arrived
    socket.destroy()
    while ((tally.read()['rejected.BODY_INCOMPLETE'] ?? 0) === before) await new Promise(done => setImmediate(done))
    t.equal(tally.read()['rejected.BODY_INCOMPLETE'], before + 1, path)
  }
})

t.test('only what can be read in one way goes straight', async t => {
  const json = { 'content-type': 'application/json', 'content-length': '2' }
  const table: readonly (readonly [boolean, string, string, Record<string, string>])[] = [
    [true, 'POST', '/validate', json],
    [true, 'POST', '/validate?timeout=10s', json],
    [true, 'POST', '/validate', { ...json, 'content-length': String(BODY_LIMIT_BYTES) }],
    [false, 'GET', '/validate', json],
    [false, 'PUT', '/validate', json],
    [false, 'post', '/validate', json],
    [false, 'POST', '/validate/', json],
    [false, 'POST', '/Validate', json],
    [false, 'POST', '/validate#', json],
    [false, 'POST', '/validate;a', json],
    [false, 'POST', '//validate', json],
    [false, 'POST', 'https://localhost/validate', json],
    [false, 'POST', THROUGH_FASTIFY, json],
    [false, 'POST', '/validate', { 'content-length': '2' }],
    [false, 'POST', '/validate', { ...json, 'content-type': 'application/json; charset=utf-8' }],
    [false, 'POST', '/validate', { 'content-type': 'application/json' }],
    [false, 'POST', '/validate', { ...json, 'transfer-encoding': 'chunked' }],
    [false, 'POST', '/validate', { ...json, 'content-length': String(BODY_LIMIT_BYTES + 1) }],
    [false, 'POST', '/validate', { ...json, 'content-length': '-1' }],
    [false, 'POST', '/validate', { ...json, 'content-length': '1.5' }],
  ]
  for (const [expected, method, url, headers] of table) {
    t.equal(isPlain({ method, url, headers } as unknown as IncomingMessage), expected, `${method} ${url}`)
  }
})

t.test('a body may be cut into any pieces', async t => {
  const { open } = await serve(t, {})
  const expected = await askUntilHeard(open, [requestTo(STRAIGHT, review)])
  const bytes = Buffer.from(requestTo(STRAIGHT, review))
  const places = fc.uniqueArray(fc.integer({ min: 1, max: bytes.length - 1 }), { maxLength: 6 })
  await assertAsyncProperty(
    fc.asyncProperty(places, async cuts => {
      const ends = [...cuts.sort((one, other) => one - other), bytes.length]
      const pieces = ends.map((end, at) => bytes.subarray(ends[at - 1] ?? 0, end))
      return (await askUntilHeard(open, pieces)) === expected
    }),
    { numRuns: 40 },
  )
})
