/** Parity: for each row that the Splunk detections would report there is a finding, or a rule with a name. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
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

const word = fc.constantFrom(...MACRO, 'sh', 'NMAP', 'Nc', 'impacket-psexec', 'nmap-7.94', 'curl')
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
  await fc.assert(
    fc.asyncProperty(
      fc.array(event, { minLength: 40, maxLength: 80 }),
      fc.constantFrom(...POLICIES),
      fc.constantFrom(undefined, journalOf([record])),
      async (events, policy, journal) => {
        const bytes = Buffer.from(events.map(each => `${lineOf(each)}\n`).join(''))
        for (const rule of (await compare(bytes, policy, journal)).rules) seen.add(rule)
      },
    ),
    { numRuns: 60 },
  )
  t.same([...seen].sort(), [...DIFFERENCE_RULES].sort())
})

t.test('docs/splunk.md has a row for each rule, and no other', async t => {
  const rows = [...readFileSync('docs/splunk.md', 'utf8').matchAll(/^\| `([^`]+)` \|/gm)].map(match => match[1])
  t.same(rows.sort(), [...DIFFERENCE_RULES].sort())
})
