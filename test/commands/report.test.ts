/** `sallyport report`: what is counted, by what it is grouped, what is left out, and that both sources agree. */

import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:https'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { createCertificates } from '../../src/adapters/certificates.js'
import { loadPolicy } from '../../src/adapters/policy-files.js'
import { type RecordedReview, sendReview } from '../../src/commands/demo-review.js'
import { startWebhook } from '../../src/commands/start-webhook.js'
import type { DecisionRecord } from '../../src/webhook/decision-record.js'
import {
  DECISION_RECORD_KEYS,
  decodeDecisionRecord,
  RECORDED_IMAGE_KEYS,
} from '../../src/webhook/decode-decision-record.js'
import { RecentKeys } from '../../src/webhook/recent-keys.js'
import { createViolationReporter, DEFAULT_LIMITS, type ViolationReport } from '../../src/webhook/violation-report.js'
import { decisionRecordOf, ndjson, RECORDED_AT, recordedImageOf } from '../support/decision-records.js'
import { assertProperty, fc } from '../support/properties.js'
import { runCommand } from '../support/run-command.js'

const HOUR_MS = 3_600_000
const NOW = RECORDED_AT + 24 * HOUR_MS

async function reportOf(records: readonly object[], ...argv: string[]) {
  const result = await runCommand(['report', '-o', 'json', ...argv, '-'], { stdin: ndjson(records), now: NOW })
  t.equal(result.exitCode, 0, result.stderr)
  return JSON.parse(result.stdout)
}

/** `result objects/reviews namespace owner image reason` of each row. */
function briefly(report: ViolationReport): readonly string[] {
  return report.rows.map(
    ({ result, objects, reviews, namespace, owner: { kind, name }, image, reason }) =>
      `${result} ${objects}/${reviews} ${namespace} ${kind}/${name} ${image} ${reason}`,
  )
}

const at = (ms: number) => new Date(RECORDED_AT + ms).toISOString()
const denied = { action: 'deny', mode: 'enforce', allowed: false } as const
const redis = 'docker.io/library/redis:7 not-allowed'

t.test('each image gets one result', async t => {
  const pod = { topOwner: null, generateName: null, name: 'p' }
  const excepted = recordedImageOf({ outcome: 'excepted', reason: 'exception', exception: 'EX-1', entry: 'EX-1' })
  const fine = recordedImageOf({ outcome: 'allowed', reason: 'allow-entry', entry: 'x' })
  const before = recordedImageOf({ changed: false })
  const table: readonly (readonly [string, Partial<DecisionRecord>, readonly string[]])[] = [
    ['admitted in warn mode', {}, ['would-deny not-allowed']],
    ['admitted in audit mode', { mode: 'audit', action: 'audit' }, ['would-deny not-allowed']],
    ['refused', denied, ['denied not-allowed']],
    ['allowed', { action: 'admit', images: [fine] }, []],
    ['excepted', { action: 'admit', images: [excepted] }, ['excepted exception']],
    ['excepted, but refused for another', { ...denied, images: [excepted, recordedImageOf()] }, ['denied not-allowed']],
    ['excepted, and unchanged', { operation: 'UPDATE', images: [{ ...excepted, changed: false }] }, []],
    ['unchanged', { operation: 'UPDATE', images: [before] }, ['carried not-allowed']],
    ['unchanged, but refused for another', { ...denied, operation: 'UPDATE', images: [before] }, []],
    ['a mirror pod', { mode: 'enforce', waived: 'mirror-pod' }, ['waived not-allowed']],
    ['an unreadable object', { images: [], unreadable: 'why' }, ['would-deny object-unreadable']],
    ['an unreadable object, refused', { ...denied, images: [], unreadable: 'why' }, ['denied object-unreadable']],
    [
      'an unreadable image',
      { images: [recordedImageOf({ image: null, reason: 'image-unreadable' })] },
      ['would-deny image-unreadable'],
    ],
    [
      'one image in two containers',
      { images: [recordedImageOf(), recordedImageOf({ container: 'b' })] },
      ['would-deny not-allowed'],
    ],
    ['a dry run', { dryRun: true }, []],
  ]
  for (const [title, changes, expected] of table) {
    const report = await reportOf([decisionRecordOf({ ...pod, ...changes })])
    const rows = report.rows.map((row: Record<string, string>) => `${row['result']} ${row['reason']}`)
    t.strictSame(rows, expected, title)
    t.equal(report.objects, changes.dryRun === true ? 0 : 1, title)
    t.equal(report.dryRuns, changes.dryRun === true ? 1 : 0)
  }
})

t.test('objects are counted, not reviews: a denied one through its owner, an admitted one through its uid', async t => {
  const attempt = (second: number) =>
    decisionRecordOf({ ...denied, time: at(second * 1000), objectUid: `u${second}`, name: `web-5d9c7-${second}` })
  const bare = { topOwner: null, generateName: null, objectUid: null }
  const report = await reportOf([
    ...[0, 1, 3, 8, 5_000].map(attempt),
    decisionRecordOf({ objectUid: 'a' }),
    decisionRecordOf({ objectUid: 'a' }),
    decisionRecordOf({ objectUid: 'b' }),
    decisionRecordOf({ ...denied, ...bare, name: 'one' }),
    decisionRecordOf({ ...denied, ...bare, name: 'one' }),
    decisionRecordOf({ ...denied, ...bare, name: null, generateName: 'job-' }),
    decisionRecordOf({ ...denied, ...bare, name: null, generateName: 'job-', namespace: 'team-b' }),
  ])
  t.strictSame(briefly(report), [
    `would-deny 2/3 team-a ReplicaSet/web-5d9c7 ${redis}`,
    `denied 1/5 team-a ReplicaSet/web-5d9c7 ${redis}`,
    `denied 1/2 team-a Pod/one ${redis}`,
    `denied 1/1 team-b Pod/job-* ${redis}`,
    `denied 1/1 team-a Pod/job-* ${redis}`,
  ])
  t.match(report.rows[1], { firstSeen: at(0), lastSeen: at(5_000_000) })
  t.match(report, {
    objects: 6,
    reviews: 12,
    totals: { 'would-deny': { objects: 2, reviews: 3 }, denied: { objects: 4, reviews: 9 } },
    namespaces: [
      { namespace: 'team-a', objects: 5, results: { 'would-deny': 2, denied: 3 } },
      { namespace: 'team-b', objects: 1, mode: 'enforce' },
    ],
  })
})

t.test('a pod belongs to the workload at the top, once the ReplicaSet has told whose it is', async t => {
  const deployment = { kind: 'Deployment', name: 'web', uid: 'd' }
  const set = { kind: 'ReplicaSet', name: 'web-5d9c7', objectUid: 'rs-1', generateName: null, topOwner: deployment }
  const report = await reportOf([
    decisionRecordOf({ ...set, kind: 'Deployment', name: 'web', objectUid: 'd', topOwner: null }),
    decisionRecordOf(set),
    decisionRecordOf({ objectUid: 'p1' }),
    decisionRecordOf({ objectUid: 'p2', namespace: 'team-b' }),
  ])
  t.strictSame(briefly(report), [
    `would-deny 3/3 team-a Deployment/web ${redis}`,
    `would-deny 1/1 team-b ReplicaSet/web-5d9c7 ${redis}`,
  ])
})

t.test('who asked: five by name, and how many more', async t => {
  const users = ['a', 'b', 'a', '', 'c', 'd', 'e', 'f', 'g', 'f', 'a']
  const [row] = (await reportOf(users.map(user => decisionRecordOf({ user })))).rows
  t.strictSame([row.users, row.moreUsers], [['a', 'b', 'c', 'd', 'e'], 2])
})

t.test('--since, -n and --result choose', async t => {
  const records = [
    decisionRecordOf({ namespace: 'team-a', time: at(0) }),
    decisionRecordOf({ namespace: 'team-b', time: at(10 * HOUR_MS) }),
    decisionRecordOf({ namespace: 'shop', time: at(23 * HOUR_MS), ...denied }),
  ]
  const table: readonly (readonly [string, string])[] = [
    ['', 'team-b team-a shop'],
    ['--since 24h', 'team-b team-a shop'],
    ['--since 15h', 'team-b shop'],
    ['--since 90m', 'shop'],
    ['--since 2026-11-22T09:00:00Z', 'team-b shop'],
    ['-n team-*', 'team-b team-a'],
    ['-n team-a -n shop', 'team-a shop'],
    ['-n nobody', ''],
    ['--result denied', 'shop'],
    ['--result denied --result would-deny', 'team-b team-a shop'],
  ]
  for (const [argv, expected] of table) {
    const report = await reportOf(records, ...argv.split(' ').filter(word => word !== ''))
    const namespaces = report.rows.map((row: Record<string, string>) => row['namespace'])
    t.equal(namespaces.join(' '), expected, argv)
  }
})

t.test(
  'files, gzipped ones and standard input; lines that are no records are counted and the first is named',
  async t => {
    const line = ndjson([decisionRecordOf()])
    const newer = ndjson([{ ...decisionRecordOf(), schema: 2 }])
    const log = '{"level":"info","time":"2026-11-22T08:00:00Z","msg":"Listening"}\n'
    const directory = t.testdir({
      'plain.log': `${log}\n${line}${newer}`,
      'torn.log': line + line.slice(0, 100),
      packed: '',
      'strange.log': '{"a":1}\n',
      'empty.log': '',
      'only.log': log,
    })
    const path = (name: string) => join(directory, name)
    writeFileSync(path('packed'), gzipSync(line))
    const files = ['plain.log', 'torn.log', 'packed', 'empty.log', 'only.log'].map(path)
    const { stdout, stderr, exitCode } = await runCommand(['report', '-o', 'json', ...files, '-'], { stdin: line })
    t.equal(exitCode, 0)
    t.match(JSON.parse(stdout), {
      reviews: 4,
      input: {
        records: 4,
        logLines: 2,
        unreadable: 2,
        firstUnreadable: { source: path('plain.log'), line: 4, problem: /schema 2/ },
      },
    })
    t.match(stderr, `2 lines could not be read; the first is ${path('plain.log')}:4`)
    for (const argv of [[path('strange.log')], [path('none')], [directory], ['--journal', directory]]) {
      const refused = await runCommand(['report', ...argv])
      t.match(refused, { exitCode: 78, stdout: '' }, argv.join(' '))
    }
    for (const argv of [
      [],
      ['--journal', directory, path('packed')],
      ['-', '-'],
      ['--since', 'x', '-'],
      ['-n', 'A', '-'],
      ['-n', '*-*-*', '-'],
      ['--result', 'x', '-'],
      ['--top', '0', '-'],
    ]) {
      const refused = await runCommand(['report', ...argv])
      t.match(refused, { exitCode: 64, stdout: '' }, argv.join(' '))
    }
  },
)

t.test('a record that lost a key or changed a type is refused, one with a new key is not', async t => {
  const record = decisionRecordOf()
  t.ok(decodeDecisionRecord({ ...record, addedLater: 1 }).ok)
  for (const key of DECISION_RECORD_KEYS) {
    t.notOk(decodeDecisionRecord({ ...record, [key]: undefined }).ok, `${key} undefined`)
    t.notOk(decodeDecisionRecord({ ...record, [key]: { a: 1 } }).ok, `${key} of another type`)
    t.notOk(decodeDecisionRecord(Object.fromEntries(Object.entries(record).filter(([name]) => name !== key))).ok, key)
  }
  for (const key of RECORDED_IMAGE_KEYS) {
    t.notOk(decodeDecisionRecord({ ...record, images: [{ ...recordedImageOf(), [key]: 7 }] }).ok, `images.${key}`)
  }
  assertProperty(fc.property(fc.jsonValue(), value => !decodeDecisionRecord(value).ok))
})

t.test('docs/decision-record.md lists the keys of a record and of an image, in their order, and no other', async t => {
  t.strictSame(DECISION_RECORD_KEYS, Object.keys(decisionRecordOf()))
  t.strictSame(RECORDED_IMAGE_KEYS, Object.keys(recordedImageOf()))
  const page = readFileSync('docs/decision-record.md', 'utf8')
  const [record = '', image = ''] = page.split('\n## ')[0]?.split('\nEach of `images`') ?? []
  const keysOf = (text: string) =>
    [...text.matchAll(/^\| (`[^|]+`) \|/gm)].flatMap(([, cell = '']) =>
      [...cell.matchAll(/`([^`]+)`/g)].map(([, key]) => key),
    )
  t.strictSame(keysOf(record), DECISION_RECORD_KEYS)
  t.strictSame(keysOf(image), RECORDED_IMAGE_KEYS)
})

t.test('with more rows than are kept, the frequent ones stay, the totals are exact, and the rest is told', async t => {
  const kind = fc.record({
    app: fc.integer({ min: 0, max: 60 }),
    object: fc.nat(20),
    count: fc.integer({ min: 1, max: 3 }),
  })
  assertProperty(
    fc.property(fc.array(kind, { maxLength: 400 }), fc.constantFrom(2, 7, 30), (kinds, rows) => {
      const reporter = createViolationReporter({ ...DEFAULT_LIMITS, rows, namespaces: 5 })
      for (const { app, object, count } of kinds) {
        const image = recordedImageOf({ image: `a.example/app:${app}` })
        const record = decisionRecordOf({ namespace: `n${app}`, objectUid: `u${object}`, images: [image] })
        reporter.add({ record, count, firstAt: RECORDED_AT, lastAt: RECORDED_AT + object })
      }
      const report = reporter.read()
      const reviews = kinds.reduce((sum, { count }) => sum + count, 0)
      const objects = new Set(kinds.map(({ app, object }) => `${app} ${object}`)).size
      const shown = [...report.rows, ...report.others].reduce((sum, row) => sum + row.reviews, 0)
      t.ok(report.rows.length <= rows && report.namespaces.length <= 6, 'bounded')
      t.strictSame([report.reviews, report.objects, shown], [reviews, objects, reviews])
      t.equal(
        report.namespaces.reduce((sum, one) => sum + one.objects, 0),
        objects,
      )
    }),
    { numRuns: 60 },
  )
  const reporter = createViolationReporter({ ...DEFAULT_LIMITS, rows: 100 })
  for (let one = 0; one < 5_000; one += 1) {
    const app = one % 4 === 0 ? 'frequent' : `rare-${one}`
    const record = decisionRecordOf({ namespace: app, objectUid: `u${one}` })
    reporter.add({ record, count: 1, firstAt: RECORDED_AT, lastAt: RECORDED_AT + one })
  }
  const { rows, others } = reporter.read()
  t.match(rows[0], { namespace: 'frequent', objects: 1250 })
  t.equal((others[0]?.rows ?? 0) + rows.length, 3751)
})

t.test('what is remembered is bounded: at least half the limit, at most the limit', async t => {
  const keys = new RecentKeys(1_000)
  const areNew = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, at) => keys.isNew(`key ${from + at}`))
  t.ok(areNew(0, 5_000).every(isNew => isNew))
  t.notOk(areNew(4_500, 5_000).some(isNew => isNew))
  t.ok(keys.isNew('key 0'))
})

t.test('the text: the most frequent first, per namespace, what to do, and nothing that moves a cursor', async t => {
  const records = [
    ...[1, 2, 3].map(one => decisionRecordOf({ objectUid: `u${one}`, time: at(one * HOUR_MS) })),
    decisionRecordOf({
      ...denied,
      namespace: 'shop',
      user: 'ci\u001b[2J',
      images: [recordedImageOf({ image: null, written: 'x\u202ey' })],
    }),
    decisionRecordOf({
      namespace: 'calm',
      action: 'admit',
      images: [recordedImageOf({ outcome: 'allowed', reason: 'allow-entry' })],
    }),
    decisionRecordOf({ dryRun: true }),
  ]
  const { stdout } = await runCommand(['report', '-'], { stdin: ndjson(records) })
  t.matchOnly(stdout.split('\n\n'), [
    'Decisions of 2026-11-22 08:00 to 2026-11-22 11:00 UTC: 5 objects in 3 namespaces (5 reviews); 1 dry run left out',
    /^Would have been denied.* 3 objects\nOBJECTS {2}NAMESPACE .*\n {6}3 {2}team-a {5}ReplicaSet\/web-5d9c7 {2}docker.io\/library\/redis:7 {2}not-allowed {2}2026-11-22 09:00 {2}2026-11-22 11:00 {2}jane$/,
    /^Denied: 1 object\n.*\n.*x\\u\{202e\}y .*ci\\u\{1b\}\[2J$/,
    /^By namespace.*\nNAMESPACE .*\nteam-a {5}warn {10}3 {11}3 .*\nshop .*\ncalm /,
    /explain --policy POLICY -n team-a docker.io\/library\/redis:7 [\s\S]*- calm: of 1 object since 2026-11-22 08:00 none would/,
  ])
  t.notMatch(stdout.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u)
  t.equal((await runCommand(['report', '-'])).stdout.split('\n')[0], 'No decisions')
  const many = Array.from({ length: 5 }, (_, one) => decisionRecordOf({ namespace: `n${one}` }))
  const cut = (await runCommand(['report', '--top', '2', '-'], { stdin: ndjson(many) })).stdout
  t.match(cut, '… and 3 rows more: --top 5 shows them')
  t.match(cut, '… and 3 namespaces more: --top 5 shows them')
})

t.test('the journal and the rotated audit log of one webhook give the same report', async t => {
  const directory = t.testdir()
  const [journal, auditLog] = [join(directory, 'journal'), join(directory, 'audit.ndjson')]
  const reviews: Readonly<Record<string, RecordedReview>> = JSON.parse(
    readFileSync('test/fixtures/demo/reviews.json', 'utf8'),
  )
  const { certificate, key, caCertificate } = await createCertificates({
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
    now: Date.now(),
  })
  let policy = await loadPolicy(['policies/demo-1-warn.yaml'])
  let time = RECORDED_AT
  const webhook = await startWebhook({
    policy: () => policy,
    tls: { cert: certificate, key },
    listen: { host: '127.0.0.1', port: 0 },
    journal,
    auditLog,
    log: { debug() {}, info() {}, warn() {}, error: fields => t.fail(JSON.stringify(fields)) },
    now: () => time,
  })
  const agent = new Agent({ keepAlive: true, ca: caCertificate })
  for (const round of [1, 2, 3]) {
    // The second round comes within the retries' minute, the third under another policy.
    if (round === 3) policy = await loadPolicy(['policies/demo-2-enforce.yaml'])
    for (const review of Object.values(reviews)) await sendReview(webhook.url, agent, review)
    time += 10_000
    await delay(20)
    if (round === 1) {
      renameSync(auditLog, `${auditLog}.1`)
      webhook.reopenAuditLog()
    }
  }
  agent.destroy()
  await webhook.close()

  const fromFiles = await runCommand(['report', '-o', 'json', `${auditLog}.1`, auditLog])
  const fromJournal = await runCommand(['report', '-o', 'json', '--journal', journal])
  const [files, rows] = [JSON.parse(fromFiles.stdout), JSON.parse(fromJournal.stdout)]
  t.equal(files.reviews, 15)
  t.equal(files.dryRuns, 3)
  t.ok(files.rows.length >= 4)
  t.strictSame({ ...files, input: null }, rows)
})
