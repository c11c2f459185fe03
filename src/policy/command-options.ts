/** The options in front of what a wrapper runs, passed over by what is known of the wrapper. */

import { isAssignment, type Word } from './command-words.js'
import type { Wrapper } from './command-wrappers.js'

/** No more words than this are looked at for options. */
export const MAX_OPTIONS = 512
/** Short options in one word, of which the last may take a value. */
export const CLUSTER = /^-[A-Za-z0]{2,10}$/

export function isOption(text: string): boolean {
  return text.startsWith('-') && text.length > 1
}

/** `from` and on, without options, their values and assignments; the index of the first other word. */
export function skipOptions(words: readonly Word[], from: number, wrapper: Wrapper): number {
  let at = from
  for (const stop = from + MAX_OPTIONS; at < words.length && at < stop; at += 1) {
    const text = words[at]?.text ?? ''
    if (text === '--') return at + 1
    if (takesNextWord(text, wrapper)) at += 1
    else if (!isOption(text) && !(wrapper.hasAssignments && isBeforeCommand(text))) return at
  }
  return at
}

/** `-u root`, and `-nu root`: where an earlier letter takes a value, the rest of the word is it. */
export function takesNextWord(text: string, { values }: Wrapper): boolean {
  if (values.has(text)) return true
  if (!CLUSTER.test(text) || !values.has(`-${text.at(-1)}`)) return false
  return ![...text.slice(1, -1)].some(letter => values.has(`-${letter}`))
}

/** Behind one of the wrapper's subcommands and the options there; undefined when none stands at `from`. */
export function skipSubcommand(words: readonly Word[], from: number, wrapper: Wrapper): number | undefined {
  for (const subcommand of wrapper.subcommands) {
    const parts = subcommand.split(' ')
    if (parts.every((part, index) => words[from + index]?.text === part)) return from + parts.length
  }
  return undefined
}

/** `--name=value` in its two parts. */
export function splitOption(text: string): { option: string; value: string | undefined } {
  const equals = text.startsWith('--') ? text.indexOf('=') : -1
  return equals === -1
    ? { option: text, value: undefined }
    : { option: text.slice(0, equals), value: text.slice(equals + 1) }
}

/** `env - A=1 nmap`: a lone `-` stands for an option of `env`. */
function isBeforeCommand(text: string): boolean {
  return text === '-' || isAssignment(text)
}
