/** From bytes to exec events: every recorded file, oddities of the format, and hostile lines. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { readExecEvents } from '../../src/correlator/event-stream.js'
import { type DecodedEvent, decodeEvent, type ExecEvent } from '../../src/correlator/exec-event.js'
import { bytesOf, LineSplitter, MAX_LINE_BYTES, type SplitLine } from '../../src/correlator/line-splitter.js'
import { createStreamStats } from '../../src/correlator/stream-stats.js'
import { eventOf, lineOf, sourceOf } from '../support/events.js'
import { assertProperty, fc } from '../support/properties.js'

const FIXTURES = new URL('../fixtures/tetragon/', import.meta.url)

function fixture(name: string): Buffer {
  const bytes = readFileSync(new URL(name, FIXTURES))
  return name.endsWith('.gz') ? gunzipSync(bytes) : bytes
}

async function readAll(bytes: Buffer | string, sizes: readonly number[] = [], maxLineBytes?: number) {
  const stats = createStreamStats()
  const events: ExecEvent[] = []
  for await (const batch of readExecEvents(sourceOf(bytes, sizes), stats, maxLineBytes)) events.push(...batch.events)
  return { events, stats }
}

function exec(decoded: DecodedEvent): ExecEvent {
  if (decoded.type !== 'exec') throw new Error(decoded.type)
  return decoded.event
}

t.test('every recorded file is read without a malformed line', async t => {
  // exec events, other events
  const expected: Record<string, readonly [number, number]> = {
    'comma-space.jsonl.gz': [200, 0],
    'exec-1k.jsonl.gz': [1000, 0],
    'huge-lines.jsonl.gz': [9, 0],
    'kernel-exec-cases.jsonl': [26, 0],
    'kernel-long-argv.jsonl.gz': [6, 0],
    'late-pod.jsonl.gz': [57, 0],
    'lost-data.jsonl.gz': [9, 0],
    'rate-limit.jsonl.gz': [100, 1],
    'real-other-types.jsonl': [0, 27],
    'real-splunk.jsonl': [1, 0],
    'real-tetragon.jsonl': [25, 0],
  }
  t.same(
    readdirSync(FIXTURES)
      .filter(name => name.includes('.jsonl'))
      .sort(),
    Object.keys(expected),
  )
  for (const [name, [execs, others]] of Object.entries(expected)) {
    const { events, stats } = await readAll(fixture(name))
    t.equal(events.length, execs, `${name}: exec events`)
    t.equal(
      [...stats.otherEvents.values()].reduce((sum, count) => sum + count, 0),
      others,
      `${name}: others`,
    )
    t.equal(stats.malformed, 0, name)
  }
})

t.test("the fields of Splunk's own example event", async t => {
  const event = exec(decodeEvent(fixture('real-splunk.jsonl').subarray(0, -1)))
  t.match(event, {
    time: Date.parse('2025-08-14T20:42:47.459Z'),
    pid: 3502914,
    binary: '/app/grpc-health-probe',
    arguments: '-addr=:50051 -connect-timeout=5s -rpc-timeout=5s',
    flags: ['execve', 'clone'],
    docker: 'dc5b541d139c38ec01e485712f0eec3',
    pod: {
      namespace: 'kube-system',
      name: 'aws-node-9twpn',
      uid: undefined,
      workload: 'aws-node',
      workloadKind: 'DaemonSet',
      container: {
        name: 'aws-node',
        imageId: 'sha256:0b48ad70935c9dea3627854c46a5d12028b941334ad82bf7be6a6fcddd4a2674',
        imageName: '066635153087.dkr.ecr.il-central-1.amazonaws.com/amazon-k8s-cni:v1.19.2',
        isExecProbe: true,
      },
    },
    parent: { binary: '/usr/sbin/runc', pid: 3502900 },
  })
})

t.test('what a line is', async t => {
  const line = lineOf(eventOf())
  const cases: readonly (readonly [string, string | Buffer, DecodedEvent['type']])[] = [
    ['an exec event', line, 'exec'],
    ['bytes', Buffer.from(line), 'exec'],
    ['with a byte-order mark', `\u{feff}${line}`, 'exec'],
    ['with a carriage return', `${line}\r`, 'exec'],
    ['with blanks after its commas', line.replaceAll(',"', ', "'), 'exec'],
    ['without a time, but with a start', '{"process_exec":{"process":{"start_time":"2026-01-01T00:00:00Z"}}}', 'exec'],
    ['without any time', '{"process_exec":{"process":{"binary":"/x"}}}', 'malformed'],
    ['with a time that is none', '{"process_exec":{"process":{}},"time":"yesterday"}', 'malformed'],
    ['without a process', '{"process_exec":{},"time":"2026-01-01T00:00:00Z"}', 'malformed'],
    ['a process that is a list', '{"process_exec":{"process":[]},"time":"2026-01-01T00:00:00Z"}', 'malformed'],
    ['an exec that is null', '{"process_exec":null}', 'malformed'],
    ['another type', '{"process_exit":{"process":{}}}', 'other'],
    ['a type that is still to come', '{"process_dns":{}}', 'other'],
    ['the test event', '{"test":{}}', 'other'],
    ['a rate limit', '{"rate_limit_info":{"number_of_dropped_process_events":"1900"}}', 'rate-limit'],
    ['other JSON', '{"level":"info"}', 'malformed'],
    ['a list', '[1]', 'malformed'],
    ['a number', '7', 'malformed'],
    ['a torn line', line.slice(0, 200), 'malformed'],
    ['nothing', '', 'malformed'],
    ['deep nesting', `${'['.repeat(100_000)}`, 'malformed'],
    ['a forged prototype', `{"__proto__":{"process_exec":{}},"process_exit":{}}`, 'other'],
  ]
  for (const [title, written, type] of cases) t.equal(decodeEvent(written).type, type, title)
  t.same(decodeEvent('{"rate_limit_info":{"number_of_dropped_process_events":"-1"}}'), {
    type: 'rate-limit',
    dropped: 0,
  })
})

t.test('fields of the wrong shape are missing fields', async t => {
  const event = exec(
    decodeEvent(
      '{"process_exec":{"process":{"pid":"7","binary":["x"],"flags":3,"pod":{"namespace":"a","name":7},"docker":{}},"parent":"p"},"time":"2026-01-01T00:00:00Z","node_name":5}',
    ),
  )
  t.match(event, { pid: undefined, binary: '', flags: [], pod: undefined, docker: undefined, parent: undefined })
  t.equal(event.nodeName, undefined)
})

t.test('no line makes the decoder throw', async t => {
  const seeds = fixture('real-tetragon.jsonl').toString('utf8').trim().split('\n')
  const mutated = fc
    .tuple(fc.constantFrom(...seeds), fc.nat(), fc.nat({ max: 40 }), fc.string())
    .map(([line, at, length, text]) => {
      const from = at % line.length
      return line.slice(0, from) + text + line.slice(from + length)
    })
  assertProperty(
    fc.property(fc.oneof(mutated, fc.string(), fc.json()), line => {
      decodeEvent(line)
    }),
  )
  t.pass()
})

t.test('lines are the same, however the bytes are cut', async t => {
  const byte = fc.constantFrom(0, 0x0a, 0x0a, 0x0d, 0x61, 0xe2, 0x80, 0xa8)
  assertProperty(
    fc.property(
      fc.array(byte, { maxLength: 60 }),
      fc.array(fc.nat({ max: 7 })),
      fc.nat({ max: 9 }),
      (bytes, sizes, max) => {
        const whole = Buffer.from(bytes)
        const reference = new LineSplitter(max)
        const expected = [...reference.push(whole), ...reference.end()].map(textOf)
        const splitter = new LineSplitter(max)
        const lines: string[] = []
        let rest = whole
        for (const size of sizes) {
          const chunk = Buffer.from(rest.subarray(0, size))
          lines.push(...splitter.push(chunk).map(textOf))
          // Its memory is filled anew.
          chunk.fill('x')
          rest = rest.subarray(size)
        }
        lines.push(...[...splitter.push(rest), ...splitter.end()].map(textOf))
        assert.deepStrictEqual(lines, expected)
        const newlines = bytes.filter(each => each === 0x0a).length
        if (lines.length !== newlines && lines.length !== newlines + 1) throw new Error('a line was lost or invented')
      },
    ),
  )
  t.pass()
})

function textOf(line: SplitLine): string {
  return line.type === 'line' ? bytesOf(line).toString('latin1') : 'too long'
}

t.test('a line is whole however long it is, in chunks of any size', async t => {
  const lengths = [1, 131_072, 131_073, 262_144, 262_145, 299_999, 300_000, 300_001, 699_999, 700_000, 700_001]
  const numbers = Buffer.from(Uint32Array.from({ length: 200_000 }, (_, index) => index | 0x80808080).buffer)
  const text = Buffer.concat(lengths.flatMap(length => [numbers.subarray(0, length), Buffer.of(0x0a)]))
  for (const max of [300_000, 700_000, MAX_LINE_BYTES]) {
    const expected = lengths.map(length => (length > max ? 'too long' : length))
    for (const size of [65_536, 100_003, 262_144, 262_145, 1_000_000]) {
      const splitter = new LineSplitter(max)
      const chunks = Array.from({ length: Math.ceil(text.length / size) }, (_, index) => index * size)
      const seen = chunks.flatMap(at =>
        splitter.push(Buffer.from(text.subarray(at, at + size))).map(line => wholeLength(line, numbers)),
      )
      assert.deepEqual(seen, expected, `at most ${max} bytes, ${size} at once`)
    }
  }
  t.pass()
})

function wholeLength(line: SplitLine, content: Buffer): number | string {
  if (line.type === 'too-long') return 'too long'
  const bytes = bytesOf(line)
  return bytes.equals(content.subarray(0, bytes.length)) ? bytes.length : 'damaged'
}

t.test('line separators of Unicode end no line', async t => {
  const { events, stats } = await readAll(`${lineOf(eventOf({ arguments: 'a\u2028b\u0085c' }))}\n`)
  t.equal(stats.lines, 1)
  t.equal(events[0]?.arguments, 'a\u2028b\u0085c')
})

t.test('what stands around the lines', async t => {
  const line = lineOf(eventOf())
  const cases: readonly (readonly [string, string, { events: number; malformed: number; lines: number }])[] = [
    ['a last line without its newline is a line', `${line}\n${line}`, { events: 2, malformed: 0, lines: 2 }],
    ['empty lines are no lines', `\n\r\n ${line}\n\n`, { events: 1, malformed: 0, lines: 1 }],
    ['NUL bytes of copytruncate are dropped', `${'\0'.repeat(5000)}${line}\n`, { events: 1, malformed: 0, lines: 1 }],
    ['a torn line glued to a whole one', `${line.slice(0, 99)}${line}\n`, { events: 1, malformed: 1, lines: 1 }],
    ['NUL bytes between the two', `${line.slice(0, 99)}\0\0\0${line}\n`, { events: 1, malformed: 1, lines: 1 }],
    ['an empty file', '', { events: 0, malformed: 0, lines: 0 }],
    ['junk before events', `junk\n${line}\n`, { events: 1, malformed: 1, lines: 2 }],
  ]
  for (const [title, text, expected] of cases) {
    const { events, stats } = await readAll(text)
    t.same({ events: events.length, malformed: stats.malformed, lines: stats.lines }, expected, title)
    t.same(stats.strangeSources, [], title)
  }
})

t.test('a source with lines and no event is strange, and says where', async t => {
  const { stats } = await readAll('junk\nmore\n')
  t.same(stats.strangeSources, ['test'])
  t.same(stats.malformedSamples[1], { source: 'test', line: 2, problem: 'it is not JSON' })
})

t.test('a line beyond the limit is skipped and counted, and the next one is read', async t => {
  const line = lineOf(eventOf())
  const long = lineOf(eventOf({ arguments: 'x'.repeat(5000) }))
  const { events, stats } = await readAll(`${long}\n${line}\n`, [700, 700], 2000)
  t.equal(events.length, 1)
  t.equal(stats.tooLongLines, 1)
})

t.test('what an agent lost is counted', async t => {
  const lost = await readAll(fixture('lost-data.jsonl.gz'))
  t.ok(lost.stats.blindEvents > 0, 'arguments')
  const late = await readAll(fixture('late-pod.jsonl.gz'))
  t.equal(late.stats.podlessEvents, 3, 'pods')
  t.equal((await readAll(fixture('rate-limit.jsonl.gz'))).stats.droppedByAgent, 1900, 'events')
})
