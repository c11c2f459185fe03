/**
 * Would the API server have called this webhook for a request? Pure, and as kube-apiserver does it
 * (`admission/plugin/webhook/generic`): namespaceSelector, objectSelector, rules, matchPolicy, then matchConditions.
 */

import { type LabelSelector, matchesSelector } from '../policy/index.js'
import type { KnownWebhook, KnownWebhookRule, Labels } from './inventory.js'

/** Resources that are the same objects under another group. Versions of one group are the same objects anyway. */
const SAME_OBJECTS: ReadonlyMap<string, readonly string[]> = new Map([
  ['deployments', ['apps', 'extensions']],
  ['daemonsets', ['apps', 'extensions']],
  ['replicasets', ['apps', 'extensions']],
])
const NO_GROUPS: readonly string[] = []
/** The API server never asks a webhook about these, so that no webhook can keep others from being repaired. */
const EXEMPT_GROUP = 'admissionregistration.k8s.io'
const ANY = '*'

/** What a request is about, as the API server names it. */
export interface ReviewableRequest {
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT'
  /** Empty for the core group. */
  readonly group: string
  readonly version: string
  /** Plural: `pods`. */
  readonly resource: string
  /** `ephemeralcontainers`; empty for the object itself. */
  readonly subresource: string
  /** Empty for what is in no namespace. */
  readonly namespace: string
  /**
   * Of the namespace; for a CREATE or UPDATE of a Namespace, the labels that it would have then. Undefined: not known.
   */
  readonly namespaceLabels: Labels | undefined
  /**
   * Of the object and of the one before it, as far as the request has them: one of the two must match. Undefined stands for
   * labels that are not known. (`EphemeralContainers` of Kubernetes 1.20 and 1.21 have none.)
   */
  readonly objectLabels: readonly (Labels | undefined)[]
}

/** `no` is certain and names the first filter that says so; `unknown` names what could still let it through or not. */
export type WebhookMatch =
  | { readonly called: 'yes' }
  | { readonly called: 'no'; readonly because: 'exempt' | 'namespace-selector' | 'object-selector' | 'rules' }
  | {
      readonly called: 'unknown'
      readonly because:
        | 'namespace-labels'
        | 'object-labels'
        | 'selector-unreadable'
        /** Only a rule for another version or group of the same objects matches: it counts if that one is served. */
        | 'equivalent-version'
        | 'match-conditions'
    }

type Uncertainty = Extract<WebhookMatch, { readonly called: 'unknown' }>['because']
/** What one filter says. */
type Verdict = 'yes' | 'no' | Uncertainty

type Filters = Pick<KnownWebhook, 'rules' | 'namespaceSelector' | 'objectSelector' | 'matchPolicy' | 'matchConditions'>

/** Total: every webhook and request gets an answer. */
export function matchWebhook(webhook: Filters, request: ReviewableRequest): WebhookMatch {
  if (isExempt(request)) return { called: 'no', because: 'exempt' }
  const byNamespace = matchNamespace(webhook.namespaceSelector, request)
  if (byNamespace === 'no') return { called: 'no', because: 'namespace-selector' }
  const byObject = matchObject(webhook.objectSelector, request)
  if (byObject === 'no') return { called: 'no', because: 'object-selector' }
  const byRules = matchRules(webhook, request)
  if (byRules === 'no') return { called: 'no', because: 'rules' }
  const byConditions: Verdict = webhook.matchConditions === 0 ? 'yes' : 'match-conditions'
  const doubt = [byNamespace, byObject, byRules, byConditions].find(isUncertainty)
  return doubt === undefined ? { called: 'yes' } : { called: 'unknown', because: doubt }
}

function isUncertainty(verdict: Verdict): verdict is Uncertainty {
  return verdict !== 'yes' && verdict !== 'no'
}

function isExempt({ group, resource }: ReviewableRequest): boolean {
  return (
    group === EXEMPT_GROUP &&
    (resource === 'validatingwebhookconfigurations' || resource === 'mutatingwebhookconfigurations')
  )
}

function matchNamespace(selector: KnownWebhook['namespaceSelector'], request: ReviewableRequest): Verdict {
  // What is in no namespace is never exempted, except that a Namespace counts as being in itself.
  if (request.namespace === '' && request.resource !== 'namespaces') return 'yes'
  if (selector === 'unreadable') return 'selector-unreadable'
  if (selector === undefined || isEmpty(selector)) return 'yes'
  if (request.namespaceLabels === undefined) return 'namespace-labels'
  return matchesSelector(selector, request.namespaceLabels) ? 'yes' : 'no'
}

function matchObject(selector: KnownWebhook['objectSelector'], { objectLabels }: ReviewableRequest): Verdict {
  if (selector === 'unreadable') return 'selector-unreadable'
  if (selector === undefined || isEmpty(selector)) return 'yes'
  if (objectLabels.some(labels => labels !== undefined && matchesSelector(selector, labels))) return 'yes'
  return objectLabels.includes(undefined) ? 'object-labels' : 'no'
}

function isEmpty({ matchLabels = {}, matchExpressions = [] }: LabelSelector): boolean {
  return Object.keys(matchLabels).length === 0 && matchExpressions.length === 0
}

function matchRules({ rules, matchPolicy }: Filters, request: ReviewableRequest): Verdict {
  if (rules.some(rule => matchesRule(rule, request))) return 'yes'
  if (matchPolicy === 'Exact') return 'no'
  return rules.some(rule => matchesEquivalent(rule, request)) ? 'equivalent-version' : 'no'
}

function matchesRule(rule: KnownWebhookRule, request: ReviewableRequest): boolean {
  return (
    matchesAllButVersion(rule, request) &&
    includesOrAny(rule.apiGroups, request.group) &&
    includesOrAny(rule.apiVersions, request.version)
  )
}

/** A rule that names another version of the group, or another group of the same objects. */
function matchesEquivalent(rule: KnownWebhookRule, request: ReviewableRequest): boolean {
  // Pods and the like have had one version for ever.
  if (request.group === '' || !matchesAllButVersion(rule, request)) return false
  const groups = SAME_OBJECTS.get(request.resource) ?? NO_GROUPS
  const isOfSameObjects = groups.includes(request.group) && groups.some(group => rule.apiGroups.includes(group))
  return isOfSameObjects || includesOrAny(rule.apiGroups, request.group)
}

function matchesAllButVersion(rule: KnownWebhookRule, request: ReviewableRequest): boolean {
  return (
    matchesScope(rule.scope, request) &&
    includesOrAny(rule.operations, request.operation) &&
    rule.resources.some(resource => matchesResource(resource, request))
  )
}

function matchesScope(scope: KnownWebhookRule['scope'], { group, resource, namespace }: ReviewableRequest): boolean {
  if (scope === ANY) return true
  const isNamespaced = namespace !== '' && !(group === '' && resource === 'namespaces')
  return isNamespaced === (scope === 'Namespaced')
}

/** `pods` is without subresource, `pods/*` with any or none. */
function matchesResource(written: string, request: ReviewableRequest): boolean {
  const slash = written.indexOf('/')
  const resource = slash === -1 ? written : written.slice(0, slash)
  const subresource = slash === -1 ? '' : written.slice(slash + 1)
  return (
    (resource === ANY || resource === request.resource) && (subresource === ANY || subresource === request.subresource)
  )
}

function includesOrAny(items: readonly string[], wanted: string): boolean {
  return items.includes(ANY) || items.includes(wanted)
}
