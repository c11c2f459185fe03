/** One value as one line of JSON that is safe to print. */

import { replaceUnsafe } from '../policy/index.js'

/**
 * JSON leaves DEL, the C1 controls, line separators, bidirectional and invisible characters raw. They can stand only inside
 * strings, and here they stand as `\uXXXX`: it decodes to the very same value. Ends with a newline.
 */
export function jsonLine(value: object): string {
  return `${replaceUnsafe(JSON.stringify(value), escapeUnits)}\n`
}

/** A character beyond U+FFFF is two units. */
function escapeUnits(character: string): string {
  return Array.from({ length: character.length }, (_, index) => {
    return `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`
  }).join('')
}
