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
/**
 * Cc controls, Cf format characters (bidi marks, zero widths, BOM, tags), Zl/Zp separators, Co/Cn/Cs; and what has no looks of
 * its own by Unicode's word (DI: variation selectors, fillers): nothing to see.
 */
const UNSAFE_ALL = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}\p{Cs}\p{DI}]/gu
const PLAIN_ASCII = /^[\x20-\x7e]*$/
const ELLIPSIS = '…'

/**
 * @param maxRunes cut to so many Unicode code points, the last one then `…`; default: no limit.
 */
export function escapeForeign(text: string, maxRunes = Number.POSITIVE_INFINITY): string {
  if (text.length <= maxRunes && PLAIN_ASCII.test(text)) return text
  // Each escape makes the text longer: what stands behind the first maxRunes code units can never be shown.
  const bounded = maxRunes === Number.POSITIVE_INFINITY ? text : text.slice(0, 2 * maxRunes + 2)
  return cutRunes(replaceUnsafe(bounded, escapeCharacter), maxRunes)
}

/** Of a text each character that nobody can see, or that a terminal or a line reader may act on. */
export function replaceUnsafe(text: string, replacementOf: (character: string) => string): string {
  return PLAIN_ASCII.test(text) ? text : text.replace(UNSAFE_ALL, replacementOf)
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
