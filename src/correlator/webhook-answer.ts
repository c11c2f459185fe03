/** Whether a webhook is known to have answered the request that brought an image in, and where that is written. */

import type { AuditedDecision, AuditedRequest } from './audit-evidence.js'
import type { DriftEvidence } from './drift-evidence.js'
import { type Introduction, introductionOf } from './introduction.js'

/** Our webhooks' names, where their registration is not known: docs say to stay below this. */
const OUR_NAME = /(?:^|\.)sallyport\.dev$/

export type WebhookAnswer =
  | { readonly by: 'journal' }
  | { readonly by: 'audit-log'; readonly request: AuditedRequest; readonly decision: AuditedDecision }

/** Undefined: nothing shows that any did. Whatever got past the webhook has no answer. */
export function answerOf(evidence: DriftEvidence): WebhookAnswer | undefined {
  if (evidence.governing !== undefined) return { by: 'journal' }
  for (const request of requestsFor(evidence)) {
    const [decision] = request.decisions
    if (decision !== undefined) return { by: 'audit-log', request, decision }
  }
  return undefined
}

/** Requests of the audit log that may have brought the image in: done, and of the right sort. Oldest first. */
export function requestsFor(evidence: DriftEvidence): readonly AuditedRequest[] {
  const { named } = evidence.requests
  if (named.length === 0) return named
  const introduction = introductionOf(evidence)
  return named.filter(request => isDone(request) && isWayIn(request, introduction))
}

function isDone({ dryRun, responseCode }: AuditedRequest): boolean {
  return !dryRun && (responseCode === undefined || responseCode < 300)
}

function isWayIn({ verb, subresource, at }: AuditedRequest, { by, notBefore }: Introduction): boolean {
  switch (by) {
    case 'creation':
    case 'start':
      return verb === 'create' && subresource === undefined
    case 'ephemeral-container':
      return subresource === 'ephemeralcontainers'
    case 'update':
      return (verb === 'update' || verb === 'patch') && subresource === undefined && at >= (notBefore ?? at)
  }
}

/** Whether a webhook that was passed over is one of ours. */
export function isOurs({ cluster }: DriftEvidence, name: string): boolean {
  const { gates } = cluster
  return gates === undefined || gates.length === 0
    ? OUR_NAME.test(name)
    : gates.some(({ webhook }) => webhook.name === name)
}
