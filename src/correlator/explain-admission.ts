/** How an unwanted image got in: a table of rules over evidence, pure and total. docs/drift.md says what each takes. */

import type { Outcome } from '../policy/index.js'
import type { DriftCode } from './drift-code.js'
import type { DriftEvidence } from './drift-evidence.js'
import {
  explainActiveException,
  explainExpiredException,
  explainTightenedPolicy,
  explainWarnMode,
} from './explain-admitted.js'
import {
  explainAbsentWebhook,
  explainExcludedNamespace,
  explainStaticPod,
  explainSubresource,
} from './explain-bypass.js'
import { explainForeignBinary, explainLocalImage } from './explain-content.js'
import { explainMixedRollout, explainMovedTag } from './explain-digest.js'
import { explainFailOpen } from './explain-fail-open.js'
import { explainMutation } from './explain-mutation.js'
import { explainNothing } from './explain-unexplained.js'
import type { AdmissionExplanation, AlsoTrue, Explanation } from './explanation.js'

/** The others keep that many facts each: the first are the most telling. */
const MAX_ALSO_EVIDENCE = 4

/** Evidence in, an explanation out; undefined when it does not hold. */
export type DriftRule = (evidence: DriftEvidence) => Explanation | undefined

interface DriftRuleEntry {
  readonly code: Exclude<DriftCode, 'unexplained'>
  readonly explain: DriftRule
  /**
   * - `way-in`: how it got past admission. One that is proved goes before one that is only likely.
   * - `content`: what is odd about what runs.
   */
  readonly about: 'way-in' | 'content'
  /** The verdicts of today about which it has something to say. */
  readonly of: readonly Outcome[]
}

const DENIED: readonly Outcome[] = ['denied']
const EXCEPTED: readonly Outcome[] = ['excepted']
const ANY: readonly Outcome[] = ['allowed', 'denied', 'excepted']

/** In the order of explanation. To add a rule: a code in drift-code.ts, a line here, a row in docs/drift.md, a test. */
export const DRIFT_RULES: readonly DriftRuleEntry[] = [
  { code: 'bypass.static-pod', explain: explainStaticPod, about: 'way-in', of: DENIED },
  { code: 'bypass.namespace-excluded', explain: explainExcludedNamespace, about: 'way-in', of: DENIED },
  { code: 'bypass.webhook-absent', explain: explainAbsentWebhook, about: 'way-in', of: DENIED },
  { code: 'bypass.fail-open', explain: explainFailOpen, about: 'way-in', of: DENIED },
  { code: 'bypass.subresource', explain: explainSubresource, about: 'way-in', of: DENIED },
  { code: 'admitted.warn-mode', explain: explainWarnMode, about: 'way-in', of: DENIED },
  { code: 'admitted.exception-active', explain: explainActiveException, about: 'way-in', of: EXCEPTED },
  { code: 'admitted.exception-expired', explain: explainExpiredException, about: 'way-in', of: DENIED },
  { code: 'admitted.policy-tightened', explain: explainTightenedPolicy, about: 'way-in', of: DENIED },
  { code: 'mutated.after-admission', explain: explainMutation, about: 'way-in', of: DENIED },
  { code: 'digest.tag-moved', explain: explainMovedTag, about: 'content', of: ANY },
  { code: 'digest.mixed-rollout', explain: explainMixedRollout, about: 'content', of: ANY },
  { code: 'image.local-or-unknown', explain: explainLocalImage, about: 'content', of: DENIED },
  { code: 'binary.not-from-image', explain: explainForeignBinary, about: 'content', of: ANY },
]

/**
 * Explain one image. Undefined when there is nothing to explain: it may run, for good or for a time, and nothing about
 * its content is odd. Never throws, whatever the evidence.
 */
export function explainAdmission(evidence: DriftEvidence): AdmissionExplanation | undefined {
  const holding = rulesThatHold(evidence)
  if (holding.length > 0) return explainBy(holding)
  return evidence.verdict.outcome === 'denied' ? withOthers(explainNothing(evidence), []) : undefined
}

interface HoldingRule {
  readonly rule: DriftRuleEntry
  readonly explanation: Explanation
}

function rulesThatHold(evidence: DriftEvidence): readonly HoldingRule[] {
  const { outcome } = evidence.verdict
  const holding: HoldingRule[] = []
  for (const rule of DRIFT_RULES) {
    const explanation = rule.of.includes(outcome) ? rule.explain(evidence) : undefined
    if (explanation !== undefined) holding.push({ rule, explanation })
  }
  return holding
}

function explainBy(holding: readonly HoldingRule[]): AdmissionExplanation | undefined {
  const waysIn = holding.filter(({ rule }) => rule.about === 'way-in')
  const first = waysIn.find(({ explanation }) => explanation.certainty === 'proved') ?? waysIn[0] ?? holding[0]
  const others = holding.filter(each => each !== first).map(({ explanation }) => alsoTrue(explanation))
  return first && withOthers(first.explanation, others)
}

/** Field by field: to spread and go on takes many times as long. */
function withOthers(
  { code, certainty, summary, evidence, remedy }: Explanation,
  alsoTrue: readonly AlsoTrue[],
): AdmissionExplanation {
  return { code, certainty, summary, evidence, remedy, alsoTrue }
}

function alsoTrue({ code, certainty, evidence }: Explanation): AlsoTrue {
  return { code, certainty, evidence: evidence.slice(0, MAX_ALSO_EVIDENCE) }
}
