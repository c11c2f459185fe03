/** One value as one line of JSON that is safe to print. */

/**
 * What JSON leaves raw and a terminal or a line reader may act on: DEL and the C1 controls, line and paragraph
 * separators, bidirectional and other invisible marks. All of these can stand only inside strings.
 */
const UNSAFE = /[\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g

/** JSON with those characters as `\uXXXX`: it decodes to the very same value. Ends with a newline. */
export function jsonLine(value: object): string {
  const json = JSON.stringify(value)
  return `${json.replace(UNSAFE, character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`
}
