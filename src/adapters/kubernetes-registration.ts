/** Namespaces and ValidatingWebhookConfigurations, as far as they decide whether the webhook is asked. */

import type { KnownNamespace, KnownWebhook, KnownWebhookRule } from '../correlator/inventory.js'
import type { LabelExpression, LabelSelector } from '../policy/index.js'
import {
  countOf,
  type Decoded,
  decodeMetadata,
  isRecord,
  type JsonObject,
  listOf,
  type Metadata,
  recordOf,
  textOf,
  textsOf,
  writerOf,
} from './kubernetes-metadata.js'

/** Below this domain our webhooks have their names, unless a configuration is named. */
const DOMAIN = /(?:^|\.)sallyport\.dev$/
const PATH = '/validate'
const OPERATORS: readonly string[] = ['In', 'NotIn', 'Exists', 'DoesNotExist'] satisfies LabelExpression['operator'][]

export interface WebhookConfiguration {
  readonly name: string
  /** Those that send to Sallyport; none in a configuration of others. */
  readonly webhooks: readonly KnownWebhook[]
}

/** Never throws. @param seenAt milliseconds since the epoch. */
export function decodeNamespace(object: unknown, seenAt: number): Decoded<KnownNamespace> {
  if (!isRecord(object)) return { ok: false, problem: 'it is no object' }
  const decoded = decodeMetadata(object)
  if (!decoded.ok) return decoded
  const { name, labels, createdAt, writes } = decoded.value
  const labelsChangedAt = writerOf(writes, ['f:metadata', 'f:labels'])?.at
  return { ok: true, value: { name, labels, createdAt, labelsChangedAt, seenAt } }
}

/**
 * Never throws.
 *
 * @param ours the name of the configuration whose webhooks are all ours; undefined: see `Inventory.webhooks`.
 */
export function decodeWebhookConfiguration(
  object: unknown,
  ours: string | undefined,
  seenAt: number,
): Decoded<WebhookConfiguration> {
  if (!isRecord(object)) return { ok: false, problem: 'it is no object' }
  const decoded = decodeMetadata(object)
  if (!decoded.ok) return decoded
  const metadata = decoded.value
  const isOurs = (webhook: JsonObject): boolean =>
    ours === undefined ? looksLikeOurs(webhook) : metadata.name === ours
  const webhooks = listOf(object['webhooks'])
    .map(recordOf)
    .filter(isOurs)
    .map(webhook => webhookOf(webhook, metadata, seenAt))
  return { ok: true, value: { name: metadata.name, webhooks } }
}

function looksLikeOurs(webhook: JsonObject): boolean {
  if (!DOMAIN.test(textOf(webhook['name']) ?? '')) return false
  const { service, url } = recordOf(webhook['clientConfig'])
  if (isRecord(service)) return service['path'] === PATH
  return typeof url === 'string' && URL.canParse(url) && new URL(url).pathname === PATH
}

/** What is missing has the API's default (`admissionregistration.k8s.io/v1`). */
function webhookOf(webhook: JsonObject, metadata: Metadata, seenAt: number): KnownWebhook {
  return {
    configuration: metadata.name,
    name: textOf(webhook['name']) ?? '',
    createdAt: metadata.createdAt,
    generation: metadata.generation,
    changedAt: writerOf(metadata.writes, ['f:webhooks'])?.at,
    failurePolicy: webhook['failurePolicy'] === 'Ignore' ? 'Ignore' : 'Fail',
    matchPolicy: webhook['matchPolicy'] === 'Exact' ? 'Exact' : 'Equivalent',
    rules: listOf(webhook['rules']).map(recordOf).map(ruleOf),
    namespaceSelector: selectorOf(webhook['namespaceSelector']),
    objectSelector: selectorOf(webhook['objectSelector']),
    matchConditions: listOf(webhook['matchConditions']).length,
    timeoutSeconds: countOf(webhook['timeoutSeconds']),
    seenAt,
  }
}

function ruleOf(rule: JsonObject): KnownWebhookRule {
  const { scope } = rule
  return {
    apiGroups: wordsOf(rule['apiGroups']),
    apiVersions: wordsOf(rule['apiVersions']),
    resources: wordsOf(rule['resources']),
    operations: wordsOf(rule['operations']),
    scope: scope === 'Cluster' || scope === 'Namespaced' ? scope : '*',
  }
}

/** The core group is the empty string. */
function wordsOf(value: unknown): readonly string[] {
  return listOf(value).filter(word => typeof word === 'string')
}

function selectorOf(value: unknown): LabelSelector | 'unreadable' | undefined {
  if (value === undefined || value === null) return undefined
  if (!isRecord(value)) return 'unreadable'
  const { matchLabels, matchExpressions, ...others } = value
  const expressions = listOf(matchExpressions).map(expressionOf)
  const known = expressions.filter(expression => expression !== undefined)
  if (Object.keys(others).length > 0 || known.length < expressions.length) return 'unreadable'
  return { matchLabels: textsOf(matchLabels), matchExpressions: known }
}

function expressionOf(value: unknown): LabelExpression | undefined {
  const { key, operator, values, ...others } = recordOf(value)
  if (typeof key !== 'string' || !isOperator(operator) || Object.keys(others).length > 0) return undefined
  return { key, operator, values: wordsOf(values) }
}

function isOperator(value: unknown): value is LabelExpression['operator'] {
  return typeof value === 'string' && OPERATORS.includes(value)
}
