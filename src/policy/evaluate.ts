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
import type { Mirror } from './policy-draft.js'
import { isLive, type PolicyEntry } from './policy-entry.js'
import type { Origin } from './policy-problem.js'
import type { Outcome, Reason, Verdict } from './verdict.js'

export interface EvaluationContext {
  readonly namespace: NamespaceScope
  /** Milliseconds since the epoch; exceptions live by it. */
  readonly now: number
}

/** Images whose verdict is kept for one namespace's rules; a hostile requester can make up more, and gets nothing of it. */
const MEMO_SIZE = 1_000
/** Longer strings are judged anew each time, so that the memo's memory is bounded. */
const MEMO_LENGTH = 300

/** Judge one image. Cost: bounded for every string, and independent of how many entries the policy has. */
export function evaluate(policy: CompiledPolicy, written: string, context: EvaluationContext): Verdict {
  const rules = policy.rulesFor(context.namespace)
  const known = rules.memo.get(written)
  if (known !== undefined) return known
  const parsed = parseImageReference(written)
  if (!parsed.ok) return unreadable(written, parsed.problem)
  const { reference } = parsed
  const segments = reference.repository.split('/')
  const verdict = judgeFully(policy, rules, { reference, segments }, context)
  // An exception that covers the image makes its verdict a matter of time and of the namespace's name.
  const isTimeless = findEntry(policy.exceptionIndex, reference, segments, 'allow') === undefined
  if (isTimeless && written.length <= MEMO_LENGTH) {
    if (rules.memo.size >= MEMO_SIZE) rules.memo.clear()
    rules.memo.set(written, verdict)
  }
  return verdict
}

function unreadable(written: string, detail: string): Verdict {
  const nothing = { entry: undefined, origin: undefined, closest: undefined, suggestion: undefined }
  return { written, reference: undefined, outcome: 'denied', reason: 'image-unreadable', detail, ...nothing }
}

function judgeFully(policy: CompiledPolicy, rules: NamespaceRules, image: Image, context: EvaluationContext): Verdict {
  const { reference, segments } = image
  const judgement = judge(policy, rules, reference, segments, context)
  if (judgement.outcome !== 'denied') return toVerdict(reference, judgement, undefined, undefined)
  const closest = judgement.reason === 'not-allowed' ? findClosestEntry(rules.allow, reference, segments) : undefined
  return toVerdict(reference, judgement, closest, suggest(policy, rules, image, judgement.denial, context))
}

/** Field by field: an object that begins with a spread and goes on costs as much as all the rest (3 µs in Node 20). */
function toVerdict(
  reference: ImageReference,
  { outcome, reason, entry, detail, origin }: Judgement,
  closest: Verdict['closest'],
  suggestion: Verdict['suggestion'],
): Verdict {
  const { written } = reference
  return { written, reference, outcome, reason, entry, detail, origin, closest, suggestion }
}

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
  return { entry: pattern, detail: reason, origin: at }
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
  const excepted = find(policy.exceptionIndex, reference, segments, exception => {
    return exception !== undefined && isLive(exception, namespace.name, now)
  })
  if (excepted !== undefined) {
    const { id, reason, at } = excepted
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
    const denied = rules.deniedTags.find(({ matches }) => matches(reference.tag ?? ''))
    if (denied !== undefined) {
      return { outcome: 'denied', reason: 'tag-denied', ...BY_NOTHING, entry: `tags.deny ${denied.text}` }
    }
    if (rules.requireDigest) {
      return { outcome: 'denied', reason: 'digest-required', ...BY_NOTHING, entry: 'digest.require' }
    }
  }
  return { outcome: 'allowed', reason: 'allow-entry', ...byEntry(allowed) }
}

function findFirst(
  indexes: readonly EntryIndex<PolicyEntry>[],
  reference: ImageReference,
  segments: readonly string[],
  semantics: TagSemantics,
): PolicyEntry | undefined {
  let best: { readonly index: EntryIndex<PolicyEntry>; readonly entry: number } | undefined
  for (const index of indexes) {
    const entry = findEntry(index, reference, segments, semantics)
    if (entry !== undefined && (best === undefined || entry < best.entry)) best = { index, entry }
  }
  return best?.index.entryAt(best.entry)
}

/** The first eligible one of an allow list. */
function find<Entry>(
  index: EntryIndex<Entry>,
  reference: ImageReference,
  segments: readonly string[],
  isEligible: (entry: Entry) => boolean,
): Entry | undefined {
  const entry = findEntry(index, reference, segments, 'allow', isEligible)
  return entry === undefined ? undefined : index.entryAt(entry)
}

/** A readable image, and its repository split at `/`. */
interface Image {
  readonly reference: ImageReference
  readonly segments: readonly string[]
}

/** The deny entry's fix, else the image's place in a mirror; only what is itself allowed is suggested. */
function suggest(
  policy: CompiledPolicy,
  rules: NamespaceRules,
  { reference, segments }: Image,
  denial: PolicyEntry | undefined,
  context: EvaluationContext,
): string | undefined {
  // No exception is live at this time: what is suggested is allowed for good, and not just now.
  const withoutTime = { ...context, now: Number.NaN }
  const isAllowed = (written: string): string | undefined => {
    const parsed = parseImageReference(written)
    if (!parsed.ok) return undefined
    const repeated = judge(policy, rules, parsed.reference, parsed.reference.repository.split('/'), withoutTime)
    return repeated.outcome === 'allowed' ? formatImageReference(parsed.reference) : undefined
  }
  const fix = denial?.fix === undefined ? undefined : isAllowed(denial.fix)
  if (fix !== undefined) return fix
  const mirror = find(policy.mirrorIndex, reference, segments, candidate => {
    return candidate !== undefined && isAllowed(mirrored(candidate, reference, segments)) !== undefined
  })
  return mirror === undefined ? undefined : isAllowed(mirrored(mirror, reference, segments))
}

function mirrored({ depth, to }: Mirror, { tag, digest }: ImageReference, segments: readonly string[]): string {
  const below = segments.slice(depth)
  const repository = [to, ...below].join('/')
  return `${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`
}
