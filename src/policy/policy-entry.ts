/** The entries of a compiled policy: allow, deny, exception and mirror. */

import { type EntryForest, FIX, noteOf, originOf, patternText, REASON } from './entry-forest.js'
import type { GlobMatcher } from './glob.js'
import type { ExceptionDraft } from './policy-draft.js'
import type { Origin } from './policy-problem.js'

/** An entry of an allow or deny list. */
export interface PolicyEntry {
  /** Its pattern as the policy writes it. */
  readonly pattern: string
  readonly at: Origin
  readonly reason: string | undefined
  /** The reference that a deny entry offers instead, as written. */
  readonly fix: string | undefined
}

/** A scoped, owned and dated leave to run what the policy does not allow. Never lifts a deny entry. */
export interface ImageException extends ExceptionDraft {
  readonly isNamespace: GlobMatcher
  readonly isTool: GlobMatcher
}

/** Made anew each time: most entries of a large policy are never asked for. */
export function readPolicyEntry(forest: EntryForest, entry: number): PolicyEntry {
  return {
    pattern: patternText(forest, entry),
    at: originOf(forest, entry),
    reason: noteOf(forest, entry, REASON),
    fix: noteOf(forest, entry, FIX),
  }
}

/** Whether an exception holds in a namespace at a time; the image or tool is asked separately. */
export function isLive(exception: ImageException, namespace: string, now: number): boolean {
  return exception.from <= now && now < exception.expires && exception.isNamespace(namespace)
}
