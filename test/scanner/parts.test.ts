/** The scanner's memory of pieces, and how it compares: parts of it, compiled for this test. */

import assert from 'node:assert/strict'
import t from 'tap'
import { compileScanner } from '../../scripts/compile-scanner.js'
import { decodeEvent } from '../../src/correlator/exec-event.js'
import { PROCESS_PLACES } from '../../src/correlator/scan-records.js'
import { createEventDecoder } from '../support/line-reader.js'
import { assertProperty, fc } from '../support/properties.js'

interface Parts {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly TEXT: { readonly value: number }
  begin(size: number, places: number): void
  hold(place: number, another: number): void
  add(hash: number, start: number, headEnd: number, tailStart: number, end: number): number
  find(hash: number, between: number, end: number): number
  nextGone(place: number): number
  isSame(one: number, other: number, length: number): number
  hashOf(start: number, end: number): number
  timeOf(length: number): number
}

declare const WebAssembly: {
  instantiate(code: Uint8Array): Promise<{ readonly instance: { readonly exports: object } }>
}

const { instance } = await WebAssembly.instantiate(await compileScanner('test/support/scanner/parts.ts'))
const parts = instance.exports as Parts

/** @returns how many bytes it has. */
function write(text: string | Uint8Array, at = 0): number {
  // A view of its own each time: the memory grows with each new set of pieces.
  return Buffer.from(text).copy(Buffer.from(parts.memory.buffer, parts.TEXT.value), at)
}

function find(text: string, hash: number, between: number): number {
  return parts.find(hash, between, write(text))
}

function add(text: string, hash: number, headEnd: number, tailStart: number): number {
  const end = write(text)
  return parts.add(hash, 0, headEnd, tailStart, end)
}

t.test('pieces are found by a hash and told by their bytes; the oldest make room', async t => {
  parts.begin(100_000, 32_768)
  const first = add('head-1 7 tail-1', 1, 7, 8)
  t.equal(find('head-1 8 tail-1', 1, 1), first)
  t.equal(find('head-1 8 tail-1', 2, 1), -1)
  // The same hash, and other bytes.
  t.equal(find('head-2 8 tail-1', 1, 1), -1)
  t.equal(find('head-1 8 tail-2', 1, 1), -1)
  t.equal(find('head-1 8 tail-', 1, 1), -1)
  const second = add('head-2 7 tail-1', 1, 7, 8)
  t.equal(find('head-2 8 tail-1', 1, 1), second)
  t.equal(find('head-1 8 tail-1', 1, 1), first)
  t.equal(add('x'.repeat(2_000), 3, 1_000, 1_000), 32_768, 'too long: the place behind the last')
  t.equal(find('x'.repeat(2_000), 3, 0), -1)
  // As many as there is room for, and one more.
  for (let index = 0; index < 6_664; index += 1) add('head-1 7 tail-1', 100 + index, 7, 8)
  t.equal(find('head-1 8 tail-1', 1, 1), first)
  const another = add('head-1 7 tail-1', 9_999, 7, 8)
  t.equal(find('head-1 8 tail-1', 1, 1), -1)
  t.equal(find('head-2 8 tail-1', 1, 1), second)
  t.equal(find('head-1 8 tail-1', 9_999, 1), another)
})

t.test('a piece is never taken for another, however many came and went; what is gone is told once', async t => {
  const ending = fc.constantFrom('', 'a', '"', '\u007fä', '\u{10ffff}')
  const part = fc.tuple(fc.constantFrom('', 'a'.repeat(7), 'a'.repeat(33)), ending).map(each => each.join(''))
  const written = fc.record({ hash: fc.nat({ max: 80 }), head: part, number: fc.constantFrom('', '7'), tail: part })
  let found = 0
  let forgotten = 0
  assertProperty(
    fc.property(fc.array(written, { minLength: 300, maxLength: 900 }), pieces => {
      // So small that pieces are written over again and again.
      parts.begin(8_000, 256)
      const kept = new Map<number, readonly [string, string]>()
      for (const { hash, head, number, tail } of pieces) {
        const text = `${head}${number}${tail}`
        const known = kept.get(find(text, hash, number.length))
        if (known !== undefined) {
          found += 1
          // Where the number stood may be another place: what was compared is the same all the same.
          assert.equal(`${known[0]}${number}${known[1]}`, text)
        }
        const headEnd = Buffer.byteLength(head)
        kept.set(add(text, hash, headEnd, headEnd + number.length), [head, tail])
        for (let place = parts.nextGone(0); place !== -1; place = parts.nextGone(place + 1)) {
          assert.ok(kept.delete(place))
          forgotten += 1
        }
      }
    }),
    { numRuns: 100 },
  )
  t.ok(found > 100, `${found} were found`)
  t.ok(forgotten > 100, `${forgotten} were gone`)
})

t.test('what is held keeps its place while others come', async t => {
  parts.begin(100_000, 256)
  const [one = -1, other = -1] = ['one', 'other'].map(text => add(text, 5, 0, 0))
  parts.hold(one, other)
  for (let index = 0; index < 20; index += 1) add(`x${index}`, 5, 0, 0)
  t.equal(find('one', 5, 0), one)
  t.equal(find('other', 5, 0), other)
  parts.hold(-1, -1)
  for (let index = 0; index < 4; index += 1) add(`y${index}`, 5, 0, 0)
  t.equal(find('one', 5, 0), -1)
})

t.test('two texts are the same only when each byte is', async t => {
  const length = 131
  const text = Buffer.from(Array.from({ length }, (_, index) => (index * 7) % 0x100))
  const at = 1_003
  write(text)
  for (let size = 0; size <= length; size += 1) {
    write(text, at)
    assert.ok(parts.isSame(0, at, size))
    // What stands behind is not looked at.
    write(Buffer.of(0xff, 0xff), at + size)
    assert.ok(parts.isSame(0, at, size))
    for (let index = 0; index < size; index += 1) {
      for (const bit of [1, 0x80]) {
        const other = Buffer.from(text.subarray(0, size))
        other[index] = (text[index] ?? 0) ^ bit
        write(other, at)
        assert.equal(parts.isSame(0, at, size), 0)
      }
    }
  }
  t.pass()
})

t.test('a hash looks at each byte, and at their order', async t => {
  const hashes = new Set<number>()
  const texts = [
    '',
    'ab',
    'ba',
    'abc',
    'abcdefgh',
    'hgfedcba',
    'abcdefghi',
    'abcdefgha',
    'a'.repeat(200),
    'a'.repeat(201),
  ]
  for (const text of texts) hashes.add(parts.hashOf(0, write(text)))
  t.equal(hashes.size, texts.length)
})

t.test('a line keeps its process and its parent while others of the same place come by', async t => {
  const decode = createEventDecoder()
  const ids = alike(PROCESS_PLACES / 4 - 1)
  const process = (index: number) =>
    `"exec_id":"${ids[index]}","pid":${index},"binary":"/${index}","flags":"execve","refcnt":1,"tid":${index}`
  const line = (own: number, parent: number, ...ancestors: readonly number[]) => {
    const others = ancestors.map(each => `{${process(each)}}`).join()
    return Buffer.from(
      `{"process_exec":{"process":{${process(own)}},"parent":{${process(parent)}}${others && `,"ancestors":[${others}]`}},"node_name":"n","time":"2026-11-21T23:08:09Z"}`,
    )
  }
  const lines = [
    // The set is full; the oldest is the line's own, the others are new.
    ...[line(0, 1), line(2, 3), line(0, 4)],
    // The same of the parent.
    ...[
      line(10, 11),
      line(12, 13),
      line(14, 15, 16, 17),
      line(13, 12, 18, 19, 20, 21),
      line(14, 15),
      line(15, 14, 22, 23, 24),
    ],
  ]
  for (const each of [...lines, ...lines]) assert.deepEqual(decode(each), decodeEvent(each))
  t.pass()
})

t.test('what has the same hash is told by its bytes', async t => {
  const decode = createEventDecoder()
  const line = (flags: string, args: string) =>
    Buffer.from(
      `{"process_exec":{"process":{"exec_id":"${flags}","pid":1,"binary":"/x","arguments":"${args}","flags":"${flags}","tid":1}},"time":"2026-11-21T23:08:09Z"}`,
    )
  const pairs = collisions(flags => flags)
  const commands = collisions(args => `,"binary":"/x","arguments":"${args}"`)
  t.ok(pairs.length > 0 && commands.length > 0)
  for (const each of pairs.flat().map(flags => line(flags, 'a'))) assert.deepEqual(decode(each), decodeEvent(each))
  for (const each of commands.flat().map(args => line('f', args))) assert.deepEqual(decode(each), decodeEvent(each))
})

/** Ids whose hashes agree in these bits. */
function alike(mask: number): readonly string[] {
  const found: string[] = []
  for (let index = 0; found.length < 30; index += 1) {
    const id = `id-${index}`
    if ((parts.hashOf(0, write(id)) & mask) === 0) found.push(id)
  }
  return found
}

/** Words that make two texts of the same hash. */
function collisions(textOf: (word: string) => string): readonly (readonly [string, string])[] {
  const words = new Map<number, string>()
  const found: [string, string][] = []
  for (let index = 0; index < 300_000; index += 1) {
    const word = `w${index * 7_919}`.padEnd(13, '-')
    const hash = parts.hashOf(0, write(textOf(word)))
    const other = words.get(hash)
    if (other !== undefined) found.push([other, word])
    words.set(hash, word)
  }
  return found
}

t.test('a stamp is read in full, or not at all', async t => {
  const time = (text: string) => parts.timeOf(write(text))
  t.equal(time('2026-11-21T23:08:09.401706707Z'), Date.parse('2026-11-21T23:08:09.401Z'))
  t.equal(time('2026-11-21T23:08:09Z'), Date.parse('2026-11-21T23:08:09Z'))
  for (const odd of [
    '',
    '2026-11-21T23:08:0',
    '2026-11-21T23:08:09',
    '2026-11-21T23:08:09.4017067071Z',
    '2026-11-21T23:08:60Z',
  ])
    t.ok(Number.isNaN(time(odd)), odd)
})
