/**
 * Text that came from outside, made safe for one line of a terminal, a log, a message or a warning header.
 *
 * Control characters (newlines and escape sequences among them), bidirectional marks, other invisible characters and
 * lone surrogates become visible escapes, so that nothing foreign can move a cursor, forge a line or turn text round.
 */

const SHORT_ESCAPES: ReadonlyMap<string, string> = new Map([
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
])
/** Cc controls, Cf format characters (bidi marks, zero widths, BOM), Zl/Zp separators, Co/Cn/Cs: nothing to see. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}\p{Cs}]/u
const UNSAFE_ALL = new RegExp(UNSAFE.source, 'gu')
const PLAIN_ASCII = /^[\x20-\x7e]*$/
const ELLIPSIS = '…'

/**
 * @param maxRunes cut to so many Unicode code points, the last one then `…`; default: no limit.
 */
export function escapeForeign(text: string, maxRunes = Number.POSITIVE_INFINITY): string {
  if (text.length <= maxRunes && PLAIN_ASCII.test(text)) return text
  // Each escape makes the text longer: what stands behind the first maxRunes code units can never be shown.
  const bounded = maxRunes === Number.POSITIVE_INFINITY ? text : text.slice(0, 2 * maxRunes + 2)
  return cutRunes(bounded.replace(UNSAFE_ALL, escapeCharacter), maxRunes)
}

/** Cut to so many Unicode code points, the last one `…` when something was cut. */
export function cutRunes(text: string, maxRunes: number): string {
  if (text.length <= maxRunes) return text
  const runes = Array.from(maxRunes === Number.POSITIVE_INFINITY ? text : text.slice(0, 2 * maxRunes + 1))
  return runes.length <= maxRunes ? text : `${runes.slice(0, Math.max(0, maxRunes - 1)).join('')}${ELLIPSIS}`
}

function escapeCharacter(character: string): string {
  const short = SHORT_ESCAPES.get(character)
  if (short !== undefined) return short
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`
}
