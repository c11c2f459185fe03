/** Strings as JSON, for texts whose shape is known: half the cost of `JSON.stringify` on the whole object. */

import { visibleJson } from '../policy/index.js'

/** Nothing to escape: printable ASCII without quote and backslash. */
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/

/** The same text as `visibleJson` gives. */
export function jsonText(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : visibleJson(text)
}

export function jsonTextOrNull(text: string | null): string {
  return text === null ? 'null' : jsonText(text)
}

/** A copy for keeping: a part of a text holds on to the whole of it, say a request's body, for as long as it lives. */
export function copyOf(text: string): string {
  return Buffer.from(text, 'utf16le').toString('utf16le')
}
