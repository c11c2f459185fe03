/** The text of a denial: everything that the person at the other end of `kubectl` needs, within an event's length. */

import type { CompiledPolicy, Decision } from '../policy/index.js'
import { escapeForeign } from '../policy/index.js'
import type { DecisionSubject, Detail, ViolationGroup } from './violation-text.js'
import { describeGroup, describeName, describeSubject, groupByImage } from './violation-text.js'

/** An event's message is cut at 1,024 characters, counted in bytes here. */
const EVENT_BYTES = 1024
/** Room for what comes before ours: `Error creating: admission webhook "…" denied the request: `. */
const EVENT_PREFIX_BYTES = 128
/** The longest denial, in bytes of UTF-8, so that a ReplicaSet's event carries it whole. */
export const MAX_DENIAL_BYTES = EVENT_BYTES - EVENT_PREFIX_BYTES

/** More than could ever fit. */
const MAX_ALLOWED_PATTERNS = 64
const MAX_ALLOWED_BYTES = 200
const MAX_HELP_BYTES = 200
const MAX_NAME_LENGTH = 64
const MAX_PROBLEM_RUNES = 160
/** A line takes 25 bytes at least: more never fit, and an object may hold 100,000 images. */
const MAX_LINES = 36
/** Longest first. An image of the grammar's greatest length takes 780 characters: at last it is cut. */
const DETAILS: readonly { readonly detail: Detail; readonly imageRunes: number }[] = [
  { detail: 'full', imageRunes: 260 },
  { detail: 'brief', imageRunes: 160 },
  { detail: 'bare', imageRunes: 120 },
]
/** Names that may stand in a command which people copy into a shell. */
const SHELL_SAFE = /^[a-z0-9][a-z0-9.-]*$/

/**
 * The message of a denial, or of what a denial would say. At most {@link MAX_DENIAL_BYTES}; the first line stands alone,
 * because some clients show no other; every violation is named once. Pure and total.
 */
export function describeDenial(decision: Decision, subject: DecisionSubject, policy: CompiledPolicy): string {
  const head = describeHead(decision, subject, policy)
  const tail = [describeAllowed(subject, policy), describeNextStep(subject, policy)].filter(line => line !== '')
  const room = MAX_DENIAL_BYTES - bytes([head, ...tail].join('\n'))
  return [head, ...fitViolations(groupByImage(decision.violations), room), ...tail].join('\n')
}

function describeHead(decision: Decision, subject: DecisionSubject, policy: CompiledPolicy): string {
  const { violations, judged, unreadable } = decision
  const origin = `(policy ${describeName(policy.name, MAX_NAME_LENGTH)}, rev ${escapeForeign(policy.revision, 16)})`
  const object = describeSubject(subject, MAX_NAME_LENGTH)
  if (unreadable !== undefined) {
    return `${object} cannot be judged: ${escapeForeign(unreadable, MAX_PROBLEM_RUNES)} ${origin}`
  }
  const images = judged.length === 1 ? 'image' : 'images'
  const verb = violations.length === 1 ? 'is' : 'are'
  return `${violations.length} of ${judged.length} ${images} in ${object} ${verb} not allowed ${origin}`
}

/** `Allowed in team-a: registry.corp.example/*, gcr.io/distroless/* (+3 more)`: as many as fit, at least one. */
function describeAllowed({ namespace }: DecisionSubject, policy: CompiledPolicy): string {
  const patterns = policy.allowedIn(namespace, MAX_ALLOWED_PATTERNS)
  const total = policy.allowedCountIn(namespace)
  const place = describeName(namespace.name, MAX_NAME_LENGTH) || 'this namespace'
  if (patterns.length === 0) return `Nothing is allowed in ${place}`
  let line = `Allowed in ${place}: `
  let shown = 0
  for (const pattern of patterns) {
    const next = `${shown === 0 ? '' : ', '}${escapeForeign(pattern, MAX_NAME_LENGTH)}`
    if (shown > 0 && bytes(line) + bytes(next) > MAX_ALLOWED_BYTES) break
    line += next
    shown += 1
  }
  return shown === total ? line : `${line} (+${total - shown} more)`
}

function describeNextStep({ namespace, name }: DecisionSubject, policy: CompiledPolicy): string {
  const isNamed = SHELL_SAFE.test(name) && name.length <= MAX_NAME_LENGTH
  const file = isNamed ? `${name}.yaml` : 'FILE'
  const scope =
    SHELL_SAFE.test(namespace.name) && namespace.name.length <= MAX_NAME_LENGTH ? ` -n ${namespace.name}` : ''
  const check = `Check first: sallyport check -f ${file}${scope}`
  // A link that was cut leads nowhere: whole or not at all.
  const help = policy.help === undefined ? '' : escapeForeign(policy.help)
  return help === '' || bytes(help) > MAX_HELP_BYTES ? check : `${check}   Exceptions: ${help}`
}

/** All lines in the greatest detail in which all fit; failing that, as many bare ones as fit, and a count of the rest. */
function fitViolations(groups: readonly ViolationGroup[], room: number): readonly string[] {
  let lines: readonly string[] = []
  for (const { detail, imageRunes } of DETAILS) {
    lines = groups.slice(0, MAX_LINES).map(group => `- ${describeGroup(group, detail, imageRunes)}`)
    if (groups.length <= MAX_LINES && sizeOf(lines) <= room) return lines
  }
  const fitting: string[] = []
  let used = bytes(restLine(groups.length)) + 1
  for (const line of lines) {
    used += bytes(line) + 1
    if (used > room) break
    fitting.push(line)
  }
  return [...fitting, restLine(groups.length - fitting.length)]
}

function restLine(count: number): string {
  return `- and ${count} more`
}

/** Bytes of lines, each with the newline in front of it. */
function sizeOf(lines: readonly string[]): number {
  return lines.reduce((sum, line) => sum + bytes(line) + 1, 0)
}

function bytes(text: string): number {
  return Buffer.byteLength(text)
}
