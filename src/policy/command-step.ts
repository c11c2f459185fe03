/** One step of unwrapping: what a shell, an interpreter, a launcher or a package runner is told to run. */

import type { Command, UnwrapStep } from './command.js'
import { CLUSTER, isOption, MAX_OPTIONS, skipOptions, skipSubcommand, splitOption } from './command-options.js'
import { splitShell } from './command-shell.js'
import { shellSource, shellTextOption } from './command-text-option.js'
import type { Word, WorkBudget } from './command-words.js'
import type { Wrapper } from './command-wrappers.js'
import { packageName } from './package-name.js'
import { basename } from './tool-name.js'

/** Commands of one `find`. */
const MAX_BEHIND = 16

export interface Unwrapped {
  readonly children: readonly Command[]
  /** The text that a shell was given. */
  readonly shellText?: string
}

const NOTHING: Unwrapped = { children: [] }

/** @param room how many commands may come out of it. */
export function unwrapOnce(command: Command, wrapper: Wrapper, room: number, budget: WorkBudget): Unwrapped {
  budget.left -= Math.min(command.words.length, MAX_OPTIONS)
  switch (wrapper.kind) {
    case 'shell':
      return unwrapShell(command, wrapper, room, budget)
    case 'interpreter':
      return unwrapInterpreter(command, wrapper)
    case 'launcher':
      return unwrapLauncher(command, wrapper, room, budget)
    case 'pkg-runner':
      return unwrapRunner(command, wrapper, room, budget)
    case 'multicall': {
      const at = skipOptions(command.words, 0, wrapper)
      return one(childAt(command, at, stepOf(command, 'multicall', 'applet')))
    }
  }
}

function unwrapShell(command: Command, wrapper: Wrapper, room: number, budget: WorkBudget): Unwrapped {
  const { type, at, value } = shellSource(command.words, wrapper)
  switch (type) {
    case 'text':
      return runShellText(command, at, 'shell', room, budget, value)
    case 'script':
      return one(childAt(command, at, stepOf(command, 'interpreter', 'script'), value))
    case 'input':
      return NOTHING
  }
}

function unwrapInterpreter(command: Command, wrapper: Wrapper): Unwrapped {
  const { words } = command
  let at = 0
  for (; at < words.length && at < MAX_OPTIONS; at += 1) {
    const text = words[at]?.text ?? ''
    const role = roleOf(text, wrapper)
    if (role?.name === 'code') return NOTHING
    if (role !== undefined) return one(childOfRole(command, at, role.name, role.value))
    if (text === '--') {
      at += 1
      break
    }
    if (wrapper.values.has(text)) at += 1
    else if (!isOption(text)) break
  }
  const behind = skipSubcommand(words, at, wrapper)
  const start = behind === undefined ? at : skipOptions(words, behind, wrapper)
  return one(childAt(command, start, stepOf(command, 'interpreter', 'script')))
}

type Role = 'script' | 'module' | 'code'

/** `-m`, `-mname`, `-um`, `--module=name`. */
function roleOf(text: string, wrapper: Wrapper): { name: Role; value: string | undefined } | undefined {
  if (!isOption(text)) return undefined
  const { option, value } = splitOption(text)
  for (const name of ['script', 'module', 'code'] as const) {
    const options = wrapper[name]
    if (options.has(option)) return { name, value }
    if (text.startsWith('--') || text.length < 3 || wrapper.values.has(text)) continue
    if (options.has(text.slice(0, 2))) return { name, value: text.slice(2) }
    if (CLUSTER.test(text) && options.has(`-${text.at(-1)}`)) return { name, value: undefined }
  }
  return undefined
}

function childOfRole(command: Command, at: number, role: 'script' | 'module', value: string | undefined) {
  const step = stepOf(command, 'interpreter', role)
  const child = childAt(command, value === undefined ? at + 1 : at, step, value)
  if (role === 'script' || child === undefined) return child
  // `impacket.examples.secretsdump` is the script secretsdump.py of that package.
  const last = child.program.slice(child.program.lastIndexOf('.') + 1)
  return { ...child, names: [...new Set([child.program, last, `${last}.py`])] }
}

function unwrapLauncher(command: Command, wrapper: Wrapper, room: number, budget: WorkBudget): Unwrapped {
  const { words } = command
  const start = commandStart(words, wrapper)
  const isTextOnly = wrapper.hasNoCommand && !words.slice(0, start).some(word => wrapper.commandWith.has(word.text))
  const text = shellTextOption(words, wrapper, isTextOnly ? MAX_OPTIONS : optionsEnd(words, wrapper, start))
  if (text !== undefined) return runShellText(command, text.at, 'launcher', room, budget, text.value)
  if (isTextOnly || wrapper.questions.has(words[0]?.text ?? '')) return NOTHING
  if (wrapper.after.size > 0) return { children: commandsBehind(command, wrapper, room) }
  if (start === undefined) return NOTHING
  // Behind a root or a processor's name some take options again; no command begins like one.
  const at = wrapper.positionals === 0 ? start : skipOptions(words, start + wrapper.positionals, wrapper)
  if (wrapper.isShellText) return runShellText(command, at, 'launcher', room, budget, restFrom(command, at))
  return one(childAt(command, at, stepOf(command, 'launcher', 'command')))
}

/** `find . -exec a ; -exec b ;`: each of them runs, and its arguments end where the next one's option stands. */
function commandsBehind(command: Command, { after }: Wrapper, room: number): readonly Command[] {
  const { words } = command
  const step = stepOf(command, 'launcher', 'command')
  const markers = words.slice(0, MAX_OPTIONS).flatMap(({ text }, index) => (after.has(text) ? [index] : []))
  return markers.slice(0, Math.min(room, MAX_BEHIND)).flatMap((marker, index) => {
    const next = markers[index + 1]
    const part = next === undefined ? command : upTo(command, next)
    return childAt(part, marker + 1, step) ?? []
  })
}

function upTo(command: Command, end: number): Command {
  const words = command.words.slice(0, end)
  return { ...command, words, source: command.source?.slice(0, words.at(-1)?.end ?? 0) }
}

/** How many words may be options of the wrapper: those up to its command, and that one, if it is none. */
function optionsEnd(words: readonly Word[], wrapper: Wrapper, start: number | undefined): number {
  return (start ?? skipOptions(words, 0, wrapper)) + wrapper.positionals + 1
}

/** Behind the options, the subcommand where one is needed, and its options. */
function commandStart(words: readonly Word[], wrapper: Wrapper): number | undefined {
  const at = skipOptions(words, 0, wrapper)
  if (wrapper.subcommands.length === 0) return at
  const behind = skipSubcommand(words, at, wrapper)
  return behind === undefined ? undefined : skipOptions(words, behind, wrapper)
}

function unwrapRunner(command: Command, wrapper: Wrapper, room: number, budget: WorkBudget): Unwrapped {
  const { words } = command
  const start = commandStart(words, wrapper)
  const text = shellTextOption(words, wrapper, optionsEnd(words, wrapper, start))
  if (text !== undefined) return runShellText(command, text.at, 'pkg-runner', room, budget, text.value)
  const step = stepOf(command, 'pkg-runner', '')
  const child = start === undefined ? undefined : childAt(command, start, step)
  const own = child === undefined ? [] : [{ ...child, names: [packageName(child.program)] }]
  return { children: [...namedPackages(command, wrapper, start), ...own].slice(0, room) }
}

/** `npx -p PACKAGE NAME`: what is fetched need not be called like what it holds. */
function namedPackages(command: Command, wrapper: Wrapper, start = command.words.length): readonly Command[] {
  return command.words.slice(0, Math.min(start, MAX_OPTIONS)).flatMap(({ text }, at) => {
    const { option, value } = splitOption(text)
    if (!wrapper.packages.has(option)) return []
    const child = childAt(command, value === undefined ? at + 1 : at, stepOf(command, 'pkg-runner', ''), value)
    return child === undefined ? [] : [{ ...child, names: [packageName(child.program)], words: [], text: '' }]
  })
}

/** The commands of the text that stands at a word. */
function runShellText(
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
  const children = splitShell(text, room, budget).map(({ words, start }): Command => {
    const [program = '', ...rest] = words
    return {
      program,
      names: [basename(program)],
      words: rest.map(exactWord),
      text: rest.join(' '),
      source: undefined,
      steps: [...command.steps, step],
      isDoubtful: command.isDoubtful || (quote !== -1 && start > quote),
    }
  })
  return { children, shellText: text }
}

/** A word as a shell's text: a wrapped one may hold quotes and blanks of its own, so that all the rest is taken. */
function textAt(command: Command, at: number): string | undefined {
  const word = command.words[at]
  return word?.isQuoted === true || word?.text.startsWith('"') ? restFrom(command, at) : word?.text
}

/** All that stands from a word on, without the quotes around it. */
function restFrom(command: Command, at: number): string | undefined {
  if (command.words[at] === undefined) return undefined
  const rest = textFrom(command, at)
  if (command.source === undefined || !rest.startsWith('"')) return rest
  return rest.endsWith('"') && rest.length > 1 ? rest.slice(1, -1) : rest.slice(1)
}

function textFrom({ words, source }: Command, at: number): string {
  if (source !== undefined) return source.slice(words[at]?.start ?? source.length)
  return joined(words.slice(at))
}

function childAt(command: Command, at: number, step: UnwrapStep, value?: string): Command | undefined {
  const program = value ?? command.words[at]?.text
  if (program === undefined || program === '') return undefined
  return {
    program,
    names: namesOf(program, step),
    words: command.words.slice(at + 1),
    text: textFrom(command, at + 1),
    source: command.source,
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

function stepOf({ program }: Command, kind: UnwrapStep['kind'], part: UnwrapStep['part']): UnwrapStep {
  return { kind, part, wrapper: basename(program).slice(0, 64) }
}

function one(child: Command | undefined): Unwrapped {
  return child === undefined ? NOTHING : { children: [child] }
}
