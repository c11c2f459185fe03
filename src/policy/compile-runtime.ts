/** The tools that a policy adds and removes (`spec.runtime.tools`): what can be judged without the catalogue, and where each stands. */

import type { Compilation, Placed } from './compile-entries.js'
import type { ToolDocument } from './policy-document.js'
import type { RuntimeTools } from './policy-draft.js'
import type { Origin } from './policy-problem.js'
import { problemOfToolPattern, TECHNIQUE } from './tool-catalogue-document.js'

/** @param removed names of catalogue tools. */
export function compileRuntimeTools(
  profile: RuntimeTools['profile'],
  added: readonly Placed<ToolDocument>[],
  removed: readonly Placed<string>[],
  run: Compilation,
): RuntimeTools {
  for (const tool of added) checkTool(tool, run)
  return {
    profile,
    add: added.map(({ value }) => value),
    remove: removed.map(({ value }) => value),
    origins: { add: added.map(originOf), remove: removed.map(originOf) },
  }
}

function checkTool({ value, source, path }: Placed<ToolDocument>, { errors }: Compilation): void {
  for (const [at, pattern] of value.patterns.entries()) {
    const problem = problemOfToolPattern(pattern.toLowerCase())
    if (problem !== undefined) errors.add(source, [...path, 'patterns', at], `${JSON.stringify(pattern)} ${problem}`)
  }
  for (const [at, id] of (value.attack ?? []).entries()) {
    if (!TECHNIQUE.test(id))
      errors.add(source, [...path, 'attack', at], `${JSON.stringify(id)} is no ATT&CK technique id`)
  }
}

function originOf({ source, path }: Placed<unknown>): Origin {
  return { file: source.file, ...source.locate(path) }
}
