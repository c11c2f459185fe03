/** Gzip data, whole and damaged: everything before the damage is read, and what is wrong is told. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { crc32, gzipSync } from 'node:zlib'
import t from 'tap'
import { GzipDamage } from '../../src/adapters/gzip-members.js'
import { decompress } from '../../src/adapters/gzip-stream.js'
import { assertAsyncProperty, fc } from '../support/properties.js'

interface Outcome {
  readonly bytes: Buffer
  readonly problem: string | undefined
  readonly isReadableBefore: boolean | undefined
}

async function outcomeOf(data: Buffer, sizes: readonly number[] = [data.length]): Promise<Outcome> {
  async function* chunks(): AsyncGenerator<Buffer> {
    let offset = 0
    for (const size of [...sizes, data.length]) {
      if (offset >= data.length) return
      yield data.subarray(offset, offset + size)
      offset += size
    }
  }
  const parts: Buffer[] = []
  try {
    for await (const part of decompress(chunks())) parts.push(part)
    return { bytes: Buffer.concat(parts), problem: undefined, isReadableBefore: undefined }
  } catch (error) {
    if (!(error instanceof GzipDamage)) throw error
    return { bytes: Buffer.concat(parts), problem: error.message, isReadableBefore: error.isReadableBefore }
  }
}

const LINES = Buffer.from(Array.from({ length: 300 }, (_, index) => `{"line":${index}}\n`).join(''))
/** Neither fits into one piece, packed or not. */
const LARGE = Buffer.concat([randomBytes(300_000), Buffer.alloc(1_000_000, 'x')])

/** RFC 1952, 2.3: a header with every optional part. */
function fullHeader(text: Buffer): Buffer {
  const plain = gzipSync(text)
  const head = Buffer.concat([
    Buffer.from([0x1f, 0x8b, 8, 2 | 4 | 8 | 16, 0, 0, 0, 0, 0, 255]),
    Buffer.from([3, 0, 1, 2, 3]),
    Buffer.from('tetragon.log\0', 'latin1'),
    Buffer.from('a comment\0', 'latin1'),
  ])
  const sum = Buffer.alloc(2)
  sum.writeUInt16LE(crc32(head) & 0xffff)
  return Buffer.concat([head, sum, plain.subarray(10)])
}

t.test('whole data is read, however it is put together and cut', async t => {
  const cases: readonly (readonly [string, Buffer, Buffer])[] = [
    ['one member', gzipSync(LINES), LINES],
    ['two members', Buffer.concat([gzipSync(LINES), gzipSync('end')]), Buffer.concat([LINES, Buffer.from('end')])],
    ['an empty member between', Buffer.concat([gzipSync('a'), gzipSync(''), gzipSync('b')]), Buffer.from('ab')],
    ['zeros behind', Buffer.concat([gzipSync(LINES), Buffer.alloc(70_000)]), LINES],
    ['zeros between', Buffer.concat([gzipSync('a'), Buffer.alloc(9), gzipSync('b')]), Buffer.from('ab')],
    ['every optional part of a header', fullHeader(LINES), LINES],
    ['stored, not compressed', gzipSync(LINES, { level: 0 }), LINES],
    ['more than a piece', gzipSync(LARGE), LARGE],
    ['nothing', Buffer.alloc(0), Buffer.alloc(0)],
    ['no gzip at all', LINES, LINES],
  ]
  for (const [name, data, plain] of cases) {
    for (const sizes of [[data.length], [1, 1, 1], [16 * 1024], Array.from({ length: 40 }, () => 7)]) {
      const { bytes, problem } = await outcomeOf(data, sizes)
      t.ok(bytes.equals(plain), `${name}, cut to ${sizes.slice(0, 3)}`)
      t.equal(problem, undefined)
    }
  }
})

t.test('wherever it is cut off, all that can be known is read', async t => {
  const data = Buffer.concat([gzipSync(LINES.subarray(0, 2_000)), gzipSync(LINES.subarray(2_000))])
  let longest = 0
  for (let length = 2; length < data.length; length += 1) {
    const { bytes, problem } = await outcomeOf(data.subarray(0, length))
    assert.ok(bytes.equals(LINES.subarray(0, bytes.length)), `cut to ${length}: a beginning`)
    assert.ok(bytes.length >= longest, `cut to ${length}: no less than of fewer bytes`)
    longest = bytes.length
    const isWholeMember = length === gzipSync(LINES.subarray(0, 2_000)).length
    assert.equal(problem, isWholeMember ? undefined : 'it ends too early')
  }
  t.equal(longest, LINES.length, 'without its last byte nothing of the text is missing')
})

t.test('what is damaged', async t => {
  const whole = gzipSync(LINES)
  const wrongSum = Buffer.from(whole)
  wrongSum.writeUInt32LE(7, whole.length - 8)
  const wrongSize = Buffer.from(whole)
  wrongSize.writeUInt32LE(7, whole.length - 4)
  const cases: readonly (readonly [string, Buffer, RegExp, number])[] = [
    ['something behind it', Buffer.concat([whole, Buffer.from('garbage')]), /behind its end/, LINES.length],
    ['one byte behind it', Buffer.concat([whole, Buffer.from('g')]), /behind its end/, LINES.length],
    ['half a header behind it', Buffer.concat([whole, whole.subarray(0, 5)]), /too early/, LINES.length],
    ['a wrong checksum', wrongSum, /checksum/, LINES.length],
    ['a wrong length', wrongSize, /checksum/, LINES.length],
    ['no data at all', Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]), /too early/, 0],
    ['another method', Buffer.from([0x1f, 0x8b, 0, 1, 2, 3, 4, 5, 6, 7]), /no gzip header/, 0],
    ['a name without an end', Buffer.from([0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 255, ...LINES]), /too early/, 0],
  ]
  for (const [name, data, problem, read] of cases) {
    const found = await outcomeOf(data)
    t.match(found.problem, problem, name)
    t.equal(found.bytes.length, read, name)
    t.equal(found.isReadableBefore, read > 0)
  }
  // The second member is damaged in its middle: the first one is whole.
  const large = gzipSync(LARGE)
  const middle = Math.floor(large.length / 2)
  large.fill(0xff, middle, middle + 100)
  const { bytes, problem } = await outcomeOf(Buffer.concat([whole, large]))
  t.match(problem, /data is wrong|checksum/)
  t.ok(bytes.length > LINES.length && bytes.subarray(0, LINES.length).equals(LINES))
})

t.test('whatever the bytes, it ends, and says nothing but gzip damage', async t => {
  const whole = gzipSync(LINES)
  const flip = fc.record({ at: fc.nat(whole.length - 1), to: fc.nat(255) })
  await assertAsyncProperty(
    fc.asyncProperty(fc.array(flip, { minLength: 1, maxLength: 3 }), fc.array(fc.nat(200)), async (flips, sizes) => {
      const data = Buffer.from(whole)
      for (const { at, to } of flips) data[at] = to
      const { bytes, problem } = await outcomeOf(data, sizes)
      const isGzip = data[0] === 0x1f && data[1] === 0x8b
      if (isGzip && problem === undefined) assert.ok(bytes.equals(LINES))
    }),
    { numRuns: 200 },
  )
  t.pass()
})

t.test('whoever stops half-way closes the source', async t => {
  let isClosed = false
  async function* chunks(): AsyncGenerator<Buffer> {
    try {
      for (;;) yield gzipSync(LARGE)
    } finally {
      isClosed = true
    }
  }
  for await (const bytes of decompress(chunks())) if (bytes.length > 0) break
  t.ok(isClosed)
})
