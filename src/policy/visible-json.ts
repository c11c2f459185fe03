/** JSON that is safe to print. */

import { replaceUnsafe } from './escape-foreign.js'

/**
 * As `JSON.stringify`, which leaves DEL, the C1 controls, line separators, bidirectional and invisible characters raw. They
 * can stand only inside strings, and here they stand as `\uXXXX`: it decodes to the very same value.
 */
export function visibleJson(value: object | string): string {
  return replaceUnsafe(JSON.stringify(value), escapeUnits)
}

/** A character beyond U+FFFF is two units. */
function escapeUnits(character: string): string {
  return Array.from({ length: character.length }, (_, index) => {
    return `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`
  }).join('')
}
