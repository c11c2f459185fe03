/** The variables that a shell's text sets itself: `a=nm; b=ap; $a$b` runs nmap. */

import type { ShellWord } from './command-shell-words.js'

/** `$NAME`, `${NAME}`. */
const VARIABLE = /\$(?:([A-Za-z_][A-Za-z0-9_]{0,63})|\{([A-Za-z_][A-Za-z0-9_]{0,63})\})/y
const ASSIGNMENT = /^([A-Za-z_][A-Za-z0-9_]{0,63})=/
const SETTERS = new Set(['export', 'declare', 'local', 'readonly', 'typeset'])
const MAX_VARIABLES = 64
/** All values that are put in, in characters: each may hold others. */
const MAX_EXPANDED = 16_384

export class ShellVariables {
  readonly #values = new Map<string, string>()
  #left = MAX_EXPANDED

  /** @param words of a command: one that only sets variables, or one that is given some does not run with them. */
  note(words: readonly ShellWord[]): void {
    const [first, ...rest] = words
    const set = first !== undefined && SETTERS.has(first.text) ? rest : words
    const found = set.map(({ text }) => ASSIGNMENT.exec(text))
    if (found.includes(null)) return
    for (const match of found) {
      const [whole = '', name = ''] = match ?? []
      if (this.#values.size < MAX_VARIABLES) this.#values.set(name, match?.input.slice(whole.length) ?? '')
    }
  }

  /** What stands for the variable at a `$`, and how much of the text it takes; undefined: it was not set here. */
  valueAt(text: string, at: number): { value: string; length: number } | undefined {
    if (this.#values.size === 0) return undefined
    VARIABLE.lastIndex = at
    const [whole = '', bare, braced] = VARIABLE.exec(text) ?? []
    const value = this.#values.get(bare ?? braced ?? '')
    if (value === undefined || value.length > this.#left) return undefined
    this.#left -= value.length
    return { value, length: whole.length }
  }
}
