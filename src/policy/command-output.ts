/** What a command of a shell's text hands on, where its words say it: `echo nmap | sh`, `$(printf nmap)`, `echo bm1hcA== | base64 -d`. */

import { readEscapes } from './command-shell-escapes.js'
import { basename } from './tool-name.js'

/** Longer texts are no command's name, and are not decoded. */
const MAX_ENCODED = 16_384
const BASE64 = /^[A-Za-z0-9+/\s]{4,}={0,2}\s{0,4}$/
const HEX = /^(?:[0-9a-fA-F]{2}\s?){2,}$/
/** `-d`, `-D`, `-di`, `--decode`. */
const DECODES = /^(?:-[a-zA-Z]{0,3}[dD][a-zA-Z]{0,3}|--decode)$/

/** What a program reads from its standard input: a text, or a file of that name. */
export type ShellInput = { readonly text: string } | { readonly file: string }

/** Undefined: nobody can say. @param input what the command itself reads. */
export function outputOf(words: readonly string[], input: ShellInput | undefined): ShellInput | undefined {
  const [program = '', ...rest] = words
  switch (basename(program)) {
    case 'echo':
      return { text: echoed(rest) }
    case 'printf':
      return { text: printed(rest) }
    case 'cat':
      return catOf(rest, input)
    case 'base64':
    case 'openssl':
      return rest.some(word => DECODES.test(word)) ? decoded(input, BASE64, textOfBase64) : undefined
    case 'xxd':
      return rest.some(word => /^-[a-z]{0,4}r/.test(word)) ? decoded(input, HEX, textOfHex) : undefined
    default:
      return undefined
  }
}

/** The bytes as Latin letters; undefined when the text is none of base64. */
export function textOfBase64(text: string): string | undefined {
  try {
    return atob(text.replace(/\s/g, ''))
  } catch {
    return undefined
  }
}

function echoed(words: readonly string[]): string {
  const first = words.findIndex(word => !/^-[neE]{1,3}$/.test(word))
  const text = first === -1 ? '' : words.slice(first).join(' ')
  return words.slice(0, first).some(word => word.includes('e')) ? readEscapes(text) : text
}

function printed([format = '', ...values]: readonly string[]): string {
  const left = [...values]
  const text = format.replace(/%[sbqdi]/g, () => left.shift() ?? '')
  return readEscapes(left.length === values.length ? text : [text, ...left].join(' '))
}

function catOf(words: readonly string[], input: ShellInput | undefined): ShellInput | undefined {
  const [file, other] = words.filter(word => !word.startsWith('-'))
  if (file === undefined) return input
  return other === undefined ? { file } : undefined
}

function decoded(
  input: ShellInput | undefined,
  form: RegExp,
  decode: (text: string) => string | undefined,
): ShellInput | undefined {
  if (input === undefined || !('text' in input) || input.text.length > MAX_ENCODED || !form.test(input.text))
    return undefined
  const text = decode(input.text)
  return text === undefined ? undefined : { text }
}

function textOfHex(text: string): string {
  return text.replace(/\s/g, '').replace(/../g, pair => String.fromCharCode(Number.parseInt(pair, 16)))
}
