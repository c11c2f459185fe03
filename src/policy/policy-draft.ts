/**
 * A policy in which nothing is wrong, as plain data: what a thread hands over, and what `assemblePolicy` turns into
 * something that judges. Globs and patterns have been checked and are still texts.
 */

import type { EntryForest, EntryTree } from './entry-forest.js'
import type { MaintenanceDocument, SelectorDocument, ToolDocument } from './policy-document.js'
import type { Origin, PolicyProblem } from './policy-problem.js'
import type { Mode } from './verdict.js'

/** `spec.runtime.tools`, with its defaults. */
export interface RuntimeTools {
  readonly profile: 'quiet' | 'default' | 'strict'
  readonly add: readonly ToolDocument[]
  /** Names of catalogue tools. */
  readonly remove: readonly string[]
  /** Where they stand, in the same order; a policy that was read from no file has none. */
  readonly origins?: { readonly add: readonly Origin[]; readonly remove: readonly Origin[] }
}

export interface PolicyDraft {
  readonly name: string
  readonly revision: string
  readonly help: string | undefined
  readonly runtime: RuntimeTools
  readonly warnings: readonly PolicyProblem[]
  /** The entries of all lists. */
  readonly forest: EntryForest
  readonly defaults: DefaultsDraft
  readonly rules: readonly NamespaceRuleDraft[]
  readonly exceptions: readonly ExceptionDraft[]
  /** The images of the exceptions, one exception's behind the other's. */
  readonly exceptionTree: EntryTree
  readonly maintenance: readonly MaintenanceDraft[]
  /** In the order of their entries. */
  readonly mirrors: readonly Mirror[]
  readonly mirrorTree: EntryTree
}

/** One entry of `spec.namespaces`, or what holds everywhere. */
export interface RuleSetDraft {
  readonly mode: Mode | undefined
  readonly requireDigest: boolean | undefined
  /** `tags.deny`: tags and globs. */
  readonly deniedTags: readonly string[]
  readonly allow: EntryTree
  readonly deny: EntryTree
}

export type DefaultsDraft = RuleSetDraft & { readonly mode: Mode }

export interface NamespaceRuleDraft extends RuleSetDraft {
  readonly target:
    | { readonly by: 'name'; readonly names: readonly string[] }
    | { readonly by: 'labels'; readonly selector: SelectorDocument }
}

export interface ExceptionDraft {
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
}

export interface MaintenanceDraft extends Pick<MaintenanceDocument, 'id' | 'reason' | 'owner' | 'kinds'> {
  readonly namespaces: readonly string[]
  /** Lower case. */
  readonly tools: readonly string[] | undefined
  readonly schedule: ScheduleDraft
}

/** Times in milliseconds since the epoch; days of the week from Sunday, 0. */
export type ScheduleDraft =
  | { readonly type: 'once'; readonly from: number; readonly until: number }
  | {
      readonly type: 'weekly'
      readonly days: readonly number[]
      readonly startMinutes: number
      readonly durationMs: number
      readonly timeZone: string
    }

/** Where the images of a registry are mirrored. */
export interface Mirror {
  /** How many segments of an image's path the mirror replaces. */
  readonly depth: number
  /** host/path, in normal form, without a final slash. */
  readonly to: string
}
