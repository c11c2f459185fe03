/** Past the webhook, because it was never asked: static pods, excluded namespaces, no registration, a subresource. */

import type { DriftEvidence, Gate } from './drift-evidence.js'
import { type Explanation, type ExplanationEvidence, fact, iso, shown } from './explanation.js'
import { type Introduction, introductionOf, isEphemeral } from './introduction.js'
import { answerOf } from './webhook-answer.js'

/** A new registration reaches the API server's memory within a second or so. */
const REGISTRATION_DELAY_MS = 2_000

export function explainStaticPod(evidence: DriftEvidence): Explanation | undefined {
  const { cluster, records, subject } = evidence
  const waived = records.find(record => record.waived === 'mirror-pod')
  const isMirror = cluster.pod?.mirror !== undefined || waived !== undefined
  // A pod that the inventory knows as an ordinary one is none, whatever an event says.
  if (!isMirror && (cluster.pod !== undefined || subject.workloadKind !== 'Node')) return undefined
  const node = shown(cluster.pod?.nodeName ?? subject.nodeName ?? 'the node')
  const remedy = `change or remove its manifest on ${node} (the kubelet's staticPodPath): no webhook can stop a static pod`
  const summary = `the kubelet of ${node} started it from its own files; the API server only has its shadow`
  const answer = (certainty: Explanation['certainty'], ...facts: readonly ExplanationEvidence[]): Explanation => {
    return { code: 'bypass.static-pod', certainty, summary, evidence: facts, remedy }
  }
  if (cluster.pod?.mirror !== undefined) {
    const { mirror, seenAt, nodeName = '' } = cluster.pod
    const source = mirror.source ?? 'not told'
    return answer(
      'proved',
      fact('inventory', 'metadata.annotations[kubernetes.io/config.source]', source, seenAt),
      fact('inventory', 'spec.nodeName', nodeName, seenAt),
    )
  }
  if (waived !== undefined) {
    return answer(
      'proved',
      fact('journal', 'recordId', waived.recordId, waived.at),
      fact('journal', 'waived', 'mirror-pod', waived.at),
    )
  }
  return answer('likely', fact('event', 'pod.workload_kind', 'Node'), fact('event', 'pod.name', subject.pod))
}

export function explainExcludedNamespace(evidence: DriftEvidence): Explanation | undefined {
  const { gates, namespace, pod } = evidence.cluster
  if (answerOf(evidence) !== undefined || gates === undefined || gates.length === 0) return undefined
  if (!gates.every(({ match }) => match.called === 'no' && match.because === 'namespace-selector')) return undefined
  const introduction = introductionOf(evidence)
  const name = shown(evidence.subject.namespace)
  const since = introduction.notBefore
  const isProved =
    pod !== undefined &&
    since !== undefined &&
    gates.every(gate => gate.isFirm && wasUnchangedSince(gate, since)) &&
    (namespace?.labelsChangedAt ?? Number.POSITIVE_INFINITY) <= since
  const selectors = gates.map(({ webhook }) =>
    fact('webhook-configuration', `${webhook.name}.namespaceSelector`, selectorText(webhook.namespaceSelector)),
  )
  const labels = namespace === undefined ? '' : labelText(namespace.labels)
  return {
    code: 'bypass.namespace-excluded',
    certainty: isProved ? 'proved' : 'likely',
    summary: `the webhook is not called for namespace ${name}: its namespaceSelector leaves it out${isProved ? '' : ' now'}`,
    evidence: [
      ...selectors.slice(0, 4),
      ...changeFacts(gates),
      fact('inventory', 'namespace.metadata.labels', labels, namespace?.seenAt),
      changedFact('namespace labels', namespace?.labelsChangedAt, namespace?.seenAt),
      ...introduction.evidence,
    ],
    remedy: `let the webhook's namespaceSelector include ${name}, at least in audit mode, so that its pods are recorded`,
  }
}

export function explainAbsentWebhook(evidence: DriftEvidence): Explanation | undefined {
  const { gates } = evidence.cluster
  if (answerOf(evidence) !== undefined || gates === undefined) return undefined
  const introduction = introductionOf(evidence)
  return (
    unregistered(gates, introduction) ??
    beforeRegistration(evidence, gates, introduction) ??
    notForSuchPods(evidence, gates, introduction)
  )
}

export function explainSubresource(evidence: DriftEvidence): Explanation | undefined {
  if (answerOf(evidence) !== undefined || !isEphemeral(evidence)) return undefined
  const { gates, container, pod } = evidence.cluster
  const isShut = gates?.every(({ match }) => match.called === 'no' && match.because === 'rules') === true
  const creation = evidence.records.find(({ operation }) => operation === 'CREATE')
  // Without the rules, what tells is that the webhook did record the pod, and not this container.
  if (gates === undefined ? creation === undefined : !isShut || gates.length === 0) return undefined
  const introduction = introductionOf(evidence)
  const since = introduction.notBefore
  const isProved =
    gates !== undefined &&
    container !== undefined &&
    since !== undefined &&
    gates.every(gate => wasUnchangedSince(gate, since))
  const name = shown(evidence.subject.container ?? '')
  return {
    code: 'bypass.subresource',
    certainty: isProved ? 'proved' : 'likely',
    summary:
      gates === undefined
        ? `container ${name} came into the pod after its creation, which only pods/ephemeralcontainers does, and no record has it`
        : `container ${name} came by pods/ephemeralcontainers, for which the webhook's rules do not call it`,
    evidence: [
      ...(container === undefined ? [] : [fact('inventory', 'spec.ephemeralContainers', container.image, pod?.seenAt)]),
      ...(gates ?? [])
        .slice(0, 4)
        .map(({ webhook }) => fact('webhook-configuration', `${webhook.name}.rules`, ruleText(webhook.rules))),
      ...changeFacts(gates ?? []),
      ...(creation === undefined ? [] : [fact('journal', 'recordId', creation.recordId, creation.at)]),
      ...introduction.evidence,
    ],
    remedy: 'add the resource pods/ephemeralcontainers to the rules of the webhook, and limit who may use it',
  }
}

/** Nothing is registered, which says only what holds now. */
function unregistered(gates: readonly Gate[], introduction: Introduction): Explanation | undefined {
  if (gates.length > 0) return undefined
  return {
    code: 'bypass.webhook-absent',
    certainty: 'likely',
    summary: 'no webhook of Sallyport is registered with the API server',
    evidence: [fact('webhook-configuration', 'webhooks', 'none'), ...introduction.evidence],
    remedy: 'register the webhook (ValidatingWebhookConfiguration), then roll the workloads that came in without it',
  }
}

function beforeRegistration(
  evidence: DriftEvidence,
  gates: readonly Gate[],
  { by, at, isExact, evidence: facts }: Introduction,
): Explanation | undefined {
  if (at === undefined || by === 'update') return undefined
  const first = Math.min(...gates.map(({ webhook }) => webhook.createdAt))
  if (at > first + REGISTRATION_DELAY_MS) return undefined
  const isBefore = at < first
  const created = iso(at)
  // Of a registration that was deleted and made anew nothing is left but the journal of the former one.
  const { journal } = evidence
  const isFirst = journal.status === 'recording' && !journal.spans.some(({ to }) => to < at)
  return {
    code: 'bypass.webhook-absent',
    certainty: isBefore && isExact && isFirst ? 'proved' : 'likely',
    summary: isBefore
      ? `it is older than the webhook's registration: ${created}, and the webhook is there since ${iso(first)}`
      : `it came at ${created}, within moments of the webhook's registration`,
    evidence: [...facts, ...gates.slice(0, 4).map(createdFact), ...journalFacts(evidence)],
    remedy: 'roll the workload: its new pods pass the webhook; what runs already is never judged again',
  }
}

function notForSuchPods(
  { cluster }: DriftEvidence,
  gates: readonly Gate[],
  { by, notBefore, evidence: facts }: Introduction,
): Explanation | undefined {
  if (by === 'ephemeral-container') return undefined
  const reasons = new Set(gates.map(({ match }) => (match.called === 'no' ? match.because : match.called)))
  const isShut = [...reasons].every(reason => ['rules', 'object-selector', 'namespace-selector'].includes(reason))
  // A namespace that is left out has a code of its own.
  if (!isShut || (reasons.size === 1 && reasons.has('namespace-selector'))) return undefined
  const isByRules = reasons.size === 1 && reasons.has('rules')
  const since = cluster.pod === undefined ? undefined : notBefore
  // Labels of the pod may have changed without a trace.
  const isProved = isByRules && since !== undefined && gates.every(gate => wasUnchangedSince(gate, since))
  return {
    code: 'bypass.webhook-absent',
    certainty: isProved ? 'proved' : 'likely',
    summary: isByRules
      ? 'the webhook is registered, but its rules do not call it for pods'
      : 'the webhook is registered, but its selectors leave this pod out',
    evidence: [
      ...gates.slice(0, 4).map(({ webhook, match }) => {
        const isSelector = match.called === 'no' && match.because === 'object-selector'
        return isSelector
          ? fact('webhook-configuration', `${webhook.name}.objectSelector`, selectorText(webhook.objectSelector))
          : fact('webhook-configuration', `${webhook.name}.rules`, ruleText(webhook.rules))
      }),
      ...changeFacts(gates),
      ...facts,
    ],
    remedy: 'let the rules and the objectSelector of the webhook include all pods',
  }
}

/** Whether the registration has been what it is now ever since a time. */
export function wasUnchangedSince({ webhook }: Gate, since: number): boolean {
  if (webhook.createdAt > since) return false
  return webhook.generation === 1 || (webhook.changedAt !== undefined && webhook.changedAt <= since)
}

export function createdFact({ webhook }: Gate): ExplanationEvidence {
  const field = `${webhook.configuration} metadata.creationTimestamp`
  return fact('webhook-configuration', field, iso(webhook.createdAt), webhook.seenAt)
}

function changeFacts(gates: readonly Gate[]): readonly ExplanationEvidence[] {
  return gates.slice(0, 4).map(({ webhook }) => {
    if (webhook.generation === 1) {
      return fact('webhook-configuration', `${webhook.configuration} metadata.generation`, '1', webhook.seenAt)
    }
    return { ...changedFact(webhook.configuration, webhook.changedAt, webhook.seenAt), source: 'webhook-configuration' }
  })
}

function changedFact(what: string, at: number | undefined, seenAt: number | undefined): ExplanationEvidence {
  return fact('inventory', `${what} last changed`, at === undefined ? 'not told' : iso(at), seenAt)
}

function journalFacts({ journal }: DriftEvidence): readonly ExplanationEvidence[] {
  const [first] = journal.status === 'recording' ? journal.spans : []
  return first === undefined ? [] : [fact('heartbeat', 'recording since', iso(first.from))]
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).slice(0, 32)
  return pairs.length === 0 ? 'none' : pairs.map(([key, value]) => `${key}=${value}`).join(',')
}

function selectorText(selector: Gate['webhook']['namespaceSelector']): string {
  return selector === undefined ? 'everything' : JSON.stringify(selector)
}

function ruleText(rules: Gate['webhook']['rules']): string {
  const texts = rules.slice(0, 16).map(rule => `${rule.operations.join('|')} ${rule.resources.join(',')}`)
  return texts.length === 0 ? 'none' : texts.join('; ')
}
