/** `sallyport trace`: what is asked about, what it is drawn from, and what is shown; nothing is forged or written. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { keyOfName, keyOfUid } from '../../src/adapters/journal-index.js'
import { openJournalStore } from '../../src/adapters/journal-store.js'
import { renderTrace } from '../../src/commands/trace-text.js'
import type { Finding } from '../../src/correlator/finding.js'
import type { PodTrace } from '../../src/correlator/pod-trace.js'
import { decisionRecordOf, ndjson } from '../support/decision-records.js'
import { containerOf, eventOf, lineOf, podOf } from '../support/events.js'
import { documentOf } from '../support/policies.js'
import { runCommand } from '../support/run-command.js'

const NOW = Date.parse('2026-11-22T00:00:00Z')
const CREATED = '2026-11-21T23:21:55.000Z'
const UID = '1b4e28ba-2fa1-11d2-883f-0016d3cca427'
const EVIL = 'eve\n\u001b[2J\u202e'

const POD = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: 'web-1',
    namespace: 'team-a',
    uid: UID,
    creationTimestamp: '2026-11-21T23:21:55Z',
    ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-5d9c7', uid: 'rs-1', controller: true }],
  },
  spec: { nodeName: 'node-1', containers: [{ name: 'app', image: 'redis:7' }] },
}

t.test('trace', async t => {
  const folder = t.testdir({ journal: {} })
  const at = (name: string) => join(folder, name)
  writeFileSync(at('policy.yaml'), JSON.stringify(documentOf({ allow: ['registry.corp.example/*'] })))
  writeFileSync(at('cluster.json'), JSON.stringify(POD))
  const event = (args: string) =>
    lineOf(eventOf({ arguments: args, pod: podOf({ uid: UID, container: containerOf({ name: 'app' }) }) }))
  const other = lineOf(eventOf({ pod: podOf({ name: 'other', uid: 'x' }) }))
  writeFileSync(at('events.jsonl'), [event('-a'), event(EVIL), other, ''].join('\n'))
  writeJournal(at('journal'))
  const policy = ['--policy', at('policy.yaml')]
  const sources = ['--journal', at('journal'), '--inventory', at('cluster.json'), '--events', at('events.jsonl')]
  const trace = (...args: readonly string[]) => runCommand(['trace', ...policy, ...args], { now: NOW })
  const jsonOf = async (...args: readonly string[]) =>
    JSON.parse((await trace('-o', 'json', ...args)).stdout) as PodTrace

  await t.test('everything that the sources know, by name or by uid', async t => {
    for (const target of [['-n', 'team-a', 'web-1'], ['team-a/web-1'], [UID]]) {
      const traced = await jsonOf(...sources, ...target)
      t.match(traced, {
        schema: 1,
        pod: { namespace: 'team-a', name: 'web-1', uid: UID, node: 'node-1', createdAt: '2026-11-21T23:21:55Z' },
        decisions: [
          { about: 'workload', kind: 'Deployment', name: 'web', user: 'the human' },
          {
            about: 'pod',
            operation: 'CREATE',
            mode: 'warn',
            images: [{ image: 'redis:7', atTheTime: 'denied (not-allowed)', today: 'denied (not-allowed)' }],
          },
        ],
        containers: [
          {
            name: 'app',
            use: { image: 'redis:7', witness: 'admission-record' },
            verdict: { outcome: 'denied' },
            admission: { code: 'admitted.warn-mode', certainty: 'proved' },
            execs: { count: 2 },
          },
        ],
      })
      t.equal(traced.containers.length, 1)
      const kinds = traced.findings.map(({ kind }) => kind).sort()
      t.strictSame(kinds, ['image-drift', 'non-allowlisted-image'])
    }
  })

  await t.test('one source is enough', async t => {
    for (const [option, file] of [
      ['--journal', 'journal'],
      ['--inventory', 'cluster.json'],
      ['--events', 'events.jsonl'],
    ] as const) {
      const traced = await jsonOf(option, at(file), 'team-a/web-1')
      t.match(traced, { pod: { uid: UID }, containers: [{ name: 'app', verdict: { outcome: 'denied' } }] }, option)
    }
  })

  await t.test('as text: one screen, and nothing foreign acts on the terminal', async t => {
    const { stdout, exitCode } = await trace(...sources, 'team-a/web-1')
    t.equal(exitCode, 0)
    for (const said of [
      'pod team-a/web-1',
      UID,
      'Deployment web: CREATE by the human',
      'admitted.warn-mode (proved)',
      'journal recordId',
    ]) {
      t.match(stdout, said)
    }
    t.match(stdout, 'eve\\n')
    t.notOk(stdout.includes('\u001b') || stdout.includes('\u202e'))
    t.ok(stdout.split('\n').length < 60)
  })

  await t.test('a workload that was changed often does not push its pod off the screen', async t => {
    const traced = await jsonOf(...sources, 'team-a/web-1')
    const [ofWorkload, ofPod] = traced.decisions
    if (ofWorkload === undefined || ofPod === undefined) throw new Error('no decisions')
    const older = Array.from({ length: 30 }, (_, number) => ({ ...ofWorkload, recordId: `update-${number}.` }))
    const text = renderTrace({ ...traced, decisions: [...older, ofPod] }, { hasColors: false })
    t.match(text, `record ${ofPod.recordId}`)
    t.match(text, 'record update-29.')
    t.notMatch(text, 'record update-10.')
    t.ok(text.indexOf('record update-29.') < text.indexOf(`record ${ofPod.recordId}`), 'in the order of time')
    t.match(text, 'and 11 more records')
  })

  await t.test('a finding that correlate keeps leads to its pod, and its state is only read', async t => {
    const stdin = readFileSync(at('events.jsonl'))
    const kept = await runCommand(['correlate', ...policy, '--source', '-', '--state', at('state')], {
      stdin,
      now: NOW,
    })
    const [finding] = kept.stdout.split('\n').flatMap(line => (line === '' ? [] : [JSON.parse(line) as Finding]))
    const traced = await jsonOf('--state', at('state'), finding?.fingerprint ?? '')
    t.match(traced, { pod: { namespace: 'team-a' }, findings: [{ fingerprint: finding?.fingerprint }] })
    const again = await runCommand(['correlate', ...policy, '--source', '-', '--state', at('state')], { now: NOW })
    t.equal(again.exitCode, 0, 'nothing was taken over')
  })

  await t.test('what nobody knows, and what is asked wrongly', async t => {
    const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
      [[...sources, 'team-a/nobody'], 1, /nothing is known of team-a\/nobody; looked in: journal, inventory, events/],
      [['-n', 'team-a', 'web-1'], 1, /no source was given/],
      [[...sources, '0'.repeat(8) + UID.slice(8)], 1, /nothing is known/],
      [[...sources, 'Not A Pod'], 64, /no name of a pod/],
      [['-n', 'b', 'a/web-1'], 64, /two namespaces/],
      [[], 64, /target/],
      [['--inventory', at('cluster.json'), '--kubeconfig', 'x', 'a/b'], 64, /one of/],
      [['--events', '-', '--audit-log', '-', 'a/b'], 64, /once/],
      [['--journal', at('none'), 'a/b'], 78, /none/],
      [['--state', at('none'), 'a/b'], 78, /there is no state/],
      [['--inventory', at('events.jsonl'), 'a/b'], 78, /no inventory/],
    ]
    for (const [args, exitCode, stderr] of cases) {
      t.match(await trace(...args), { exitCode, stdout: '', stderr }, args.join(' '))
    }
  })
})

/** The pod's creation and that of its Deployment, in a journal that was recording all the time. */
function writeJournal(directory: string): void {
  const records = [
    decisionRecordOf({
      id: 'r-1',
      time: CREATED,
      kind: 'Deployment',
      name: 'web',
      objectUid: 'd-1',
      topOwner: null,
      user: 'the human',
    }),
    decisionRecordOf({ id: 'r-2', time: CREATED, name: 'web-1', objectUid: UID, user: EVIL }),
  ]
  const created = Date.parse(CREATED)
  const store = openJournalStore(directory, 'run', created - 60_000, { maxAgeMs: 1e12, maxBytes: 1e12 })
  store.write({
    records: new Uint8Array(Buffer.from(ndjson(records).trimEnd())),
    since: created,
    until: created,
    keys: records.flatMap(({ objectUid, namespace, name }) => [
      keyOfUid(objectUid ?? ''),
      keyOfName(namespace, name ?? ''),
    ]),
    repeats: [],
  })
  store.close(created + 3_600_000)
}
