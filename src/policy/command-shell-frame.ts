/** Where a reader of a shell's text stands: within one command, or within a `$(…)` of it. */

import type { ShellInput } from './command-output.js'
import type { ShellWord } from './command-shell-words.js'
import { isAssignment } from './command-words.js'

export interface Frame {
  /** What ends it; the outermost has no end. */
  readonly closer: ')' | '`' | undefined
  /** It stands within double quotes, which go on behind it. */
  readonly isQuoted: boolean
  /** `<(…)`: what is written there is read from a file. */
  readonly isFile: boolean
  words: ShellWord[]
  word: string | undefined
  wordStart: number
  /** What the next word is, if it is none of the command: a here-string, standard input's file, another redirection's. */
  target: 'none' | 'other' | 'file' | 'string'
  /** What the command reads, as far as the text says. */
  input: ShellInput | undefined
  /** What the last command wrote. */
  output: ShellInput | undefined
}

export function newFrame(closer: Frame['closer'], isQuoted = false, isFile = false): Frame {
  const [word, input, output] = [undefined, undefined, undefined]
  return { closer, isQuoted, isFile, words: [], word, wordStart: 0, target: 'none', input, output }
}

/** What follows an operator of redirection. `>&-` closes a descriptor: nothing does. */
export function targetOf(operator: string): Frame['target'] {
  if (operator.endsWith('&-')) return 'none'
  if (operator === '<<<') return 'string'
  return operator === '<' ? 'file' : 'other'
}

/** @param at the place in the text. */
export function append(frame: Frame, text: string, at: number): void {
  if (frame.word === undefined) frame.wordStart = at
  frame.word = (frame.word ?? '') + text
}

/** What stands for a variable or a command: each blank in it ends a word, but within quotes and in an assignment. */
export function expand(frame: Frame, text: string, at: number, isQuoted: boolean): void {
  const isWhole = isQuoted || isAssignment(frame.word ?? '')
  const [first = '', ...rest] = isWhole ? [text] : text.trim().split(/\s{1,64}/)
  append(frame, first, at)
  for (const word of rest) {
    endWord(frame)
    append(frame, word, at)
  }
}

/** The word that is being read is over. */
export function endWord(frame: Frame): void {
  const { word, target } = frame
  if (word === undefined) return
  if (target === 'none') frame.words.push({ text: word, start: frame.wordStart })
  else if (target === 'file') frame.input = { file: word }
  else if (target === 'string') frame.input = { text: word }
  frame.target = 'none'
  frame.word = undefined
}
