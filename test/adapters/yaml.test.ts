import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { foldListRuns } from '../../src/adapters/list-runs.js'
import { parsePolicyText, toPolicySource } from '../../src/adapters/yaml.js'
import { KnownError } from '../../src/errors.js'
import type { DocumentPath, PolicySource } from '../../src/policy/index.js'

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

const ITEMS = ['gcr.io/a/b', '"gcr.io/a/*"', "'x'", '"12"', 'a/b:1.2', 'a/*', 'reg.io:5000/x@sha256:00']
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

const item = (choices: readonly string[]) => (indent: string) =>
  fc.constantFrom(...choices).map(one => `${indent}- ${one}`)
const lines = fc.constantFrom('', '  ', '    ').chain(indent =>
  fc.oneof(
    { weight: 6, arbitrary: fc.array(item(ITEMS)(indent), { minLength: 16, maxLength: 40 }) },
    { weight: 2, arbitrary: fc.array(item(ODDITIES)(indent), { maxLength: 2 }) },
    {
      weight: 2,
      arbitrary: fc.array(
        fc.constantFrom(...OTHER_LINES).map(line => indent + line),
        { maxLength: 2 },
      ),
    },
    { weight: 2, arbitrary: fc.constantFrom([`${indent}list:`], [`${indent}text: >`], [`${indent}flow: [`]) },
  ),
)
const document = fc
  .tuple(
    fc.constantFrom('', 'spec:\n', 'a: |\n', 'a: x\n', '"open\n', '[', '# \u2028'),
    fc.array(lines, { maxLength: 6 }),
  )
  .map(([head, groups]) => `${head}${groups.flat().join('\n')}\n`)

t.test('a text with long runs of items is read as if every line had been parsed', async t => {
  let folded = 0
  let read = 0
  fc.assert(
    fc.property(document, text => {
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
