/**
 * A finding as JSON: the one source of docs/finding.schema.json, and of reading findings back. What the fields mean
 * stands in finding.ts and docs/findings.md.
 *
 * Objects are open: a newer version may add a field without raising `schema`.
 */

import {
  choice,
  described,
  flag,
  list,
  nullable,
  openObject,
  optional,
  quantity,
  readShape,
  type Shape,
  text,
  whole,
  withFallback,
} from '../shapes/index.js'
import { DRIFT_CODES } from './drift-code.js'
import { EVIDENCE_SOURCES } from './explanation.js'
import { FINDING_SCHEMA, type Finding } from './finding.js'

/** To the second or finer. */
const TIME = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?Z$/

const string = text()
const time = described('RFC 3339, UTC', text({ format: 'date-time', pattern: TIME }))
const texts = list(string)
const certainty = choice(['proved', 'likely', 'unknown'])
const confidence = choice(['high', 'medium', 'low'])
const count = whole(0)

const riskObject = openObject({ field: string, name: string, type: string, score: whole(0, 100) })
const threatObject = openObject({ field: string, name: string, type: string })

const verdict = openObject({
  written: string,
  reference: described(
    'null: it cannot be read as a reference',
    nullable(openObject({ registry: string, repository: string, tag: nullable(string), digest: nullable(string) })),
  ),
  outcome: choice(['allowed', 'denied', 'excepted']),
  reason: string,
  entry: nullable(string),
  namespace: string,
  mode: choice(['enforce', 'warn', 'audit']),
  policy: string,
  revision: string,
  closest: nullable(string),
  suggestion: nullable(string),
})

const tool = openObject({
  tool: string,
  category: string,
  attack: texts,
  dualUse: flag(),
  isWeak: flag(),
  profile: choice(['quiet', 'default', 'strict']),
  pattern: string,
  matchedName: string,
  steps: texts,
  confidence,
  matchedOn: string,
  command: string,
  unwrapped: texts,
  tells: texts,
  alsoTools: texts,
  because: texts,
})

const evidence = openObject({
  source: choice(EVIDENCE_SOURCES),
  field: string,
  value: string,
  seen: optional(described('RFC 3339; missing for what holds now', string)),
})
const driftCode = choice(DRIFT_CODES)
const admission = openObject({
  code: driftCode,
  certainty,
  summary: string,
  evidence: list(evidence),
  remedy: string,
  alsoTrue: described(
    'the other explanations that hold, in the order of explanation',
    withFallback(list(openObject({ code: driftCode, certainty, evidence: list(evidence) })), () => []),
  ),
})

const fields = {
  schema: choice([FINDING_SCHEMA]),
  kind: choice([
    'non-allowlisted-image',
    'image-drift',
    'coverage',
    'offensive-tool',
    'fileless-exec',
    'unlinked-exec',
    'tool-install',
    'tool-staging',
    'tool-enumeration',
  ]),
  code: string,
  fingerprint: text({ pattern: /^[0-9a-f]{16}$/ }),
  title: described('one sentence, safe to print', string),
  status: choice(['open', 'resolved', 'suppressed']),
  severity: choice(['info', 'low', 'medium', 'high']),
  certainty,
  emission: described('how often this finding was given out, this time included', whole(1)),
  count: described('exec events; of kind coverage whatever was missed', count),
  suppressedCount: described('of count, those that an exception covered', count),
  firstSeen: time,
  lastSeen: time,
  risk: openObject({
    score: whole(0, 100),
    objects: list(riskObject),
    threats: list(threatObject),
  }),
  attack: described('ATT&CK technique ids', texts),
  image: optional(string),
  owner: optional(openObject({ kind: string, name: string })),
  container: optional(string),
  pod_image_name: optional(string),
  pod_namespace: optional(string),
  pod_name: optional(string),
  process_name: string,
  process: string,
  parent_process_name: optional(string),
  process_exec: string,
  process_id: optional(quantity()),
  container_id: optional(string),
  node_name: optional(string),
  cluster_name: optional(string),
  samples: openObject({ processes: list(text(), { max: 5 }), pods: list(text(), { max: 5 }) }),
  policy: openObject({ name: string, revision: string }),
  verdict: optional(verdict),
  tool: optional(tool),
  admission: optional(admission),
  suppression: optional(
    openObject({
      by: withFallback(choice(['exception', 'maintenance']), () => 'exception'),
      exception: string,
      owner: string,
      reason: string,
      expires: string,
    }),
  ),
  remarks: texts,
  remedy: described('one line, safe to print', string),
  nextCommand: described('for a POSIX shell', string),
} satisfies Record<keyof Finding, Shape<unknown>>

export const findingShape = openObject(fields)

/** Read back what was written; undefined when it is no finding of this version. Unknown fields are left out. */
export function parseFinding(value: unknown): Finding | undefined {
  const read = readShape(findingShape, value)
  // The same shape; its type only cannot say that a missing field is an undefined one.
  return read.ok ? (read.value as Finding) : undefined
}

/** JSON Schema (2020-12): `docs/finding.schema.json` is this, written down. */
export function findingJsonSchema(): object {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    ...findingShape.jsonSchema(),
    title: 'Sallyport finding',
    description: 'What runs that should not, and how it got in: one object a fingerprint. See findings.md.',
  }
}
