/** The words of a judgement: mode, outcome, reason, verdict. */

import type { ImageReference } from './image-reference.js'
import type { Origin } from './policy-problem.js'

/** As in Pod Security Admission: refuse, admit with a warning, or only record. */
export type Mode = 'enforce' | 'warn' | 'audit'

/** From the most lenient to the strictest. */
export const MODES = ['audit', 'warn', 'enforce'] as const satisfies readonly Mode[]

export type Outcome = 'allowed' | 'denied' | 'excepted'

/** Why an image got its outcome. A closed set: metrics, records and findings carry these words. */
export type Reason =
  /** allowed: an allow entry accepts it. */
  | 'allow-entry'
  /** allowed: a template whose image is blank until something fills it in. */
  | 'image-placeholder'
  /** excepted: a live exception covers it. */
  | 'exception'
  /** denied: the string is not an image reference. */
  | 'image-unreadable'
  /** denied: a deny entry matches it. */
  | 'deny-entry'
  /** denied: no allow entry accepts it. */
  | 'not-allowed'
  /** denied: it carries a digest, and the only entries that would accept it pin a tag, which proves nothing beside one. */
  | 'digest-not-covered'
  /** denied: an allow entry accepts it, but its effective tag is in `tags.deny`. */
  | 'tag-denied'
  /** denied: an allow entry accepts it, but `digest.require` holds and it has none. */
  | 'digest-required'

/** The judgement of one image. Says nothing of the mode: that is looked at last, in `decide`. */
export interface Verdict {
  /** Exactly as the manifest has it; escape before showing. */
  readonly written: string
  /** Undefined when the string cannot be read. */
  readonly reference: ImageReference | undefined
  readonly outcome: Outcome
  readonly reason: Reason
  /** What decided: the pattern as the policy writes it, the exception's id, or the rule's name; undefined for `not-allowed`. */
  readonly entry: string | undefined
  /** Where the deciding entry or exception stands in the policy's files; undefined for rules and for no entry. */
  readonly origin: Origin | undefined
  /** Half a sentence for `image-unreadable` (why) and `deny-entry` (the entry's own reason). */
  readonly detail: string | undefined
  /** The allow entry that comes nearest to a denied image. */
  readonly closest: ClosestEntry | undefined
  /** A corrected reference that the same policy allows in the same namespace, in normal form. */
  readonly suggestion: string | undefined
}

export interface ClosestEntry {
  /** The pattern as the policy writes it. */
  readonly pattern: string
  /** The part of the image (host, path segment, tag or digest) at which the two part ways. */
  readonly differsAt: string
}
