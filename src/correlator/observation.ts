/** What a detection says of one exec event; observations with the same fingerprint become one finding. */

import type { SightingKind, ToolMatch, Verdict } from '../policy/index.js'
import type { AdmissionExplanation } from './explanation.js'
import type { Certainty } from './image-use.js'

export type FindingKind = 'non-allowlisted-image' | 'image-drift' | 'coverage' | SightingKind

export type Severity = 'info' | 'low' | 'medium' | 'high'

/** The exception, or the maintenance window, that makes a finding visible, but no alert. */
export interface Suppression {
  readonly by: 'exception' | 'maintenance'
  /** Its id. */
  readonly exception: string
  readonly owner: string
  readonly reason: string
  /** RFC 3339; of a weekly window, when it ends this time. */
  readonly expires: string
}

export interface Observation {
  readonly kind: FindingKind
  /** What exactly, within the kind: a verdict's reason, a tool's name, a drift code. */
  readonly code: string
  readonly severity: Severity
  /** 0 to 100, before the cap per object. */
  readonly risk: number
  readonly certainty: Certainty
  /** ATT&CK technique ids. */
  readonly attack: readonly string[]
  /** One sentence, safe to print. */
  readonly title: string
  /** The image that was judged, as written; undefined when the event names none. */
  readonly image: string | undefined
  readonly verdict: Verdict | undefined
  readonly tool: ToolMatch | undefined
  readonly admission: AdmissionExplanation | undefined
  readonly suppression: Suppression | undefined
  /** Whole sentences: what weakens the finding, or could not be seen. */
  readonly remarks: readonly string[]
  /** One line: what to change. Safe to print. */
  readonly remedy: string
  /** The next command to run, quoted for a POSIX shell. */
  readonly nextCommand: string
}
