/**
 * The simple commands of a shell text: `cd /tmp && ./x -a "$(y)"; z | w` runs `cd`, `y`, `x`, `z` and `w`.
 *
 * Not a shell: nothing is expanded, here-documents are read as commands, and whether a command is ever reached is not
 * asked. One pass over the text, no going back, so that the time is in proportion to it whatever it holds.
 */

import { commandOf, readAnsiQuoted, type ShellCommand, type ShellWord } from './command-shell-words.js'
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

interface Frame {
  /** What ends it; the outermost has no end. */
  readonly closer: ')' | '`' | undefined
  /** It stands within double quotes, which go on behind it. */
  readonly isQuoted: boolean
  words: ShellWord[]
  word: string | undefined
  wordStart: number
  /** The next word is the target of a redirection. */
  isTarget: boolean
}

class ShellReader {
  readonly #text: string
  readonly #maxCommands: number
  readonly #commands: ShellCommand[] = []
  readonly #outer: Frame[] = []
  #frame = newFrame(undefined, false)
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
      this.#frame = this.#outer.pop() ?? newFrame(undefined, false)
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
        this.#endWord()
        this.#at += 1
        return
      case '\n':
      case ';':
      case '|':
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
    if (next !== '(' || !this.#enter(')')) return false
    this.#at += 2
    return true
  }

  #readSeparator(): boolean {
    SEPARATOR.lastIndex = this.#at
    const separator = SEPARATOR.exec(this.#text)?.[0]
    if (separator === undefined) return false
    this.#endWord()
    this.#at += separator.length
    return true
  }

  #enter(closer: ')' | '`'): boolean {
    if (this.#outer.length >= MAX_NESTING) return false
    this.#append('')
    this.#outer.push(this.#frame)
    this.#frame = newFrame(closer, this.#isQuoted)
    this.#isQuoted = false
    return true
  }

  #leave(): void {
    this.#endCommand()
    this.#isQuoted = this.#frame.isQuoted
    this.#frame = this.#outer.pop() ?? newFrame(undefined, false)
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
    this.#endWord()
    const operator = this.#at
    while ('<>&|-'.includes(this.#text[this.#at] ?? ' ')) this.#at += 1
    // `<(…)` runs what is in it; its file is an argument.
    if (this.#text[this.#at] === '(' && this.#enter(')')) {
      this.#at += 1
      return
    }
    // `>&-` closes a descriptor: nothing follows.
    this.#frame.isTarget = !this.#text.slice(operator, this.#at).endsWith('&-')
  }

  #skipComment(): void {
    const newline = this.#text.indexOf('\n', this.#at)
    this.#at = newline === -1 ? this.#text.length : newline
  }

  #append(text: string): void {
    const frame = this.#frame
    if (frame.word === undefined) frame.wordStart = this.#at
    frame.word = (frame.word ?? '') + text
  }

  #endWord(): void {
    const frame = this.#frame
    if (frame.word === undefined) return
    if (!frame.isTarget) frame.words.push({ text: frame.word, start: frame.wordStart })
    frame.isTarget = false
    frame.word = undefined
  }

  #endCommand(): void {
    this.#endWord()
    const { words } = this.#frame
    this.#frame.words = []
    this.#frame.isTarget = false
    this.#commands.push(...commandOf(words))
  }
}

function newFrame(closer: Frame['closer'], isQuoted: boolean): Frame {
  return { closer, isQuoted, words: [], word: undefined, wordStart: 0, isTarget: false }
}
