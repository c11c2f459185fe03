/** One request, one decision: every image judged first, the mode looked at last and only here. */

import type { CompiledPolicy } from './compiled-policy.js'
import { evaluate } from './evaluate.js'
import type { NamespaceScope } from './namespace-rules.js'
import type { Mode, Verdict } from './verdict.js'
import type { ParsedWorkload, Workload, WorkloadImage } from './workload.js'

/** What is done: nothing wrong; only recorded; admitted with warnings; refused. */
export type Action = 'admit' | 'audit' | 'warn' | 'deny'

export interface JudgedImage {
  readonly image: WorkloadImage
  readonly verdict: Verdict
  /** False for an image that an UPDATE leaves as it was; true on CREATE. */
  readonly isChanged: boolean
}

export interface Decision {
  readonly action: Action
  /** False exactly for `deny`. */
  readonly allowed: boolean
  readonly mode: Mode
  readonly judged: readonly JudgedImage[]
  /** Denied, and brought in by this very request. */
  readonly violations: readonly JudgedImage[]
  /** Denied, but there before: admitted with a warning, so that old objects can be labelled and cleaned up. */
  readonly carried: readonly JudgedImage[]
  /** Why an object that should hold a pod spec could not be read. */
  readonly unreadable: string | undefined
  /** Set when a refusal would stop nothing: the violations are admitted with a warning, and recorded. */
  readonly waived: 'mirror-pod' | undefined
}

export interface AdmissionQuestion {
  readonly workload: ParsedWorkload
  /** What the object was before an UPDATE. */
  readonly before: ParsedWorkload | undefined
  readonly namespace: NamespaceScope
  /** Milliseconds since the epoch. */
  readonly now: number
  /** A static pod's shadow, asked for by its own kubelet: the pod runs already. */
  readonly isMirrorPod: boolean
}

export function decide(policy: CompiledPolicy, question: AdmissionQuestion): Decision {
  const { workload: parsed } = question
  const judged = parsed.status === 'workload' ? judgeAll(policy, parsed.workload, question) : []
  const denied = judged.filter(({ verdict }) => verdict.outcome === 'denied')
  const facts = {
    mode: policy.modeFor(question.namespace),
    judged,
    violations: denied.filter(({ isChanged }) => isChanged),
    carried: denied.filter(({ isChanged }) => !isChanged),
    unreadable: parsed.status === 'unreadable' ? parsed.problem : undefined,
    waived: question.isMirrorPod ? ('mirror-pod' as const) : undefined,
  }
  const action = chooseAction(facts)
  return { action, allowed: action !== 'deny', ...facts }
}

/** Mode is looked at here and nowhere else. */
function chooseAction(facts: Omit<Decision, 'action' | 'allowed'>): Action {
  const hasViolation = facts.violations.length > 0 || facts.unreadable !== undefined
  if (!hasViolation && facts.carried.length === 0) return 'admit'
  switch (facts.mode) {
    case 'enforce':
      return hasViolation && facts.waived === undefined ? 'deny' : 'warn'
    case 'warn':
      return 'warn'
    case 'audit':
      return 'audit'
  }
}

function judgeAll(policy: CompiledPolicy, workload: Workload, question: AdmissionQuestion): readonly JudgedImage[] {
  const before = question.before?.status === 'workload' ? imagesBefore(question.before.workload) : undefined
  return workload.images.map(image => ({
    image,
    verdict: isPlaceholder(workload, image) ? placeholder(image) : evaluate(policy, image.written, question),
    isChanged: before?.get(keyOf(image)) !== image.written,
  }))
}

/** By list and name: an image that moves to another container has changed. A name that stands twice vouches for nothing. */
function imagesBefore(workload: Workload): ReadonlyMap<string, string | undefined> {
  const before = new Map<string, string | undefined>()
  for (const image of workload.images) {
    const key = keyOf(image)
    before.set(key, before.has(key) ? undefined : image.written)
  }
  return before
}

function keyOf(image: WorkloadImage): string {
  return `${image.list}/${image.name}`
}

/** A blank image in a template waits for something to fill it in; a Pod with one could never run. */
function isPlaceholder(workload: Workload, image: WorkloadImage): boolean {
  return workload.isTemplate && image.written.trim() === ''
}

function placeholder(image: WorkloadImage): Verdict {
  return {
    written: image.written,
    reference: undefined,
    outcome: 'allowed',
    reason: 'image-placeholder',
    entry: undefined,
    origin: undefined,
    detail: undefined,
    closest: undefined,
    suggestion: undefined,
  }
}
