/**
 * The policy document as authors write it: the one source of its validation, its types and its JSON Schema.
 *
 * Only the shape is judged here; what patterns, globs and dates mean is judged in compile-policy, with positions.
 */

import { choice, described, flag, list, object, optional, table, text, textOr, type ValueOf } from '../shapes/index.js'

export const API_VERSION = 'sallyport.dev/v1'
export const KIND = 'ImagePolicy'

/** How an entry may be written. */
const ENTRY_FORMS = 'a pattern or an object with a "pattern"'

const mode = choice(['enforce', 'warn', 'audit'])
const sentence = text({ min: 1, max: 500 })
const pattern = described('An image pattern: host/path[:tag][@digest]. A final /* is a prefix at any depth.', text())
const nameGlob = described('A name; * stands for any characters.', text())
const timestamp = described('RFC 3339 with a zone, e.g. 2026-12-31T00:00:00Z', text())

const allowEntry = textOr(
  pattern,
  object({ pattern, reason: optional(sentence), owner: optional(sentence), ticket: optional(sentence) }),
  ENTRY_FORMS,
)
const denyEntry = textOr(
  pattern,
  object({
    pattern,
    reason: optional(described('Shown in the denial.', sentence)),
    fix: optional(described('The reference to use instead; shown when the policy allows it.', text())),
    owner: optional(sentence),
    ticket: optional(sentence),
  }),
  ENTRY_FORMS,
)
const tags = object({
  deny: optional(described('Effective tags that are refused; skipped when a digest is present.', list(text()))),
})
const digest = object({ require: optional(described('Every image must carry a digest.', flag())) })

const selector = object({
  matchLabels: optional(table(text())),
  matchExpressions: optional(
    list(
      object({
        key: text({ min: 1 }),
        operator: choice(['In', 'NotIn', 'Exists', 'DoesNotExist']),
        values: optional(list(text())),
      }),
    ),
  ),
})

const namespaceRule = object({
  names: optional(list(nameGlob, { min: 1 })),
  selector: optional(described('By namespace labels, as in a Kubernetes label selector.', selector)),
  mode: optional(mode),
  tags: optional(tags),
  digest: optional(digest),
  allow: optional(described('Adds to spec.allow.', list(allowEntry))),
  deny: optional(described('Adds to spec.deny.', list(denyEntry))),
})

const exception = object({
  id: text({ min: 1, max: 100 }),
  images: optional(list(pattern, { min: 1 })),
  tools: optional(list(nameGlob, { min: 1 })),
  namespaces: list(nameGlob, { min: 1 }),
  from: optional(timestamp),
  expires: timestamp,
  reason: sentence,
  owner: sentence,
  ticket: optional(sentence),
})

const tool = object({
  name: text({ min: 1, max: 100 }),
  patterns: list(text({ min: 1, max: 255 }), { min: 1 }),
  category: text({ min: 1, max: 100 }),
  attack: optional(described('ATT&CK technique ids.', list(text()))),
})

const maintenance = object({
  id: text({ min: 1, max: 100 }),
  namespaces: list(nameGlob, { min: 1 }),
  kinds: optional(
    described(
      'Kinds of findings; default: all of these.',
      list(
        choice([
          'offensive-tool',
          'fileless-exec',
          'unlinked-exec',
          'tool-install',
          'tool-staging',
          'tool-enumeration',
        ]),
        { min: 1 },
      ),
    ),
  ),
  tools: optional(described('Names of tools; default: all, and what is no tool.', list(nameGlob, { min: 1 }))),
  from: optional(described('One window: from here …', timestamp)),
  until: optional(described('… until just before here.', timestamp)),
  days: optional(
    described(
      'A window every week: the days on which it begins.',
      list(choice(['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']), { min: 1 }),
    ),
  ),
  start: optional(described('When it begins on such a day, by the wall clock: "22:00".', text())),
  duration: optional(described('How long it lasts: 90m, 2h, 1d; 7d at most.', text())),
  timeZone: optional(described('Of "start", e.g. Europe/Berlin. Default: UTC.', text())),
  reason: sentence,
  owner: sentence,
  ticket: optional(sentence),
})

const runtime = object({
  maintenance: optional(described('Announced times in which tools are no alert.', list(maintenance))),
  tools: optional(
    object({
      profile: optional(choice(['quiet', 'default', 'strict'])),
      add: optional(list(tool)),
      remove: optional(described('Names of catalogue tools that are no finding here.', list(text()))),
    }),
  ),
})

const spec = object({
  mode: optional(described('For namespaces that no entry below names or selects. Default: enforce.', mode)),
  allow: optional(described('What may run. Required in one of the files; [] allows nothing.', list(allowEntry))),
  deny: optional(described('What may not run, whatever allows it; the first match is reported.', list(denyEntry))),
  tags: optional(tags),
  digest: optional(digest),
  mirrors: optional(
    described(
      'Used to suggest a corrected reference.',
      list(object({ from: pattern, to: described('host/path that mirrors what is below "from".', text()) })),
    ),
  ),
  namespaces: optional(list(namespaceRule)),
  exceptions: optional(list(exception)),
  runtime: optional(runtime),
  help: optional(described('Where developers ask; shown in every denial.', text({ min: 1, max: 200 }))),
})

export const policyDocumentShape = object({
  apiVersion: choice([API_VERSION]),
  kind: choice([KIND]),
  metadata: object({
    name: text({
      pattern: /^[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?$/,
      otherwise: 'must be a lower-case name of at most 63 characters',
    }),
    labels: optional(table(text())),
    annotations: optional(table(text())),
  }),
  spec,
})

export type PolicyDocument = ValueOf<typeof policyDocumentShape>
export type PolicySpec = PolicyDocument['spec']
export type AllowEntryDocument = ValueOf<typeof allowEntry>
export type DenyEntryDocument = ValueOf<typeof denyEntry>
export type NamespaceRuleDocument = ValueOf<typeof namespaceRule>
export type ExceptionDocument = ValueOf<typeof exception>
export type MaintenanceDocument = ValueOf<typeof maintenance>
export type SelectorDocument = ValueOf<typeof selector>
export type ToolDocument = ValueOf<typeof tool>

/** JSON Schema (2020-12) of the document, for editors: `policies/image-policy.schema.json` is this, written down. */
export function policyJsonSchema(): object {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    ...policyDocumentShape.jsonSchema(),
    title: 'Sallyport ImagePolicy',
    description: 'Which container images may run in a cluster: one policy for admission and run time.',
  }
}
