/** Splunk HEC and webhooks, against receivers that answer as their manuals say, and as networks do. */

import { spawn } from 'node:child_process'
import { appendFileSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { createCertificates } from '../../src/adapters/certificates.js'
import { createDeadLetterFile } from '../../src/adapters/dead-letter-file.js'
import { openHecSink } from '../../src/adapters/sink-hec.js'
import { decodeHecAnswer } from '../../src/adapters/sink-hec-answer.js'
import { compileSinks, type HecSink, type WebhookSink } from '../../src/adapters/sink-spec.js'
import { encodeWebhook, openWebhookSink } from '../../src/adapters/sink-webhook.js'
import { run } from '../../src/cli.js'
import type { FindingReceiver, SendOutcome } from '../../src/correlator/delivery.js'
import type { Finding } from '../../src/correlator/finding.js'
import { eventOf, lineOf, podOf } from '../support/events.js'
import {
  answer,
  type Behaviour,
  type CollectedEvent,
  collector,
  eventsOf,
  FakeReceiver,
  type FakeReceiverOptions,
} from '../support/fake-receiver.js'
import { findingOf, fingerprintOf } from '../support/findings.js'
import { runCommand } from '../support/run-command.js'

const never = new AbortController().signal
const ACK = { firstMs: 1, maxMs: 5, deadlineMs: 30_000 }

async function start(t: Test, behaviour: Behaviour, options: FakeReceiverOptions = {}): Promise<FakeReceiver> {
  const receiver = new FakeReceiver(behaviour, options)
  await receiver.start()
  t.teardown(() => receiver.stop())
  return receiver
}

function hecSpec(url: string, options: string): HecSink {
  const [spec] = compileSinks([`hec:${url}?plain-http=true&${options}`])
  if (spec?.type !== 'hec') throw new Error('no HEC')
  return spec
}

function webhookSpec(url: string, options = ''): WebhookSink {
  const [spec] = compileSinks([`webhook:${url}?plain-http=true${options}`])
  if (spec?.type !== 'webhook') throw new Error('no webhook')
  return spec
}

async function hec(t: Test, url: string, options = '', ack = ACK): Promise<FindingReceiver> {
  const file = join(t.testdir({ token: 'secret\n' }), 'token')
  const sink = await openHecSink(hecSpec(url, `token-file=${encodeURIComponent(file)}${options}`), ack)
  t.teardown(() => sink.close())
  return sink
}

const findings = (count: number, changes: Partial<Finding> = {}): readonly Finding[] =>
  Array.from({ length: count }, (_, index) => findingOf({ fingerprint: fingerprintOf(index), ...changes }))

async function until(t: Test, what: string, isSo: () => boolean, timeoutMs = 60_000): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!isSo() && Date.now() < deadline) await sleep(5)
  t.ok(isSo(), what)
}

t.test('what --sink takes, and what it refuses with a word that names the option', async t => {
  t.match(compileSinks(['stdout', 'file:a%3f&+b', 'hec:https://h:8088?index=main&ack=true&timeout=5']), [
    { type: 'stdout', name: 'stdout', isDryRun: false, filter: { minSeverity: 'info', kinds: undefined } },
    { type: 'file', name: 'file', path: 'a%3f&+b' },
    { name: 'hec', index: 'main', isAcknowledged: true, timeoutMs: 5_000, sourcetype: 'sallyport:finding' },
  ])
  t.match(
    compileSinks([
      'kubernetes-events?min-severity=high&kinds=offensive-tool,image-drift&rate=30&name=ev',
      'policy-report',
    ]),
    [
      { name: 'ev', rate: 30, filter: { minSeverity: 'high', kinds: new Set(['offensive-tool', 'image-drift']) } },
      { name: 'policy-report', maxResults: 100, filter: { minSeverity: 'info', kinds: undefined } },
    ],
  )
  t.match(
    compileSinks([
      'stdout?min-severity=high&name=loud',
      'file:a?name=one',
      'file:b?c?name=two&dry-run=true',
      'file:d?e?',
    ]),
    [
      { type: 'stdout', name: 'loud', filter: { minSeverity: 'high' } },
      { path: 'a', name: 'one' },
      { path: 'b?c', name: 'two', isDryRun: true },
      { path: 'd?e', name: 'file' },
    ],
  )
  for (const [texts, word] of [
    [['nowhere'], /stdout, file:PATH/],
    [['file:'], /takes a path/],
    [['file'], /takes a path/],
    [['file:?name=x'], /takes a path/],
    [['file:a?b'], /b is no option; .* ends with another one/],
    [['file:a', 'file:b'], /two sinks are called file/],
    [['stdout:'], /question mark/],
    [['STDOUT'], /stdout, file:PATH/],
    [['hec'], /hec:https/],
    [['hec:ftp://h'], /hec:https/],
    [['hec:https://u:p@h'], /token-file/],
    [['hec:http://h'], /plain-http/],
    [['hec:https://h?tokenfile=x'], /tokenfile is no option; there are ack,/],
    [['hec:https://h?index='], /index is empty/],
    [['hec:https://h?index=a&index=b'], /index is given twice/],
    [['hec:https://h?ack=yes'], /ack takes true, false/],
    [['hec:https://h?timeout=0'], /timeout takes a number from 1/],
    [['webhook:https://h?format=xml'], /format takes falco, finding/],
    [['webhook:https://h?min-severity=worst'], /min-severity takes info/],
    [['webhook:https://h?kinds=offensive-tool,nonsense'], /kinds takes/],
    [['webhook:https://h?name=A b'], /name takes/],
    [['kubernetes-events:x'], /question mark/],
    [['webhook:https://a', 'webhook:https://b'], /two sinks are called webhook/],
  ] as const) {
    t.throws(() => compileSinks(texts), { code: 'USAGE', message: word }, texts.join(' '))
  }
  t.equal((await runCommand(['correlate', '--policy', 'x', '--source', '-', '--sink', 'hec'])).exitCode, 64)
  const needsCluster = ['correlate', '--policy', 'policies/starter.yaml', '--source', '-', '--sink', 'policy-report']
  t.match(await runCommand(needsCluster), { exitCode: 64, stderr: /needs --kubeconfig or --in-cluster/ })
  const noToken = ['--sink', 'hec:https://h?token-file=/nowhere']
  t.match(await runCommand([...needsCluster.slice(0, 5), ...noToken]), { exitCode: 78, stderr: /nowhere/ })
})

t.test('a collector gets gzipped batches with the fields of the risk framework beside our own', async t => {
  const indexed: CollectedEvent[] = []
  const server = await start(t, collector(indexed, { token: 'secret', indexes: ['security'] }))
  const sink = await hec(t, server.url, '&index=security&source=test')
  t.same(await sink.send(findings(3), never), { type: 'delivered', count: 3 })
  const [message] = server.messages
  t.equal(message?.path, '/services/collector/event')
  t.equal(message?.headers['content-encoding'], 'gzip')
  t.ok((message?.packedBytes ?? 0) < (message?.body.length ?? 0) / 2)
  t.match(indexed[0], {
    time: 1795303805.5,
    host: 'node-1',
    source: 'test',
    sourcetype: 'sallyport:finding',
    index: 'security',
    event: {
      kind: 'non-allowlisted-image',
      pod_image_name: 'docker.io/library/redis:7',
      firstTime: 1795303325.25,
      lastTime: 1795303805.5,
      risk_object: 'web-1',
      risk_object_type: 'system',
      risk_score: 20,
      threat_object: 'sh',
      threat_object_type: 'process_name',
      'annotations.mitre_attack': ['T1204.003', 'T1610'],
      delivery_id: /^[0-9a-f]{32}$/,
    },
  })
  const hostile = findingOf({ process: '\u202e\u0085\n{"index":"other"}', node_name: 'a"\n{}' })
  t.equal((await sink.send([hostile], never)).type, 'delivered')
  t.equal(indexed.length, 4)
  t.equal(indexed[3]?.event['process'], hostile.process, 'the same value, and still one line')
  t.notMatch(server.messages[1]?.body, /[\u0085\u202e]/)
})

t.test('a batch is at most a megabyte, and the rest is sent another time', async t => {
  const indexed: CollectedEvent[] = []
  const server = await start(t, collector(indexed, { token: 'secret' }))
  const sink = await hec(t, server.url)
  const large = findings(1_000, { process: 'x'.repeat(1_024), samples: { processes: ['y'.repeat(4_000)], pods: [] } })
  const outcome = await sink.send(large, never)
  t.equal(outcome.type, 'delivered')
  const count = outcome.type === 'delivered' ? (outcome.count ?? 0) : 0
  t.ok(count > 50 && count < 1_000, String(count))
  t.equal(indexed.length, count)
  t.ok(Buffer.byteLength(server.messages[0]?.body ?? '') <= 1_000_000)
  const one = findingOf({ samples: { processes: ['z'.repeat(2_000_000)], pods: [] } })
  t.same(await sink.send([one, ...large], never), { type: 'delivered', count: 1 }, 'one that is larger goes alone')
})

t.test('each documented code of a collector has its own consequence', async t => {
  const classes: Readonly<Record<string, string>> = {
    '0:200': 'delivered',
    '1:403': 'refused',
    '2:401': 'refused',
    '3:401': 'refused',
    '4:403': 'refused',
    '5:400': 'rejected',
    '6:400': 'rejected',
    '7:400': 'refused',
    '8:500': 'retry',
    '9:503': 'retry',
    '10:400': 'refused',
    '11:400': 'retry channel',
    '12:400': 'rejected',
    '13:400': 'rejected',
    '14:400': 'refused',
    '15:400': 'rejected',
    '16:400': 'refused',
    '17:200': 'refused',
    '18:503': 'retry',
    '19:503': 'retry',
    '20:503': 'retry',
    '21:400': 'refused',
    '22:400': 'refused',
    '23:503': 'retry',
    '24:200': 'delivered rest',
    '25:200': 'delivered rest',
    '26:429': 'retry',
    '27:429': 'retry channel',
    // No code of that name: by the status alone.
    '99:400': 'rejected',
    '99:503': 'retry',
    '99:401': 'refused',
    '99:200': 'refused',
    '0:503': 'retry',
  }
  for (const [key, expected] of Object.entries(classes)) {
    const [code, status] = key.split(':').map(Number)
    const text = JSON.stringify({ text: 'what it says', code })
    const { outcome, isChannelSpent } = decodeHecAnswer({ status: status ?? 0, text, retryAfterMs: undefined })
    const rest = 'restMs' in outcome ? ' rest' : ''
    t.equal(`${outcome.type}${isChannelSpent ? ' channel' : ''}${rest}`, expected, key)
    if ('problem' in outcome) t.match(outcome.problem, /what it says|not as an HTTP/, key)
  }
  for (const [status, text, expected] of [
    [200, '<html>please log in</html>', 'refused'],
    [200, '', 'refused'],
    [200, '[]', 'refused'],
    [200, '{"code":"0"}', 'refused'],
    [302, '', 'refused'],
    [404, 'no', 'refused'],
    [413, '<html>', 'rejected'],
    [502, '\u001b[31m', 'retry'],
  ] as const) {
    const { outcome } = decodeHecAnswer({ status, text, retryAfterMs: undefined })
    t.equal(outcome.type, expected, `${status} ${text}`)
    t.notMatch(JSON.stringify(outcome), /\\u001b/)
  }
})

t.test('with acknowledgement a batch is delivered when it is indexed, and not before', async t => {
  const indexed: CollectedEvent[] = []
  const server = await start(t, collector(indexed, { token: 'secret', acknowledgesAfter: 3 }))
  const sink = await hec(t, server.url, '&ack=true')
  t.same(await sink.send(findings(2), never), { type: 'delivered', count: 2 })
  t.equal(indexed.length, 2)
  t.equal(server.messages.length, 1 + 4)
  const channels = new Set(server.messages.map(({ headers }) => headers['x-splunk-request-channel']))
  t.equal(channels.size, 1)
  t.match([...channels][0], /^[0-9a-f-]{36}$/)

  server.behaviour = collector(indexed, { token: 'secret', acknowledgesAfter: 1_000_000 })
  const hasty = await hec(t, server.url, '&ack=true', { ...ACK, deadlineMs: 300 })
  t.match(await hasty.send(findings(1), never), { type: 'retry', problem: /acknowledged nothing/ })
  server.behaviour = collector(indexed, { token: 'secret' })
  t.match(await sink.send(findings(1), never), { type: 'refused', problem: /leave ack=true out/ })
  const without = await hec(t, server.url)
  server.behaviour = collector(indexed, { token: 'secret', acknowledgesAfter: 1 })
  t.match(await without.send(findings(1), never), { type: 'refused', problem: /add ack=true/ })
  server.behaviour = response => answer(response, 429, { text: 'at capacity', code: 27 })
  const spent = server.messages.length
  t.match(await sink.send(findings(1), never), { type: 'retry' })
  server.behaviour = collector(indexed, { token: 'secret', acknowledgesAfter: 0 })
  t.equal((await sink.send(findings(1), never)).type, 'delivered')
  const [before, after] = server.messages.slice(spent).map(({ headers }) => headers['x-splunk-request-channel'])
  t.not(before, after, 'another channel')
})

t.test('a token is read anew at each message, and a bad one never becomes a header', async t => {
  const indexed: CollectedEvent[] = []
  const server = await start(t, collector(indexed, { token: 'second' }))
  const file = join(t.testdir({ token: 'first' }), 'token')
  const sink = await openHecSink(hecSpec(server.url, `token-file=${encodeURIComponent(file)}`))
  t.match(await sink.send(findings(1), never), { type: 'refused', problem: /not known/ })
  writeFileSync(file, 'second\n')
  t.equal((await sink.send(findings(1), never)).type, 'delivered')
  writeFileSync(file, 'a\r\nx-injected: b')
  t.match(await sink.send(findings(1), never), { type: 'refused', problem: /one word/ })
  writeFileSync(file, '')
  t.equal((await sink.send(findings(1), never)).type, 'refused')
  t.equal(server.messages.length, 2)
  sink.close()
})

t.test('what a receiver does to a message decides what becomes of it', async t => {
  const server = await start(t, response => answer(response, 200, ''))
  const spec = webhookSpec(`${server.url}/hook`)
  const sink = await openWebhookSink({ ...spec, timeoutMs: 60_000 })
  const hasty = await openWebhookSink({ ...spec, timeoutMs: 400 })
  t.teardown(() => sink.close())
  t.teardown(() => hasty.close())
  const noAnswer = { type: 'retry', problem: /no answer within/ }
  const cases: readonly (readonly [string, Behaviour, Partial<SendOutcome> | object])[] = [
    ['200', response => answer(response, 200, 'ok'), { type: 'delivered' }],
    ['204', response => answer(response, 204, ''), { type: 'delivered' }],
    ['301', response => answer(response, 301, '', { location: 'http://evil.example' }), { type: 'refused' }],
    ['400', response => answer(response, 400, { error: 'no' }), { type: 'rejected' }],
    ['401', response => answer(response, 401, ''), { type: 'refused' }],
    ['403', response => answer(response, 403, ''), { type: 'refused' }],
    ['404', response => answer(response, 404, ''), { type: 'refused' }],
    ['413', response => answer(response, 413, ''), { type: 'rejected' }],
    ['429', response => answer(response, 429, '', { 'retry-after': '7' }), { type: 'retry', retryAfterMs: 7_000 }],
    [
      '429 until a date',
      response => answer(response, 429, '', { 'retry-after': new Date(Date.now() + 90_000).toUTCString() }),
      { type: 'retry' },
    ],
    ['500', response => answer(response, 500, 'x'.repeat(100_000)), { type: 'retry' }],
    [
      '503',
      response => answer(response, 503, '', { 'retry-after': 'soon' }),
      { type: 'retry', retryAfterMs: undefined },
    ],
    ['no answer', () => undefined, noAnswer],
    ['a reset', response => response.destroy(), { type: 'retry' }],
    [
      'a reset in the middle of the answer',
      response => {
        response.writeHead(200, { 'content-length': '100' }).write('{"te')
        setImmediate(() => response.destroy())
      },
      { type: 'retry' },
    ],
    [
      'an answer that comes drop by drop',
      response => {
        response.writeHead(200)
        const timer = setInterval(() => response.write('.'), 20)
        response.on('close', () => clearInterval(timer))
      },
      noAnswer,
    ],
    ['no HTTP', response => response.socket?.end('hello\r\n\r\n'), { type: 'retry' }],
  ]
  for (const [title, behaviour, expected] of cases) {
    server.behaviour = behaviour
    t.match(await (expected === noAnswer ? hasty : sink).send([findingOf()], never), expected, title)
  }
  server.behaviour = endless
  t.equal((await sink.send([findingOf()], never)).type, 'delivered', 'of an endless answer only the beginning is read')
  await server.stop()
  t.match(await sink.send([findingOf()], never), { type: 'retry' })
  await server.start()
  server.behaviour = response => answer(response, 200, '')
  t.match(await sink.send([findingOf()], never), { type: 'delivered' })
})

const endless: Behaviour = response => {
  response.writeHead(200)
  const write = (): void => {
    if (!response.destroyed) response.write('x'.repeat(10_000), () => setImmediate(write))
  }
  write()
}

t.test('over TLS the CA decides whom findings are given to, also when it is renewed', async t => {
  const names = { dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'], now: Date.now() }
  const [right, wrong] = await Promise.all([createCertificates(names), createCertificates(names)])
  const server = await start(t, response => answer(response, 200, ''), {
    tls: { cert: right.certificate, key: right.key },
  })
  const file = join(t.testdir({ ca: wrong.caCertificate }), 'ca')
  const sink = await openWebhookSink(webhookSpec(server.url, `&ca-file=${encodeURIComponent(file)}`))
  t.teardown(() => sink.close())
  t.match(await sink.send([findingOf()], never), { type: 'refused', problem: /certificate/ })
  writeFileSync(file, right.caCertificate)
  await sink.send([findingOf()], never)
  t.match(await sink.send([findingOf()], never), { type: 'delivered' })
  const system = await openWebhookSink(webhookSpec(server.url))
  t.match(await system.send([findingOf()], never), { type: 'refused' }, 'an unknown CA is nobody')
  system.close()
  t.equal(server.messages.length, 1)
})

t.test('a CA file that is gone for a moment makes nobody trusted, not even a public CA', async t => {
  const names = { dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'], now: Date.now() }
  const { caCertificate, certificate: cert, key } = await createCertificates(names)
  const server = await start(t, response => answer(response, 200, ''), { tls: { cert, key } })
  const folder = t.testdir({
    // To this process the receiver's CA is one of the public ones.
    public: caCertificate,
    empty: '',
    'try.mts': `
      import { openWebhookSink } from ${JSON.stringify(new URL('../../src/adapters/sink-webhook.ts', import.meta.url))}
      import { compileSinks } from ${JSON.stringify(new URL('../../src/adapters/sink-spec.ts', import.meta.url))}
      for (const options of ['', '?ca-file=' + encodeURIComponent(process.argv[2])]) {
        const [spec] = compileSinks(['webhook:${server.url}' + options])
        const sink = await openWebhookSink(spec)
        const { type } = await sink.send([${JSON.stringify(findingOf())}], new AbortController().signal)
        console.log(type)
        sink.close()
      }`,
  })
  const child = spawn(process.execPath, ['--import', 'tsx', join(folder, 'try.mts'), join(folder, 'empty')], {
    env: { ...process.env, NODE_EXTRA_CA_CERTS: join(folder, 'public') },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.equal(await text(child.stdout), 'delivered\nrefused\n')
})

t.test('a webhook gets what falcosidekick reads, or the finding itself', async t => {
  const server = await start(t, response => answer(response, 200, ''))
  const folder = t.testdir({ token: 'abc' })
  const token = `&token-file=${encodeURIComponent(join(folder, 'token'))}`
  const sink = await openWebhookSink(webhookSpec(`${server.url}/hook`, token))
  t.teardown(() => sink.close())
  await sink.send([findingOf({ process: 'a\u001b[31m' })], never)
  const [message] = server.messages
  t.match(message, { path: '/hook', headers: { authorization: 'Bearer abc', 'content-type': 'application/json' } })
  const alert = JSON.parse(message?.body ?? '')
  t.match(alert, {
    uuid: /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/,
    output: findingOf().title,
    priority: 'Warning',
    rule: 'sallyport non-allowlisted-image',
    time: '2026-11-21T23:30:05.500Z',
    source: 'sallyport',
    hostname: 'node-1',
    tags: ['non-allowlisted-image', 'not-allowed', 'open', 'T1204.003', 'T1610'],
    output_fields: {
      'k8s.ns.name': 'team-a',
      'k8s.pod.name': 'web-1',
      'sallyport.count': 3,
      'proc.cmdline': 'a\\u{1b}[31m',
    },
  })
  for (const value of Object.values(alert.output_fields)) t.ok(['string', 'number'].includes(typeof value))
  t.equal(JSON.parse(encodeWebhook(findingOf({ status: 'resolved' }), { format: 'falco' })).priority, 'Informational')
  t.equal(JSON.parse(encodeWebhook(findingOf({ severity: 'high' }), { format: 'falco' })).priority, 'Critical')
  const plain = JSON.parse(encodeWebhook(findingOf(), { format: 'finding' }))
  t.match(plain, { fingerprint: findingOf().fingerprint, delivery_id: message?.headers['x-sallyport-delivery'] })
})

t.test('dead letters are whole lines in a file that stays within its bounds', async t => {
  const problems: string[] = []
  const folder = t.testdir()
  const path = join(folder, 'dead.ndjson')
  const letters = createDeadLetterFile(path, { onProblem: problem => problems.push(problem), maxBytes: 10_000 })
  writeFileSync(path, 'a part of a li')
  const one = {
    at: Date.parse('2026-11-22T00:00:00Z'),
    sink: 's',
    reason: 'overflow',
    problem: 'p',
    finding: findingOf(),
  } as const
  t.equal(letters.write([one]), true)
  t.match(readFileSync(path, 'utf8'), /^a part of a li\n\{.*\}\n$/, 'nothing is glued to a torn line')
  for (let count = 0; count < 40; count += 1) t.equal(letters.write([one]), true)
  for (const name of [path, `${path}.1`]) {
    t.ok(statSync(name).size <= 10_000)
    t.equal(statSync(name).mode & 0o077, 0)
    const lines = readFileSync(name, 'utf8')
      .trimEnd()
      .split('\n')
      .filter(line => line !== 'a part of a li')
      .map(line => JSON.parse(line))
    t.match(lines.at(-1), { time: '2026-11-22T00:00:00.000Z', sink: 's', reason: 'overflow', finding: { schema: 1 } })
  }
  const nowhere = createDeadLetterFile(join(folder, 'no', 'such'), { onProblem: problem => problems.push(problem) })
  t.equal(nowhere.write([one]), false)
  t.equal(nowhere.write([one]), false)
  t.equal(problems.length, 1)
})

const POLICY = `
apiVersion: sallyport.dev/v1
kind: ImagePolicy
metadata: { name: test }
spec: { allow: ['registry.corp.example/*'] }
`

t.test('kill -9 of the real program: each finding reaches a collector that is mostly away', async t => {
  const folder = t.testdir({ 'policy.yaml': POLICY, 'tetragon.log': '', token: 'secret' })
  const at = (name: string) => join(folder, name)
  const indexed: CollectedEvent[] = []
  const good = collector(indexed, { token: 'secret', acknowledgesAfter: 1 })
  const server = await start(t, good)
  const sink = `hec:${server.url}?plain-http=true&ack=true&token-file=${encodeURIComponent(at('token'))}`
  const argv = ['--policy', at('policy.yaml'), '--source', `file:${at('tetragon.log')}`, '--from-start']
  const all = ['correlate', ...argv, '--state', at('state'), '--sink', sink, '--sink', `file:${at('findings.jsonl')}`]
  const launch = () => spawn(process.execPath, ['--import', 'tsx', 'src/cli.ts', ...all], { stdio: 'ignore' })
  const WORKLOADS = 40
  let written = 0
  const write = (count: number): void => {
    for (const end = written + count; written < end; written += 1) {
      appendFileSync(
        at('tetragon.log'),
        `${lineOf(eventOf({ pod: podOf({ workload: `w${written % WORKLOADS}` }) }))}\n`,
      )
    }
  }
  const behaviours: readonly Behaviour[] = [
    (response, message) => (message.path.includes('/ack') ? response.destroy() : good(response, message)),
    response => answer(response, 503, { text: 'Server is busy', code: 9 }),
    () => undefined,
    good,
  ]
  for (const [index, behaviour] of behaviours.entries()) {
    server.behaviour = behaviour
    const before = server.messages.length
    const child = launch()
    const ended = new Promise(resolve => child.on('exit', resolve))
    write(10)
    await until(t, `run ${index}: it tries`, () => server.messages.length > before)
    if (index < behaviours.length - 1) {
      child.kill('SIGKILL')
      await ended
      write(10)
      continue
    }
    const owners = () => new Set(indexed.map(({ event }) => JSON.stringify(event['owner'])))
    await until(t, 'all of them are indexed', () => owners().size === WORKLOADS)
    child.kill('SIGTERM')
    await ended
  }
  const last = () => {
    const lines = readFileSync(at('findings.jsonl'), 'utf8').trimEnd().split('\n')
    return new Map(lines.map(line => JSON.parse(line) as Finding).map(line => [line.fingerprint, line.emission]))
  }
  const missing = () => {
    const ids = new Set(indexed.map(({ event }) => `${event['fingerprint']} ${event['emission']}`))
    return [...last()].map(([fingerprint, emission]) => `${fingerprint} ${emission}`).filter(id => !ids.has(id))
  }
  // The end of a run waits for seconds; what a slow machine leaves then, the next run sends.
  if (missing().length > 0) {
    const child = launch()
    const ended = new Promise(resolve => child.on('exit', resolve))
    await until(t, 'the rest is indexed', () => missing().length === 0)
    child.kill('SIGTERM')
    await ended
  }
  t.equal(last().size, WORKLOADS)
  t.same(missing(), [])
  t.ok(
    server.messages.some(message => message.path.endsWith('/event') && eventsOf(message).length > 1),
    'in batches',
  )
})

t.test('the ops port of correlate tells of the source and the sinks, and the page is there until the end', async t => {
  const server = await start(t, response => answer(response, 401, ''))
  const folder = t.testdir({ 'policy.yaml': POLICY })
  const stop = new AbortController()
  const stdin = new PassThrough()
  const stderr = new PassThrough()
  let said = ''
  stderr.on('data', chunk => {
    said += String(chunk)
  })
  const argv = ['correlate', '--policy', join(folder, 'policy.yaml'), '--source', '-', '--ops', '127.0.0.1:0']
  const running = run([...argv, '--sink', `webhook:${server.url}?plain-http=true`], {
    stdin,
    stdout: new PassThrough(),
    stderr,
    setExitCode: () => undefined,
    version: '0.0.0-test',
    now: () => Date.now(),
    signal: stop.signal,
  })
  await until(t, 'it listens', () => /listens on \S+:\d+\n/.test(said))
  const address = /listens on (\S+:\d+)\n/.exec(said)?.[1]
  const get = async (path: string) => fetch(`http://${address}${path}`)
  stdin.write(`${lineOf(eventOf())}\n`)
  let page = ''
  for (let tries = 0; tries < 2_000 && !page.includes('sallyport_sink_paused{sink="webhook"} 1'); tries += 1) {
    page = await (await get('/metrics')).text()
    await sleep(5)
  }
  t.match(page, 'sallyport_sink_paused{sink="webhook"} 1\n')
  t.match(page, 'sallyport_sink_queued{sink="webhook"} 1\n')
  t.match(page, 'sallyport_findings_total{kind="non-allowlisted-image",')
  t.equal((await get('/readyz')).status, 200)
  t.equal((await get('/livez')).status, 200)
  stdin.end()
  await running
  t.match(said, /sink webhook: takes no findings until something is changed: it answered 401/)
  t.match(said, /sink webhook: 1 findings were not delivered, and are lost/)
  await t.rejects(get('/livez'))
})

t.test('a dry run shows what would be sent, and sends nothing', async t => {
  const server = await start(t, response => answer(response, 200, ''))
  const folder = t.testdir({ 'policy.yaml': POLICY })
  const options = ['correlate', '--policy', join(folder, 'policy.yaml'), '--source', '-']
  const file = join(folder, 'findings.jsonl')
  const http = [`webhook:${server.url}?plain-http=true&dry-run=true`, 'hec:https://h.example?dry-run=true']
  const sinks = [...http, 'stdout?dry-run=true', `file:${file}?dry-run=true`]
  const stdin = `${lineOf(eventOf())}\n`
  const { exitCode, stdout, stderr } = await runCommand([...options, '--sink', ...sinks], { stdin })
  t.equal(exitCode, 0)
  t.equal(stdout, '')
  t.notOk(existsSync(file))
  t.match(stderr, /sink stdout would send \{"schema"/)
  t.match(stderr, /sink file would send \{"schema"/)
  t.match(stderr, /sink webhook would send \{"uuid"/)
  t.match(stderr, /sink hec would send \{"time"/)
  t.equal(server.messages.length, 0)
})
