/** From the words of a shell to a command: what stands in front of it, and what a shell makes of its first word. */

import { isAssignment } from './command-words.js'

/** In front of a command, and no command themselves; the last ones in zsh and fish. */
const LEADING = new Set('if then else elif do while until ! { } begin and or not noglob nocorrect'.split(' '))
/** Nothing in the words behind them is run. */
const NO_COMMAND = new Set(['for', 'select', 'case', 'in', 'function', 'fi', 'done', 'esac'])
/** `{nmap,-sS,10.0.0.1}`: blanks without a blank. */
const BRACES = /^\{[^{}]{1,1000},[^{}]{0,1000}\}$/
const SIMPLE_ESCAPES: ReadonlyMap<string, string> = new Map(
  Object.entries({ n: '\n', t: '\t', r: '\r', a: '\x07', b: '\b', e: '\x1b', E: '\x1b', f: '\f', v: '\v' }),
)
/** `\x6e`, `\156`, `\u006e`, `\U0000006e`. */
const CODE_ESCAPE = /\\(?:(x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{1,4}|U[0-9a-fA-F]{1,8})|([0-7]{1,3}))/y
const LAST_CODE_POINT = 0x10ffff

export interface ShellCommand {
  /** The program and its arguments, without quotes, redirections and leading assignments; at least one. */
  readonly words: readonly string[]
  /** Offset of the program in the text. */
  readonly start: number
}

export interface ShellWord {
  readonly text: string
  readonly start: number
}

/** The command that these words are; none when they run nothing. */
export function commandOf(words: readonly ShellWord[]): readonly ShellCommand[] {
  let first = 0
  while (first < words.length && isBeforeCommand(words[first]?.text ?? '')) first += 1
  const program = words[first]
  if (program === undefined || NO_COMMAND.has(program.text)) return []
  const rest = words.slice(first + 1).map(({ text }) => text)
  return [{ words: [...programOf(program.text), ...rest], start: program.start }]
}

/**
 * The text between the quotes of `$'…'`, with its escapes replaced.
 *
 * @param start behind the first quote.
 * @returns also where it ends, behind the last quote.
 */
export function readAnsiQuoted(text: string, start: number): { text: string; end: number } {
  let read = ''
  let at = start
  while (at < text.length && text[at] !== "'") {
    if (text[at] !== '\\') {
      read += text[at]
      at += 1
      continue
    }
    const replaced = readEscape(text, at)
    read += replaced.text
    at = replaced.end
  }
  return { text: read, end: at + 1 }
}

/** @param at of a backslash. */
function readEscape(text: string, at: number): { text: string; end: number } {
  CODE_ESCAPE.lastIndex = at
  const [whole, hex, octal] = CODE_ESCAPE.exec(text) ?? []
  if (whole === undefined) {
    const next = text[at + 1] ?? ''
    return { text: SIMPLE_ESCAPES.get(next) ?? next, end: at + 2 }
  }
  const code = octal === undefined ? Number.parseInt(hex?.slice(1) ?? '', 16) : Number.parseInt(octal, 8)
  return { text: code <= LAST_CODE_POINT ? String.fromCodePoint(code) : '', end: at + whole.length }
}

function isBeforeCommand(word: string): boolean {
  return word === '' || LEADING.has(word) || isAssignment(word)
}

/** The first word as a shell takes it. */
function programOf(written: string): readonly string[] {
  if (written === '.') return ['source']
  return BRACES.test(written) ? written.slice(1, -1).split(',') : [written]
}
