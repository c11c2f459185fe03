/**
 * A finding as JSON: the one source of docs/finding.schema.json, and of reading findings back. What the fields mean
 * stands in finding.ts and docs/findings.md.
 *
 * Objects are open: a newer version may add a field without raising `schema`.
 */

import * as z from 'zod'
import { DRIFT_CODES } from './drift-code.js'
import { EVIDENCE_SOURCES } from './explanation.js'
import { FINDING_SCHEMA, type Finding } from './finding.js'

const text = z.string()
const time = z.iso.datetime().describe('RFC 3339, UTC')
const texts = z.array(text)
const certainty = z.enum(['proved', 'likely', 'unknown'])
const confidence = z.enum(['high', 'medium', 'low'])
const count = z.int().min(0)

const riskObject = z.object({ field: text, name: text, type: text, score: z.int().min(0).max(100) })
const threatObject = z.object({ field: text, name: text, type: text })

const verdict = z.object({
  written: text,
  reference: z
    .object({ registry: text, repository: text, tag: text.nullable(), digest: text.nullable() })
    .nullable()
    .describe('null: it cannot be read as a reference'),
  outcome: z.enum(['allowed', 'denied', 'excepted']),
  reason: text,
  entry: text.nullable(),
  namespace: text,
  mode: z.enum(['enforce', 'warn', 'audit']),
  policy: text,
  revision: text,
  closest: text.nullable(),
  suggestion: text.nullable(),
})

const tool = z.object({
  tool: text,
  category: text,
  attack: texts,
  dualUse: z.boolean(),
  isWeak: z.boolean(),
  profile: z.enum(['quiet', 'default', 'strict']),
  pattern: text,
  matchedName: text,
  steps: texts,
  confidence,
  matchedOn: text,
  command: text,
  unwrapped: texts,
  tells: texts,
  alsoTools: texts,
  because: texts,
})

const evidence = z.object({
  source: z.enum(EVIDENCE_SOURCES),
  field: text,
  value: text,
  seen: text.optional().describe('RFC 3339; missing for what holds now'),
})
const driftCode = z.enum(DRIFT_CODES)
const admission = z.object({
  code: driftCode,
  certainty,
  summary: text,
  evidence: z.array(evidence),
  remedy: text,
  alsoTrue: z
    .array(z.object({ code: driftCode, certainty, evidence: z.array(evidence) }))
    .default([])
    .describe('the other explanations that hold, in the order of explanation'),
})

const shape = {
  schema: z.literal(FINDING_SCHEMA),
  kind: z.enum([
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
  code: text,
  fingerprint: z.string().regex(/^[0-9a-f]{16}$/),
  title: text.describe('one sentence, safe to print'),
  status: z.enum(['open', 'resolved', 'suppressed']),
  severity: z.enum(['info', 'low', 'medium', 'high']),
  certainty,
  emission: z.int().min(1).describe('how often this finding was given out, this time included'),
  count: count.describe('exec events; of kind coverage whatever was missed'),
  suppressedCount: count.describe('of count, those that an exception covered'),
  firstSeen: time,
  lastSeen: time,
  risk: z.object({
    score: z.int().min(0).max(100),
    objects: z.array(riskObject),
    threats: z.array(threatObject),
  }),
  attack: texts.describe('ATT&CK technique ids'),
  image: text.optional(),
  owner: z.object({ kind: text, name: text }).optional(),
  container: text.optional(),
  pod_image_name: text.optional(),
  pod_namespace: text.optional(),
  pod_name: text.optional(),
  process_name: text,
  process: text,
  parent_process_name: text.optional(),
  process_exec: text,
  process_id: z.number().optional(),
  container_id: text.optional(),
  node_name: text.optional(),
  cluster_name: text.optional(),
  samples: z.object({ processes: texts.max(5), pods: texts.max(5) }),
  policy: z.object({ name: text, revision: text }),
  verdict: verdict.optional(),
  tool: tool.optional(),
  admission: admission.optional(),
  suppression: z
    .object({
      by: z.enum(['exception', 'maintenance']).default('exception'),
      exception: text,
      owner: text,
      reason: text,
      expires: text,
    })
    .optional(),
  remarks: texts,
  remedy: text.describe('one line, safe to print'),
  nextCommand: text.describe('for a POSIX shell'),
} satisfies Record<keyof Finding, z.ZodType>

export const findingSchema = z.object(shape)

/** Read back what was written; undefined when it is no finding of this version. Unknown fields are left out. */
export function parseFinding(value: unknown): Finding | undefined {
  const parsed = findingSchema.safeParse(value)
  // The same shape; the schema only cannot say that a missing field is an undefined one.
  return parsed.success ? (parsed.data as Finding) : undefined
}

/** JSON Schema (2020-12): `docs/finding.schema.json` is this, written down. */
export function findingJsonSchema(): object {
  return {
    ...z.toJSONSchema(findingSchema, { io: 'input' }),
    title: 'Sallyport finding',
    description: 'What runs that should not, and how it got in: one object a fingerprint. See findings.md.',
  }
}
