/**
 * The words of an argument string as Tetragon writes it: argv[1..] joined by blanks, an element that holds a blank in
 * double quotes, and nothing escaped.
 *
 * So argv cannot always be recovered. What can be said: outside of quotes every blank ends an element, and two in a row
 * hold an empty one; a quote opens only at the start of an element; and a quoted element holds a blank. Where an
 * element holds a quote and then a blank, its end is a guess, and readers that need all of it take the rest of the text.
 */

/** What is looked at of one argument string, in characters. */
export const MAX_ARGUMENTS = 64 * 1024
/** More words are not told apart; the text is there all the same. */
export const MAX_WORDS = 4_096

const ASSIGNMENT = /^[A-Za-z_][A-Za-z0-9_]*(?:\[[^\]]{0,64}\])?\+?=/

export interface Word {
  /** Without the quotes that Tetragon, or a shell, wants around it. */
  readonly text: string
  /** Offsets into the text that the words came from; the quotes are within. */
  readonly start: number
  readonly end: number
  /** Tetragon wrapped it, so that it holds a blank. */
  readonly isQuoted: boolean
}

/** What is left of the work that one process may cause. One step is one character or one word that is looked at. */
export interface WorkBudget {
  left: number
}

/** The elements of an argument string; fewer than there are when the budget or the limits are reached. */
export function splitArguments(text: string, budget: WorkBudget): readonly Word[] {
  const words: Word[] = []
  const end = Math.min(text.length, MAX_ARGUMENTS, Math.max(0, budget.left))
  budget.left -= end
  const seen = text.slice(0, end)
  // The next quote that could close an element. It only moves on: looking for it anew from each open quote would cost
  // the square of the length.
  const closing = { at: -1 }
  let at = 0
  while (at < end && words.length < MAX_WORDS) {
    const word = wordAt(seen, at, closing)
    words.push(word)
    at = word.end + 1
  }
  return words
}

/** Whether a word sets a variable for the command behind it. */
export function isAssignment(word: string): boolean {
  return ASSIGNMENT.test(word)
}

function wordAt(text: string, start: number, closing: { at: number }): Word {
  const blank = endOfWord(text, start)
  if (text[start] === '"') {
    const quote = closingQuote(text, start, closing)
    // What has no blank was not wrapped: its quotes are its own.
    if (blank < quote && quote < text.length) {
      return { text: text.slice(start + 1, quote), start, end: quote + 1, isQuoted: true }
    }
  }
  return { text: text.slice(start, blank), start, end: blank, isQuoted: false }
}

/** The first quote behind `start` that a blank or the end follows; the text's length when there is none. */
function closingQuote(text: string, start: number, closing: { at: number }): number {
  if (closing.at > start) return closing.at
  let at = text.indexOf('"', start + 1)
  while (at !== -1 && at + 1 < text.length && text[at + 1] !== ' ') at = text.indexOf('"', at + 1)
  closing.at = at === -1 ? text.length : at
  return closing.at
}

function endOfWord(text: string, start: number): number {
  const blank = text.indexOf(' ', start)
  return blank === -1 ? text.length : blank
}
