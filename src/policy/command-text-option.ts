/** The option that holds a text for a shell: `sh -euc '…'`, `su -c '…'`, `env -S '…'`, in all the ways to write it. */

import { CLUSTER, isOption, MAX_OPTIONS, splitOption } from './command-options.js'
import { textOfBase64 } from './command-output.js'
import type { Word } from './command-words.js'
import type { Wrapper } from './command-wrappers.js'

/** Short options of a POSIX shell in one word: `-xec`, `-euo`. */
const SHELL_CLUSTER = /^[-+][abcefhiklmnoprstuvxBCDEHIOPT]{1,16}$/
/** One element that holds options and their value, as a script's first line gives it: `-vS nmap -v`. */
const JOINED = /^-[A-Za-z0]{0,6}([A-Za-z]) /

/** Any beginning of `-EncodedCommand`, and its alias. */
const ENCODED = /^-{1,2}(?:e|ec|en|enc|enco|encod|encode|encoded[a-z]{0,7})$/i

/** Where a text for a shell stands: a word, or `value` when the word holds more than it. */
export interface TextPlace {
  readonly at: number
  readonly value?: string
}

/** What a shell runs: the text of `-c`, a script's file, or what comes through standard input. */
export interface ShellSource extends TextPlace {
  readonly type: 'text' | 'script' | 'input'
}

export function shellSource(words: readonly Word[], wrapper: Wrapper): ShellSource {
  let type: ShellSource['type'] = 'script'
  let at = 0
  while (at < words.length && at < MAX_OPTIONS) {
    const text = words[at]?.text ?? ''
    if (text === '--' || text === '-') return { type, at: at + 1 }
    if (!isShellOption(text)) break
    const named = sourceOfOption(words, at, wrapper)
    if (named !== undefined) return named
    type = typeOf(text, wrapper) ?? type
    at += takesValue(text, wrapper) && isPlain(words[at + 1]) ? 2 : 1
  }
  return { type, at }
}

/** `--command=TEXT`; or a file that is read before anything else, so that it runs for certain. */
function sourceOfOption(words: readonly Word[], at: number, { isEncoded, script }: Wrapper): ShellSource | undefined {
  const text = words[at]?.text ?? ''
  if (isEncoded && ENCODED.test(text)) return { type: 'text', at, value: textOfUtf16(words[at + 1]?.text) }
  const { option, value } = splitOption(text)
  if (isCommandOption(text)) return value === undefined ? undefined : { type: 'text', at, value }
  if (!script.has(option)) return undefined
  return value === undefined ? { type: 'script', at: at + 1 } : { type: 'script', at, value }
}

/** As PowerShell encodes it: UTF-16, the low byte first, in base64. */
function textOfUtf16(encoded = ''): string {
  const bytes = textOfBase64(encoded) ?? ''
  let text = ''
  for (let at = 0; at + 1 < bytes.length; at += 2) {
    text += String.fromCharCode(bytes.charCodeAt(at) + 256 * bytes.charCodeAt(at + 1))
  }
  return text
}

/** @param end words from here on belong to what is run, and are not looked at. */
export function shellTextOption(words: readonly Word[], wrapper: Wrapper, end: number): TextPlace | undefined {
  if (wrapper.shellText.size === 0) return undefined
  for (const [index, { text }] of words.slice(0, Math.min(end, MAX_OPTIONS)).entries()) {
    if (!isOption(text)) continue
    const { option, value } = splitOption(text)
    if (wrapper.shellText.has(option)) return value === undefined ? { at: index + 1 } : { at: index, value }
    const place = text.startsWith('--') ? undefined : clusteredText(text, index, wrapper)
    if (place !== undefined) return place
  }
  return undefined
}

/** `-qc '…'`, `-Snmap`, and both in one element. */
function clusteredText(text: string, index: number, { shellText, values }: Wrapper): TextPlace | undefined {
  const joined = JOINED.exec(text)
  if (joined !== null && shellText.has(`-${joined[1]}`)) return { at: index, value: text.slice(joined[0].length) }
  const isLast = CLUSTER.test(text) && shellText.has(`-${text.at(-1)}`)
  // Where an earlier letter takes a value, the rest of the word is it.
  const isTaken = isLast && [...text.slice(1, -1)].some(letter => values.has(`-${letter}`))
  if (isLast && !isTaken) return { at: index + 1 }
  return shellText.has(text.slice(0, 2)) ? { at: index, value: text.slice(2) } : undefined
}

/** What an option says of where the shell's commands come from. */
function typeOf(text: string, wrapper: Wrapper): 'text' | 'input' | undefined {
  if (isCommandOption(text)) return 'text'
  if (!isShellCluster(text, wrapper) || text.startsWith('+')) return undefined
  if (text.includes('c')) return 'text'
  return text.includes('s') ? 'input' : undefined
}

/** The value of `-o` is a word, and never looks like an option; nor has every shell's `-C` one. */
function takesValue(text: string, wrapper: Wrapper): boolean {
  return wrapper.values.has(text) || (isShellCluster(text, wrapper) && /o/i.test(text))
}

function isShellCluster(text: string, { values }: Wrapper): boolean {
  return SHELL_CLUSTER.test(text) && !values.has(text)
}

/** `+x` takes an option back. */
function isShellOption(text: string): boolean {
  return isOption(text) || text.startsWith('+')
}

function isCommandOption(text: string): boolean {
  return /^--?command(?:=|$)/i.test(text)
}

function isPlain(word: Word | undefined): boolean {
  return word !== undefined && !isOption(word.text)
}
