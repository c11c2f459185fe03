/** Shapes: what is read, what is told of what does not fit, and the JSON Schema of both. */

import fc from 'fast-check'
import t from 'tap'
import {
  choice,
  described,
  describeShapeProblem,
  flag,
  list,
  nullable,
  object,
  openObject,
  optional,
  quantity,
  readShape,
  type Shape,
  table,
  text,
  textOr,
  whole,
  withFallback,
} from '../../src/shapes/index.js'

const entry = textOr(text(), object({ pattern: text(), reason: optional(text({ min: 1, max: 9 })) }), 'this or that')
const document = object({
  kind: choice(['A', 'B']),
  version: choice([1]),
  entries: optional(list(entry, { min: 1, max: 3 })),
  labels: optional(table(text())),
  isOn: optional(flag()),
  count: withFallback(whole(0, 10), () => 7),
  name: nullable(text({ pattern: /^[a-z]+$/, otherwise: 'is no name' })),
})

/** `path: what is wrong`, one for each problem. */
function problemsOf(shape: Shape<unknown>, value: unknown): readonly string[] {
  const read = readShape(shape, value)
  return read.ok ? [] : read.problems.map(each => `${each.path.join('.')}: ${describeShapeProblem(each)}`)
}

t.test('what does not fit is told with its place, all of it at once', async t => {
  const good = { kind: 'A', version: 1, name: 'x' }
  const rows: readonly [string, unknown, readonly string[]][] = [
    ['fits', good, []],
    ['null where it may be', { ...good, name: null }, []],
    ['a list for an object', [], [': must be an object, and is a list']],
    ['nothing', null, [': must be an object, and is empty']],
    ['keys are missing', {}, ['kind: is missing', 'version: is missing', 'name: is missing']],
    ['a key is present and empty', { ...good, kind: null }, ['kind: must be "A" or "B", and is empty']],
    ['mistyped keys', { ...good, knd: 1, entris: [] }, ['knd: unknown key', 'entris: unknown key']],
    ['a name of every object is no key', { ...good, toString: 'x' }, ['toString: unknown key']],
    ['not one of them', { ...good, kind: 'C' }, ['kind: must be "A" or "B", and is "C"']],
    [
      'nothing is coerced',
      { ...good, version: '1', isOn: 'true' },
      ['version: must be 1, and is "1"', 'isOn: must be true or false, and is "true"'],
    ],
    ['an empty list', { ...good, entries: [] }, ['entries: must not be empty']],
    ['a long one', { ...good, entries: ['', '', '', ''] }, ['entries: has more than 3 items']],
    ['neither form', { ...good, entries: ['x', 3] }, ['entries.1: must be this or that, and is number 3']],
    [
      'the form that was chosen',
      { ...good, entries: [{ pattern: 1, x: 0 }] },
      ['entries.0.x: unknown key', 'entries.0.pattern: must be text, and is number 1'],
    ],
    [
      'too short and too long',
      {
        ...good,
        entries: [
          { pattern: '', reason: '' },
          { pattern: '', reason: 'x'.repeat(10) },
        ],
      },
      ['entries.0.reason: must not be empty', 'entries.1.reason: is longer than 9 characters'],
    ],
    ['in a table', { ...good, labels: { a: 'x', b: 2 } }, ['labels.b: must be text, and is number 2']],
    ['a fraction', { ...good, count: 0.5 }, ['count: must be a whole number, 0 to 10, and is number 0.5']],
    ['out of range', { ...good, count: 11 }, ['count: must be a whole number, 0 to 10, and is number 11']],
    ['a pattern', { ...good, name: 'X' }, ['name: is no name']],
  ]
  for (const [title, value, problems] of rows) {
    t.same([...problemsOf(document, value)].sort(), [...problems].sort(), title)
  }
})

t.test('what fits is copied in the order of the shape, and fallbacks are put in', async t => {
  const read = readShape(document, { name: null, labels: JSON.parse('{"__proto__":"x"}'), version: 1, kind: 'B' })
  t.ok(read.ok)
  if (!read.ok) return
  t.equal(JSON.stringify(read.value), '{"kind":"B","version":1,"labels":{"__proto__":"x"},"count":7,"name":null}')
  t.equal(Object.getPrototypeOf(read.value.labels), Object.prototype, 'no key of a document is a prototype')
})

t.test('an open object leaves out what it does not know', async t => {
  const shape = openObject({ a: optional(quantity()) })
  t.same(readShape(shape, { a: 1, b: 2 }), { ok: true, value: { a: 1 } })
  t.same(readShape(shape, { b: 2 }), { ok: true, value: {} })
  t.equal(readShape(shape, { a: Number.NaN }).ok, false)
})

t.test('the JSON Schema says the same', async t => {
  t.same(document.jsonSchema(), {
    type: 'object',
    properties: {
      kind: { type: 'string', enum: ['A', 'B'] },
      version: { type: 'number', const: 1 },
      entries: {
        type: 'array',
        minItems: 1,
        maxItems: 3,
        items: {
          anyOf: [
            { type: 'string' },
            {
              type: 'object',
              properties: { pattern: { type: 'string' }, reason: { type: 'string', minLength: 1, maxLength: 9 } },
              required: ['pattern'],
              additionalProperties: false,
            },
          ],
        },
      },
      labels: { type: 'object', propertyNames: { type: 'string' }, additionalProperties: { type: 'string' } },
      isOn: { type: 'boolean' },
      count: { type: 'integer', minimum: 0, maximum: 10, default: 7 },
      name: { anyOf: [{ type: 'string', pattern: '^[a-z]+$' }, { type: 'null' }] },
    },
    required: ['kind', 'version', 'name'],
    additionalProperties: false,
  })
  t.same(described('so', nullable(text())).jsonSchema(), { type: ['string', 'null'], description: 'so' })
  t.same(openObject({ a: optional(quantity()) }).jsonSchema(), {
    type: 'object',
    properties: { a: { type: 'number' } },
  })
})

t.test('whatever comes: it is read or refused with a reason, and what was read is read again as the same', async t => {
  const key = fc.constantFrom('kind', 'version', 'entries', 'labels', 'isOn', 'count', 'name', '__proto__', 'x')
  const part = fc.oneof(fc.jsonValue(), fc.constantFrom('A', 1, null, true, 'x', ['x'], { pattern: 'x' }, { a: 'b' }))
  const near = fc.record(
    {
      kind: fc.constantFrom('A', 'B'),
      version: fc.constant(1),
      entries: fc.array(fc.oneof(fc.string(), fc.record({ pattern: fc.string() })), { maxLength: 4 }),
      labels: fc.dictionary(fc.string(), fc.string()),
      name: fc.constantFrom(null, 'x'),
    },
    { requiredKeys: ['kind', 'version', 'name'] },
  )
  const anything = fc.oneof(fc.jsonValue(), fc.dictionary(key, part), near)
  let accepted = 0
  fc.assert(
    fc.property(anything, value => {
      const read = readShape(document, value)
      if (!read.ok) return read.problems.length > 0
      accepted += 1
      const again = readShape(document, JSON.parse(JSON.stringify(read.value)))
      return again.ok && JSON.stringify(again.value) === JSON.stringify(read.value)
    }),
    { numRuns: 2_000 },
  )
  t.ok(accepted > 100, `${accepted} of them fitted`)
})
