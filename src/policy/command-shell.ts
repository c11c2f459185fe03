/**
 * The simple commands of a shell text: `cd /tmp && ./x -a "$(y)"; z | w` runs `cd`, `y`, `x`, `z` and `w`.
 *
 * Not a shell: of variables and of what commands write only what the text itself says is expanded, here-documents are read
 * as commands, and whether a command is ever reached is not asked. One pass over the text, no going back, so that the time is in proportion to it whatever it holds.
 */

import { outputOf } from './command-output.js'
import { readAnsiQuoted } from './command-shell-escapes.js'
import { append, endWord, expand, newFrame, targetOf } from './command-shell-frame.js'
import { ShellVariables } from './command-shell-variables.js'
import { commandOf, type ShellCommand } from './command-shell-words.js'
import type { WorkBudget } from './command-words.js'

/** Nested `$(…)` and backticks; deeper ones are read as plain text. */
const MAX_NESTING = 8

/** Letters without a meaning of their own, outside of quotes and within double ones. */
const PLAIN_RUN = /[^\s;|&()<>#"'`$\\]+/y
const QUOTED_RUN = /[^"`$\\]+/y
const FILE_DESCRIPTOR = /^\d{1,3}$/
/** A blank for those who may write none: `$IFS`, `$IFS$9`, `${IFS%??}`. */
const SEPARATOR = /\$(?:IFS(?![A-Za-z0-9_])(?:\$9)?|\{IFS[^{}]{0,8}\})/y

/** The commands in the order in which they end; no more than `maxCommands`, and what the budget allows to read. */
export function splitShell(text: string, maxCommands: number, budget: WorkBudget): readonly ShellCommand[] {
  const end = Math.min(text.length, Math.max(0, budget.left))
  budget.left -= end
  return new ShellReader(text.slice(0, end), maxCommands).read()
}

class ShellReader {
  readonly #text: string
  readonly #maxCommands: number
  readonly #commands: ShellCommand[] = []
  readonly #outer: ReturnType<typeof newFrame>[] = []
  readonly #variables = new ShellVariables()
  #frame = newFrame(undefined)
  #isQuoted = false
  #at = 0

  constructor(text: string, maxCommands: number) {
    this.#text = text
    this.#maxCommands = maxCommands
  }

  read(): readonly ShellCommand[] {
    while (this.#at < this.#text.length && this.#commands.length < this.#maxCommands) {
      if (this.#readRun()) continue
      const character = this.#text[this.#at] ?? ''
      if (this.#isQuoted) this.#readQuoted(character)
      else this.#readPlain(character)
    }
    this.#endCommand()
    while (this.#outer.length > 0) {
      this.#frame = this.#outer.pop() ?? newFrame(undefined)
      this.#endCommand()
    }
    return this.#commands.slice(0, this.#maxCommands)
  }

  /** Most of a text has no meaning to a shell: it is taken in whole runs. */
  #readRun(): boolean {
    const expression = this.#isQuoted ? QUOTED_RUN : PLAIN_RUN
    expression.lastIndex = this.#at
    const run = expression.exec(this.#text)?.[0]
    if (run === undefined) return false
    this.#append(run)
    this.#at += run.length
    return true
  }

  #readQuoted(character: string): void {
    if (character === '"') {
      this.#isQuoted = false
      this.#at += 1
    } else if (!this.#readSubstitution(character)) this.#readLetter(character)
  }

  #readPlain(character: string): void {
    switch (character) {
      case ' ':
      case '\t':
      case '\r':
        endWord(this.#frame)
        this.#at += 1
        return
      case '|':
        this.#endCommand()
        if (this.#text[this.#at + 1] === '|') this.#at += 1
        else this.#frame.input = this.#frame.output
        this.#at += 1
        return
      case '\n':
      case ';':
      case '(':
        this.#endCommand()
        this.#at += 1
        return
      case '&':
        if (this.#text[this.#at + 1] === '>') {
          this.#readRedirection()
          return
        }
        this.#endCommand()
        this.#at += 1
        return
      case ')':
        if (this.#frame.closer === ')') this.#leave()
        else this.#endCommand()
        this.#at += 1
        return
      case '<':
      case '>':
        this.#readRedirection()
        return
      case '#':
        if (this.#frame.word === undefined) this.#skipComment()
        else this.#readLetter(character)
        return
      case '"':
        this.#append('')
        this.#isQuoted = true
        this.#at += 1
        return
      case "'":
        this.#readSingleQuoted()
        return
      default:
        if (!this.#readSubstitution(character)) this.#readLetter(character)
    }
  }

  /** `$(`, backticks, and the `$` in front of a quote; false when this is none of them. */
  #readSubstitution(character: string): boolean {
    const next = this.#text[this.#at + 1]
    if (character === '`') {
      if (this.#frame.closer === '`') this.#leave()
      else if (!this.#enter('`')) return false
      this.#at += 1
      return true
    }
    if (character !== '$') return false
    if (!this.#isQuoted && next === '"') {
      this.#at += 1
      return true
    }
    if (!this.#isQuoted && next === "'") {
      const quoted = readAnsiQuoted(this.#text, this.#at + 2)
      this.#append(quoted.text)
      this.#at = quoted.end
      return true
    }
    if (!this.#isQuoted && this.#readSeparator()) return true
    if (next !== '(') return this.#readVariable()
    if (!this.#enter(')')) return false
    this.#at += 2
    return true
  }

  #readVariable(): boolean {
    const found = this.#variables.valueAt(this.#text, this.#at)
    if (found === undefined) return false
    expand(this.#frame, found.value, this.#at, this.#isQuoted)
    this.#at += found.length
    return true
  }

  #readSeparator(): boolean {
    SEPARATOR.lastIndex = this.#at
    const separator = SEPARATOR.exec(this.#text)?.[0]
    if (separator === undefined) return false
    endWord(this.#frame)
    this.#at += separator.length
    return true
  }

  #enter(closer: ')' | '`', isFile = false): boolean {
    if (this.#outer.length >= MAX_NESTING) return false
    this.#append('')
    this.#outer.push(this.#frame)
    this.#frame = newFrame(closer, this.#isQuoted, isFile)
    this.#isQuoted = false
    return true
  }

  #leave(): void {
    this.#endCommand()
    const { isQuoted, isFile, output } = this.#frame
    this.#isQuoted = isQuoted
    this.#frame = this.#outer.pop() ?? newFrame(undefined)
    if (output === undefined) return
    if (isFile) this.#frame.input = output
    else if ('text' in output) expand(this.#frame, output.text, this.#at, isQuoted)
  }

  #readLetter(character: string): void {
    if (character !== '\\') {
      this.#append(character)
      this.#at += 1
      return
    }
    const next = this.#text[this.#at + 1] ?? ''
    // A line that is continued goes on in the same word.
    if (next !== '\n') this.#append(this.#isQuoted && !'"\\$`'.includes(next) ? `\\${next}` : next)
    this.#at += 2
  }

  #readSingleQuoted(): void {
    const close = this.#text.indexOf("'", this.#at + 1)
    const end = close === -1 ? this.#text.length : close
    this.#append(this.#text.slice(this.#at + 1, end))
    this.#at = end + 1
  }

  #readRedirection(): void {
    const { word } = this.#frame
    if (word !== undefined && FILE_DESCRIPTOR.test(word)) this.#frame.word = undefined
    endWord(this.#frame)
    const operator = this.#at
    while ('<>&|-'.includes(this.#text[this.#at] ?? ' ')) this.#at += 1
    // `<(…)` runs what is in it; its file is an argument.
    if (this.#text[this.#at] === '(' && this.#enter(')', true)) {
      this.#at += 1
      return
    }
    this.#frame.target = targetOf(this.#text.slice(operator, this.#at))
  }

  #skipComment(): void {
    const newline = this.#text.indexOf('\n', this.#at)
    this.#at = newline === -1 ? this.#text.length : newline
  }

  #append(text: string): void {
    append(this.#frame, text, this.#at)
  }

  #endCommand(): void {
    endWord(this.#frame)
    const frame = this.#frame
    const found = commandOf(frame.words, frame.input)
    if (found.length === 0 || frame.words.length > 1) this.#variables.note(frame.words)
    frame.words = []
    frame.target = 'none'
    frame.output = found[0] && outputOf(found[0].words, frame.input)
    frame.input = undefined
    this.#commands.push(...found)
  }
}
