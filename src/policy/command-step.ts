/** One step of unwrapping: what a shell, an interpreter, a launcher or a package runner is told to run. */

import type { Command } from './command.js'
import { childAt, NOTHING, restFrom, runShellText, stepOf, textAt, type Unwrapped } from './command-child.js'
import { commandsOfCode } from './command-code.js'
import { CLUSTER, isOption, MAX_OPTIONS, skipOptions, skipSubcommand, splitOption } from './command-options.js'
import { shellSource, shellTextOption, type TextPlace } from './command-text-option.js'
import type { Word, WorkBudget } from './command-words.js'
import type { Wrapper } from './command-wrappers.js'
import { packageName } from './package-name.js'

/** Commands of one `find`. */
const MAX_BEHIND = 16

/** @param room how many commands may come out of it. */
export function unwrapOnce(command: Command, wrapper: Wrapper, room: number, budget: WorkBudget): Unwrapped {
  budget.left -= Math.min(command.words.length, MAX_OPTIONS)
  switch (wrapper.kind) {
    case 'shell':
      return unwrapShell(command, wrapper, room, budget)
    case 'interpreter':
      return unwrapInterpreter(command, wrapper, room, budget)
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
      if (value === undefined && isInput(command.words[at]?.text)) return runInput(command, room, budget)
      return one(childAt(command, at, stepOf(command, 'interpreter', 'script'), value))
    case 'input':
      return runInput(command, room, budget)
  }
}

/** What a shell reads from standard input, where the text says what that is; or from `<(…)`, which is no word. */
function runInput(command: Command, room: number, budget: WorkBudget): Unwrapped {
  const { input, words } = command
  if (input === undefined) return NOTHING
  if ('text' in input) return runShellText(command, words.length, 'shell', room, budget, input.text)
  return one(childAt(command, words.length, stepOf(command, 'interpreter', 'script'), input.file))
}

/** Whether a word stands for standard input where a script is wanted. */
function isInput(script: string | undefined): boolean {
  return script === undefined || script === '' || script === '/dev/stdin'
}

function unwrapInterpreter(command: Command, wrapper: Wrapper, room: number, budget: WorkBudget): Unwrapped {
  const { words } = command
  let at = 0
  for (; at < words.length && at < MAX_OPTIONS; at += 1) {
    const text = words[at]?.text ?? ''
    const role = roleOf(text, wrapper)
    if (role?.name === 'code') return runCode(command, wrapper, role.value ?? textAt(command, at + 1), room, budget)
    if (role !== undefined) return one(childOfRole(command, at, role.name, role.value))
    if (text === '--') {
      at += 1
      break
    }
    if (wrapper.values.has(text)) at += 1
    else if (!isOption(text)) break
  }
  return wrapper.isCode ? runCode(command, wrapper, textAt(command, at), room, budget) : runScript(command, wrapper, at)
}

function runScript(command: Command, wrapper: Wrapper, at: number): Unwrapped {
  const behind = skipSubcommand(command.words, at, wrapper)
  const start = behind === undefined ? at : skipOptions(command.words, behind, wrapper)
  return one(childAt(command, start, stepOf(command, 'interpreter', 'script')))
}

/** The programs that a code's calls name. It was found by its syntax, so that a quote in front of it says nothing. */
function runCode(
  command: Command,
  wrapper: Wrapper,
  code: string | undefined,
  room: number,
  budget: WorkBudget,
): Unwrapped {
  if (code === undefined) return NOTHING
  budget.left -= code.length
  const step = stepOf(command, 'interpreter', 'code')
  const children = commandsOfCode(code, wrapper.dialect).flatMap(
    text => runShellText(command, command.words.length, 'interpreter', room, budget, text).children,
  )
  const { isDoubtful, steps } = command
  return {
    children: children.slice(0, room).map(child => ({ ...child, isDoubtful, steps: [...steps, step] })),
    isLeaf: true,
  }
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
  // No module has a hyphen in its name, as `kube-hunter` has.
  return { ...child, names: [...new Set([child.program, last, `${last}.py`, last.replaceAll('_', '-')])] }
}

function unwrapLauncher(command: Command, wrapper: Wrapper, room: number, budget: WorkBudget): Unwrapped {
  const { words } = command
  if (wrapper.behind.length > 0) {
    const found = textsBehind(command, wrapper, room, budget)
    if (found.children.length > 0) return found
  }
  const start = commandStart(words, wrapper)
  const isTextOnly = wrapper.hasNoCommand && !words.slice(0, start).some(word => wrapper.commandWith.has(word.text))
  const text = shellTextOption(words, wrapper, isTextOnly ? MAX_OPTIONS : optionsEnd(words, wrapper, start))
  if (text !== undefined) return runLauncherText(command, wrapper, text, room, budget)
  if (isTextOnly || wrapper.questions.has(words[0]?.text ?? '')) return NOTHING
  if (wrapper.after.size > 0) return { children: commandsBehind(command, wrapper, room) }
  if (start === undefined) return NOTHING
  // Behind a root or a processor's name some take options again; no command begins like one.
  const at = wrapper.positionals === 0 ? start : skipOptions(words, start + wrapper.positionals, wrapper)
  if (wrapper.isShellText) return runShellText(command, at, 'launcher', room, budget, restFrom(command, at))
  return one(childAt(command, at, stepOf(command, 'launcher', 'command')))
}

/** `env -S '-i A=1 nmap'`: the text may begin with options of the launcher. */
function runLauncherText(
  command: Command,
  wrapper: Wrapper,
  { at, value }: TextPlace,
  room: number,
  budget: WorkBudget,
) {
  const unwrapped = runShellText(command, at, 'launcher', room, budget, value)
  if (!wrapper.hasAssignments) return unwrapped
  const step = stepOf(command, 'launcher', 'command')
  const children = unwrapped.children.map(child => {
    if (!isOption(child.program)) return child
    const words = [{ text: child.program, start: 0, end: 0, isQuoted: false }, ...child.words]
    const inner = childAt({ ...child, words }, skipOptions(words, 0, wrapper), step)
    return inner === undefined ? child : { ...inner, steps: child.steps }
  })
  return { ...unwrapped, children }
}

/** `--checkpoint-action=exec=nmap`, `-c ':!nmap'`: texts for a shell within what is something else. */
function textsBehind(command: Command, { behind }: Wrapper, room: number, budget: WorkBudget): Unwrapped {
  const children: Command[] = []
  for (const [at, { text, isQuoted }] of command.words.slice(0, MAX_OPTIONS).entries()) {
    const start = placeBehind(text, behind)
    if (start === undefined || children.length >= room) continue
    const whole = isQuoted ? (restFrom(command, at) ?? text) : text
    const found = runShellText(command, at, 'launcher', room - children.length, budget, whole.slice(start))
    children.push(...found.children)
  }
  return { children, isLeaf: true }
}

function placeBehind(word: string, behind: readonly string[]): number | undefined {
  for (const literal of behind) {
    if (literal.startsWith('^')) {
      if (word.startsWith(literal.slice(1))) return literal.length - 1
    } else {
      const at = word.indexOf(literal)
      if (at !== -1) return at + literal.length
    }
  }
  return undefined
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

function one(child: Command | undefined): Unwrapped {
  return child === undefined ? NOTHING : { children: [child] }
}
