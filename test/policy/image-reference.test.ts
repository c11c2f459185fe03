import { readFileSync } from 'node:fs'
import t from 'tap'
import { formatImageReference, parseImageReference } from '../../src/policy/index.js'
import { imageReference } from '../support/arbitraries.js'
import { assertProperty, fc } from '../support/properties.js'

interface Vector {
  readonly id: string
  readonly input: string
  readonly recommended: 'parse' | 'reject'
  readonly registryKey?: string
  readonly repository: string | null
  readonly tag: string | null
  readonly digest: string | null
}

const HEX = 'a'.repeat(64)
const vectors: readonly Vector[] = JSON.parse(readFileSync('test/fixtures/policy/references.json', 'utf8'))

t.test('every recorded reference is read as the kubelet reads it', async t => {
  t.equal(vectors.length, 95)
  for (const vector of vectors) {
    const parsed = parseImageReference(vector.input)
    t.equal(parsed.ok, vector.recommended === 'parse', `${vector.id} ${JSON.stringify(vector.input.slice(0, 80))}`)
    if (!parsed.ok) continue
    const { registry, repository, tag, digest } = parsed.reference
    const effectiveTag = vector.tag ?? (vector.digest === null ? 'latest' : undefined)
    t.strictSame(
      [registry, repository, tag, digest ?? null],
      [vector.registryKey, vector.repository, effectiveTag, vector.digest],
      vector.id,
    )
  }
})

t.test('what does not parse is never moved to Docker Hub', async t => {
  const refused = [
    'evil_host.com/app',
    HEX,
    `sha256:${HEX}`,
    'http://gcr.io/org/app',
    'gcr.io//x',
    'gcr.io/org/app ',
    '\tnginx',
    'gcr.io/о/app',
    'a'.repeat(5000),
    ':latest',
    'nginx:',
    'nginx@',
    'nginx:1@sha256:short',
    `nginx@sha256:${'A'.repeat(64)}`,
    `nginx@md5:${'a'.repeat(32)}`,
    'a@b@c',
    'gcr.io/a_-b/c',
    'gcr.io/a___b/c',
    'gcr.io/a..b/c',
    '[::1/x',
    'host:/x',
    'host:80a/x',
  ]
  for (const written of refused) t.notOk(parseImageReference(written).ok, JSON.stringify(written.slice(0, 60)))
})

t.test('an effective tag is latest only where neither tag nor digest is written', async t => {
  const tagOf = (written: string) => {
    const parsed = parseImageReference(written)
    return parsed.ok ? parsed.reference.tag : 'unreadable'
  }
  t.equal(tagOf('nginx'), 'latest')
  t.equal(tagOf('nginx:1'), '1')
  t.equal(tagOf(`nginx@sha256:${HEX}`), undefined)
  t.equal(tagOf(`nginx:1@sha256:${HEX}`), '1')
})

t.test('parsing what was formatted gives the same fields', async () => {
  assertProperty(
    fc.property(imageReference(), reference => {
      const written = formatImageReference(reference)
      const parsed = parseImageReference(written)
      if (!parsed.ok) return false
      const { written: _, ...fields } = parsed.reference
      return JSON.stringify(fields) === JSON.stringify(reference) && formatImageReference(parsed.reference) === written
    }),
    { numRuns: 1000 },
  )
})

t.test('no string makes it throw', async () => {
  const hostile = fc.string({
    unit: fc.constantFrom('a', 'A', '/', ':', '@', '.', '_', '-', '*', '[', ']', '\n', 'é', '0'),
    maxLength: 300,
  })
  assertProperty(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), hostile), written => {
      const parsed = parseImageReference(written)
      return parsed.ok ? parsed.reference.repository !== '' : parsed.problem !== ''
    }),
    { numRuns: 2000 },
  )
})
