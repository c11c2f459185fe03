/** Reviews read in part: to every reader the same as what `JSON.parse` gives, and refused when that refuses. */

import { readFileSync } from 'node:fs'
import t from 'tap'
import { parseWorkload, WORKLOAD_KINDS } from '../../src/policy/index.js'
import { decodeAdmissionReview } from '../../src/webhook/admission-review.js'
import { createDecisionRecord } from '../../src/webhook/decision-record.js'
import { DecisionWriter } from '../../src/webhook/decision-writer.js'
import { encodeDecisionRecord } from '../../src/webhook/encode-decision-record.js'
import { eachOf, fieldsOf, JsonPartReader, KEPT, PASSING } from '../../src/webhook/json-part.js'
import { endOfValue, PADDING, UNKNOWN } from '../../src/webhook/json-scan.js'
import { judge } from '../../src/webhook/judge.js'
import { readObjectMetadata } from '../../src/webhook/object-metadata.js'
import { createReviewParser, type ReviewBody } from '../../src/webhook/review-part.js'
import { NOW, policyOf } from '../support/policies.js'
import { assertProperty, fc } from '../support/properties.js'

const MUTATED_BYTES = 40_000
const MUTATED_VALUES = 10_000

const recorded: Readonly<Record<string, object>> = JSON.parse(
  readFileSync('test/fixtures/admission/reviews-kube-1.20.2.json', 'utf8'),
)
const cases: readonly { readonly request: object }[] = JSON.parse(
  readFileSync('test/fixtures/admission/cases.json', 'utf8'),
)
/** What recorded reviews of 1.20 on a bare cluster lack: each field that is read, in each of its places. */
const everything = {
  metadata: {
    name: 'web',
    generateName: 'web-',
    uid: 'o-1',
    annotations: { 'kubernetes.io/config.mirror': 'x', 'é\u2028"\\': '\u0000😀' },
    ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'n', uid: 'u', controller: true }],
    managedFields: [{ manager: 'm', fieldsV1: { 'f:spec': { 'k:{"name":"p1"}': { '.': {} } } } }],
  },
  spec: {
    priority: -10,
    share: 0.5,
    containers: [{ name: 'app', image: 'a.example/x:1', env: [{ name: 'A', value: 'tab\there' }] }],
    initContainers: [{ name: 'ä', image: 'b.example/ü' }],
    ephemeralContainers: [{ name: 'debug', image: '' }],
    volumes: [
      { name: 'v', image: { reference: 'c.example/v@sha256:0', pullPolicy: 'Always' } },
      { name: 'e', emptyDir: {} },
    ],
    template: { spec: { containers: [{ image: 'd.example/t' }] } },
    jobTemplate: { spec: { template: { spec: { containers: [{ image: 'e.example/j' }], volumes: null } } } },
  },
  template: { spec: { containers: [] } },
  ephemeralContainers: [{ name: 'old', image: 'f.example/e' }],
  status: { phase: 'Pending', conditions: [[], {}, [[{}]], true, false, null] },
}
const synthetic = WORKLOAD_KINDS.map(kind => ({
  uid: `r-${kind}`,
  kind: { group: '', version: 'v1', kind },
  subResource: '',
  name: '',
  namespace: 'team-a',
  operation: 'UPDATE',
  userInfo: { username: 'system:node:n', groups: ['system:nodes', 'x'], extra: { a: ['b'] } },
  object: everything,
  oldObject: everything,
  dryRun: true,
}))
const review = (request: object) => ({ kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1', request })
const reviews: readonly object[] = [
  ...Object.values(recorded),
  ...cases.map(({ request }) => review(request)),
  ...synthetic.map(review),
]
const texts = reviews.map(one => JSON.stringify(one))
const policy = policyOf({
  mode: 'enforce',
  allow: ['a.example/*', 'docker.io/library/nginx'],
  deny: ['b.example/*'],
  tags: { deny: ['latest'] },
})

type WriteRecord = (
  ...[request, metadata, decision, context]: Parameters<DecisionWriter['write']>
) => ReturnType<DecisionWriter['write']>

// One for all tests, as one serves all requests: what it remembers of one body must not show in another.
const writer = new DecisionWriter()
const writeQuickly: WriteRecord = (...given) => writer.write(...given)
const writePlainly: WriteRecord = (...given) => {
  const record = createDecisionRecord(...given)
  return { record, json: encodeDecisionRecord(record) }
}

/** All that anybody makes of a body. */
function readingOf({ body, isPlain }: ReviewBody, write: WriteRecord): unknown {
  const decoded = decodeAdmissionReview(body)
  if (!decoded.ok) return decoded
  const { object, oldObject, ...rest } = decoded.request
  const workloads = [object, oldObject].flatMap(one => WORKLOAD_KINDS.map(kind => parseWorkload(one, kind)))
  const judgement = judge(policy, decoded.request, { labelsOf: () => undefined }, NOW)
  if (judgement.status === 'passed') return { rest, workloads, judgement }
  const { request, metadata, decision } = judgement
  const context = { id: 'id', now: NOW, cluster: undefined, policy, warnings: [], isPlain }
  const written = write(request, metadata, decision, context)
  return { rest, workloads, metadata: readObjectMetadata(object), decision, written }
}

function parsedWhole(bytes: Buffer): unknown {
  try {
    return { ok: true, reading: readingOf({ body: JSON.parse(bytes.toString()), isPlain: false }, writePlainly) }
  } catch (error) {
    if (error instanceof SyntaxError) return { ok: false }
    throw error
  }
}

// One for all tests, as one serves all requests: what it remembers of one body must not show in another.
const parse = createReviewParser()

function parsedInPart(bytes: Buffer): unknown {
  const parsed = parse(bytes)
  if (!parsed.ok) return { ok: false }
  if (parsed.isPlain && !isPlainThroughout(parsed.body)) throw new Error('it holds something to escape')
  return { ok: true, reading: readingOf(parsed, writeQuickly) }
}

function isPlainThroughout(value: unknown): boolean {
  if (typeof value === 'string') return /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/.test(value)
  return typeof value !== 'object' || value === null || Object.values(value).every(isPlainThroughout)
}

function isSame(bytes: Buffer): boolean {
  return JSON.stringify(parsedInPart(bytes)) === JSON.stringify(parsedWhole(bytes))
}

t.test('each recorded, collected and made-up review reads the same, also once it is known', async t => {
  for (const text of [...texts, ...texts]) {
    const bytes = Buffer.from(text)
    t.strictSame(parsedInPart(bytes), parsedWhole(bytes), text.slice(0, 60))
    t.strictSame(parsedInPart(Buffer.from(`${text}\n`)), parsedWhole(bytes), 'with the newline of Go')
    t.strictSame(
      parsedInPart(Buffer.from(JSON.stringify(JSON.parse(text), undefined, 2))),
      parsedWhole(bytes),
      'indented',
    )
  }
})

/** Whatever may open, close, part or disguise something; halves of it too. */
const pieces = fc.constantFrom<readonly string[]>(
  ...[
    '"',
    '\\',
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '{}',
    '[]',
    '""',
    '0',
    '-',
    '01',
    '-0',
    '1.5',
    '1e5',
    '+1',
    '.',
    'e',
  ].map(one => [one]),
  ...[
    'true',
    'tru',
    'false',
    'null',
    'nul',
    'NaN',
    ' ',
    '\n',
    '\t',
    '\u0000',
    '\u001f',
    '\u007f',
    'é',
    '😀',
    '\u2028',
  ].map(one => [one]),
  ...[
    '\\u0041',
    '\\u00',
    '\\ud800',
    '\\x',
    '\\"',
    '\\/',
    '\\n',
    '","',
    '":"',
    '},{',
    '],[',
    '"image":"z",',
    '"\\u0069mage":"z",',
  ].map(one => [one]),
  ...[
    '"spec":{},',
    '"spec":null,',
    '"object":[],',
    '"containers":[{"image":"q"}],',
    '"uid":"",',
    '"__proto__":{"image":"p"},',
  ].map(one => [one]),
)
const bytePiece = fc.oneof(
  { weight: 8, arbitrary: pieces.map(([piece = '']) => Buffer.from(piece)) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 3 }).map(bytes => Buffer.from(bytes)) },
)
const edit = fc.record({ at: fc.nat(), cut: fc.nat({ max: 5 }), put: bytePiece })

t.test('with bytes put in, taken out and overwritten, a review reads the same or is refused by both', async t => {
  let wellFormed = 0
  assertProperty(
    fc.property(fc.constantFrom(...texts), fc.array(edit, { minLength: 1, maxLength: 3 }), (text, edits) => {
      let bytes: Buffer = Buffer.from(text)
      for (const { at, cut, put } of edits) {
        const place = at % bytes.length
        bytes = Buffer.concat([bytes.subarray(0, place), put, bytes.subarray(place + cut)])
      }
      if (parse(bytes).ok) wellFormed += 1
      return isSame(bytes)
    }),
    { numRuns: MUTATED_BYTES },
  )
  t.ok(wellFormed > MUTATED_BYTES / 20, 'and many of them are still JSON', { wellFormed })
})

t.test('with values replaced and keys renamed or doubled, a review reads the same', async () => {
  const foreign = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.string({ unit: 'binary', maxLength: 12 }),
    fc.constantFrom<unknown>('', 'nginx', 'x'.repeat(300), '\u202egcr.io/x', -1.5, [], {}, null, true, [1], ['a']),
  )
  const names = fc.constantFrom('image', 'spec', 'metadata', 'containers', 'volumes', 'name', 'kind', 'uid', 'other')
  assertProperty(
    fc.property(
      fc.constantFrom(...texts),
      fc.nat(),
      foreign,
      names,
      fc.boolean(),
      (text, at, value, name, isDoubled) => {
        const target = at % 150
        let index = 0
        const replaced = JSON.stringify(JSON.parse(text, (_key, old) => (index++ === target ? value : old)))
        if (typeof replaced !== 'string') return true
        const keys = [...replaced.matchAll(/"[A-Za-z]+":/g)]
        const key = keys[at % Math.max(1, keys.length)]
        if (key === undefined) return isSame(Buffer.from(replaced))
        const end = key.index + key[0].length
        const inserted = isDoubled ? `${key[0]}${JSON.stringify(value)},` : `"${name}":`
        return isSame(
          Buffer.from(replaced.slice(0, key.index) + inserted + replaced.slice(isDoubled ? key.index : end)),
        )
      },
    ),
    { numRuns: MUTATED_VALUES },
  )
})

function padded(text: string): { readonly view: DataView; readonly length: number } {
  const bytes = Buffer.from(text)
  const memory = new Uint8Array(bytes.length + PADDING)
  memory.set(bytes)
  return { view: new DataView(memory.buffer), length: bytes.length }
}

t.test('compact JSON is known to its end; what is no JSON never is', async t => {
  const table: readonly (readonly [string, boolean])[] = [
    ...['0', '-0', '10', '-7', 'true', 'false', 'null', '""', '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00eF"', '[]', '{}'].map(
      one => [one, true] as const,
    ),
    ...['[[],{},[0]]', '{"":{"":[]}}', '"é😀\u2028\u007f"', `${'['.repeat(60)}${']'.repeat(60)}`].map(
      one => [one, true] as const,
    ),
    ...['', '-', '01', '-01', '1.', '1.5', '1e3', '.5', '+1', 'tru', 'True', 'nulll', 'nan', '"', '"\\"', '"\\x"'].map(
      one => [one, false] as const,
    ),
    ...['"\\u12"', '"\\u12g4"', '"\n"', '"\u0000"', '[', ']', '[1', '[1,', '[1,]', '[,1]', '[1 ]', '{', '{"a"}'].map(
      one => [one, false] as const,
    ),
    ...[
      '{"a":}',
      '{"a":1,}',
      '{a:1}',
      '{"a":1',
      '{"a":1]',
      '[1}',
      '{1:2}',
      '{"a" :1}',
      '[1][',
      `${'['.repeat(80)}${']'.repeat(80)}`,
    ].map(one => [one, false] as const),
  ]
  for (const [text, isKnown] of table) {
    const { view, length } = padded(text)
    t.equal(endOfValue(view, 0) === length, isKnown, encodeURI(text.slice(0, 40)))
  }
  assertProperty(
    fc.property(fc.jsonValue({ depthSize: 'large' }), value => {
      const text = JSON.stringify(value)
      const { view, length } = padded(text)
      return endOfValue(view, 0) === length || /\d[.e]/.test(text.replaceAll(/"(?:[^"\\]|\\.)*"/g, ''))
    }),
    { numRuns: 3_000 },
  )
  const alphabet = fc.constantFrom(...'{}[],:"\\u0a1-.etrfnls \n\u0000é')
  assertProperty(
    fc.property(fc.array(alphabet, { maxLength: 9 }), letters => {
      const text = letters.join('')
      const { view, length } = padded(text)
      if (endOfValue(view, 0) !== length) return true
      JSON.parse(text)
      return true
    }),
    { numRuns: 30_000 },
  )
})

t.test('only what is asked for is read, and what is kept holds on to nothing else', async t => {
  const reader = new JsonPartReader(
    fieldsOf({ list: eachOf(fieldsOf({ text: KEPT })), word: PASSING, deep: fieldsOf({}) }),
  )
  const read = (text: string) => reader.read(Buffer.from(text))
  t.strictSame(read('{"list":[{"text":"a","other":[1,{}]},7],"rest":{"x":1},"word":"w","deep":{"a":1}}'), {
    list: [{ text: 'a' }, 7],
    word: 'w',
    deep: {},
  })
  t.strictSame(read('{"list":{"text":1},"word":["a"],"deep":"text"}'), { list: {}, word: [], deep: 'text' })
  t.strictSame(read('{"word":1,"word":"é\\n"}'), { word: 'é\n' })
  t.equal(read('{"wor\\u0064":1}'), undefined, 'a key that may be another')
  t.equal(read('{"word":1} '), undefined)
  t.equal(read(' {"word":1}'), undefined)
  const large = JSON.stringify({ rest: 'x'.repeat(200_000), word: 'w' })
  t.strictSame(read(large), { word: 'w' }, 'larger than the memory that is there already')
  t.equal(UNKNOWN, -1)
})
