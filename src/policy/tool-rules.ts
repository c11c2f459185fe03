/** What is known beside the names: which programs run others, what arguments betray, which names are shared. */

import { type CommandWrappers, compileCommandWrappers, NO_WRAPPERS } from './command-wrappers.js'
import { type Collisions, compileCollisions } from './tool-collision.js'
import { compileTells, type Tell } from './tool-tell.js'

export interface ToolRules {
  readonly wrappers: CommandWrappers
  readonly tells: readonly Tell[]
  readonly collisions: Collisions
}

/** A decoded file and its name, for messages. */
interface RuleSource {
  readonly data: unknown
  readonly file: string
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
    wrappers: compileCommandWrappers(wrappers.data, wrappers.file),
    tells: compileTells(tells.data, tells.file),
    collisions: compileCollisions(collisions.data, collisions.file),
  }
}
