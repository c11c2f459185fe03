/** What is known beside the names: which programs run others, what arguments betray, which names are shared. */

import { type CommandWrappers, compileCommandWrappers, NO_WRAPPERS } from './command-wrappers.js'
import type { RuleSource } from './rule-file.js'
import { type Collisions, compileCollisions } from './tool-collision.js'
import { compileTells, type Tell } from './tool-tell.js'

export interface ToolRules {
  readonly wrappers: CommandWrappers
  readonly tells: readonly Tell[]
  readonly collisions: Collisions
}

export interface ToolRuleSources {
  readonly wrappers: RuleSource
  readonly tells: RuleSource
  readonly collisions: RuleSource
}

/** Names alone count. */
export const NO_RULES: ToolRules = { wrappers: NO_WRAPPERS, tells: [], collisions: new Map() }

/** @throws KnownError POLICY_INVALID that names the file and the field of the first problem. */
export function compileToolRules({ wrappers, tells, collisions }: ToolRuleSources): ToolRules {
  return {
    wrappers: compileCommandWrappers(wrappers),
    tells: compileTells(tells),
    collisions: compileCollisions(collisions),
  }
}
