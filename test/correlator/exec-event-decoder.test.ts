/** The fast decoder says what the full parse says, of every line; and remembering what was said of a container changes no finding. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { loadToolCatalogue } from '../../src/adapters/tool-catalogue-file.js'
import type { AdmissionJournal } from '../../src/correlator/admission-journal.js'
import { createAdmissionLookup } from '../../src/correlator/admission-lookup.js'
import { detectCoverage } from '../../src/correlator/coverage-detection.js'
import { createDetectionContext, type DetectionTools } from '../../src/correlator/detection-context.js'
import { createDetector } from '../../src/correlator/detector.js'
import { detectDrift } from '../../src/correlator/drift-detection.js'
import { type DecodedEvent, decodeEvent, type ExecEvent } from '../../src/correlator/exec-event.js'
import { createEventDecoder as createDecoder, FastLineReader } from '../../src/correlator/exec-event-decoder.js'
import { hashOf, isSame, KnownTexts } from '../../src/correlator/exec-event-texts.js'
import { MinuteClock } from '../../src/correlator/exec-event-time.js'
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
import { policyOf } from '../support/policies.js'

const FIXTURES = new URL('../fixtures/tetragon/', import.meta.url)
const BEFORE = Buffer.from('{"process_exec":{"process":{"exec_id":"x"}}}\n')
const BEHIND = Buffer.from('\n,"parent":{}}}')
const FILES = readdirSync(FIXTURES).filter(name => name.includes('.jsonl'))

/** The line stands somewhere in a chunk, between others. */
function createEventDecoder(): (line: Buffer) => DecodedEvent {
  const decode = createDecoder()
  return line => decode(Buffer.concat([BEFORE, line, BEHIND]), BEFORE.length, BEFORE.length + line.length)
}

function linesOf(name: string): readonly Buffer[] {
  const bytes = readFileSync(new URL(name, FIXTURES))
  const lines: Buffer[] = []
  let rest = name.endsWith('.gz') ? gunzipSync(bytes) : bytes
  for (let end = rest.indexOf(0x0a); end !== -1; end = rest.indexOf(0x0a)) {
    lines.push(rest.subarray(0, end))
    rest = rest.subarray(end + 1)
  }
  return lines
}

/** Lines that the fast half takes, each of another kind: what is changed in them is most likely to be missed. */
const SEEDS = [
  'exec-1k.jsonl.gz',
  'comma-space.jsonl.gz',
  'real-tetragon.jsonl',
  'real-splunk.jsonl',
  'real-other-types.jsonl',
]
  .flatMap(name => linesOf(name).slice(0, 60))
  .filter(line => line.length < 8_000)
  .flatMap(line => [line, exitOf(line), countedOf(line, ['"refcnt":1,', '"refcnt":20,'])])

/** The exit of the same process, as an agent writes it: it repeats what the exec said. */
function exitOf(line: Buffer): Buffer {
  const text = line.toString('latin1').replace('{"process_exec":', '{"process_exit":')
  return Buffer.from(
    text.replace('},"node_name":', ',"status":1,"time":"2026-11-21T23:59:59.5Z"},"node_name":'),
    'latin1',
  )
}

/** The same line as an agent writes it that counts who holds a process and its parent. */
function countedOf(line: Buffer, references: readonly string[]): Buffer {
  const left = [...references]
  const text = line.toString('latin1').replaceAll(/(?:"refcnt":\d+,)?"tid":/g, tid => `${left.shift() ?? ''}${tid}`)
  return Buffer.from(text, 'latin1')
}

t.test('both paths agree on every recorded line, before and after it was seen', async t => {
  for (const name of FILES) {
    const decode = createEventDecoder()
    const lines = linesOf(name).flatMap(line => [line, exitOf(line)])
    for (const line of [...lines, ...lines]) assert.deepEqual(decode(line), decodeEvent(line))
    for (const references of [['"refcnt":1,', '"refcnt":2,'], ['', '"refcnt":17,'], ['"refcnt":02,']]) {
      for (const line of lines) {
        const counted = countedOf(line, references)
        assert.deepEqual(decode(counted), decodeEvent(counted))
      }
    }
    t.pass(name)
  }
})

t.test('what agents usually write is read fast', async t => {
  const share = (name: string): number => {
    const reader = new FastLineReader()
    const lines = linesOf(name)
    return lines.filter(line => reader.read(line, 0, line.length) !== undefined).length / lines.length
  }
  t.ok(share('exec-1k.jsonl.gz') > 0.98)
  t.equal(share('comma-space.jsonl.gz'), 1)
  t.ok(share('late-pod.jsonl.gz') > 0.9)
})

t.test('both paths agree on lines that were damaged', async t => {
  const decode = createEventDecoder()
  for (const line of SEEDS) decode(line)
  const line = fc.constantFrom(...SEEDS)
  const bite = fc.oneof(
    fc.constantFrom(
      '"',
      '\\',
      '{',
      '}',
      ',',
      ', ',
      ':',
      '\0',
      '\t',
      '\\u12',
      '\\x',
      '"pid":7,',
      ',"pid":07',
      '1e3',
      '-1',
    ),
    fc.constantFrom(
      ',"binary":"/x"',
      '"pod":{',
      ',"parent":{"exec_id":"',
      '"docker":"x",',
      ',"time":"x"',
      ',"refcnt":3',
      '"refcnt":1,"refcnt":2,',
      '{"process_exec":{',
    ),
    fc.string({ maxLength: 12 }),
    fc.string({ unit: 'binary', maxLength: 4 }),
  )
  const replaced = fc
    .tuple(line, fc.nat(), fc.oneof(fc.constant(0), fc.nat({ max: 4 }), fc.nat({ max: 600 })), bite)
    .map(([bytes, at, length, text]) => {
      const from = at % bytes.length
      return Buffer.concat([bytes.subarray(0, from), Buffer.from(text), bytes.subarray(from + length)])
    })
  // A torn line with another one, or the end of one, glued to it.
  const glued = fc
    .tuple(line, fc.nat(), line, fc.oneof(fc.constant(0), fc.nat()))
    .map(([one, cut, other, from]) =>
      Buffer.concat([one.subarray(0, cut % one.length), other.subarray(from % other.length)]),
    )
  // One bit, or one byte, is another: a disk's damage.
  const flipped = fc.tuple(line, fc.nat(), fc.integer({ min: 1, max: 255 })).map(([bytes, at, mask]) => {
    const copy = Buffer.from(bytes)
    copy[at % copy.length] = (copy[at % copy.length] ?? 0) ^ mask
    return copy
  })
  fc.assert(
    fc.property(fc.oneof(replaced, glued, flipped), damaged => {
      assert.deepEqual(decode(damaged), decodeEvent(damaged))
    }),
    { numRuns: 3_000 },
  )
  t.pass()
})

t.test('both paths agree on lines of another order, with other keys and other values', async t => {
  const decode = createEventDecoder()
  let fast = 0
  const reader = new FastLineReader()
  const word = fc.oneof(
    fc.constantFrom(
      '',
      '/bin/sh',
      '-c "a b"',
      '\\',
      '"',
      '\n',
      'ä',
      '\u2028',
      '"pod":{',
      '},"parent":{"exec_id":"',
      '__proto__',
    ),
    fc.string({ unit: 'binary', maxLength: 8 }),
  )
  const text = fc.oneof({ weight: 40, arbitrary: fc.constantFrom('a', 'b') }, { weight: 1, arbitrary: word })
  const odd = fc.constantFrom<unknown>(null, 7, 1.5, -1, true, [], {}, ['x'], { a: { b: [1] } })
  const value = fc.oneof({ weight: 80, arbitrary: text as fc.Arbitrary<unknown> }, { weight: 1, arbitrary: odd })
  const number = fc.oneof({ weight: 80, arbitrary: fc.nat() as fc.Arbitrary<unknown> }, { weight: 1, arbitrary: odd })
  const maybe = (model: Record<string, fc.Arbitrary<unknown>>) => fc.record(model, { requiredKeys: [] })
  const labels = fc.dictionary(fc.oneof(text, fc.constantFrom('"parent":{', '__proto__')), text, { maxKeys: 3 })
  const image = fc.record({ id: value, name: value })
  const container = fc.record({ id: value, name: value, image, start_time: value, pid: number }).chain(usual =>
    maybe({
      maybe_exec_probe: fc.constantFrom(true, true, true, false),
      security_context: fc.constantFrom({}, { privileged: true }),
    }).map(extra => ({ ...usual, ...extra })),
  )
  const pod = fc
    .tuple(
      fc.record({ namespace: value, name: value }),
      maybe({ uid: value }),
      container,
      maybe({ pod_labels: labels, workload: value, workload_kind: value, pod_annotations: labels }),
    )
    .map(([names, uid, container, rest]) => ({ ...names, ...uid, container, ...rest }))
  const process = fc
    .tuple(
      fc.record({ exec_id: value }),
      maybe({
        pid: number,
        uid: number,
        cwd: value,
        binary: value,
        arguments: value,
        flags: value,
        start_time: value,
        auid: number,
        pod,
        docker: value,
      }),
      maybe({
        parent_exec_id: value,
        refcnt: number,
        cap: fc.constantFrom({}, { permitted: ['A', 'B'] }),
        ns: fc.constant({ uts: { inum: 1 } }),
      }),
      maybe({
        tid: number,
        binary_properties: fc.constantFrom(undefined, undefined, undefined, undefined, {
          file: { inode: { links: 0 } },
        }),
        in_init_tree: fc.boolean(),
      }),
    )
    .map(parts => Object.assign({}, ...parts) as Record<string, unknown>)
  const time = fc.oneof(
    {
      weight: 30,
      arbitrary: fc.constantFrom('2026-11-21T23:59:59.5Z', '2026-11-21T23:21:58Z', '2026-02-30T00:00:00.123456789Z'),
    },
    { weight: 1, arbitrary: value },
  )
  const root = fc
    .tuple(
      process,
      maybe({ parent: process, ancestors: fc.array(process, { maxLength: 2 }) }),
      fc.constantFrom('process_exec', 'process_exec', 'process_exec', 'process_exit'),
      maybe({ node_name: value }),
      time,
      maybe({ cluster_name: value, node_labels: labels }),
    )
    .map(([process, family, type, node, time, rest]) => ({ [type]: { process, ...family }, ...node, time, ...rest }))
  const line = fc.tuple(root, fc.constantFrom('', '', ' '), fc.nat({ max: 9 })).map(([root, blank, order]) => {
    const written = JSON.stringify(order === 0 ? reversed(root) : root)
    return Buffer.from(blank === '' ? written : written.replaceAll(',"', ', "'))
  })
  fc.assert(
    fc.property(line, bytes => {
      if (reader.read(bytes, 0, bytes.length) !== undefined) fast += 1
      assert.deepEqual(decode(bytes), decodeEvent(bytes))
    }),
    { numRuns: 2_000 },
  )
  t.ok(fast > 40, `${fast} of them were read fast`)
})

/** The same object with its keys the other way round, all the way down. */
function reversed(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, reversed(inner)]),
  )
}

t.test('times are what Date.parse says', async t => {
  const clock = new MinuteClock()
  const parse = (stamp: string) => clock.parse(Buffer.from(`xx${stamp}xx`), 2, 2 + stamp.length)
  const digits = (count: number) =>
    fc.string({ unit: fc.constantFrom(...'0123456789'), minLength: count, maxLength: count })
  const near = fc.tuple(
    fc.constantFrom('2026-11-21T23:59:', '2024-02-29T00:00:', '2025-02-29T00:00:', '2026-11-21T24:00:'),
    digits(2),
  )
  const stamp = fc
    .tuple(near, fc.integer({ min: 0, max: 9 }).chain(digits))
    .map(([[minute, seconds], fraction]) => `${minute}${seconds}${fraction === '' ? '' : `.${fraction}`}Z`)
  fc.assert(
    fc.property(stamp, written => {
      const time = parse(written)
      // A stamp that it does not know is left to the full parse.
      if (!Number.isNaN(time)) assert.equal(time, Date.parse(written))
    }),
    { numRuns: 2_000 },
  )
  t.equal(parse('2026-11-21T23:08:09.401706707Z'), Date.parse('2026-11-21T23:08:09.401Z'))
  t.equal(parse('2026-11-21T23:08:09Z'), Date.parse('2026-11-21T23:08:09Z'))
})

t.test('pieces are found by a hash and told by their bytes; the oldest make room', async t => {
  const texts = new KnownTexts<string>(100_000, 32_768)
  const line = Buffer.from('head-1 7 tail-1')
  const piece = { start: 0, headEnd: 7, tailStart: 8, end: line.length }
  const find = (text: string, hash = 1) => findPiece(texts, hash, text, 1)
  texts.add(1, line, piece, 'first')
  t.equal(find('head-1 8 tail-1'), 'first')
  t.equal(find('head-1 8 tail-1', 2), undefined)
  // The same hash, and other bytes.
  t.equal(find('head-2 8 tail-1'), undefined)
  t.equal(find('head-1 8 tail-2'), undefined)
  t.equal(find('head-1 8 tail-'), undefined)
  texts.add(1, Buffer.from('head-2 7 tail-1'), piece, 'second')
  t.equal(find('head-2 8 tail-1'), 'second')
  t.equal(find('head-1 8 tail-1'), 'first')
  texts.add(3, Buffer.alloc(2_000), { start: 0, headEnd: 1_000, tailStart: 1_000, end: 2_000 }, 'too long')
  t.equal(texts.next(3), -1)
  // As many as there is room for, and one more.
  for (let index = 0; index < 6_664; index += 1) texts.add(100 + index, line, piece, 'many')
  t.equal(find('head-1 8 tail-1'), 'first')
  texts.add(9_999, line, piece, 'one more')
  t.equal(find('head-1 8 tail-1'), undefined)
  t.equal(find('head-2 8 tail-1'), 'second')
  t.equal(find('head-1 8 tail-1', 9_999), 'one more')
  t.not(hashOf(viewOf('xab'), 1, 3), hashOf(viewOf('xba'), 1, 3))
})

t.test('a piece is never taken for another, however many came and went', async t => {
  const ending = fc.constantFrom('', 'a', '"', '\u007fä', '\u{10ffff}')
  const part = fc.tuple(fc.constantFrom('', 'a'.repeat(7), 'a'.repeat(33)), ending).map(parts => parts.join(''))
  const written = fc.record({ hash: fc.nat({ max: 80 }), head: part, number: fc.constantFrom('', '7'), tail: part })
  let found = 0
  fc.assert(
    fc.property(fc.array(written, { minLength: 300, maxLength: 900 }), pieces => {
      // So small that pieces are written over again and again.
      const texts = new KnownTexts<string>(8_000, 256)
      for (const { hash, head, number, tail } of pieces) {
        const text = `${head}${number}${tail}`
        const headEnd = Buffer.byteLength(head)
        const said = findPiece(texts, hash, text, number.length)
        if (said !== undefined) {
          found += 1
          const [knownHead = '', knownTail = ''] = JSON.parse(said)
          // Where the number stood may be another place: what was compared is the same all the same.
          assert.equal(`${knownHead}${number}${knownTail}`, text)
        }
        const line = Buffer.from(`<<${text}>>`)
        const piece = { start: 2, headEnd: 2 + headEnd, tailStart: 2 + headEnd + number.length, end: line.length - 2 }
        texts.add(hash, line, piece, JSON.stringify([head, tail]))
      }
    }),
    { numRuns: 100 },
  )
  t.ok(found > 100, `${found} were found`)
})

t.test('two texts are the same only when each byte is', async t => {
  const length = 131
  const text = Buffer.from(Array.from({ length }, (_, index) => 0x21 + ((index * 7) % 0x5e)))
  const padded = Buffer.concat([Buffer.from('xyz'), text, Buffer.from('xyz')])
  const view = (bytes: Buffer) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let size = 0; size <= length; size += 1) {
    assert.ok(isSame(view(text), 0, view(padded), 3, size))
    for (const bit of [1, 0x80]) {
      const other = Buffer.from(padded)
      if (size === 0) continue
      for (const at of [0, size - 1, size >> 1]) {
        other[3 + at] = (padded[3 + at] ?? 0) ^ bit
        assert.equal(isSame(view(text), 0, view(other), 3, size), false)
        other[3 + at] = padded[3 + at] ?? 0
      }
    }
  }
  // What a NUL makes of eight bytes, no text holds.
  assert.equal(isSame(view(Buffer.from('abcdefgh')), 0, view(Buffer.alloc(8)), 0, 8), false)
  t.pass()
})

/** What is kept under a hash and stands in a text, with as many characters between its parts. */
function findPiece(texts: KnownTexts<string>, hash: number, text: string, between: number): string | undefined {
  const bytes = Buffer.from(`<${text}`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let place = texts.next(hash); place !== -1; place = texts.next(hash, place)) {
    const headEnd = texts.headEnd(place, bytes, view, 1, bytes.length)
    if (headEnd === -1) continue
    const tailEnd = texts.tailEnd(place, bytes, view, headEnd + between, bytes.length)
    if (tailEnd === bytes.length) return texts.valueAt(place)
  }
  return undefined
}

function viewOf(text: string): DataView {
  return new DataView(new TextEncoder().encode(text).buffer)
}

const HOUR = 3_600_000
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
