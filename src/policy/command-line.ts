/**
 * What a process really runs: `env timeout 5 python3 /opt/x.py` is env, timeout, python3 and x.py.
 *
 * A shell's text, an interpreter's script, a launcher's command are unwrapped one step at a time. The work is bounded
 * in depth, in commands and in characters, whatever the arguments hold; what was not looked at is said.
 */

import type { Command } from './command.js'
import { unwrapOnce } from './command-step.js'
import { MAX_ARGUMENTS, splitArguments, type WorkBudget } from './command-words.js'
import { type CommandWrappers, runnerOf, type Wrapper } from './command-wrappers.js'
import { basename } from './tool-name.js'

/** `sh -c "timeout 5 env sh -c …"`: nobody honest goes deeper. */
export const MAX_DEPTH = 8
/** Commands of one process: an entrypoint's script may hold dozens. */
export const MAX_COMMANDS = 128
/** Steps for one process: the arguments a few times over, for each level reads a part of them again. */
export const MAX_WORK = 4 * MAX_ARGUMENTS

export interface CommandLine {
  /** The process first. */
  readonly commands: readonly Command[]
  /** Those that run nothing else, and those whose own arguments may tell something all the same. */
  readonly leaves: ReadonlySet<Command>
  /** Texts that shells were given, each whole, with the command that was given it. */
  readonly shellTexts: readonly { readonly text: string; readonly command: Command }[]
  /** False when a limit was met: what lies beyond it was not looked at. */
  readonly isComplete: boolean
  /** Steps of work, at most `MAX_WORK`. */
  readonly work: number
}

/**
 * @param binary the path as Tetragon gives it.
 * @param args the arguments as Tetragon gives them; '' when there are none.
 */
export function readCommandLine(wrappers: CommandWrappers, binary: string, args: string): CommandLine {
  const budget: WorkBudget = { left: MAX_WORK }
  const commands: Command[] = [processOf(binary, args, budget)]
  const leaves = new Set<Command>()
  const shellTexts: { text: string; command: Command }[] = []
  let isComplete = args.length <= MAX_ARGUMENTS
  // The list grows while it is read: commands are unwrapped in the order in which they were found.
  for (const command of commands) {
    const wrapper = wrapperOf(wrappers, command)
    const room = MAX_COMMANDS - commands.length
    if (wrapper === undefined || command.steps.length >= MAX_DEPTH || room <= 0) {
      if (wrapper !== undefined) isComplete = false
      leaves.add(command)
      continue
    }
    const { children, shellText, isLeaf = children.length === 0 } = unwrapOnce(command, wrapper, room, budget)
    if (shellText !== undefined) shellTexts.push({ text: shellText, command })
    if (isLeaf) leaves.add(command)
    if (children.length === room) isComplete = false
    commands.push(...children)
  }
  if (budget.left <= 0) isComplete = false
  return { commands, leaves, shellTexts, isComplete, work: MAX_WORK - budget.left }
}

function processOf(binary: string, args: string, budget: WorkBudget): Command {
  const source = args.slice(0, MAX_ARGUMENTS)
  const all = splitArguments(source, budget)
  // The kernel runs a script through its interpreter, and the agent shows the script's path twice.
  const words = binary !== '' && all[0]?.text === binary ? all.slice(1) : all
  const text = words === all ? source : source.slice(words[0]?.start ?? source.length)
  return {
    program: binary,
    names: [basename(binary)],
    words,
    text,
    source,
    input: undefined,
    steps: [],
    isDoubtful: false,
  }
}

function wrapperOf(wrappers: CommandWrappers, { names }: Command): Wrapper | undefined {
  for (const name of names) {
    const found = runnerOf(wrappers, name)
    if (found !== undefined) return found
  }
  return undefined
}
