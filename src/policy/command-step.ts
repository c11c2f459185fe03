/** One step of unwrapping: what a shell, an interpreter, a launcher or a package runner is told to run. */

import type { Command, UnwrapStep } from './command.js'
import { isOption, MAX_OPTIONS, skipOptions, skipSubcommand } from './command-options.js'
import { splitShell } from './command-shell.js'
import type { Word, WorkBudget } from './command-words.js'
import type { Wrapper } from './command-wrappers.js'
import { basename } from './tool-name.js'

/** `-c`, and `-xec`: short options in one word. */
const SHELL_COMMAND = /^(?:-[a-z]{0,10}c[a-z]{0,10}|--command|-Command)$/
/** Short options in one word, of which the last may take a value. */
const CLUSTER = /^-[A-Za-z]{2,10}$/
const PACKAGE_VERSION = /(?:@[^/@]*|[=<>~!]=?[^/]*)$/

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
  let takesCommand = false
  let at = 0
  for (; at < command.words.length && at < MAX_OPTIONS; at += 1) {
    const text = command.words[at]?.text ?? ''
    if (SHELL_COMMAND.test(text)) takesCommand = true
    else if (text === '--' || text === '-') {
      at += 1
      break
    } else if (wrapper.values.has(text)) at += 1
    else if (!isOption(text) && !text.startsWith('+')) break
  }
  if (takesCommand) return runShellText(command, at, 'shell', room, budget)
  return one(childAt(command, at, stepOf(command, 'interpreter', 'script')))
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

function splitOption(text: string): { option: string; value: string | undefined } {
  const equals = text.startsWith('--') ? text.indexOf('=') : -1
  return equals === -1
    ? { option: text, value: undefined }
    : { option: text.slice(0, equals), value: text.slice(equals + 1) }
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
  const text = shellTextOption(words, wrapper)
  if (text !== undefined) return runShellText(command, text.at, 'launcher', room, budget, text.value)
  if (wrapper.hasNoCommand || wrapper.questions.has(words[0]?.text ?? '')) return NOTHING
  if (wrapper.after.size > 0) {
    const marker = words.findIndex(each => wrapper.after.has(each.text))
    return marker === -1 ? NOTHING : one(childAt(command, marker + 1, stepOf(command, 'launcher', 'command')))
  }
  const start = commandStart(words, wrapper)
  if (start === undefined) return NOTHING
  const at = start + wrapper.positionals
  if (wrapper.isShellText) return runShellText(command, at, 'launcher', room, budget, restFrom(command, at))
  return one(childAt(command, at, stepOf(command, 'launcher', 'command')))
}

/** Behind the options, the subcommand where one is needed, and its options. */
function commandStart(words: readonly Word[], wrapper: Wrapper): number | undefined {
  const at = skipOptions(words, 0, wrapper)
  if (wrapper.subcommands.length === 0) return at
  const behind = skipSubcommand(words, at, wrapper)
  return behind === undefined ? undefined : skipOptions(words, behind, wrapper)
}

/** `su root -c '…'`: such an option may stand behind other words. */
function shellTextOption(words: readonly Word[], wrapper: Wrapper): { at: number; value?: string } | undefined {
  if (wrapper.shellText.size === 0) return undefined
  for (const [index, { text }] of words.slice(0, MAX_OPTIONS).entries()) {
    const { option, value } = splitOption(text)
    if (wrapper.shellText.has(option)) return value === undefined ? { at: index + 1 } : { at: index, value }
  }
  return undefined
}

function unwrapRunner(command: Command, wrapper: Wrapper, room: number, budget: WorkBudget): Unwrapped {
  const { words } = command
  const text = shellTextOption(words, wrapper)
  if (text !== undefined) return runShellText(command, text.at, 'pkg-runner', room, budget, text.value)
  const start = commandStart(words, wrapper)
  const child = start === undefined ? undefined : childAt(command, start, stepOf(command, 'pkg-runner', ''))
  return child === undefined ? NOTHING : { children: [{ ...child, names: [packageName(child.program)] }] }
}

/** `@scope/name@1.2`, `name==1.0`, `github.com/owner/name/cmd/name@latest`: the last name, without the version. */
export function packageName(written: string): string {
  const plain = written.replace(/^git\+/, '').slice(0, 512)
  const version = plain.lastIndexOf('@')
  const named = version > 0 && !plain.slice(version).includes('/') ? plain.slice(0, version) : plain
  return basename(named.replace(PACKAGE_VERSION, '')).replace(/\.git$/, '')
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
    names: [basename(program)],
    words: command.words.slice(at + 1),
    text: textFrom(command, at + 1),
    source: command.source,
    steps: [...command.steps, step],
    isDoubtful: command.isDoubtful,
  }
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
