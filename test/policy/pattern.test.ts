import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { evaluate, formatImageReference, parsePattern } from '../../src/policy/index.js'
import { imageReference } from '../support/arbitraries.js'
import { NOW, policyOf, scope } from '../support/policies.js'
import { assertProperty, fc } from '../support/properties.js'

interface Vector {
  readonly id: string
  readonly pattern: string
  readonly expect: 'ok' | 'warn' | 'error'
  readonly normalised?: string
}

const D = `@sha256:${'a'.repeat(64)}`
const E = `@sha256:${'b'.repeat(64)}`
const vectors: readonly Vector[] = JSON.parse(readFileSync('test/fixtures/policy/patterns.json', 'utf8'))

const accepts = (pattern: string, image: string) =>
  evaluate(policyOf({ mode: 'enforce', allow: [pattern] }), image, { namespace: scope(), now: NOW }).outcome ===
  'allowed'
const denies = (pattern: string, image: string) =>
  evaluate(policyOf({ mode: 'enforce', allow: ['docker.io/*', 'gcr.io/*'], deny: [pattern] }), image, {
    namespace: scope(),
    now: NOW,
  }).reason === 'deny-entry'

t.test('the loader accepts, warns about and refuses the recorded patterns', async t => {
  for (const { id, pattern, expect, normalised } of vectors) {
    const parsed = parsePattern(pattern)
    t.equal(
      parsed.ok ? (parsed.warnings.length > 0 ? 'warn' : 'ok') : 'error',
      expect,
      `${id} ${JSON.stringify(pattern.slice(0, 60))}`,
    )
    if (normalised !== undefined && parsed.ok) t.equal(parsed.pattern.normalised, normalised, id)
  }
})

t.test('each refusal names its place in the pattern', async t => {
  const table: readonly (readonly [string, number])[] = [
    ['gcr.io*/org/app', 6],
    ['*.*.example.com/x', 2],
    ['gcr.io/org/{a,b}', 11],
    ['gcr.io/org/a?', 12],
    ['gcr.io/!org/a', 7],
    ['gcr.io/a+b', 8],
    ['gcr.io/a\\b', 8],
    ['gcr.io/[ab]/c', 7],
    ['gcr.io/a*b*c*d/x', 7],
    ['gcr.io/**/a/**/b/**', 17],
    ['gcr.io/a**b', 7],
    ['gcr.io/Org/app', 7],
    ['gcr.io/org/app:1@sha256:*', 17],
    ['gcr.io/org/app:a*b*c*', 15],
    ['gcr.io/org/', 11],
    [`gcr.io/${'a/'.repeat(16)}b`, 7],
    ['my*/app', 0],
    ['**', 0],
    ['gcr.io/o rg/x', 8],
  ]
  for (const [pattern, offset] of table) {
    const parsed = parsePattern(pattern)
    t.equal(parsed.ok ? 'accepted' : parsed.fault.offset, offset, pattern)
  }
})

t.test('what a pattern accepts', async t => {
  const table: readonly (readonly [string, string, boolean])[] = [
    ['gcr.io/org/*', 'gcr.io/org/app', true],
    ['gcr.io/org/*', 'gcr.io/org/team/app:1', true],
    ['gcr.io/org/*', 'gcr.io/org', false],
    ['gcr.io/org/*', 'gcr.io/org-evil/app', false],
    ['gcr.io/org/*', 'gcr.io.evil.example/org/app', false],
    ['registry.local/*', 'registry.local:5000/app', false],
    ['registry.local:5000/*', 'registry.local:5000/app', true],
    ['nginx', 'docker.io/library/nginx:1.27', true],
    ['nginx', 'index.docker.io/nginx', true],
    ['nginx', 'myco/nginx', false],
    ['myco/*', 'docker.io/myco/app', true],
    ['docker.io/*', 'nginx', true],
    ['docker.io/*/*', 'docker.io/myco/app', true],
    ['GCR.io/org/app', 'gcr.io/org/app', true],
    ['*.corp.example/*', 'eu.corp.example/app', true],
    ['*.corp.example/*', 'corp.example/app', false],
    ['*.corp.example/*', 'a.eu.corp.example/app', false],
    ['*.corp.example/*', 'evilcorp.example/app', false],
    ['gcr.io/*/app', 'gcr.io/team/app', true],
    ['gcr.io/*/app', 'gcr.io/team/sub/app', false],
    ['gcr.io/**/app', 'gcr.io/team/sub/app', true],
    ['gcr.io/**/app', 'gcr.io/app', true],
    ['gcr.io/**/app/*', 'gcr.io/x/app', false],
    ['gcr.io/**/app/*', 'gcr.io/x/app/y/z', true],
    ['gcr.io/a/**/b/**/c', 'gcr.io/a/x/b/y/z/c', true],
    ['gcr.io/a/**/b/**/c', 'gcr.io/a/x/y/z/c', false],
    ['gcr.io/team-*/app', 'gcr.io/team-/app', false],
    ['gcr.io/team-*/app', 'gcr.io/team-a/app', true],
    ['gcr.io/*-prod/*', 'gcr.io/shop-prod/web', true],
    ['gcr.io/org/app:1.*', 'gcr.io/org/app:1.2', true],
    ['gcr.io/org/app:1.*', 'gcr.io/org/app:2.1', false],
    ['gcr.io/org/app:1.*', `gcr.io/org/app:1.2${D}`, false],
    ['gcr.io/org/app:*', `gcr.io/org/app:1.2${D}`, true],
    ['gcr.io/org/app', `gcr.io/org/app${D}`, true],
    ['gcr.io/org/app:latest', 'gcr.io/org/app', true],
    [`gcr.io/org/app${D}`, `gcr.io/org/app:9${D}`, true],
    [`gcr.io/org/app${D}`, `gcr.io/org/app${E}`, false],
    [`gcr.io/org/app${D}`, 'gcr.io/org/app', false],
    [`gcr.io/org/app:1${D}`, `gcr.io/org/app:2${D}`, true],
    ['gcr.io/org/*:1.*', 'gcr.io/org/x/y:1.5', true],
    ['[fd00::1]:5000/*', '[fd00::1]:5000/app', true],
  ]
  for (const [pattern, image, expected] of table) t.equal(accepts(pattern, image), expected, `${pattern} and ${image}`)
})

t.test('a deny pattern with a tag catches the written tag, whatever digest stands beside it', async t => {
  t.ok(denies('gcr.io/org/app:1.0', `gcr.io/org/app:1.0${D}`))
  t.ok(denies('docker.io/library/nginx:1.14.*', 'nginx:1.14.2'))
  t.ok(denies('gcr.io/org/app:latest', 'gcr.io/org/app'))
  t.notOk(denies('gcr.io/org/app:latest', `gcr.io/org/app${D}`))
  t.notOk(denies('gcr.io/org/app:1.0', 'gcr.io/org/app:1.1'))
})

t.test('an exact pattern accepts its own reference and no other', async () => {
  assertProperty(
    fc.property(imageReference(), imageReference(), (one, other) => {
      const [pattern, image] = [formatImageReference(one), formatImageReference(other)]
      const isSame = pattern === image || (one.digest !== undefined && sameContent(one, other))
      return accepts(pattern, pattern) && accepts(pattern, image) === isSame
    }),
    { numRuns: 300 },
  )
})

/** A digest alone decides: the tag beside it does not count. */
function sameContent(
  one: { registry: string; repository: string; digest: string | undefined },
  other: typeof one,
): boolean {
  return one.registry === other.registry && one.repository === other.repository && one.digest === other.digest
}

t.test('no string makes the parser throw', async () => {
  const unit = fc.constantFrom('a', '*', '/', ':', '@', '.', '[', ']', '{', '\\', 'A', ' ', '\n', 'é')
  assertProperty(
    fc.property(fc.oneof(fc.string({ unit, maxLength: 80 }), fc.string({ unit: 'binary' })), text => {
      const parsed = parsePattern(text)
      return parsed.ok ? parsed.pattern.text === text : parsed.fault.offset <= text.length
    }),
    { numRuns: 2000 },
  )
})

t.test('what is read at a glance is read as by the rules: a tag that means any tag changes nothing', async () => {
  const piece = fc.constantFrom('a', 'b1', '-', '--', '_', '__', '.', '*', 'A', 'docker.io', 'x.io', ':5000', '', 'é')
  const part = fc.array(piece, { maxLength: 4 }).map(pieces => pieces.join(''))
  const host = fc.oneof(
    fc.constantFrom('gcr.io', 'docker.io', 'index.docker.io', 'a-b.h.io', '*.h.io', 'localhost'),
    part,
  )
  const segments = fc.oneof(
    fc.array(fc.constantFrom('a', 'b-c', 'd__e', '*', 'f.g')),
    fc.array(part, { maxLength: 18 }),
  )
  assertProperty(
    fc.property(host, segments, fc.constantFrom('', '/*'), (registry, path, end) => {
      const text = [registry, ...path].join('/') + end
      // Where the last segment holds a colon, or nothing, the tag would be part of it.
      fc.pre(text !== '' && !text.slice(text.lastIndexOf('/') + 1).includes(':'))
      const [one, other] = [parsePattern(text), parsePattern(`${text}:*`)]
      if (!one.ok || !other.ok) return isDeepStrictEqual(one, other)
      const expected = { ...other.pattern, text, normalised: other.pattern.normalised.slice(0, -2) }
      return isDeepStrictEqual(one, { ...other, pattern: expected })
    }),
    { numRuns: 5000 },
  )
})
