/** Findings: raised, counted, bounded, suppressed and explained, on recorded and on made events. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import type { AdmissionJournal } from '../../src/correlator/admission-journal.js'
import type { EventSource } from '../../src/correlator/event-source.js'
import type { ExecEvent } from '../../src/correlator/exec-event.js'
import type { Finding } from '../../src/correlator/finding.js'
import { jsonLine } from '../../src/correlator/json-line.js'
import { type CorrelatorOptions, correlate } from '../../src/correlator/pipeline.js'
import { createSplunkRows } from '../../src/correlator/splunk-rows.js'
import { createStreamStats } from '../../src/correlator/stream-stats.js'
import { type CompiledPolicy, compileToolCatalogue } from '../../src/policy/index.js'
import { rewriteEvents } from '../fixtures/demo/rewrite-events.js'
import { writeInventory } from '../fixtures/demo/write-inventory.js'
import {
  AFTER_START,
  containerOf,
  eventOf,
  imageRecord,
  journalOf,
  lineOf,
  podOf,
  recordOf,
  sourceOf,
} from '../support/events.js'
import { policyOf } from '../support/policies.js'
import { assertAsyncProperty, fc } from '../support/properties.js'

const POLICY = policyOf({ allow: ['registry.corp.example/*'] })
const CATALOGUE = compileToolCatalogue(
  {
    file: 'test',
    tools: [
      {
        name: 'nmap',
        profile: 'default',
        category: 'network-scanner',
        attack: ['T1046'],
        dualUse: false,
        listedBy: [],
        patterns: ['nmap'],
        weak: [],
        strictOnly: [],
      },
      {
        name: 'netcat',
        profile: 'default',
        category: 'tunnel',
        attack: [],
        dualUse: true,
        listedBy: [],
        patterns: ['nc'],
        weak: ['nc'],
        strictOnly: [],
      },
    ],
  },
  POLICY.runtime,
)
const ALLOWED = podOf({ container: containerOf({ imageName: 'registry.corp.example/app:1' }) })

interface Run extends Partial<CorrelatorOptions> {
  readonly policy?: CompiledPolicy
  readonly journal?: AdmissionJournal
}

async function find(source: EventSource, run: Run = {}): Promise<Finding[]> {
  const options: CorrelatorOptions = {
    policy: POLICY,
    catalogue: CATALOGUE,
    journal: undefined,
    stats: createStreamStats(),
    now: () => 0,
    emit: { when: 'at-end' },
    ...run,
  }
  const findings: Finding[] = []
  for await (const finding of correlate(source, options)) findings.push(finding)
  return findings
}

function eventsOf(...events: readonly ExecEvent[]): EventSource {
  return sourceOf(events.map(event => `${lineOf(event)}\n`).join(''))
}

const kinds = (findings: readonly Finding[]) => findings.map(({ kind, code }) => `${kind}/${code}`).sort()

t.test('an image that is not allowed is one finding, however often it is used', async t => {
  const findings = await find(
    eventsOf(
      eventOf({ time: AFTER_START + 2000, arguments: '-l' }),
      eventOf({ time: AFTER_START, binary: '/bin/sh' }),
      eventOf({ time: AFTER_START + 1000, pod: podOf({ name: 'web-2', uid: 'uid-2' }) }),
      eventOf({ pod: ALLOWED }),
    ),
  )
  t.equal(findings.length, 1)
  t.match(findings[0], {
    kind: 'non-allowlisted-image',
    code: 'not-allowed',
    status: 'open',
    severity: 'medium',
    certainty: 'likely',
    count: 3,
    firstSeen: new Date(AFTER_START).toISOString(),
    lastSeen: new Date(AFTER_START + 2000).toISOString(),
    attack: ['T1204.003'],
    image: 'docker.io/library/redis:7',
    owner: { kind: 'Deployment', name: 'web' },
    pod_image_name: 'docker.io/library/redis:7',
    pod_namespace: 'team-a',
    pod_name: 'web-1',
    process_name: 'true',
    process: '/usr/bin/true -l',
    parent_process_name: 'sh',
    process_exec: '/usr/bin/true',
    process_id: 4711,
    container_id: 'c'.repeat(31),
    node_name: 'node-1',
    cluster_name: 'cluster-1',
    samples: { processes: ['/usr/bin/true -l', '/bin/sh', '/usr/bin/true'], pods: ['web-1', 'web-2'] },
    policy: { name: 'test', revision: POLICY.revision },
    verdict: { outcome: 'denied', reason: 'not-allowed', namespace: 'team-a' },
    admission: { code: 'unexplained', certainty: 'unknown' },
  })
})

t.test('what makes a finding another one', async t => {
  const changes: readonly Partial<ExecEvent>[] = [
    { clusterName: 'cluster-2' },
    { pod: podOf({ namespace: 'team-b' }) },
    { pod: podOf({ workload: 'api' }) },
    { pod: podOf({ workloadKind: 'Job' }) },
    { pod: podOf({ container: containerOf({ name: 'sidecar' }) }) },
    { pod: podOf({ container: containerOf({ imageName: 'docker.io/library/redis:8' }) }) },
  ]
  for (const change of changes) {
    const findings = await find(eventsOf(eventOf(), eventOf(change)))
    t.equal(findings.length, 2, JSON.stringify(change).slice(0, 60))
  }
})

t.test('tools', async t => {
  const nmap = { binary: '/usr/bin/nmap', arguments: '-sV 10.0.0.0/8' }
  const cases: readonly (readonly [string, ExecEvent, readonly object[]])[] = [
    [
      'in an allowed image',
      eventOf({ ...nmap, pod: ALLOWED }),
      [{ code: 'nmap', severity: 'high', attack: ['T1046'], tool: { pattern: 'nmap' } }],
    ],
    [
      'a weak name',
      eventOf({ binary: 'nc', pod: ALLOWED }),
      [{ code: 'netcat', severity: 'low', certainty: 'unknown' }],
    ],
    [
      'a weak name in an image that is not allowed',
      eventOf({ binary: 'nc' }),
      [{ code: 'netcat', severity: 'medium' }, { kind: 'non-allowlisted-image' }],
    ],
    [
      'in a container without a pod',
      eventOf({ ...nmap, pod: undefined }),
      [
        { code: 'nmap', container_id: 'c'.repeat(31), pod_name: undefined, remarks: [/could not name the pod/] },
        { kind: 'coverage', code: 'podless-container', severity: 'info' },
      ],
    ],
    ['on the node itself', eventOf({ ...nmap, pod: undefined, docker: undefined }), []],
    ['not its arguments', eventOf({ binary: '/bin/echo', arguments: 'nmap', pod: ALLOWED }), []],
    ['found running at the start', eventOf({ ...nmap, pod: ALLOWED, flags: ['procFS'] }), [{ code: 'nmap', count: 0 }]],
  ]
  for (const [title, event, expected] of cases) {
    const findings = await find(eventsOf(event))
    t.equal(findings.length, expected.length, title)
    t.match(findings, expected, title)
  }
})

t.test('an exception with tools suppresses in sight, and only while it lives', async t => {
  const expires = new Date(AFTER_START + 1000).toISOString()
  const policy = policyOf({
    allow: ['registry.corp.example/*'],
    exceptions: [
      { id: 'EX-9', tools: ['nm*'], namespaces: ['team-*'], expires, reason: 'pen test', owner: 'red-team' },
    ],
  })
  const during = eventOf({ binary: '/usr/bin/nmap', pod: ALLOWED })
  const after = { ...during, time: AFTER_START + 1000 }
  const [suppressed] = await find(eventsOf(during), { policy })
  t.match(suppressed, {
    status: 'suppressed',
    suppression: { exception: 'EX-9', owner: 'red-team', expires },
    risk: { score: 0 },
  })
  for (const events of [
    [during, after],
    [after, during],
  ]) {
    const findings = await find(eventsOf(...events), { policy })
    t.match(findings, [{ status: 'open', suppression: undefined, count: 2, risk: { score: 60 } }])
  }
  const elsewhere = { ...during, pod: { ...ALLOWED, namespace: 'other' } }
  t.match(await find(eventsOf(elsewhere), { policy }), [{ status: 'open' }])
  t.match(
    await find(eventsOf(during), { policy, asOf: AFTER_START + 1000 }),
    [{ status: 'open' }],
    'as of a later time',
  )
})

t.test('an unwanted image comes with its story, and the story is a finding of its own', async t => {
  const [image, drift] = await find(eventsOf(eventOf()), { journal: journalOf([recordOf()]) })
  t.match(image, {
    kind: 'non-allowlisted-image',
    image: 'redis:7',
    certainty: 'proved',
    admission: { code: 'admitted.warn-mode' },
  })
  t.match(drift, {
    kind: 'image-drift',
    code: 'admitted.warn-mode',
    certainty: 'proved',
    admission: { certainty: 'proved' },
  })
  t.same(
    kinds(await find(eventsOf(eventOf()), { journal: journalOf([]) })),
    ['non-allowlisted-image/not-allowed'],
    'no record, and not known whether the webhook is called: nothing claimed',
  )
  t.same(
    kinds(await find(eventsOf(eventOf()))),
    ['non-allowlisted-image/not-allowed'],
    'nothing known, nothing claimed',
  )
})

t.test('a record that comes after the first exec makes the finding surer', async t => {
  let isRecorded = false
  let now = 0
  const late = journalOf([recordOf({ images: [imageRecord({ written: 'docker.io/library/redis:7' })] })])
  const journal: AdmissionJournal = {
    ...late,
    findAdmissions: pod => (isRecorded ? late.findAdmissions(pod) : []),
    coverageSpans: () => [],
  }
  const source = async function* (): EventSource {
    yield { type: 'begin', name: 'test' }
    yield { type: 'bytes', bytes: Buffer.from(`${lineOf(eventOf())}\n`) }
    isRecorded = true
    now = 60_000
    yield { type: 'bytes', bytes: Buffer.from(`${lineOf(eventOf())}\n`) }
  }
  const emit = { when: 'at-once', updateMs: Number.POSITIVE_INFINITY } as const
  const findings = await find(source(), { journal, now: () => now, emit })
  t.match(
    findings.filter(({ kind }) => kind === 'non-allowlisted-image'),
    [
      { certainty: 'likely', admission: { code: 'unexplained' }, count: 1 },
      { certainty: 'proved', admission: { code: 'admitted.warn-mode' }, count: 2 },
    ],
  )
})

t.test('the risks of one pod add up to 100 at most', async t => {
  const containers = Array.from({ length: 5 }, (_, index) => podOf({ container: containerOf({ name: `c${index}` }) }))
  const findings = await find(eventsOf(...containers.map(pod => eventOf({ pod }))))
  t.same(
    findings.map(({ risk }) => risk.score),
    [40, 40, 20, 0, 0],
  )
})

t.test('a followed source gives a finding at once, then updates at intervals, and the rest at the end', async t => {
  let now = 0
  const line = Buffer.from(`${lineOf(eventOf())}\n`)
  const seen: string[] = []
  const source = async function* (): EventSource {
    yield { type: 'begin', name: 'test' }
    for (const [at, bytes] of [
      [0, line],
      [1, line],
      [100, undefined],
      [101, line],
    ] as const) {
      now = at
      yield bytes === undefined ? { type: 'idle' } : { type: 'bytes', bytes }
      seen.push(`t=${at}`)
    }
  }
  const options = {
    policy: POLICY,
    catalogue: CATALOGUE,
    journal: undefined,
    stats: createStreamStats(),
    now: () => now,
  }
  for await (const { count } of correlate(source(), { ...options, emit: { when: 'at-once', updateMs: 100 } })) {
    seen.push(`count ${count}`)
  }
  t.same(seen, ['count 1', 't=0', 't=1', 'count 2', 't=100', 't=101', 'count 3'])
})

t.test('whatever the cap, each finding counts on where it stood, and its last line holds', async t => {
  const names = fc.array(fc.nat({ max: 8 }), { minLength: 1, maxLength: 40 })
  const sizes = fc.array(fc.nat({ max: 4_000 }), { maxLength: 6 })
  await assertAsyncProperty(
    fc.asyncProperty(names, sizes, fc.integer({ min: 1, max: 10 }), fc.boolean(), async (order, cuts, cap, isAtEnd) => {
      const pods = order.map(name => podOf({ workload: `w${name}` }))
      const text = pods.map((pod, index) => `${lineOf(eventOf({ pod, time: AFTER_START + index }))}\n`).join('')
      const emit = isAtEnd ? ({ when: 'at-end' } as const) : ({ when: 'at-once', updateMs: 1 } as const)
      const stats = createStreamStats()
      const findings = await find(sourceOf(text, cuts), { stats, maxFindings: cap, emit })
      const last = new Map(findings.map(finding => [finding.fingerprint, finding]))
      for (const { owner, count, firstSeen } of last.values()) {
        const seen = order.flatMap((name, index) => (owner?.name === `w${name}` ? [index] : []))
        assert.equal(count, seen.length)
        assert.equal(firstSeen, new Date(AFTER_START + (seen[0] ?? 0)).toISOString())
      }
      assert.equal(last.size, new Set(order).size)
      const numbers = [...last.keys()].map(key => findings.filter(({ fingerprint }) => fingerprint === key))
      for (const lines of numbers)
        assert.deepEqual(
          lines.map(({ emission }) => emission),
          [...lines.keys()].map(n => n + 1),
        )
      if (isAtEnd) assert.equal(findings.length, last.size)
      if (last.size > cap) assert.ok(stats.evictedFindings >= last.size - cap)
    }),
    { numRuns: 150 },
  )
  t.pass()
})

t.test('hostile text is kept to a bound, and its JSON line is one safe line', async t => {
  const hostile = 'a\u2028\u202e\u009b2J\n\0'.repeat(60_000)
  const [finding] = await find(eventsOf(eventOf({ binary: `/tmp/${hostile}`, arguments: hostile })))
  assert(finding !== undefined)
  const line = jsonLine(finding)
  t.ok(line.length < 40_000, String(line.length))
  t.notMatch(line.slice(0, -1), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
  t.same(JSON.parse(line), JSON.parse(JSON.stringify(finding)), 'the escapes decode to the same value')
  t.notMatch([finding.title, finding.remedy, finding.nextCommand].join(''), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
})

t.test('a JSON line shows each character that nobody can see, and decodes to the same value', t => {
  const ranges = [
    [0x7f, 0x9f], // DEL and C1
    [0xad, 0xad], // soft hyphen
    [0x34f, 0x34f], // grapheme joiner
    [0x115f, 0x1160], // fillers
    [0x200b, 0x200f],
    [0x2028, 0x202e],
    [0x2060, 0x206f],
    [0x3164, 0x3164], // filler
    [0xfe00, 0xfe0f], // variation selectors
    [0xfeff, 0xfeff],
    [0xe000, 0xe010], // private use
    [0x1d173, 0x1d17a], // musical format characters
    [0xe0000, 0xe007f], // tags
    [0xe0100, 0xe01ef], // more variation selectors
    [0x10fffd, 0x10ffff],
  ] as const
  for (const [first, last] of ranges) {
    for (let point = first; point <= last; point += 1) {
      const value = { [`k${String.fromCodePoint(point)}`]: `a${String.fromCodePoint(point)}"\\z` }
      const line = jsonLine(value)
      t.ok(/^[\x20-\x7e]+\n$/.test(line), point.toString(16))
      assert.deepEqual(JSON.parse(line), value)
    }
  }
  const seen = { text: 'é 漢字 \u{1f600} ｱ', lone: '\ud800' }
  t.equal(jsonLine(seen), `${JSON.stringify(seen)}\n`, 'what can be seen stays as it is')
  t.end()
})

t.test('a suggested command runs nothing that a name holds', async t => {
  const pod = podOf({
    namespace: "a'; rm -rf / #",
    container: containerOf({ imageName: '$(reboot)', imageId: undefined }),
  })
  const [finding] = await find(eventsOf(eventOf({ pod })), { policyPaths: ['my policy.yaml'] })
  t.equal(finding?.nextCommand, "sallyport explain --policy 'my policy.yaml' -n 'a'\\''; rm -rf / #' -- '$(reboot)'")
})

t.test('the same bytes give the same findings, however they are cut', async t => {
  const bytes = gunzipSync(readFileSync(new URL('../fixtures/tetragon/late-pod.jsonl.gz', import.meta.url)))
  const expected = await find(sourceOf(bytes))
  t.ok(expected.length > 0)
  await assertAsyncProperty(
    fc.asyncProperty(fc.array(fc.nat({ max: 40_000 }), { maxLength: 12 }), async sizes => {
      assert.deepStrictEqual(await find(sourceOf(bytes, sizes)), expected)
    }),
    { numRuns: 25 },
  )
  t.pass()
})

t.test("the demo's files are what the scripts make, and their pods are those of the recorded reviews", async t => {
  const demo = new URL('../fixtures/demo/', import.meta.url)
  t.equal(readFileSync(new URL('events.jsonl', demo), 'utf8'), rewriteEvents())
  t.equal(readFileSync(new URL('inventory.json', demo), 'utf8'), writeInventory())
  const reviews = Object.values(JSON.parse(readFileSync(new URL('reviews.json', demo), 'utf8')))
  const uids = reviews.map(
    review => (review as { request: { object: { metadata: { uid: string } } } }).request.object.metadata.uid,
  )
  const policy = policyOf({ allow: ['registry.corp.example.com:5000/*', 'docker.io/library/nginx'] })
  const findings = await find(sourceOf(readFileSync(new URL('events.jsonl', demo))), {
    policy,
    journal: journalOf([
      recordOf({ uid: uids[0], images: [imageRecord({ container: 'p1', written: 'evil.example/x:1' })] }),
    ]),
  })
  t.match(
    findings.find(({ pod_name, kind }) => pod_name === 'p1' && kind === 'image-drift'),
    { code: 'admitted.warn-mode' },
  )
  t.match(
    findings.find(({ pod_namespace }) => pod_namespace === 'flux-system'),
    { kind: 'non-allowlisted-image', admission: { code: 'unexplained', certainty: 'unknown' } },
  )
  t.match(
    findings
      .filter(({ kind }) => kind === 'offensive-tool')
      .map(({ code, pod_name }) => `${code} ${pod_name}`)
      .sort(),
    ['netcat p1', 'nmap d2-cf6694bc8-f7nvf'],
  )
})

t.test('Splunk rows', async t => {
  const rowsOf = (policy: CompiledPolicy, ...events: readonly ExecEvent[]) => {
    const table = createSplunkRows(policy, ['nmap', 'impacket-'])
    for (const event of events) table.add(event)
    return table.rows()
  }
  const image = (imageName: string | undefined, changes: Partial<ExecEvent> = {}) =>
    eventOf({ ...changes, pod: podOf({ container: containerOf({ imageName }) }) })

  t.test('the first table groups by process, in whole seconds', async t => {
    const rows = rowsOf(POLICY, eventOf({ time: AFTER_START + 5999 }), eventOf(), eventOf({ binary: 'sh' }))
    t.same(rows, [
      {
        detection: 'non_allowlisted_image_use',
        pod_image_name: 'docker.io/library/redis:7',
        pod_namespace: 'team-a',
        pod_name: 'web-1',
        process_name: 'sh',
        cluster_name: 'cluster-1',
        count: 1,
        firstTime: '2026-11-21T23:22:05',
        lastTime: '2026-11-21T23:22:05',
      },
      {
        detection: 'non_allowlisted_image_use',
        pod_image_name: 'docker.io/library/redis:7',
        pod_namespace: 'team-a',
        pod_name: 'web-1',
        process_name: 'true',
        cluster_name: 'cluster-1',
        count: 2,
        firstTime: '2026-11-21T23:22:05',
        lastTime: '2026-11-21T23:22:10',
      },
    ])
    t.same(Object.keys(rows[0] ?? {})[0], 'detection')
  })

  t.test('the second table gathers what ran, and knows no exceptions', async t => {
    const nmap = eventOf({ binary: '/x/NMAP', pod: ALLOWED })
    const rows = rowsOf(
      POLICY,
      { ...nmap, arguments: 'b' },
      { ...nmap, arguments: 'B' },
      { ...nmap, arguments: 'b' },
      nmap,
    )
    t.match(rows, [{ detection: 'pods_running_offensive_tools', process_name: 'NMAP', process_id: 4711, count: 4 }])
    t.same(rows[0]?.process, ['/x/NMAP', '/x/NMAP B', '/x/NMAP b'])
  })

  t.test('a row with a missing by-field is dropped, as Splunk drops it', async t => {
    const missing: readonly Partial<ExecEvent>[] = [{ clusterName: undefined }, { pod: undefined }, { binary: '' }]
    for (const changes of missing) t.same(rowsOf(POLICY, eventOf(changes)), [], JSON.stringify(changes))
    t.same(rowsOf(POLICY, image(undefined)), [])
    const nmap = { binary: '/usr/bin/nmap', pod: ALLOWED }
    for (const changes of [{ parent: undefined }, { nodeName: undefined }, { pid: undefined }]) {
      t.same(rowsOf(POLICY, eventOf({ ...nmap, ...changes })), [])
    }
    t.equal(rowsOf(POLICY, eventOf({ ...nmap, docker: undefined })).length, 1, 'the container id stands in for docker')
  })

  t.test('the allowlist ignores case, and its stars cross slashes', async t => {
    const policy = policyOf({
      allow: ['gcr.io/org/*', 'docker.io/library/ubuntu:22.04', 'quay.io/x/*/ci', 'ghcr.io/a/b'],
    })
    const cases: readonly (readonly [string, number])[] = [
      ['gcr.io/org/app:1', 0],
      ['GCR.io/Org/deep/app@sha256:0', 0],
      ['gcr.io/org-evil/app:1', 1],
      ['docker.io/library/ubuntu:22.04', 0],
      ['docker.io/library/ubuntu:22.04.1', 1],
      ['ubuntu:22.04', 1],
      ['ghcr.io/a/b:1', 0],
      ['ghcr.io/a/b@sha256:0', 0],
      ['ghcr.io/a/bc:1', 1],
      ['quay.io/x/y/z/ci:1', 0],
      ['quay.io/x/ci', 1],
    ]
    for (const [name, rows] of cases) t.equal(rowsOf(policy, image(name)).length, rows, name)
  })

  t.test('a macro name without its wildcard matches nothing', async t => {
    t.same(rowsOf(POLICY, eventOf({ binary: '/usr/bin/impacket-psexec', pod: ALLOWED })), [])
  })
})
