/** Warnings in the only form that the API server passes on: one line each, short, few, without control characters. */

import type { CompiledPolicy, Decision, JudgedImage } from '../policy/index.js'
import { escapeForeign } from '../policy/index.js'
import type { DecisionSubject, ViolationGroup } from './violation-text.js'
import { describeGroup, describeName, describeSubject, groupByImage } from './violation-text.js'

/** Once all warnings together exceed 4,096 runes, the API server cuts each to this many. */
export const MAX_WARNING_RUNES = 256
/** Nine, and a line that counts the rest: ten lines of 256 stay below 4,096. */
const MAX_LISTED = 9
const MAX_IMAGE_RUNES = 120
/** Of the namespace and of the name: a warning needs its room for the image. */
const MAX_SUBJECT_LENGTH = 40
const CARRIED = 'this update does not change it, so it is admitted'
const WAIVED = 'it is a static pod that already runs, so it is admitted and recorded'
const NONE: readonly never[] = []

type Matter =
  | { readonly status: 'unreadable'; readonly problem: string }
  | { readonly status: 'image'; readonly group: ViolationGroup; readonly ending: string }

/** The warnings of a decision; empty for a plain admission, an audited one and a denial (its message says it all). */
export function describeWarnings(
  decision: Decision,
  subject: DecisionSubject,
  policy: CompiledPolicy,
): readonly string[] {
  const matters = mattersOf(decision)
  if (matters.length === 0) return NONE
  const origin = `(policy ${describeName(policy.name, 32)}, rev ${escapeForeign(policy.revision, 16)})`
  const about = describeSubject(subject, MAX_SUBJECT_LENGTH)
  const lines = matters.slice(0, MAX_LISTED).map(matter => cutToWords(`${about}: ${describeMatter(matter)} ${origin}`))
  const rest = matters.length - lines.length
  return rest === 0 ? lines : [...lines, `${about}: and ${rest} more ${origin}`]
}

/** What to warn of, still without words: an object may hold 100,000 images, and nine lines are said. */
function mattersOf(decision: Decision): readonly Matter[] {
  const { action, judged } = decision
  if (action !== 'admit' && action !== 'warn') return NONE
  const placeholders = judged.filter(({ verdict }) => verdict.reason === 'image-placeholder')
  // All that is wrong makes another action: nothing is, nearly always.
  if (action === 'admit' && placeholders.length === 0) return NONE
  const unreadable: readonly Matter[] =
    decision.unreadable === undefined ? [] : [{ status: 'unreadable', problem: decision.unreadable }]
  return [
    ...unreadable,
    ...imageMatters(decision.violations, decision.waived === undefined ? '' : `; ${WAIVED}`),
    ...imageMatters(decision.carried, `; ${CARRIED}`),
    ...imageMatters(placeholders, ''),
  ]
}

function imageMatters(judged: readonly JudgedImage[], ending: string): readonly Matter[] {
  return groupByImage(judged).map(group => ({ status: 'image', group, ending }))
}

function describeMatter(matter: Matter): string {
  if (matter.status === 'unreadable') return `its images cannot be judged: ${escapeForeign(matter.problem, 120)}`
  return `${describeGroup(matter.group, 'brief', MAX_IMAGE_RUNES)}${matter.ending}`
}

/** Cut before a word, so that half an image never looks like a whole one. */
function cutToWords(line: string): string {
  const runes = [...line]
  if (runes.length <= MAX_WARNING_RUNES) return line
  const kept = runes.slice(0, MAX_WARNING_RUNES - 2).join('')
  const blank = kept.lastIndexOf(' ')
  return `${blank > 0 ? kept.slice(0, blank) : kept} …`
}
