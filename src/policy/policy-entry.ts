/** The entries of a compiled policy: allow, deny, exception and mirror, each with its pattern and its place. */

import type { PatternEntry } from './entry-tree.js'
import type { GlobMatcher } from './glob.js'
import type { Origin } from './policy-problem.js'

/** An entry of an allow or deny list. */
export interface PolicyEntry extends PatternEntry {
  readonly at: Origin
  readonly reason: string | undefined
  readonly owner: string | undefined
  /** The reference that a deny entry offers instead, as written. */
  readonly fix: string | undefined
}

/** A scoped, owned and dated leave to run what the policy does not allow. Never lifts a deny entry. */
export interface ImageException {
  readonly id: string
  /** The image patterns, as written. */
  readonly images: readonly string[]
  /** The tool names or globs, lower case. */
  readonly tools: readonly string[]
  readonly namespaces: readonly string[]
  /** Milliseconds since the epoch; live from here … */
  readonly from: number
  /** … until just before here. */
  readonly expires: number
  readonly reason: string
  readonly owner: string
  readonly ticket: string | undefined
  readonly at: Origin
  readonly isNamespace: GlobMatcher
  readonly isTool: GlobMatcher
}

/** One image pattern of an exception. */
export interface ExceptionEntry extends PatternEntry {
  readonly exception: ImageException
}

/** Where the images of a registry are mirrored. */
export interface MirrorEntry extends PatternEntry {
  /** host/path, in normal form, without a final slash. */
  readonly to: string
}

/** Whether an exception holds in a namespace at a time; the image or tool is asked separately. */
export function isLive(exception: ImageException, namespace: string, now: number): boolean {
  return exception.from <= now && now < exception.expires && exception.isNamespace(namespace)
}
