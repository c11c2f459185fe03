/**
 * Long runs of plain list items, taken out of a YAML text before it is parsed and put back afterwards.
 *
 * A parser takes 15 µs for a line, and nearly all lines of a large policy are of one form: `- registry.example/team/app`,
 * quoted or not. Of such a run the parser sees the first line, one stand-in and the last line. Where it finds the
 * stand-in to be an item of a list, the lines that it stands for are items of that list too: each is complete in itself,
 * and leads the grammar back to where it was. Where it finds anything else (the run stands in a block of text), the
 * caller parses the whole text.
 */

/** What stands for a run; a text that holds it is left alone. */
const STAND_IN = 'sallyport-list-run-'
/** Shorter runs are not worth it. */
const MIN_LINES = 16
/** No escapes, no blanks, nothing that YAML gives a meaning to. */
const ITEM = /^( *)- (?:"([\w./*:@-]+)"|'([\w./*:@-]+)'|([A-Za-z0-9][\w./*:@-]*))$/gm
/** In a plain item, a slash rules out every number, date, null and boolean of any YAML version. */
const PLAIN_TEXT = /\/.*[A-Za-z0-9*]$/

export interface ListRun {
  readonly values: readonly string[]
  /** Where each item begins, its quote included, in characters from the start of the text. */
  readonly starts: readonly number[]
  /** 1 for an item in quotes, else 0. */
  readonly shifts: readonly (0 | 1)[]
}

export interface FoldedText {
  /** The text with a stand-in for each run. */
  readonly text: string
  /** By stand-in. */
  readonly runs: ReadonlyMap<string, ListRun>
  /** From a place in the folded text to the place in the original. */
  toOriginal(at: number): number
}

/** Undefined when there is nothing to gain. */
export function foldListRuns(text: string): FoldedText | undefined {
  if (text.includes(STAND_IN)) return undefined
  const runs = new Map<string, ListRun>()
  const folds: Fold[] = []
  const pieces: string[] = []
  let copied = 0
  let removed = 0
  for (const lines of findRuns(text)) {
    // The first and the last line stay: what stands around a run may belong to them.
    const [first, ...others] = lines
    const last = others.pop()
    if (first === undefined || last === undefined) continue
    const from = first.end + 1
    const name = `${STAND_IN}${runs.size}`
    const standIn = `${' '.repeat(first.indent)}- ${name}\n`
    runs.set(name, {
      values: others.map(({ value }) => value),
      starts: others.map(({ start }) => start),
      shifts: others.map(({ shift }) => shift),
    })
    pieces.push(text.slice(copied, from), standIn)
    folds.push({ at: from - removed + standIn.length, removed: last.at - from - standIn.length })
    removed += last.at - from - standIn.length
    copied = last.at
  }
  if (runs.size === 0) return undefined
  pieces.push(text.slice(copied))
  return { text: pieces.join(''), runs, toOriginal: at => unfold(folds, at) }
}

interface Fold {
  /** Where the folded text goes on behind the stand-in. */
  readonly at: number
  /** How much shorter the fold made it. */
  readonly removed: number
}

function unfold(folds: readonly Fold[], at: number): number {
  let original = at
  for (const fold of folds) if (fold.at <= at) original += fold.removed
  return original
}

interface ItemLine {
  /** Where the line begins, and where its newline stands. */
  readonly at: number
  readonly end: number
  readonly indent: number
  readonly value: string
  /** Where the item begins. */
  readonly start: number
  readonly shift: 0 | 1
}

/** Items of one indentation, each on the line below the former. */
function* findRuns(text: string): Generator<readonly ItemLine[]> {
  let run: ItemLine[] = []
  for (const match of text.matchAll(ITEM)) {
    const line = toItemLine(text, match)
    const former = run.at(-1)
    if (line !== undefined && former !== undefined && former.end + 1 === line.at && former.indent === line.indent) {
      run.push(line)
      continue
    }
    if (run.length >= MIN_LINES) yield run
    run = line === undefined ? [] : [line]
  }
  if (run.length >= MIN_LINES) yield run
}

/** Undefined for what only looks like such a line: between other line breaks than YAML's, or a plain number. */
function toItemLine(text: string, match: RegExpMatchArray): ItemLine | undefined {
  const [whole, indent = '', double, single, plain] = match
  const at = match.index ?? 0
  const end = at + whole.length
  if ((at > 0 && text[at - 1] !== '\n') || text[end] !== '\n') return undefined
  if (plain !== undefined && !PLAIN_TEXT.test(plain)) return undefined
  const value = double ?? single ?? plain ?? ''
  const shift = plain === undefined ? 1 : 0
  return { at, end, indent: indent.length, value, start: at + indent.length + 2, shift }
}
