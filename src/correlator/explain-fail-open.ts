/** Past the webhook, because it could not be asked: `failurePolicy: Ignore`. */

import type { DriftEvidence, Gate } from './drift-evidence.js'
import { createdFact, wasUnchangedSince } from './explain-bypass.js'
import { type Explanation, type ExplanationEvidence, fact } from './explanation.js'
import { coverageAt, introductionOf } from './introduction.js'
import { answerOf, isOurs, requestsFor } from './webhook-answer.js'

const REMEDY = 'run two replicas of the webhook and set failurePolicy: Fail; roll the workloads that came in meanwhile'

/**
 * Proved by the API server's own note, or by a refusal that the pod survived; likely when the heartbeats say that no
 * webhook was recording, and its registration lets requests pass then.
 */
export function explainFailOpen(evidence: DriftEvidence): Explanation | undefined {
  return (
    notedByServer(evidence) ??
    afterRefusal(evidence) ??
    (answerOf(evidence) === undefined ? whileDown(evidence) : undefined)
  )
}

function notedByServer(evidence: DriftEvidence): Explanation | undefined {
  if (evidence.governing !== undefined) return undefined
  const isOpen = (names: readonly string[]): boolean => names.some(name => isOurs(evidence, name))
  const request = requestsFor(evidence).find(({ failedOpen }) => isOpen(failedOpen))
  const { unnamed } = evidence.requests
  // The log does not name them: it is this pod's own request only when it is so for all of them.
  const isOfAll = request === undefined && unnamed.length > 0 && unnamed.every(({ failedOpen }) => isOpen(failedOpen))
  const witness = request ?? (isOfAll ? unnamed[0] : undefined)
  if (witness === undefined) return undefined
  const names = witness.failedOpen.filter(name => isOurs(evidence, name))
  return failOpen(
    request === undefined ? 'likely' : 'proved',
    'the API server could not reach the webhook and let the request pass',
    [
      fact('audit-log', 'failed-open.validating.webhook.admission.k8s.io', names.slice(0, 4).join(', '), witness.at),
      fact('audit-log', 'auditID', witness.auditId, witness.at),
      ...(witness.user === undefined ? [] : [fact('audit-log', 'user.username', witness.user, witness.at)]),
    ],
  )
}

/** The uid of a creation is that of the stored pod: one that was refused, and runs, was stored without the answer. */
function afterRefusal({ governing, records, subject, cluster }: DriftEvidence): Explanation | undefined {
  if (governing !== undefined || subject.uid === undefined) return undefined
  const refusal = records.find(record => {
    return !record.allowed && !record.dryRun && record.operation === 'CREATE' && record.uid === subject.uid
  })
  if (refusal === undefined) return undefined
  const failsClosed = cluster.gates?.every(({ webhook }) => webhook.failurePolicy === 'Fail') === true
  return failOpen(
    failsClosed ? 'likely' : 'proved',
    'the webhook refused it, too late: the API server had given up waiting and let it pass',
    [
      fact('journal', 'recordId', refusal.recordId, refusal.at),
      fact('journal', 'action', refusal.action, refusal.at),
      fact('journal', 'objectUid', subject.uid, refusal.at),
      ...policyFacts(cluster.gates ?? []),
    ],
  )
}

function whileDown(evidence: DriftEvidence): Explanation | undefined {
  const { cluster, journal } = evidence
  if (cluster.gates === undefined) return undefined
  const introduction = introductionOf(evidence)
  const { at } = introduction
  if (at === undefined) return undefined
  const coverage = coverageAt(journal, at)
  const open = cluster.gates.filter(({ webhook, match }) => {
    return webhook.failurePolicy === 'Ignore' && match.called !== 'no' && webhook.createdAt <= at
  })
  if (open.length === 0) return undefined
  switch (coverage.status) {
    case 'covered':
    case 'unknown':
      return undefined
    case 'since':
      // A copy of the journal ends when it was copied.
      if (cluster.state.status === 'snapshot') return undefined
  }
  const wasSo = open.every(gate => wasUnchangedSince(gate, at))
  return failOpen(
    'likely',
    `no webhook was recording when it came in, and failurePolicy is Ignore${wasSo ? '' : ' now'}`,
    [coverage.evidence, ...introduction.evidence, ...policyFacts(open), ...open.slice(0, 1).map(createdFact)],
  )
}

function policyFacts(gates: readonly Gate[]): readonly ExplanationEvidence[] {
  return gates
    .slice(0, 4)
    .map(({ webhook }) =>
      fact('webhook-configuration', `${webhook.name}.failurePolicy`, webhook.failurePolicy, webhook.seenAt),
    )
}

function failOpen(
  certainty: Explanation['certainty'],
  summary: string,
  evidence: readonly ExplanationEvidence[],
): Explanation {
  return { code: 'bypass.fail-open', certainty, summary, evidence, remedy: REMEDY }
}
