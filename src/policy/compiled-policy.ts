/** A policy that is ready to judge with. Immutable; a changed file makes a new one. */

import type { EntryIndex } from './entry-index.js'
import type { MaintenanceWindow } from './maintenance.js'
import type { NamespaceRules, NamespaceScope } from './namespace-rules.js'
import type { Mirror, RuntimeTools } from './policy-draft.js'
import type { ImageException } from './policy-entry.js'
import type { PolicyProblem } from './policy-problem.js'
import type { Mode } from './verdict.js'

export interface CompiledPolicy {
  /** The document's name; several documents' names are joined by `+`. */
  readonly name: string
  /** Seven hexadecimal characters over the merged content: the same policy has the same revision everywhere. */
  readonly revision: string
  readonly help: string | undefined
  /** Whether any rule selects by labels: without one, nobody needs to ask the API server. */
  readonly needsNamespaceLabels: boolean
  readonly warnings: readonly PolicyProblem[]
  readonly runtime: RuntimeTools
  readonly maintenance: readonly MaintenanceWindow[]
  readonly exceptions: readonly ImageException[]
  readonly exceptionIndex: EntryIndex<ImageException | undefined>
  readonly mirrorIndex: EntryIndex<Mirror | undefined>
  rulesFor(namespace: NamespaceScope): NamespaceRules
  modeFor(namespace: NamespaceScope): Mode
  /** The first allow patterns that count in a namespace, as written, in policy order; without a limit all of them. */
  allowedIn(namespace: NamespaceScope, limit?: number): readonly string[]
  /** How many allow patterns count in a namespace. */
  allowedCountIn(namespace: NamespaceScope): number
}

/** The exception of that id, live or not; undefined when the policy no longer has it. */
export function findException(policy: CompiledPolicy, id: string): ImageException | undefined {
  return policy.exceptions.find(exception => exception.id === id)
}
