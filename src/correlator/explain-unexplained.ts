/** What is left: either everything says that the webhook ran and nothing was recorded, or something is missing. */

import type { DriftEvidence, Gate } from './drift-evidence.js'
import { admittedBy, recordEvidence } from './explain-admitted.js'
import { wasUnchangedSince } from './explain-bypass.js'
import { type Explanation, type ExplanationEvidence, fact, iso } from './explanation.js'
import { coverageAt, type Introduction, introductionOf } from './introduction.js'
import { answerOf, requestsFor } from './webhook-answer.js'

const AUDIT_REMEDY = "look for the pod's creation in the API server's audit log"

/**
 * The last rule, which always has an answer.
 *
 * - `proved`: a webhook was recording, its registration called it and cannot be passed over, and there is no record.
 * - `likely`: the same, as far as is known: the registration may have been another then, or lets requests pass.
 * - `unknown`: something is missing; the summary says what.
 */
export function explainNothing(evidence: DriftEvidence): Explanation {
  const { governing } = evidence
  if (governing !== undefined) {
    return unexplained(
      'unknown',
      `${admittedBy(governing.record)} in a way that does not explain the verdict of today`,
      recordEvidence(governing),
      'compare the clocks and the policies of webhook and correlator',
    )
  }
  const answer = answerOf(evidence)
  if (answer?.by === 'audit-log') {
    const { auditId, at } = answer.request
    const facts = [fact('audit-log', 'auditID', auditId, at)]
    return unexplained('unknown', 'the webhook answered, and the journal does not have its record', facts, AUDIT_REMEDY)
  }
  return withoutAnswer(evidence, introductionOf(evidence))
}

function withoutAnswer(evidence: DriftEvidence, introduction: Introduction): Explanation {
  const { journal, cluster } = evidence
  const coverage = coverageAt(journal, introduction.at)
  const missing = missingOf(evidence, introduction)
  const covering = coverage.status === 'covered' ? [coverage.evidence] : []
  const facts = [...covering, ...introduction.evidence, ...carriedFacts(evidence)]
  const what = introduction.by === 'start' ? 'the container started' : 'it came in'
  if (coverage.status !== 'covered') {
    const known = coverage.status === 'unknown' ? [] : [coverage.evidence]
    const summary =
      journal.status === 'recording'
        ? `it is not known whether a webhook was recording when ${what}`
        : 'no decision record can be found'
    return unexplained('unknown', withMissing(summary, missing), [...facts, ...known], remedyFor(missing))
  }
  const calling = (cluster.gates ?? []).filter(({ match }) => match.called === 'yes')
  const { at } = introduction
  if (calling.length === 0 || at === undefined || introduction.by === 'start') {
    const summary = `a webhook was recording when ${what}${at === undefined ? '' : ` at ${iso(at)}`}, and no record names it`
    return unexplained('unknown', withMissing(summary, missing), facts, remedyFor(missing))
  }
  return unexplained(
    isProved(evidence, introduction, calling) ? 'proved' : 'likely',
    `a webhook was recording at ${iso(at)} and is called for such pods, and no record names it`,
    [...facts, ...calling.slice(0, 4).flatMap(gateFacts), ...auditFacts(evidence)],
    'find out who made the pod: the API server was asked by somebody who can pass webhooks over, or written around',
  )
}

/** Nothing that is known could have changed since, and the API server may not pass the webhook over. */
function isProved(evidence: DriftEvidence, { at, isExact }: Introduction, calling: readonly Gate[]): boolean {
  const { namespace } = evidence.cluster
  if (at === undefined || !isExact || evidence.subject.uid === undefined) return false
  const isSame = (namespace?.labelsChangedAt ?? Number.POSITIVE_INFINITY) <= at
  return calling.some(gate => {
    const { namespaceSelector, failurePolicy } = gate.webhook
    return (isSame || namespaceSelector === undefined) && wasUnchangedSince(gate, at) && failurePolicy === 'Fail'
  })
}

/** What would have to be given for an answer, as half sentences. */
function missingOf({ journal, cluster, running }: DriftEvidence, { at }: Introduction): readonly string[] {
  const missing: string[] = []
  if (journal.status === 'absent') missing.push('the journal of the webhook (--journal)')
  if (journal.status === 'empty') missing.push('a journal with records in it (--journal)')
  if (cluster.state.status === 'absent') missing.push('the inventory of the cluster (--inventory or --kubeconfig)')
  else if (cluster.pod === undefined) missing.push('the pod in the inventory')
  if (cluster.state.status === 'syncing') missing.push('the rest of the inventory, which is still being read')
  if (cluster.state.status !== 'absent' && cluster.gates === undefined) missing.push("the webhook's registration")
  const doubts = (cluster.gates ?? []).flatMap(({ match }) => (match.called === 'unknown' ? [match.because] : []))
  if (doubts.length > 0) missing.push(`whether the webhook is called for it (${[...new Set(doubts)].join(', ')})`)
  if (at === undefined && running.startedAt === undefined) missing.push('when it came in')
  return missing
}

function withMissing(summary: string, missing: readonly string[]): string {
  return missing.length === 0 ? summary : `${summary}; missing: ${missing.join(', ')}`
}

function remedyFor(missing: readonly string[]): string {
  const options = missing.flatMap(each => /--[a-z]+/.exec(each) ?? [])
  return options.length === 0 ? AUDIT_REMEDY : `give what is missing (${options.join(', ')}), or ${AUDIT_REMEDY}`
}

/** Later updates that saw the image and left it as it was. */
function carriedFacts({ records, subject }: DriftEvidence): readonly ExplanationEvidence[] {
  const carried = records.find(record => {
    return record.images.some(image => !image.isChanged && image.container === subject.container)
  })
  return carried === undefined ? [] : [fact('journal', 'first seen by an update', carried.recordId, carried.at)]
}

function gateFacts({ webhook }: Gate): readonly ExplanationEvidence[] {
  return [
    fact('webhook-configuration', `${webhook.name}.failurePolicy`, webhook.failurePolicy, webhook.seenAt),
    fact(
      'webhook-configuration',
      `${webhook.configuration} metadata.creationTimestamp`,
      iso(webhook.createdAt),
      webhook.seenAt,
    ),
  ]
}

function auditFacts(evidence: DriftEvidence): readonly ExplanationEvidence[] {
  const [request] = requestsFor(evidence)
  if (request === undefined) return []
  return [
    fact('audit-log', 'auditID', request.auditId, request.at),
    ...(request.user === undefined ? [] : [fact('audit-log', 'user.username', request.user, request.at)]),
  ]
}

function unexplained(
  certainty: Explanation['certainty'],
  summary: string,
  evidence: readonly ExplanationEvidence[],
  remedy: string,
): Explanation {
  return { code: 'unexplained', certainty, summary, evidence, remedy }
}
