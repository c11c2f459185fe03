/** What an explanation is made of: a code, how sure it is, one sentence, the facts behind it, and what to change. */

import { escapeForeign } from '../policy/index.js'
import type { DriftCode } from './drift-code.js'
import type { Certainty } from './image-use.js'

/** Where a fact was seen. `heartbeat` is the journal's note of when a webhook was recording. */
export const EVIDENCE_SOURCES = [
  'journal',
  'heartbeat',
  'inventory',
  'webhook-configuration',
  'audit-log',
  'event',
  'policy',
] as const

export type EvidenceSource = (typeof EVIDENCE_SOURCES)[number]

/** One fact. Everything in it is safe to print. */
export interface ExplanationEvidence {
  readonly source: EvidenceSource
  readonly field: string
  readonly value: string
  /** When it was seen, RFC 3339; undefined for what holds now. */
  readonly seen: string | undefined
}

/** What one rule says. */
export interface Explanation {
  readonly code: DriftCode
  /** `unknown` claims nothing: the code is then only what is left. */
  readonly certainty: Certainty
  /** One sentence, safe to print. */
  readonly summary: string
  readonly evidence: readonly ExplanationEvidence[]
  /** One line: what to change. Safe to print. */
  readonly remedy: string
}

/** Another explanation that holds too. */
export type AlsoTrue = Pick<Explanation, 'code' | 'certainty' | 'evidence'>

export interface AdmissionExplanation extends Explanation {
  /** In the order of explanation. */
  readonly alsoTrue: readonly AlsoTrue[]
}

/** @param seen milliseconds since the epoch; undefined for what holds now. */
export function fact(source: EvidenceSource, field: string, value: string, seen?: number): ExplanationEvidence {
  return { source, field: shown(field), value: shown(value), seen: seen === undefined ? undefined : iso(seen) }
}

/** Foreign text, safe to print and of bounded length. */
export function shown(text: string): string {
  return escapeForeign(text, 256)
}

/** RFC 3339 without idle milliseconds. Total: forged times have words of their own. */
export function iso(time: number): string {
  const date = new Date(time)
  return Number.isNaN(date.getTime()) ? 'an unreadable time' : date.toISOString().replace('.000Z', 'Z')
}
