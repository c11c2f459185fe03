/** Generators for the properties. */

import type { ImageReference } from '../../src/policy/index.js'
import { fc } from './properties.js'

const segment = fc.stringMatching(/^[a-z0-9]{1,8}(?:[._-][a-z0-9]{1,5})?$/)
const hexDigest = fc.stringMatching(/^[0-9a-f]{64}$/).map(hex => `sha256:${hex}`)
export const tagName = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,12}$/)
export const registryHost = fc.constantFrom(
  'docker.io',
  'gcr.io',
  'registry.corp.example',
  'localhost:5000',
  '10.0.0.1:5000',
  '[fd00::1]:5000',
  'a.b.c.example',
)

/** A reference in normal form, without the written string. */
export function imageReference(): fc.Arbitrary<Omit<ImageReference, 'written'>> {
  return fc
    .record({
      registry: registryHost,
      path: fc.array(segment, { minLength: 1, maxLength: 5 }),
      tag: fc.option(tagName, { nil: undefined }),
      digest: fc.option(hexDigest, { nil: undefined }),
    })
    .map(({ registry, path, tag, digest }) => ({
      registry,
      repository: registry === 'docker.io' && path.length === 1 ? `library/${path[0]}` : path.join('/'),
      tag: tag ?? (digest === undefined ? 'latest' : undefined),
      digest,
    }))
}

/** Patterns that the loader accepts, over the same few hosts and short paths, so that they often meet. */
export function acceptedPattern(): fc.Arbitrary<string> {
  const host = fc.constantFrom('docker.io', 'gcr.io', 'registry.corp.example', '*.corp.example', 'localhost:5000')
  const part = fc.constantFrom('a', 'b', 'app', '*', 'a*', '**', 'lib*ry', 'library')
  const tag = fc.constantFrom('', '', ':1', ':1.*', ':*', ':latest')
  return fc
    .record({ host, path: fc.array(part, { minLength: 1, maxLength: 4 }), tag })
    .filter(({ path }) => path.filter(segment => segment === '**').length <= 2)
    .map(({ host, path, tag }) => `${host}/${path.join('/')}${tag}`)
}

/** References that those patterns may meet. */
export function plainReference(): fc.Arbitrary<string> {
  const host = fc.constantFrom(
    '',
    'docker.io/',
    'gcr.io/',
    'registry.corp.example/',
    'x.corp.example/',
    'localhost:5000/',
    'gcr.io.evil.example/',
  )
  const part = fc.constantFrom('a', 'b', 'app', 'ab', 'library', 'evil')
  const suffix = fc.constantFrom(
    '',
    ':1',
    ':1.2',
    ':latest',
    `@sha256:${'a'.repeat(64)}`,
    `:1@sha256:${'b'.repeat(64)}`,
  )
  return fc
    .record({ host, path: fc.array(part, { minLength: 1, maxLength: 4 }), suffix })
    .map(({ host, path, suffix }) => `${host}${path.join('/')}${suffix}`)
}
