/**
 * Programs of which nothing is known: no tool bears the name, nothing else is run, fetched or looked for by it, and it
 * lies where programs lie. Of such a one only the text of the arguments can tell, so that nobody need read its words.
 */

import { runnerOf } from './command-wrappers.js'
import { originOf } from './exec-origin.js'
import { matchTool, type ToolCatalogue } from './tool-catalogue.js'
import { isHandler } from './tool-handling.js'
import { basename } from './tool-name.js'
import { mayTell, tellsAbout } from './tool-tell.js'

/** Programs whose answer is kept, and the longest path of one: some 4 MB at worst. */
const MAX_PROGRAMS = 4_096
const MAX_PATH = 512

/** Whether no arguments of a program say anything. Sound, and quick: false says nothing. */
export type HarmlessTest = (binary: string, args: string) => boolean

export function createHarmlessTest(catalogue: ToolCatalogue): HarmlessTest {
  const programs = new Map<string, boolean>()
  return (binary, args) => {
    if (binary.length > MAX_PATH) return false
    let isPlain = programs.get(binary)
    if (isPlain === undefined) {
      isPlain = isPlainProgram(catalogue, binary)
      if (programs.size >= MAX_PROGRAMS) programs.clear()
      programs.set(binary, isPlain)
    }
    return isPlain && !mayTell(catalogue.tells, args)
  }
}

function isPlainProgram(catalogue: ToolCatalogue, binary: string): boolean {
  const { wrappers } = catalogue.rules
  const name = basename(binary)
  const isKnown =
    runnerOf(wrappers, name) !== undefined ||
    matchTool(catalogue, name) !== undefined ||
    matchTool(catalogue.beyond, name) !== undefined ||
    isHandler(wrappers, name.toLowerCase()) ||
    tellsAbout(catalogue.tells, name.toLowerCase()).length > 0
  return !isKnown && originOf(binary) === undefined
}
