/** From the words of a shell to a command: what stands in front of it, and what a shell makes of its first word. */

import type { ShellInput } from './command-output.js'
import { isAssignment } from './command-words.js'

/** In front of a command, and no command themselves; the last ones in zsh and fish. */
const LEADING = new Set('if then else elif do while until ! { } begin and or not noglob nocorrect'.split(' '))
/** Nothing in the words behind them is run. */
const NO_COMMAND = new Set(['for', 'select', 'case', 'in', 'function', 'fi', 'done', 'esac'])
/** `{nmap,-sS,10.0.0.1}`: blanks without a blank. */
const BRACES = /^\{[^{}]{1,1000},[^{}]{0,1000}\}$/

export interface ShellCommand {
  /** The program and its arguments, without quotes, redirections and leading assignments; at least one. */
  readonly words: readonly string[]
  /** Offset of the program in the text. */
  readonly start: number
  /** What it reads, where the text says so: a here-string, a file, or what the command in front of a `|` writes. */
  readonly input: ShellInput | undefined
}

export interface ShellWord {
  readonly text: string
  readonly start: number
}

/** The command that these words are; none when they run nothing. */
export function commandOf(words: readonly ShellWord[], input: ShellInput | undefined): readonly ShellCommand[] {
  let first = 0
  while (first < words.length && isBeforeCommand(words[first]?.text ?? '')) first += 1
  const program = words[first]
  if (program === undefined || NO_COMMAND.has(program.text)) return []
  const rest = words.slice(first + 1).map(({ text }) => text)
  return [{ words: [...programOf(program.text), ...rest], start: program.start, input }]
}

function isBeforeCommand(word: string): boolean {
  return word === '' || LEADING.has(word) || isAssignment(word)
}

/** The first word as a shell takes it. */
function programOf(written: string): readonly string[] {
  if (written === '.') return ['source']
  return BRACES.test(written) ? written.slice(1, -1).split(',') : [written]
}
