/** The scanner says what the full parse says, of every line, however much it remembers. */

import assert from 'node:assert/strict'
import t from 'tap'
import { EventScanner } from '../../src/correlator/event-scanner.js'
import { decodeEvent, type ExecEvent } from '../../src/correlator/exec-event.js'
import { createEventDecoder, createLineReader } from '../support/line-reader.js'
import { assertProperty, fc } from '../support/properties.js'
import { FILES, linesOf } from '../support/recorded-lines.js'

const NEWLINE = 0x0a

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
    const read = createLineReader()
    const lines = linesOf(name)
    return lines.filter(line => read(line) !== undefined).length / lines.length
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
  assertProperty(
    fc.property(fc.oneof(replaced, glued, flipped), damaged => {
      // A newline makes two lines of it.
      fc.pre(!damaged.includes(NEWLINE))
      assert.deepEqual(decode(damaged), decodeEvent(damaged))
    }),
    { numRuns: 3_000 },
  )
  t.pass()
})

t.test('both paths agree on lines of another order, with other keys and other values', async t => {
  const decode = createEventDecoder()
  let fast = 0
  const read = createLineReader()
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
  assertProperty(
    fc.property(line, bytes => {
      if (read(bytes) !== undefined) fast += 1
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
  const read = createLineReader()
  const [line = ''] = linesOf('exec-1k.jsonl.gz').map(String)
  const at = line.lastIndexOf('"time":"') + '"time":"'.length
  const timeOf = (stamp: string): number | undefined => {
    const decoded = read(Buffer.from(line.slice(0, at) + stamp + line.slice(line.indexOf('"', at))))
    return decoded?.type === 'exec' ? decoded.event.time : undefined
  }
  const pad = (value: number, digits: number) => String(value).padStart(digits, '0')
  const digits = fc.string({ unit: fc.constantFrom(...'0123456789'), maxLength: 10 })
  const day = fc
    .tuple(fc.nat({ max: 9999 }), fc.nat({ max: 13 }), fc.nat({ max: 32 }))
    .map(([year, month, date]) => `${pad(year, 4)}-${pad(month, 2)}-${pad(date, 2)}`)
  const clock = fc
    .tuple(fc.nat({ max: 24 }), fc.nat({ max: 60 }), fc.nat({ max: 60 }), digits)
    .map(([hour, minute, second, fraction]) => {
      const point = fraction === '' ? '' : `.${fraction}`
      return `T${pad(hour, 2)}:${pad(minute, 2)}:${pad(second, 2)}${point}Z`
    })
  const known = fc.constantFrom('2024-02-29', '2025-02-29', '2000-02-29', '1900-02-29', '0000-02-29', '1969-12-31')
  const stamp = fc.tuple(fc.oneof(day, known), clock).map(parts => parts.join(''))
  let count = 0
  assertProperty(
    fc.property(stamp, written => {
      const time = timeOf(written)
      // A stamp that it does not know is left to the full parse.
      if (time === undefined) return
      count += 1
      assert.equal(time, Date.parse(written))
    }),
    { numRuns: 5_000 },
  )
  t.ok(count > 2_000, `${count} of them were read`)
  for (const usual of ['2026-11-21T23:08:09.401706707Z', '2026-11-21T23:08:09Z', '9999-12-31T23:59:59.999Z']) {
    t.equal(timeOf(usual), Date.parse(usual))
  }
  for (const odd of ['2026-02-30T00:00:00Z', '2026-11-21T23:08:09.Z', '2026-11-21T23:08:09z', '2026-11-21 23:08:09Z']) {
    t.equal(timeOf(odd), undefined)
  }
})

t.test('both paths agree whichever byte of a known line is another', async t => {
  const decode = createEventDecoder()
  const lines = linesOf('exec-1k.jsonl.gz').filter(line => line.length < 3_000)
  const counted = lines.slice(0, 1).flatMap(line => [line, countedOf(line, ['"refcnt":1,', '"refcnt":2,'])])
  for (const line of counted.flatMap(each => [each, exitOf(each)])) {
    decode(line)
    for (let at = 0; at < line.length; at += 1) {
      for (const mask of [1, 0x80]) {
        const other = Buffer.from(line)
        other[at] = (line[at] ?? 0) ^ mask
        if (other[at] !== NEWLINE) assert.deepEqual(decode(other), decodeEvent(other), `byte ${at}`)
      }
    }
  }
  t.pass()
})

t.test('both paths agree on every byte in every kind of field', async t => {
  const decode = createEventDecoder()
  const [line] = linesOf('exec-1k.jsonl.gz').filter(each => each.includes('"pod_labels"') && each.includes('"parent":'))
  const text = String(line)
  const fields = [
    'exec_id',
    'cwd',
    'binary',
    'arguments',
    'flags',
    'start_time',
    'namespace',
    'workload',
    'docker',
    'time',
  ]
  const places = ['"pod_labels":{"', '"node_labels":{"', '"node_name":"', ...fields.map(field => `"${field}":"`)]
    .map(each => [text.indexOf(each), each.length])
    .flatMap(([at = -1, length = 0]) => (at === -1 ? [] : [at + length, at + length + 3]))
  assert.ok(places.length > 20 && line !== undefined)
  for (const at of places) {
    for (let byte = 0; byte <= 0xff; byte += 1) {
      if (byte === NEWLINE) continue
      for (const inserted of [Buffer.of(byte), Buffer.of(0x5c, byte)]) {
        const other = Buffer.concat([line.subarray(0, at), inserted, line.subarray(at)])
        assert.deepEqual(decode(other), decodeEvent(other), `byte ${byte} at ${at}`)
      }
    }
  }
  t.pass()
})

t.test('what is repeated is the same object, so that what is made of it can be remembered', async t => {
  const read = createLineReader()
  const lines = linesOf('exec-1k.jsonl.gz').filter(line => line.includes('"pod":') && line.includes('"parent":'))
  const eventOf = (line: Buffer): ExecEvent | undefined => {
    const decoded = read(line)
    return decoded?.type === 'exec' ? decoded.event : undefined
  }
  const [line = Buffer.alloc(0)] = lines
  // Another process of the same container and command.
  const other = Buffer.from(String(line).replace(/"exec_id":"[^"]+","pid":\d+/, '"exec_id":"another","pid":4711'))
  const [one, two, three] = [eventOf(line), eventOf(countedOf(line, ['', '"refcnt":9,'])), eventOf(other)]
  assert.ok(one !== undefined && two !== undefined && three !== undefined)
  t.not(one.pod, undefined)
  t.equal(one.pod, two.pod)
  t.equal(one.pod, three.pod)
  t.equal(one.flags, three.flags)
  t.not(one.parent, undefined)
  t.equal(one.parent, two.parent)
  t.equal(one.parent, three.parent)
})

t.test('of two processes that are too long to be kept neither is taken for the other', async t => {
  const decode = createEventDecoder()
  const process = (letter: string, length: number) =>
    `"exec_id":"${letter}","pid":1,"binary":"/${letter}","arguments":"${letter.repeat(length)}","flags":"execve","tid":1`
  for (const [own, parent] of [
    [20_500, 20_500],
    [20_500, 10],
    [10, 20_500],
    [15_500, 15_500],
  ] as const) {
    const line = Buffer.from(
      `{"process_exec":{"process":{${process('a', own)}},"parent":{${process('b', parent)}}},"time":"2026-11-21T23:08:09Z"}`,
    )
    assert.deepEqual(decode(line), decodeEvent(line))
  }
  t.pass()
})

t.test('a line of more new processes than there is room for is left to the full parse', async t => {
  const scanner = new EventScanner()
  let count = 0
  const process = () => {
    count += 1
    return `{"exec_id":"${count}","pid":${count},"binary":"/${count}","flags":"f${count}","tid":1}`
  }
  const line = (ancestors: number) => {
    const others = Array.from({ length: ancestors }, process).join()
    const family = others && `,"ancestors":[${others}]`
    return `{"process_exec":{"process":${process()}${family}},"node_name":"n","time":"2026-11-21T23:08:09Z"}`
  }
  const lines = Array.from({ length: 400 }, (_, index) => line([0, 1, 28, 29, 30, 31, 32, 40, 400][index % 9] ?? 0))
  const events: ExecEvent[] = []
  let left = 0
  scanner.scan(Buffer.from(`${lines.join('\n')}\n`), 0, {
    takeEvent: event => events.push(event),
    takeLine: (chunk, start, end) => {
      left += 1
      const decoded = decodeEvent(chunk.subarray(start, end))
      if (decoded.type === 'exec') events.push(decoded.event)
    },
  })
  const expected = lines.map(each => decodeEvent(each)).flatMap(each => (each.type === 'exec' ? [each.event] : []))
  assert.deepEqual(events, expected)
  t.equal(scanner.lines, lines.length)
  t.ok(left > 40 && left < 300, `${left} were left`)
})

/** Processes, commands, flags and containers of a small world that is larger than what is remembered of it. */
function worldLines(count: number, seed: number): readonly string[] {
  let state = seed
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
  // Some are met again soon, some after they were forgotten.
  const one = (limit: number): number => (below(3) === 0 ? below(limit) : below(40))
  const process = (): string => {
    const id = one(30_000)
    const pod = id % 9_000
    const args = id % 97 === 0 ? 'a'.repeat(16_000) : `-x ${id % 20_000}`
    return [
      `"exec_id":"${Buffer.from(`node:${id}`).toString('base64')}","pid":${id},"uid":0,"cwd":"/","binary":"/bin/b${id % 400}"`,
      `,"arguments":"${args}","flags":"execve f${id % 300}","start_time":"2026-11-21T23:08:09Z","auid":1`,
      id % 5 === 0 ? '' : `,"pod":{"namespace":"ns","name":"pod-${pod}","container":{"id":"containerd://${pod}"}}`,
      `,"docker":"${pod}","parent_exec_id":"x","refcnt":${1 + below(3)},"tid":${id}`,
    ].join('')
  }
  return Array.from({ length: count }, () => {
    const parent = below(9) === 0 ? '' : `,"parent":{${process()}}`
    const ancestors = Array.from({ length: below(6) === 0 ? 1 + below(8) : 0 }, () => `{${process()}}`).join()
    const family = parent + (ancestors === '' ? '' : `,"ancestors":[${ancestors}]`)
    const end = `"node_name":"n${below(50) === 0 ? 1 : 2}","time":"2026-11-21T23:08:09Z"`
    return `{"process_${below(4) === 0 ? 'exit' : 'exec'}":{"process":{${process()}}${family}},${end}}`
  })
}

t.test('both paths agree when more comes by than can be remembered, in chunks of any size', async t => {
  const lines = worldLines(40_000, 7)
  const bytes = Buffer.from(`${lines.join('\n')}\n`)
  const scanner = new EventScanner()
  const events: ExecEvent[] = []
  let left = 0
  let exits = 0
  const taker = {
    takeEvent: (event: ExecEvent) => {
      events.push(event)
    },
    takeLine: (chunk: Buffer, start: number, end: number) => {
      left += 1
      const decoded = decodeEvent(chunk.subarray(start, end))
      if (decoded.type === 'exec') events.push(decoded.event)
    },
  }
  for (let at = 0, size = 1; at < bytes.length; size = (size * 7) % 1_000_003) {
    const read = scanner.scan(bytes.subarray(at, Math.min(bytes.length, at + size)), 0, taker)
    at += read
    exits += scanner.exits
  }
  const expected = lines.map(line => decodeEvent(line)).flatMap(each => (each.type === 'exec' ? [each.event] : []))
  assert.equal(events.length, expected.length)
  for (const [index, event] of events.entries()) assert.deepEqual(event, expected[index])
  t.ok(exits > 7_000)
  t.ok(left < lines.length / 20, `${left} were left`)
})
