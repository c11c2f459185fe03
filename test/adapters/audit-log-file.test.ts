import { appendFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { decodeAuditEvent } from '../../src/adapters/audit-event.js'
import { followAuditLog, loadAuditLogs } from '../../src/adapters/audit-log-file.js'
import { assertProperty, fc } from '../support/properties.js'
import { settledHeap } from '../support/settled-heap.js'

const RECORDED = 'test/fixtures/admission/audit-kube-1.20.2.jsonl'
const AT = '2026-11-21T23:21:55.734548Z'

const reading = (stdin = Readable.from([])) => ({ stdin, signal: new AbortController().signal })
let sequence = 0

function eventOf(changes: object = {}, ref: object = {}): object {
  sequence += 1
  return {
    kind: 'Event',
    apiVersion: 'audit.k8s.io/v1',
    level: 'Metadata',
    auditID: `audit-${sequence}`,
    stage: 'ResponseComplete',
    requestURI: '/api/v1/namespaces/team-a/pods',
    verb: 'create',
    user: { username: 'jane' },
    userAgent: 'kubectl/v1.32.4',
    objectRef: { resource: 'pods', namespace: 'team-a', name: 'web-1', apiVersion: 'v1', ...ref },
    responseStatus: { metadata: {}, code: 201 },
    requestReceivedTimestamp: AT,
    stageTimestamp: AT,
    ...changes,
  }
}

const textOf = (...events: readonly object[]) => events.map(event => `${JSON.stringify(event)}\n`).join('')
const loadText = (text: string, maxRequests?: number) =>
  loadAuditLogs(['-'], {
    ...reading(Readable.from([Buffer.from(text)])),
    ...(maxRequests === undefined ? {} : { maxRequests }),
  })
const pod = (name: string, uid?: string) => ({ namespace: 'team-a', name, uid })

t.test('the log of a real API server, plain, gzipped and twice', async t => {
  const gzipped = join(t.testdir({ 'audit.log.gz': gzipSync(readFileSync(RECORDED)) }), 'audit.log.gz')
  for (const paths of [[RECORDED], [gzipped], [gzipped, RECORDED]]) {
    const log = await loadAuditLogs(paths, reading())
    t.equal(log.stats.requests, 23)
    t.equal(log.stats.unreadable, 0)
    const requests = log.requestsOf({ namespace: 'app1', name: 'p2', uid: undefined })
    t.match(requests, [
      { verb: 'create', user: 'admin', responseCode: 201, dryRun: false },
      { verb: 'patch', responseCode: 403 },
      { verb: 'patch', responseCode: 200 },
    ])
    t.match(log.requestsOf({ namespace: 'app1', name: 'p4', uid: undefined }), [{ dryRun: true }])
    const { spans, forgotten } = log.coverage()
    t.equal(forgotten, 0)
    t.match(spans[0], { from: Date.parse('2026-11-21T23:21:55.752Z') })
    const unnamed = log.unnamedCreations('app1', 0, spans.at(-1)?.to ?? 0)
    t.equal(unnamed.length, 2, 'of those with a generated name, the ones that were let in')
    t.match(unnamed[0]?.user, /replicaset-controller$/)
  }
})

t.test('only what can change what a pod runs is kept', async t => {
  const kept = async (event: object) => (await loadText(textOf(event))).stats.requests === 1
  t.ok(await kept(eventOf()))
  t.ok(await kept(eventOf({ verb: 'patch' })))
  t.ok(await kept(eventOf({ verb: 'update' }, { subresource: 'ephemeralcontainers' })))
  t.ok(await kept(eventOf({ stage: 'Panic' })))
  const cases: readonly (readonly [string, object, object?])[] = [
    ['a read', { verb: 'get' }],
    ['a removal', { verb: 'delete' }],
    ['a status', { verb: 'patch' }, { subresource: 'status' }],
    ['a binding', {}, { subresource: 'binding' }],
    ['an exec', {}, { subresource: 'exec' }],
    ['pods of metrics', {}, { apiGroup: 'metrics.k8s.io' }],
    ['something else', {}, { resource: 'services' }],
    ['the beginning of a request', { stage: 'RequestReceived' }],
  ]
  for (const [title, changes, ref] of cases) t.notOk(await kept(eventOf(changes, ref)), title)
})

t.test('a request tells who, what the webhook said, and which webhooks were passed over', async t => {
  const annotations = {
    'authorization.k8s.io/decision': 'allow',
    'images.sallyport.dev/decision': 'warn',
    'images.sallyport.dev/mode': 'warn',
    'images.sallyport.dev/policy': 'production@8f3c2a1',
    'images.sallyport.dev/record': 'rec-1',
    'images.sallyport.dev/violations': '{"images":[],"more":0}',
    'other.example/record': 'of another webhook',
    'failed-open.validating.webhook.admission.k8s.io/round_0_index_1': 'slow.example',
  }
  const impersonatedUser = { username: 'system:admin' }
  const responseObject = { metadata: { name: 'web-x7k2p', uid: 'uid-1' } }
  const log = await loadText(textOf(eventOf({ annotations, impersonatedUser, responseObject }, { name: undefined })))
  t.match(log.requestsOf(pod('web-x7k2p', 'uid-1')), [
    {
      uid: 'uid-1',
      name: 'web-x7k2p',
      user: 'system:admin',
      decisions: [
        {
          webhook: 'images.sallyport.dev',
          decision: 'warn',
          mode: 'warn',
          policy: 'production@8f3c2a1',
          recordId: 'rec-1',
          exceptions: undefined,
        },
      ],
      failedOpen: ['slow.example'],
    },
  ])
  t.equal(log.requestOfRecord('rec-1')?.uid, 'uid-1')
  t.equal(log.requestOfRecord('rec-2'), undefined)
  t.same(log.unnamedCreations('team-a', 0, Number.MAX_SAFE_INTEGER), [], 'its answer names it')
})

t.test('a pod is not taken for another one of its name, where uids are known', async t => {
  const log = await loadText(
    textOf(
      eventOf({}, { uid: 'uid-1' }),
      eventOf({ verb: 'patch' }),
      eventOf({}, { uid: 'uid-2' }),
      eventOf({}, { name: 'web-2' }),
    ),
  )
  t.same(
    log.requestsOf(pod('web-1', 'uid-1')).map(({ verb }) => verb),
    ['create', 'patch'],
  )
  t.equal(log.requestsOf(pod('web-1')).length, 3)
  t.equal(log.requestsOf(pod('web-3', 'uid-1')).length, 1)
})

t.test('bad lines are counted; a file without any event is refused by its name', async t => {
  const { stats, coverage } = await loadText(
    `no json\n{"apiVersion":"audit.k8s.io/v1","a":"pods"}\n\n${textOf(eventOf())}{"audit.k8s.io/`,
  )
  t.match(stats, { lines: 4, requests: 1, unreadable: 2 })
  t.same(coverage().spans, [{ from: Date.parse(AT), to: Date.parse(AT) }])
  const dir = t.testdir({ 'x.log': 'hello\n', empty: '' })
  await t.rejects(loadAuditLogs([join(dir, 'x.log')], reading()), {
    code: 'FILE_UNREADABLE',
    message: /x\.log is no audit log/,
  })
  await t.rejects(loadAuditLogs([join(dir, 'none')], reading()), { code: 'FILE_UNREADABLE' })
  t.same((await loadAuditLogs([join(dir, 'empty')], reading())).coverage(), { spans: [], forgotten: 0 })
})

t.test('whatever a line holds, decoding does not throw', async t => {
  const property = fc.property(fc.jsonValue(), fc.jsonValue(), fc.jsonValue(), (user, annotations, objectRef) => {
    const odd = {
      ...eventOf(),
      user,
      annotations,
      responseObject: annotations,
      objectRef: typeof objectRef === 'object' ? { ...objectRef, resource: 'pods' } : objectRef,
    }
    return decodeAuditEvent(Buffer.from(JSON.stringify(odd))).type !== undefined
  })
  t.doesNotThrow(() => assertProperty(property))
})

const FIRST = Date.parse('2026-11-21T23:00:00Z')
const second = (number: number) => FIRST + number * 1_000
/** A request that was received, and answered, in that second; or an answer of a watch that began long before. */
const inSecond = (number: number, changes: object = {}) => {
  const time = new Date(second(number)).toISOString()
  return eventOf({ requestReceivedTimestamp: time, stageTimestamp: time, ...changes }, { name: `web-${number}` })
}
const watchEndedIn = (number: number) => ({
  ...inSecond(number, { verb: 'watch', requestReceivedTimestamp: '2026-11-21T22:00:00Z' }),
  objectRef: { resource: 'services' },
})

t.test('the log tells everything of the time between gaps, and of no other', async t => {
  const bad = 'torn\n'
  const cases: readonly (readonly [title: string, text: string, spans: readonly (readonly [number, number])[]])[] = [
    ['one stretch', textOf(inSecond(1), inSecond(2), inSecond(9)), [[1, 9]]],
    ['a watch that began before it', textOf(watchEndedIn(1), inSecond(2)), [[1, 2]]],
    [
      'a line that cannot be read',
      `${textOf(inSecond(1), inSecond(2))}${bad}${textOf(inSecond(4), inSecond(5))}`,
      [
        [1, 2],
        [4, 5],
      ],
    ],
    ['an unreadable end', `${textOf(inSecond(1))}${bad}`, [[1, 1]]],
  ]
  for (const [title, text, spans] of cases) {
    const expected = spans.map(([from, to]) => ({ from: second(from), to: second(to) }))
    t.same((await loadText(text)).coverage().spans, expected, title)
  }
  const dir = t.testdir({ '1.log': textOf(inSecond(1), inSecond(3)), '2.log': textOf(inSecond(7), inSecond(8)) })
  const both = await loadAuditLogs([join(dir, '2.log'), join(dir, '1.log')], reading())
  t.same(
    both.coverage().spans.map(({ from }) => from),
    [second(1), second(7)],
    'what lies between two files is not known',
  )
})

t.test('of what was forgotten nothing is told', async t => {
  const log = await loadText(textOf(...[1, 2, 3, 4, 5].map(number => inSecond(number))), 2)
  t.same(log.coverage(), { spans: [{ from: second(3) + 1, to: second(5) }], forgotten: 3 })
  const none = await loadText(textOf(inSecond(5), inSecond(4), inSecond(3)), 1)
  t.same(none.coverage().spans, [], 'requests may end in another order than they were received in')
})

t.test('memory is bounded: the oldest requests are forgotten, and counted', async t => {
  const violations = 'v'.repeat(4_000)
  const annotations = { 'x/decision': 'warn', 'x/mode': 'warn', 'x/record': 'r', 'x/violations': violations }
  const lines = function* (count: number): Generator<Buffer> {
    for (let index = 0; index < count; index += 1) {
      yield Buffer.from(
        textOf(eventOf({ annotations: { ...annotations, 'x/record': `r-${index}` } }, { name: `web-${index}` })),
      )
    }
  }
  const before = settledHeap()
  const log = await loadAuditLogs(['-'], { ...reading(Readable.from(lines(5_000))), maxRequests: 100 })
  const grown = settledHeap() - before
  t.equal(log.coverage().forgotten, 4_900)
  t.equal(log.requestsOf(pod('web-0')).length, 0)
  t.equal(log.requestOfRecord('r-0'), undefined)
  t.equal(log.requestsOf(pod('web-4999')).length, 1)
  t.ok(grown < 4 * 1024 * 1024, `${Math.round(grown / 1024)} KiB more`)
})

t.test('a live log is read from its beginning and followed through its rotation', async t => {
  const path = join(t.testdir({ 'audit.log': textOf(eventOf({}, { name: 'a' })) }), 'audit.log')
  const stop = new AbortController()
  const log = followAuditLog(path, { now: Date.now, signal: stop.signal })
  await log.whenCaughtUp()
  t.equal(log.requestsOf(pod('a')).length, 1)
  appendFileSync(path, textOf(eventOf({}, { name: 'b' })))
  renameSync(path, path.replace('.log', '-2026-11-21T23-22-00.000.log'))
  writeFileSync(path, textOf(eventOf({}, { name: 'c' })))
  const deadline = Date.now() + 60_000
  while (log.stats.requests < 3 && Date.now() < deadline) await sleep(5)
  t.equal(log.requestsOf(pod('b')).length, 1)
  t.equal(log.requestsOf(pod('c')).length, 1)
  stop.abort()
  await log.done
})
