/** From a place in a command's arguments to the commands that stand there: one program, or those of a shell's text. */

import type { Command, UnwrapStep } from './command.js'
import { splitShell } from './command-shell.js'
import type { Word, WorkBudget } from './command-words.js'
import { basename } from './tool-name.js'

export interface Unwrapped {
  readonly children: readonly Command[]
  /** The text that a shell was given. */
  readonly shellText?: string
  /** Its own arguments are looked at, too. Default: when it has no children. */
  readonly isLeaf?: boolean
}

export const NOTHING: Unwrapped = { children: [] }

/** The commands of the text that stands at a word. */
export function runShellText(
  command: Command,
  at: number,
  kind: UnwrapStep['kind'],
  room: number,
  budget: WorkBudget,
  value?: string,
): Unwrapped {
  const word = command.words[at]
  const text = value ?? textAt(command, at)
  if (text === undefined) return NOTHING
  // The agent escapes nothing: behind a quote within the text, the text itself may be over.
  const quote =
    command.source !== undefined && (value !== undefined || word?.isQuoted === true) ? text.indexOf('"') : -1
  const step = stepOf(command, kind, kind === 'pkg-runner' ? '' : 'command')
  const children = splitShell(text, room, budget).map(({ words, start, input }): Command => {
    const [program = '', ...rest] = words
    return {
      program,
      names: [basename(program)],
      words: rest.map(exactWord),
      text: rest.join(' '),
      source: undefined,
      input,
      steps: [...command.steps, step],
      isDoubtful: command.isDoubtful || (quote !== -1 && start > quote),
    }
  })
  return { children, shellText: text }
}

/** A word as a shell's text: a wrapped one may hold quotes and blanks of its own, so that all the rest is taken. */
export function textAt(command: Command, at: number): string | undefined {
  const word = command.words[at]
  return word?.isQuoted === true || word?.text.startsWith('"') ? restFrom(command, at) : word?.text
}

/** All that stands from a word on, without the quotes around it. */
export function restFrom(command: Command, at: number): string | undefined {
  if (command.words[at] === undefined) return undefined
  const rest = textFrom(command, at)
  if (command.source === undefined || !rest.startsWith('"')) return rest
  return rest.endsWith('"') && rest.length > 1 ? rest.slice(1, -1) : rest.slice(1)
}

function textFrom({ words, source }: Command, at: number): string {
  if (source !== undefined) return source.slice(words[at]?.start ?? source.length)
  return joined(words.slice(at))
}

export function childAt(command: Command, at: number, step: UnwrapStep, value?: string): Command | undefined {
  const program = value ?? command.words[at]?.text
  if (program === undefined || program === '') return undefined
  return {
    program,
    names: namesOf(program, step),
    words: command.words.slice(at + 1),
    text: textFrom(command, at + 1),
    source: command.source,
    input: command.input,
    steps: [...command.steps, step],
    isDoubtful: command.isDoubtful,
  }
}

/** A package that is run as a folder is called by that: `/opt/sqlmap/__main__.py`. */
function namesOf(program: string, { part }: UnwrapStep): readonly string[] {
  const name = basename(program)
  const folder = part === 'script' && name === '__main__.py' ? basename(`${program}/..`) : ''
  return folder === '' ? [name] : [name, folder]
}

function joined(words: readonly Word[]): string {
  return words.map(({ text }) => text).join(' ')
}

function exactWord(text: string): Word {
  return { text, start: 0, end: 0, isQuoted: false }
}

export function stepOf({ program }: Command, kind: UnwrapStep['kind'], part: UnwrapStep['part']): UnwrapStep {
  return { kind, part, wrapper: basename(program).slice(0, 64) }
}
