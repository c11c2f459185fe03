/**
 * Long runs of plain list items, taken out of a YAML text before it is parsed and put back afterwards.
 *
 * A parser takes 15 µs for a line and 80 for a small object, and nearly all of a large policy is made of items that
 * `list-items` reads. Of a run of them the parser sees the first item, one stand-in and the last item. Where it finds
 * the stand-in to be an item of a list, those that it stands for are items of that list too: each is complete in itself,
 * and leads the grammar back to where it was. Where it finds anything else (the run stands in a block of text), the
 * caller parses the whole text.
 */

import { type ListItem, readListItem } from './list-items.js'

/** What stands for a run; a text that holds it is left alone. */
const STAND_IN = 'sallyport-list-run-'
/** Shorter runs are not worth it. */
const MIN_ITEMS = 16

export interface FoldedText {
  /** The text with a stand-in for each run. */
  readonly text: string
  /** By stand-in. */
  readonly runs: ReadonlyMap<string, readonly ListItem[]>
  /** From a place in the folded text to the place in the original. */
  toOriginal(at: number): number
}

/** Undefined when there is nothing to gain. */
export function foldListRuns(text: string): FoldedText | undefined {
  if (text.includes(STAND_IN)) return undefined
  const runs = new Map<string, readonly ListItem[]>()
  const folds: Fold[] = []
  const pieces: string[] = []
  let copied = 0
  let removed = 0
  for (const items of findRuns(text)) {
    // The first and the last item stay: what stands around a run may belong to them.
    const [first, ...others] = items
    const last = others.pop()
    if (first === undefined || last === undefined) continue
    const from = first.end + 1
    const name = `${STAND_IN}${runs.size}`
    const standIn = `${' '.repeat(first.indent)}- ${name}\n`
    runs.set(name, others)
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

/** Items of one indentation, each below the former. */
function* findRuns(text: string): Generator<readonly ListItem[]> {
  let run: ListItem[] = []
  for (let at = 0; at < text.length; ) {
    const item = readListItem(text, at)
    const former = run.at(-1)
    if (item !== undefined && former !== undefined && former.end + 1 === at && former.indent === item.indent) {
      run.push(item)
    } else {
      if (run.length >= MIN_ITEMS) yield run
      run = item === undefined ? [] : [item]
    }
    const end = item?.end ?? text.indexOf('\n', at)
    if (end === -1) break
    at = end + 1
  }
  if (run.length >= MIN_ITEMS) yield run
}
