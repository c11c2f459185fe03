/** Bounded memory for pieces of lines, and copies that do not hold on to the line. */

/** A map that forgets everything when its texts have grown beyond a bound; then what is in use comes back by itself. */
export class BoundedTexts<Value> {
  readonly #maxCharacters: number
  readonly #values = new Map<string, Value>()
  #characters = 0

  constructor(maxCharacters: number) {
    this.#maxCharacters = maxCharacters
  }

  get(key: string): Value | undefined {
    return this.#values.get(key)
  }

  /** @param characters how much the value weighs; one that weighs a hundredth of the bound or more is not kept. */
  set(key: string, value: Value, characters: number): void {
    if (characters >= this.#maxCharacters / 100) return
    this.#characters += characters
    if (this.#characters > this.#maxCharacters) {
      this.#values.clear()
      this.#characters = characters
    }
    this.#values.set(copyOf(key), value)
  }
}

/** V8 makes a substring a view of the whole string, which it keeps alive; a joined text is written anew. */
export function copyOf(text: string): string {
  return ` ${text}`.slice(1)
}

/** The inside of a JSON string that is known to be well-formed. */
export function unescapeText(inside: string): string {
  return inside.includes('\\') ? String(JSON.parse(`"${inside}"`)) : copyOf(inside)
}
