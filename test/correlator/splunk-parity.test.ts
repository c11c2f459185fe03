/** Parity: for each row that the Splunk detections would report there is a finding, or a rule with a name. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { loadSplunkToolNames } from '../../src/adapters/splunk-macro-file.js'
import { loadToolCatalogue } from '../../src/adapters/tool-catalogue-file.js'
import type { AdmissionJournal } from '../../src/correlator/admission-journal.js'
import { createAdmissionLookup } from '../../src/correlator/admission-lookup.js'
import type { DetectionTools } from '../../src/correlator/detection-context.js'
import { readExecEvents } from '../../src/correlator/event-stream.js'
import type { ExecEvent } from '../../src/correlator/exec-event.js'
import type { Finding } from '../../src/correlator/finding.js'
import { correlate } from '../../src/correlator/pipeline.js'
import { DIFFERENCE_RULES, type DifferenceRule, explainDifference } from '../../src/correlator/splunk-difference.js'
import { createSplunkRows, type SplunkDetection } from '../../src/correlator/splunk-rows.js'
import { createStreamStats } from '../../src/correlator/stream-stats.js'
import type { CompiledPolicy } from '../../src/policy/index.js'
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

const FIXTURES = new URL('../fixtures/tetragon/', import.meta.url)
const MACRO = await loadSplunkToolNames()
const EXPIRES = new Date(AFTER_START + 3_600_000).toISOString()
/** The macro as a policy, then policies with what the macro cannot say. */
const POLICIES: readonly CompiledPolicy[] = [
  policyOf({
    allow: [
      'docker.io/library/ubuntu:22.04',
      'docker.io/grafana/grafana:12.0.1',
      'quay.io/isovalent-dev/*',
      'quay.io/isovalent/*',
    ],
  }),
  policyOf({
    allow: ['nginx', 'gcr.io/org/*', 'registry.corp.example/*'],
    deny: ['gcr.io/org/bad'],
    tags: { deny: ['latest'] },
    namespaces: [{ names: ['sandbox'], mode: 'audit', allow: ['docker.io/*'] }],
    exceptions: [
      {
        id: 'EX-1',
        images: ['docker.io/library/redis'],
        tools: ['nmap'],
        namespaces: ['team-*'],
        expires: EXPIRES,
        reason: 'test',
        owner: 'us',
      },
    ],
    runtime: { tools: { profile: 'quiet', remove: ['hashcat'] } },
  }),
  policyOf({ allow: [], runtime: { tools: { profile: 'strict' } } }),
]

interface Compared {
  readonly rows: number
  readonly rules: ReadonlySet<DifferenceRule>
}

/** Every row is held against the findings of the pipeline itself, not against the detections alone. */
async function compare(bytes: Buffer, policy: CompiledPolicy, journal?: AdmissionJournal): Promise<Compared> {
  const catalogue = await loadToolCatalogue(policy.runtime)
  const admissions = createAdmissionLookup(journal, () => 0)
  const tools: DetectionTools = { policy, catalogue, admissions, asOf: undefined, policyPaths: [] }
  const findings: Finding[] = []
  const options = {
    policy,
    catalogue,
    journal,
    stats: createStreamStats(),
    now: () => 0,
    emit: { when: 'at-end' },
  } as const
  for await (const finding of correlate(sourceOf(bytes), options)) findings.push(finding)
  const table = createSplunkRows(policy, MACRO)
  const rules = new Set<DifferenceRule>()
  for await (const { events } of readExecEvents(sourceOf(bytes), createStreamStats())) {
    for (const event of events) {
      for (const detection of table.add(event)) {
        const rule = explainDifference(detection, event, tools)
        if (rule === undefined) assert.ok(hasFinding(findings, detection, event), `${detection}: ${lineOf(event)}`)
        else rules.add(rule)
        if (rule === 'tool-collision') assert.ok(collides(tools, event), event.binary)
      }
    }
  }
  return { rows: table.rows().length, rules }
}

function hasFinding(
  findings: readonly Finding[],
  detection: SplunkDetection,
  { pod, clusterName }: ExecEvent,
): boolean {
  return findings.some(
    ({ kind, pod_namespace, cluster_name, container, owner }) =>
      (detection === 'non_allowlisted_image_use') === (kind === 'non-allowlisted-image') &&
      !['coverage', 'image-drift'].includes(kind) &&
      pod_namespace === pod?.namespace &&
      cluster_name === clusterName &&
      container === pod?.container?.name &&
      owner?.name === (pod?.workload ?? pod?.name),
  )
}

function collides({ catalogue }: DetectionTools, { binary }: ExecEvent): boolean {
  const name = binary.slice(binary.lastIndexOf('/') + 1).toLowerCase()
  return [...catalogue.rules.collisions.keys()].some(each => name.startsWith(each))
}

t.test('recorded events', async t => {
  let rows = 0
  for (const name of readdirSync(FIXTURES).filter(each => /\.jsonl(?:\.gz)?$/.test(each) && !each.startsWith('huge'))) {
    const bytes = readFileSync(new URL(name, FIXTURES))
    for (const policy of POLICIES) {
      rows += (await compare(name.endsWith('.gz') ? gunzipSync(bytes) : bytes, policy)).rows
    }
  }
  t.ok(rows > 100, `${rows} rows`)
})

// Every rule has to be met in a few dozen runs: two of the names are those of honest programs too.
const word = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...MACRO, 'sh', 'NMAP', 'Nc', 'impacket-psexec', 'nmap-7.94', 'curl') },
  { weight: 1, arbitrary: fc.constantFrom('hydra', 'cdk') },
)
const event = fc
  .record({
    namespace: fc.constantFrom('team-a', 'sandbox', 'other'),
    workload: fc.constantFrom('web', 'api', undefined),
    image: fc.constantFrom(
      'nginx',
      'docker.io/library/nginx:1',
      'docker.io/library/redis:7',
      'GCR.io/org/app:1',
      'gcr.io/org/bad:1',
      'gcr.io/org/app',
      'docker.io/library/ubuntu:22.04',
      'docker.io/oryd/hydra:v2',
      `sha256:${'a'.repeat(64)}`,
      'docker.io/library/import-2026-01-01:x',
      'bad image',
      undefined,
    ),
    imageId: fc.constantFrom(undefined, `registry.corp.example/app@sha256:${'b'.repeat(64)}`),
    folder: fc.constantFrom('/usr/bin/', '/tmp/', ''),
    word,
    isUpper: fc.boolean(),
    args: fc.constantFrom(
      undefined,
      '-sV 10.0.0.0/8',
      '-z db 5432',
      'serve all',
      '-lvnp 4444 -e /bin/sh',
      'deploy',
      '--version',
    ),
    isProbe: fc.boolean(),
    isInInitTree: fc.constantFrom(true, false, undefined),
    cluster: fc.constantFrom('cluster-1', undefined),
    flags: fc.constantFrom('execve', 'procFS'),
  })
  .map(each => {
    const container = containerOf({ imageName: each.image, imageId: each.imageId, isExecProbe: each.isProbe })
    const name = each.isUpper ? each.word.toUpperCase() : each.word
    return eventOf({
      binary: `${each.folder}${name}`,
      arguments: each.args,
      clusterName: each.cluster,
      flags: [each.flags],
      isInInitTree: each.isInInitTree,
      pod: podOf({ namespace: each.namespace, workload: each.workload, container }),
    })
  })

t.test('made events: every rule explains some, and nothing is left unexplained', async t => {
  const seen = new Set<DifferenceRule>()
  const record = recordOf({
    images: [imageRecord({ written: 'registry.corp.example/app:1', outcome: 'allowed', reason: 'allow-entry' })],
  })
  await assertAsyncProperty(
    fc.asyncProperty(
      fc.array(event, { minLength: 40, maxLength: 80 }),
      fc.constantFrom(...POLICIES),
      fc.constantFrom(undefined, journalOf([record])),
      async (events, policy, journal) => {
        const bytes = Buffer.from(events.map(each => `${lineOf(each)}\n`).join(''))
        for (const rule of (await compare(bytes, policy, journal)).rules) seen.add(rule)
      },
    ),
    { numRuns: 100 },
  )
  // Seen by chance only: any other tool of the same workload takes it away.
  const check = eventOf({ binary: '/bin/nc', arguments: '-z db 5432', pod: podOf() })
  for (const policy of POLICIES) {
    for (const rule of (await compare(Buffer.from(`${lineOf(check)}\n`), policy)).rules) seen.add(rule)
  }
  t.same([...seen].sort(), [...DIFFERENCE_RULES].sort())
})

t.test('docs/splunk.md has a row for each rule, and no other', async t => {
  const rows = [...readFileSync('docs/splunk.md', 'utf8').matchAll(/^\| `([^`]+)` \|/gm)].map(match => match[1])
  t.same(rows.sort(), [...DIFFERENCE_RULES].sort())
})

type Line = { readonly process_exec: Record<string, Record<string, unknown>>; readonly [field: string]: unknown }

/** The searches themselves, read from their text and computed the slow way, from the JSON of each line alone. */
function searched(lines: readonly Line[], allowed: readonly string[]): readonly Record<string, unknown>[] {
  const like = (value: string) =>
    new RegExp(`^${value.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^]*')}$`, 'i')
  const get = (value: unknown, path: string): unknown =>
    path.split('.').reduce<unknown>((each, key) => (each as Record<string, unknown> | undefined)?.[key], value)
  const last = (path: unknown) => (typeof path === 'string' ? path.split('/').at(-1) : undefined)
  const rows = lines.map(({ process_exec, time, node_name, cluster_name }) => {
    const { process, parent } = process_exec
    const [binary, args] = [get(process, 'binary'), get(process, 'arguments')]
    return {
      _time: Date.parse(String(time)) / 1_000,
      cluster_name,
      node_name,
      container_id: get(process, 'docker') ?? get(process, 'pod.container.id'),
      pod_name: get(process, 'pod.name'),
      pod_namespace: get(process, 'pod.namespace'),
      pod_image_name: get(process, 'pod.container.image.name'),
      parent_process_name: last(get(parent, 'binary')),
      process_name: last(binary),
      process_exec: binary,
      process_id: get(process, 'pid'),
      process: args === undefined ? binary : `${String(binary)} ${String(args)}`,
    } as Record<string, unknown>
  })
  const stats = (kept: typeof rows, by: string, detection: string) => {
    const groups = new Map<string, typeof rows>()
    for (const row of kept) {
      const values = by.split(' ').map(field => row[field])
      if (values.some(value => value === undefined || value === '')) continue
      const key = JSON.stringify(values)
      groups.set(key, [...(groups.get(key) ?? []), row])
    }
    const ctime = (seconds: number) => new Date(Math.floor(seconds) * 1_000).toISOString().slice(0, 19)
    const utf8 = (one: unknown, other: unknown) => Buffer.compare(Buffer.from(String(one)), Buffer.from(String(other)))
    return [...groups.values()]
      .map(group => ({
        detection,
        ...Object.fromEntries(by.split(' ').map(field => [field, group[0]?.[field]])),
        count: group.length,
        firstTime: ctime(Math.min(...group.map(row => Number(row['_time'])))),
        lastTime: ctime(Math.max(...group.map(row => Number(row['_time'])))),
        ...(detection === 'pods_running_offensive_tools'
          ? { process: [...new Set(group.map(row => row['process']))].toSorted(utf8) }
          : {}),
      }))
      .toSorted((one: Record<string, unknown>, other: Record<string, unknown>) =>
        by.split(' ').reduce((order, field) => order || utf8(one[field], other[field]), 0),
      )
  }
  const isIn = (value: unknown, list: readonly string[]) => list.some(each => like(each).test(String(value)))
  return [
    ...stats(
      rows.filter(row => row['pod_name'] !== undefined && !isIn(row['pod_image_name'], allowed)),
      'pod_image_name pod_namespace pod_name process_name cluster_name',
      'non_allowlisted_image_use',
    ),
    ...stats(
      rows.filter(row => MACRO.some(name => like(name).test(String(row['process_name'])))),
      'cluster_name container_id pod_name pod_namespace pod_image_name parent_process_name process_name process_exec process_id node_name',
      'pods_running_offensive_tools',
    ),
  ]
}

const hostileText = fc.constantFrom(
  'a',
  'a b',
  'a!',
  'a"',
  'a\\',
  'A',
  'ä',
  '\uff21',
  '\u{1f600}',
  '10',
  '9',
  'a\nb',
  '',
)
const maybe = <Value>(values: fc.Arbitrary<Value>) => fc.option(values, { nil: undefined, freq: 8 })

t.test('the rows are those of the searches, in order and to the letter', async t => {
  const line = fc.record({
    binary: fc.oneof(
      fc.constantFrom(
        '/usr/bin/nmap',
        '/x/NMAP',
        'nc',
        '/x/impacket-',
        '/nmap/',
        '/nmap/.',
        '/x/les',
        '//nmap',
        '/x/nmapx',
      ),
      hostileText.map(text => `/x/${text}`),
    ),
    args: maybe(hostileText),
    image: maybe(
      fc.constantFrom(
        'gcr.io/org/app:1',
        'GCR.IO/org/a/b',
        'gcr.io/orgs/x',
        'quay.io/a-x/b',
        'quay.io/a',
        'docker.io/library/x:1',
      ),
    ),
    name: maybe(hostileText),
    namespace: maybe(fc.constantFrom('n', 'N')),
    cluster: maybe(fc.constantFrom('c', 'C')),
    node: maybe(hostileText),
    docker: maybe(fc.constantFrom('d1', 'd2')),
    parent: maybe(fc.constantFrom('/bin/sh', 'sh', '/bin/')),
    pid: maybe(fc.constantFrom(9, 10, 100)),
    time: fc.constantFrom('2026-11-21T23:22:05.999999999Z', '2026-11-21T23:22:05Z', '2026-11-21T23:22:04.0001Z'),
    flags: fc.constantFrom('execve clone', 'procFS auid'),
  })
  const policy = policyOf({ allow: ['gcr.io/org/*', 'quay.io/a-x/b', 'docker.io/library/x:*'] })
  const allowed = ['gcr.io/org/*', 'quay.io/a-x/b', 'quay.io/a-x/b:*', 'quay.io/a-x/b@*', 'docker.io/library/x:*']
  await assertAsyncProperty(
    fc.asyncProperty(fc.array(line, { minLength: 1, maxLength: 60 }), async made => {
      const lines = made.map((each, at): Line => {
        const container = {
          id: `containerd://${at % 2}`,
          name: 'c',
          image: each.image && { id: 'x', name: each.image },
        }
        const pod = each.name === undefined ? undefined : { namespace: each.namespace, name: each.name, container }
        const { pid, binary, args, flags, docker } = each
        const process = { exec_id: 'bm9kZS0xOjE6MQ==', pid, binary, arguments: args || undefined, flags, pod, docker }
        return JSON.parse(
          JSON.stringify({
            process_exec: { process, parent: each.parent === undefined ? undefined : { binary: each.parent } },
            node_name: each.node,
            time: each.time,
            cluster_name: each.cluster,
          }),
        )
      })
      const table = createSplunkRows(policy, MACRO)
      const bytes = Buffer.from(lines.map(each => `${JSON.stringify(each)}\n`).join(''))
      for await (const { events } of readExecEvents(sourceOf(bytes), createStreamStats())) {
        for (const each of events) table.add(each)
      }
      assert.deepStrictEqual(table.rows(), searched(lines, allowed))
    }),
    { numRuns: 150 },
  )
  t.pass()
})
