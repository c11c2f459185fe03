/**
 * One image, one verdict. Pure and total: every string gets one, and the mode plays no part in it.
 *
 * The order is fixed: unreadable, deny entries, live exception, allow entries; then, after an allow, the tag and digest
 * rules. An exception lifts "not allowed" and the tag and digest rules, never a deny entry.
 */

import { findClosestEntry } from './closest-entry.js'
import type { CompiledPolicy } from './compiled-policy.js'
import { type EntryIndex, findEntry, type TagSemantics } from './entry-index.js'
import { formatImageReference, type ImageReference, parseImageReference } from './image-reference.js'
import type { NamespaceRules, NamespaceScope } from './namespace-rules.js'
import type { TagRule } from './pattern.js'
import { isLive, type MirrorEntry, type PolicyEntry } from './policy-entry.js'
import type { Origin } from './policy-problem.js'
import type { Outcome, Reason, Verdict } from './verdict.js'

export interface EvaluationContext {
  readonly namespace: NamespaceScope
  /** Milliseconds since the epoch; exceptions live by it. */
  readonly now: number
}

/** Judge one image. Cost: bounded for every string, and independent of how many entries the policy has. */
export function evaluate(policy: CompiledPolicy, written: string, context: EvaluationContext): Verdict {
  const parsed = parseImageReference(written)
  if (!parsed.ok) {
    const detail = parsed.problem
    return { ...BLANK, written, reference: undefined, outcome: 'denied', reason: 'image-unreadable', detail }
  }
  const { reference } = parsed
  const segments = reference.repository.split('/')
  const rules = policy.rulesFor(context.namespace)
  const judgement = judge(policy, rules, reference, segments, context)
  const verdict = { ...BLANK, written, reference, ...judgement }
  if (judgement.outcome !== 'denied') return verdict
  const closest = judgement.reason === 'not-allowed' ? findClosestEntry(rules.allow, reference, segments) : undefined
  return { ...verdict, closest, suggestion: suggest(policy, rules, { reference, segments, judgement }, context) }
}

/** The parts of a verdict that say nothing unless they are filled in. */
const BLANK = {
  entry: undefined,
  origin: undefined,
  detail: undefined,
  closest: undefined,
  suggestion: undefined,
} as const

interface Judgement {
  readonly outcome: Outcome
  readonly reason: Reason
  readonly entry: string | undefined
  readonly detail: string | undefined
  readonly origin: Origin | undefined
  /** The deny entry, for the fix that it may offer. */
  readonly denial?: PolicyEntry
}

/** A verdict that no entry brought about. */
const BY_NOTHING = { entry: undefined, detail: undefined, origin: undefined } as const

function byEntry({ pattern, reason, at }: PolicyEntry): Pick<Judgement, 'entry' | 'detail' | 'origin'> {
  return { entry: pattern.text, detail: reason, origin: at }
}

function judge(
  policy: CompiledPolicy,
  rules: NamespaceRules,
  reference: ImageReference,
  segments: readonly string[],
  { namespace, now }: EvaluationContext,
): Judgement {
  const denial = findFirst(rules.deny, reference, segments, 'deny')
  if (denial !== undefined) {
    return { outcome: 'denied', reason: 'deny-entry', ...byEntry(denial), denial }
  }
  const excepted = findEntry(policy.exceptionIndex, reference, segments, 'allow', ({ exception }) =>
    isLive(exception, namespace.name, now),
  )
  if (excepted !== undefined) {
    const { id, reason, at } = excepted.exception
    return { outcome: 'excepted', reason: 'exception', entry: id, detail: reason, origin: at }
  }
  const allowed = findFirst(rules.allow, reference, segments, 'allow')
  return allowed === undefined ? notAllowed(rules, reference, segments) : afterAllow(rules, reference, allowed)
}

function notAllowed(rules: NamespaceRules, reference: ImageReference, segments: readonly string[]): Judgement {
  // An entry that accepts the tag, if only the digest were not there: a case of its own, with its own remedy.
  const byTag = reference.digest === undefined ? undefined : findFirst(rules.allow, reference, segments, 'deny')
  if (byTag === undefined) return { outcome: 'denied', reason: 'not-allowed', ...BY_NOTHING }
  return { outcome: 'denied', reason: 'digest-not-covered', ...byEntry(byTag) }
}

function afterAllow(rules: NamespaceRules, reference: ImageReference, allowed: PolicyEntry): Judgement {
  if (reference.digest === undefined) {
    const denied = rules.deniedTags.find(({ rule }) => matchesTag(rule, reference.tag ?? ''))
    if (denied !== undefined) {
      return { outcome: 'denied', reason: 'tag-denied', ...BY_NOTHING, entry: `tags.deny ${denied.text}` }
    }
    if (rules.requireDigest) {
      return { outcome: 'denied', reason: 'digest-required', ...BY_NOTHING, entry: 'digest.require' }
    }
  }
  return { outcome: 'allowed', reason: 'allow-entry', ...byEntry(allowed) }
}

function matchesTag(rule: TagRule, tag: string): boolean {
  switch (rule.kind) {
    case 'any':
      return true
    case 'exact':
      return rule.tag === tag
    case 'glob':
      return rule.matches(tag)
  }
}

function findFirst(
  indexes: readonly EntryIndex<PolicyEntry>[],
  reference: ImageReference,
  segments: readonly string[],
  semantics: TagSemantics,
): PolicyEntry | undefined {
  let best: PolicyEntry | undefined
  for (const index of indexes) {
    const found = findEntry(index, reference, segments, semantics)
    if (found !== undefined && (best === undefined || found.ordinal < best.ordinal)) best = found
  }
  return best
}

interface Denied {
  readonly reference: ImageReference
  readonly segments: readonly string[]
  readonly judgement: Judgement
}

/** The deny entry's fix, else the image's place in a mirror; only what is itself allowed is suggested. */
function suggest(
  policy: CompiledPolicy,
  rules: NamespaceRules,
  { reference, segments, judgement }: Denied,
  context: EvaluationContext,
): string | undefined {
  const isAllowed = (written: string): string | undefined => {
    const parsed = parseImageReference(written)
    if (!parsed.ok) return undefined
    const repeated = judge(policy, rules, parsed.reference, parsed.reference.repository.split('/'), context)
    return repeated.outcome === 'allowed' ? formatImageReference(parsed.reference) : undefined
  }
  const fix = judgement.denial?.fix === undefined ? undefined : isAllowed(judgement.denial.fix)
  if (fix !== undefined) return fix
  const mirror = findEntry(policy.mirrorIndex, reference, segments, 'allow', entry => {
    return isAllowed(mirrored(entry, reference, segments)) !== undefined
  })
  return mirror === undefined ? undefined : isAllowed(mirrored(mirror, reference, segments))
}

function mirrored(mirror: MirrorEntry, { tag, digest }: ImageReference, segments: readonly string[]): string {
  const below = segments.slice(mirror.pattern.parts.length)
  const repository = [mirror.to, ...below].join('/')
  return `${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`
}
