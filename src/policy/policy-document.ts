/**
 * The policy document as authors write it: the one source of its validation, its types and its JSON Schema.
 *
 * Only the shape is judged here; what patterns, globs and dates mean is judged in compile-policy, with positions.
 */

import * as z from 'zod'

export const API_VERSION = 'sallyport.dev/v1'
export const KIND = 'ImagePolicy'

const mode = z.enum(['enforce', 'warn', 'audit'])
const sentence = z.string().min(1).max(500)
const pattern = z.string().describe('An image pattern: host/path[:tag][@digest]. A final /* is a prefix at any depth.')
const nameGlob = z.string().describe('A name; * stands for any characters.')
const timestamp = z.string().describe('RFC 3339 with a zone, e.g. 2026-12-31T00:00:00Z')

const allowEntry = z.union([
  pattern,
  z.strictObject({ pattern, reason: sentence.optional(), owner: sentence.optional(), ticket: sentence.optional() }),
])
const denyEntry = z.union([
  pattern,
  z.strictObject({
    pattern,
    reason: sentence.optional().describe('Shown in the denial.'),
    fix: z.string().optional().describe('The reference to use instead; shown when the policy allows it.'),
    owner: sentence.optional(),
    ticket: sentence.optional(),
  }),
])
const tags = z.strictObject({
  deny: z.array(z.string()).optional().describe('Effective tags that are refused; skipped when a digest is present.'),
})
const digest = z.strictObject({ require: z.boolean().optional().describe('Every image must carry a digest.') })

const selector = z.strictObject({
  matchLabels: z.record(z.string(), z.string()).optional(),
  matchExpressions: z
    .array(
      z.strictObject({
        key: z.string().min(1),
        operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']),
        values: z.array(z.string()).optional(),
      }),
    )
    .optional(),
})

const namespaceRule = z.strictObject({
  names: z.array(nameGlob).min(1).optional(),
  selector: selector.optional().describe('By namespace labels, as in a Kubernetes label selector.'),
  mode: mode.optional(),
  tags: tags.optional(),
  digest: digest.optional(),
  allow: z.array(allowEntry).optional().describe('Adds to spec.allow.'),
  deny: z.array(denyEntry).optional().describe('Adds to spec.deny.'),
})

const exception = z.strictObject({
  id: z.string().min(1).max(100),
  images: z.array(pattern).min(1).optional(),
  tools: z.array(nameGlob).min(1).optional(),
  namespaces: z.array(nameGlob).min(1),
  from: timestamp.optional(),
  expires: timestamp,
  reason: sentence,
  owner: sentence,
  ticket: sentence.optional(),
})

const tool = z.strictObject({
  name: z.string().min(1).max(100),
  patterns: z.array(z.string().min(1).max(255)).min(1),
  category: z.string().min(1).max(100),
  attack: z.array(z.string()).optional().describe('ATT&CK technique ids.'),
})

const maintenance = z.strictObject({
  id: z.string().min(1).max(100),
  namespaces: z.array(nameGlob).min(1),
  kinds: z
    .array(
      z.enum(['offensive-tool', 'fileless-exec', 'unlinked-exec', 'tool-install', 'tool-staging', 'tool-enumeration']),
    )
    .min(1)
    .optional()
    .describe('Kinds of findings; default: all of these.'),
  tools: z.array(nameGlob).min(1).optional().describe('Names of tools; default: all, and what is no tool.'),
  from: timestamp.optional().describe('One window: from here …'),
  until: timestamp.optional().describe('… until just before here.'),
  days: z
    .array(z.enum(['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']))
    .min(1)
    .optional()
    .describe('A window every week: the days on which it begins.'),
  start: z.string().optional().describe('When it begins on such a day, by the wall clock: "22:00".'),
  duration: z.string().optional().describe('How long it lasts: 90m, 2h, 1d; 7d at most.'),
  timeZone: z.string().optional().describe('Of "start", e.g. Europe/Berlin. Default: UTC.'),
  reason: sentence,
  owner: sentence,
  ticket: sentence.optional(),
})

const runtime = z.strictObject({
  maintenance: z.array(maintenance).optional().describe('Announced times in which tools are no alert.'),
  tools: z
    .strictObject({
      profile: z.enum(['quiet', 'default', 'strict']).optional(),
      add: z.array(tool).optional(),
      remove: z.array(z.string()).optional().describe('Names of catalogue tools that are no finding here.'),
    })
    .optional(),
})

const spec = z.strictObject({
  mode: mode.optional().describe('For namespaces that no entry below names or selects. Default: enforce.'),
  allow: z.array(allowEntry).optional().describe('What may run. Required in one of the files; [] allows nothing.'),
  deny: z.array(denyEntry).optional().describe('What may not run, whatever allows it; the first match is reported.'),
  tags: tags.optional(),
  digest: digest.optional(),
  mirrors: z
    .array(z.strictObject({ from: pattern, to: z.string().describe('host/path that mirrors what is below "from".') }))
    .optional()
    .describe('Used to suggest a corrected reference.'),
  namespaces: z.array(namespaceRule).optional(),
  exceptions: z.array(exception).optional(),
  runtime: runtime.optional(),
  help: z.string().min(1).max(200).optional().describe('Where developers ask; shown in every denial.'),
})

export const policyDocumentSchema = z.strictObject({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal(KIND),
  metadata: z.strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?$/, 'must be a lower-case name of at most 63 characters'),
    labels: z.record(z.string(), z.string()).optional(),
    annotations: z.record(z.string(), z.string()).optional(),
  }),
  spec,
})

export type PolicyDocument = z.infer<typeof policyDocumentSchema>
export type PolicySpec = PolicyDocument['spec']
export type AllowEntryDocument = z.infer<typeof allowEntry>
export type DenyEntryDocument = z.infer<typeof denyEntry>
export type NamespaceRuleDocument = z.infer<typeof namespaceRule>
export type ExceptionDocument = z.infer<typeof exception>
export type MaintenanceDocument = z.infer<typeof maintenance>
export type SelectorDocument = z.infer<typeof selector>
export type ToolDocument = z.infer<typeof tool>

/** JSON Schema (2020-12) of the document, for editors: `policies/image-policy.schema.json` is this, written down. */
export function policyJsonSchema(): object {
  return {
    ...z.toJSONSchema(policyDocumentSchema),
    title: 'Sallyport ImagePolicy',
    description: 'Which container images may run in a cluster: one policy for admission and run time.',
  }
}
