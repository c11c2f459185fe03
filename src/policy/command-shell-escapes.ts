/** What stands for other characters in a shell's texts: `$'\x6e'`, `echo -e`, `printf`. */

const SIMPLE_ESCAPES: ReadonlyMap<string, string> = new Map(
  Object.entries({ n: '\n', t: '\t', r: '\r', a: '\x07', b: '\b', e: '\x1b', E: '\x1b', f: '\f', v: '\v' }),
)
/** `\x6e`, `\156`, `\u006e`, `\U0000006e`. */
const CODE_ESCAPE = /\\(?:(x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{1,4}|U[0-9a-fA-F]{1,8})|([0-7]{1,3}))/y
const LAST_CODE_POINT = 0x10ffff

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

/** What `echo -e` and `printf` make of a text. */
export function readEscapes(text: string): string {
  let read = ''
  let at = 0
  while (at < text.length) {
    const next = text.indexOf('\\', at)
    if (next === -1) return read + text.slice(at)
    const replaced = readEscape(text, next)
    read += text.slice(at, next) + replaced.text
    at = replaced.end
  }
  return read
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
