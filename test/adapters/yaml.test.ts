import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { foldListRuns } from '../../src/adapters/list-runs.js'
import { parsePolicyText, toPolicySource } from '../../src/adapters/yaml.js'
import { KnownError } from '../../src/errors.js'
import type { DocumentPath, PolicySource } from '../../src/policy/index.js'
import { assertProperty, fc } from '../support/properties.js'

/** A text with the first of them in it is never folded; otherwise the two are alike. */
const WHOLE = '# sallyport-list-run-\n'
const FOLDED = '# sallyport-list-fun-\n'

/** Everything that a parse tells: values and the place of every part, or the problem. */
function tell(text: string): unknown {
  try {
    return parsePolicyText(text, 'p.yaml').map(document => {
      const source = toPolicySource(document)
      return { value: source.value, places: [...pathsOf(source.value, [])].map(path => placesOf(source, path)) }
    })
  } catch (error) {
    if (error instanceof KnownError) return error.message
    throw error
  }
}

function placesOf(source: PolicySource, path: DocumentPath) {
  return [path.join('.'), source.locate(path), source.locate(path, 3), source.locateKey(path)]
}

function* pathsOf(value: unknown, path: DocumentPath): Generator<DocumentPath> {
  yield path
  yield [...path, 'missing']
  if (typeof value !== 'object' || value === null) return
  if (Array.isArray(value)) for (const [index, inner] of value.entries()) yield* pathsOf(inner, [...path, index])
  else for (const [key, inner] of Object.entries(value)) yield* pathsOf(inner, [...path, key])
}

/** Lines of one item, the first behind its dash; the others stand below its text. */
const ITEMS: readonly (readonly string[])[] = [
  ['gcr.io/a/b'],
  ['"gcr.io/a/*"'],
  ["'x'"],
  ['"12"'],
  ['a/b:1.2'],
  ['a/*'],
  ['reg.io:5000/x@sha256:00'],
  ['word'],
  ['some words (and more)'],
  ['{ pattern: a/b:1, reason: "it\'s", owner: team a }'],
  ["{pattern: 'a/*'}"],
  ['{ z: x, b: "y", a: v1/é }'],
  ['pattern: a/b', 'owner: "x"', 'reason: base images, for all'],
  ['pattern: h.io:5000/b', 'owner: Straße (team)'],
  ["pattern: '*.h.io/b'"],
]
const ODDITIES = [
  '12',
  'true',
  '1/2',
  'a/b # comment',
  'a/b:',
  'a: b/c',
  '{ pattern: a/b, reason: "x" }',
  '|\n  - a/b',
  '"open',
  '*x',
  '&a b/c',
  '!!str a/b',
  '- a/b',
  'a/b\r',
  '',
  '~',
  '[a/b]',
  'null',
  'Yes',
  '2026-11-22',
  'y: a',
  'a: null',
  'a: off',
  'a: 1.5',
  'a: b c:',
  'a: b  c',
  'a: b # c',
  'a: "b" c',
  'a:',
  'a: b\n    more',
  'a: b,\n    more',
  'a: b,',
  'a: b\n    c: d',
  'a: b\n  a: c',
  'a: "b\n    c"',
  '"a": b',
  'a: b\n  "c": d',
  'a: b\n\n  c: d',
  'a: said "so"',
  'a: and: no',
  'a: b,c',
  '{ a: b,c: d }',
  '{ a: b,c }',
  'a: >-\n    c: d',
  '{ a: b, a: c }',
  '{ a: b',
  '{ a: b,\n  c: d }',
  '{ a: b }\n  : c',
  '{ a: b } # c',
  '{ a: b: c }',
  '{ a: [b] }',
  '{ a: *b }',
  '{ a: b\tc }',
  '{ a: "\\n" }',
  "{ a: '' }",
  "{ a: 'b''c' }",
  '{ a: }',
  '{ a: b, }',
  '{ a }',
  '{ a: "😀" }',
  '{ a: "x\u2028y" }',
  'a: x\u0085y',
  '? a',
  '%a',
  '@a',
  'a - b',
  'a- b: c',
  'constructor: a',
]
const OTHER_LINES = [
  'key: value',
  'text: |',
  '---',
  '# a/b',
  '',
  '  more/of/it',
  '?',
  '- x: |2',
  '"a":',
  '\t- a/b',
  '...',
]

const itemAt = (indent: string) => (inner: readonly string[]) => `${indent}- ${inner.join(`\n${indent}  `)}`
const oddityAt = (indent: string) => (inner: string) => `${indent}- ${inner.replaceAll('\n', `\n${indent}`)}`
const linesAt = (indent: string) =>
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.array(fc.constantFrom(...ITEMS).map(itemAt(indent)), { minLength: 16, maxLength: 40 }),
    },
    { weight: 2, arbitrary: fc.array(fc.constantFrom(...ODDITIES).map(oddityAt(indent)), { maxLength: 2 }) },
    {
      weight: 2,
      arbitrary: fc.array(
        fc.constantFrom(...OTHER_LINES).map(line => indent + line),
        { maxLength: 2 },
      ),
    },
    { weight: 2, arbitrary: fc.constantFrom([`${indent}list:`], [`${indent}text: >`], [`${indent}flow: [`]) },
  )
const lines = fc.constantFrom('', '  ', '    ').chain(linesAt)
/** Of one indentation, so that most of it holds together. */
const listDocument = fc
  .array(fc.oneof({ weight: 3, arbitrary: linesAt('  ') }, { weight: 1, arbitrary: fc.constant(['key:']) }), {
    minLength: 1,
    maxLength: 3,
  })
  .map(groups => `a:\n${groups.flat().join('\n')}\n`)
const anyDocument = fc
  .tuple(
    fc.constantFrom('', 'spec:\n', 'a: |\n', 'a: x\n', '"open\n', '[', '# \u2028'),
    fc.array(lines, { maxLength: 6 }),
  )
  .map(([head, groups]) => `${head}${groups.flat().join('\n')}\n`)

t.test('a text with long runs of items is read as if every line had been parsed', async t => {
  let folded = 0
  let read = 0
  assertProperty(
    fc.property(fc.oneof(listDocument, anyDocument), text => {
      const whole = tell(WHOLE + text)
      const isFolded = foldListRuns(FOLDED + text) !== undefined
      if (isFolded) folded += 1
      if (isFolded && Array.isArray(whole)) read += 1
      return isDeepStrictEqual(tell(FOLDED + text), whole)
    }),
    { numRuns: 800 },
  )
  t.ok(folded > 100 && read > 20, `${folded} were folded, ${read} of them hold together`)
})

t.test('each of the forms is read without a parser, and each oddity as the parser reads it', async t => {
  const plain = Array.from({ length: 20 }, (_, index) => `  - gcr.io/a/x${index}`)
  const parse = (text: string) => [tell(FOLDED + text), tell(WHOLE + text)]
  for (const inner of ITEMS) {
    const text = `a:\n${Array.from({ length: 20 }, () => itemAt('  ')(inner)).join('\n')}\n`
    const [run, ...others] = foldListRuns(FOLDED + text)?.runs.values() ?? []
    t.equal(run?.length, 18, inner.join())
    t.equal(others.length, 0)
    const [folded, whole] = parse(text)
    t.strictSame(folded, whole)
  }
  for (const inner of ODDITIES) {
    const odd = oddityAt('  ')(inner)
    for (const group of [
      [...plain, odd, ...plain],
      [...plain, odd],
      [odd, ...plain],
      [...plain, odd, odd, itemAt('  ')(['a: b'])],
      [...plain.map(line => `${line}\n  - a: b`), odd, ...plain],
    ]) {
      const [folded, whole] = parse(`a:\n${group.join('\n')}\n`)
      if (!isDeepStrictEqual(folded, whole)) t.strictSame(folded, whole, JSON.stringify(odd))
    }
  }
})

t.test('where a run stands in a text, or what follows belongs to its last line, nothing is lost', async t => {
  const run = Array.from({ length: 20 }, (_, index) => `  - gcr.io/a/x${index}`).join('\n')
  for (const text of [
    `a: |\n${run}\n`,
    `a: >-\n${run}\n`,
    `a:\n${run}\n    and more\nb:\n${run}\n`,
    `a: "x\n${run}\n  y"\n`,
    `a: plain\n${run}\n`,
    `a:\n${run}\n---\na:\n${run}\n`,
    `a:\n  - |\n${run}\n${run}\n`,
    `a:\n${run}`,
    `a:\n${run}\nb: [\n`,
  ]) {
    t.ok(foldListRuns(FOLDED + text) !== undefined, 'folded')
    t.strictSame(tell(FOLDED + text), tell(WHOLE + text), JSON.stringify(text.slice(0, 20)))
  }
})

t.test('the same keys in any order have the same places', async t => {
  const [parsed] = parsePolicyText('b: 1\n"10": 2\na: { z: 3, y: x }\n2: 4\n', 'p.yaml')
  if (parsed === undefined) throw new Error('nothing was parsed')
  const turned = toPolicySource({ ...parsed, value: { a: { y: 'x', z: 3 }, b: 1, '2': 4, '10': 2 } })
  for (const [path, line, column] of [
    [['b'], 1, 4],
    [['10'], 2, 7],
    [['a', 'z'], 3, 9],
    [['a', 'y'], 3, 15],
    [['2'], 4, 4],
  ] as const) {
    t.strictSame(turned.locate(path), { line, column }, path.join('.'))
  }
  t.strictSame(turned.locate(['a', 'none']), { line: 3, column: 4 })
  t.strictSame(turned.locateKey(['a', 'y']), { line: 3, column: 12 })
})
