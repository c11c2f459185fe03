/** One value as one line of JSON that is safe to print. */

import { visibleJson } from '../policy/index.js'

/** Ends with a newline. */
export function jsonLine(value: object): string {
  return `${visibleJson(value)}\n`
}
