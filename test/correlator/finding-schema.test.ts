/** The finding's type, its JSON Schema and its page say the same, and every finding that is produced keeps to it. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { loadToolCatalogue } from '../../src/adapters/tool-catalogue-file.js'
import type { AdmissionJournal } from '../../src/correlator/admission-journal.js'
import type { EventSource } from '../../src/correlator/event-source.js'
import type { Finding } from '../../src/correlator/finding.js'
import { findingJsonSchema, findingSchema, parseFinding } from '../../src/correlator/finding-schema.js'
import { correlate } from '../../src/correlator/pipeline.js'
import { createStreamStats } from '../../src/correlator/stream-stats.js'
import { AFTER_START, eventOf, imageRecord, journalOf, lineOf, podOf, recordOf, sourceOf } from '../support/events.js'
import { policyOf } from '../support/policies.js'

const FIXTURES = new URL('../fixtures/tetragon/', import.meta.url)
const POLICY = policyOf({
  allow: ['registry.corp.example/*'],
  exceptions: [
    {
      id: 'EX-1',
      tools: ['nmap'],
      namespaces: ['team-a'],
      expires: '2027-01-01T00:00:00Z',
      reason: 'test',
      owner: 'us',
    },
  ],
})
const CATALOGUE = await loadToolCatalogue(POLICY.runtime)

async function find(source: EventSource, journal?: AdmissionJournal): Promise<Finding[]> {
  const stats = createStreamStats()
  const options = { policy: POLICY, catalogue: CATALOGUE, journal, stats, now: () => 0 }
  const findings: Finding[] = []
  for await (const finding of correlate(source, { ...options, emit: { when: 'at-end' } })) findings.push(finding)
  return findings
}

/** As a reader gets it; unknown fields would be left out by the schema and so be seen. */
function check(finding: Finding): void {
  const json: unknown = JSON.parse(JSON.stringify(finding))
  assert.deepEqual(findingSchema.parse(json), json)
}

t.test('every finding over the recorded events', async t => {
  const seen = new Set<string>()
  for (const name of readdirSync(FIXTURES).filter(each => /\.jsonl(?:\.gz)?$/.test(each))) {
    const bytes = readFileSync(new URL(name, FIXTURES))
    for (const finding of await find(sourceOf(name.endsWith('.gz') ? gunzipSync(bytes) : bytes))) {
      check(finding)
      seen.add(finding.kind)
    }
  }
  for (const kind of ['non-allowlisted-image', 'offensive-tool', 'coverage']) t.ok(seen.has(kind), kind)
})

t.test('explained, excepted and unreadable ones too', async t => {
  const records = [recordOf({ images: [imageRecord({ outcome: 'excepted', exception: 'EX-0' })] }), recordOf()]
  const events = [
    eventOf(),
    eventOf({ binary: '/usr/bin/nmap', arguments: '-sV 10.0.0.1' }),
    eventOf({ pod: undefined, binary: '' }),
    eventOf({ binary: '/proc/self/fd/3' }),
    eventOf({
      pod: podOf({ workload: undefined, workloadKind: undefined, container: undefined }),
      binary: '/bin/nmap',
    }),
  ]
  const bytes = Buffer.from(events.map(each => `${lineOf(each)}\n`).join(''))
  const findings = (
    await Promise.all([
      find(sourceOf(bytes), journalOf(records)),
      find(sourceOf(bytes), journalOf([])),
      find(sourceOf('torn\n')),
    ])
  ).flat()
  findings.forEach(check)
  for (const kind of ['image-drift', 'coverage', 'offensive-tool', 'fileless-exec'])
    t.ok(
      findings.some(each => each.kind === kind),
      kind,
    )
  t.ok(findings.some(({ status }) => status === 'suppressed'))
})

t.test('a finding that was written is read back whole, and nothing else is', async t => {
  const [finding] = await find(sourceOf(`${lineOf(eventOf({ time: AFTER_START }))}\n`))
  const json = JSON.stringify(finding)
  t.equal(JSON.stringify(parseFinding(JSON.parse(json))), json)
  const whole = JSON.parse(json)
  for (const wrong of [null, [], {}, { ...whole, schema: 2 }, { ...whole, count: -1 }, { ...whole, kind: 'x' }]) {
    t.equal(parseFinding(wrong), undefined)
  }
})

t.test(
  'docs/finding.schema.json is what the code makes (npm run schema), and the page has a row for each field',
  async t => {
    const schema = JSON.parse(readFileSync('docs/finding.schema.json', 'utf8'))
    t.same(schema, JSON.parse(JSON.stringify(findingJsonSchema())))
    t.match(schema, { $schema: 'https://json-schema.org/draft/2020-12/schema', properties: { schema: { const: 1 } } })
    const [, fields = ''] = readFileSync('docs/findings.md', 'utf8').split('\n## Fields')
    const named = [...fields.matchAll(/^\|((?: `[^`]+`)+) \|/gm)].flatMap(([, cell = '']) =>
      [...cell.matchAll(/`([^`]+)`/g)].map(match => match[1]),
    )
    t.same(named.sort(), Object.keys(schema.properties).sort())
  },
)
