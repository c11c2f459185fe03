/** Policies for tests, compiled from plain values. */

import { createHash } from 'node:crypto'
import {
  API_VERSION,
  type CompiledPolicy,
  compilePolicy,
  KIND,
  type NamespaceScope,
  type PolicySource,
} from '../../src/policy/index.js'

export const NOW = Date.parse('2026-09-01T00:00:00Z')

/** A source without text: every part stands at line 1. */
export function sourceOf(value: unknown, file = 'test.yaml'): PolicySource {
  return {
    file,
    value,
    locate: (_, offset = 0) => ({ line: 1, column: 1 + offset }),
    locateKey: () => ({ line: 1, column: 1 }),
  }
}

export function documentOf(spec: object, name = 'test'): object {
  return { apiVersion: API_VERSION, kind: KIND, metadata: { name }, spec }
}

export function policyOf(...specs: object[]): CompiledPolicy {
  return compilePolicy(
    specs.map((spec, index) => sourceOf(documentOf(spec), `test-${index}.yaml`)),
    sha256,
  )
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

export function scope(name = 'team-a', labels?: Record<string, string>): NamespaceScope {
  return { name, labels }
}
