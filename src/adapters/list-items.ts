/**
 * Items of lists that a policy is mostly made of, read without a parser: text, or an object of texts on one line or on
 * several, in the few forms whose meaning nobody doubts.
 *
 *   - registry.example/team/app              - "quoted" or 'quoted'
 *   - { pattern: a/b, owner: "a team" }      - pattern: a/b
 *                                              owner: a team
 *
 * No escapes, no comments, no blanks but those above, nothing that YAML gives another meaning to; keys are lower-case
 * words, none twice. What does not look so is left to the parser.
 */

/** What YAML breaks no line at and gives no meaning to, anywhere in quotes. */
const QUOTED = '\\x20!#-&(-\\[\\]-~\\u00a1-\\u2027\\u202a-\\ud7ff'
/** In a plain text: no quotes, no comments, no flow; a colon only in front of what cannot end a key. */
const INNER = '[\\w./*@()+=!;%&\\u00a1-\\u2027\\u202a-\\ud7ff-]|:(?=[\\w/])'
const QUOTES = `"([${QUOTED}']+)"|'([${QUOTED}"]+)'`
const TEXT = `${QUOTES}|([A-Za-z0-9](?:${INNER}| (?=[\\w(]))*)`
/** On a line of its own a comma ends nothing. */
const LINE_TEXT = `${QUOTES}|([A-Za-z0-9](?:${INNER}|,| (?=[\\w(]))*)`

const DASH = /( *)- /y
const WHOLE = new RegExp(`(?:${LINE_TEXT})(?=\\n)`, 'y')
const FLOW_PAIR = new RegExp(`([a-z]{1,20}): (?:${TEXT})`, 'y')
const LINE_PAIR = new RegExp(`([a-z]{1,20}): (?:${LINE_TEXT})(?=\\n)`, 'y')
/** Null, booleans, and what older versions of YAML took for them. */
const WORD = /^(?:null|true|false|yes|no|on|off|y|n)$/i
/** A text that begins with a digit may be a number or a date, but none of these holds a slash. */
const DIGITS = /^[0-9][^/]*$/
/** An end like these leads a parser on. */
const OPEN_END = /[^A-Za-z0-9*)\u00a1-\ud7ff]$/

/** An item, and where its parts stand, in characters from the start of the text. */
export interface ListItem {
  readonly value: string | Readonly<Record<string, string>>
  readonly indent: number
  /** Where its first line begins, and where the newline of its last line stands. */
  readonly at: number
  readonly end: number
  /** Where it begins itself, its quote included. */
  readonly start: number
  /** 1 in quotes, 0 without; undefined for an object. */
  readonly textShift: 0 | 1 | undefined
  /** Of an object: in the order of their sorted keys. */
  readonly fields: readonly ItemField[]
}

export interface ItemField {
  readonly key: string
  readonly value: string
  readonly keyStart: number
  readonly start: number
  readonly textShift: 0 | 1
}

const NO_FIELDS: readonly ItemField[] = []

/** @param at where a line begins. @returns undefined for anything else, or for what is not sure. */
export function readListItem(text: string, at: number): ListItem | undefined {
  DASH.lastIndex = at
  const indent = DASH.exec(text)?.[1]?.length
  if (indent === undefined) return undefined
  const start = at + indent + 2
  if (text.charAt(start) === '{') return readFlowItem(text, at, start)
  return readTextItem(text, at, start) ?? readBlockItem(text, at, start)
}

function readTextItem(text: string, at: number, start: number): ListItem | undefined {
  const found = readText(WHOLE, text, start, 1)
  if (found === undefined) return undefined
  const { value, textShift, end } = found
  return { value, indent: start - at - 2, at, end, start, textShift, fields: NO_FIELDS }
}

function readFlowItem(text: string, at: number, start: number): ListItem | undefined {
  const fields = new FieldList()
  let next = start + (text.charAt(start + 1) === ' ' ? 2 : 1)
  for (;;) {
    const field = readField(FLOW_PAIR, text, next)
    if (field === undefined) return undefined
    if (!fields.add(field)) return undefined
    const { end } = field
    if (text.startsWith(', ', end)) {
      next = end + 2
      continue
    }
    const closing = text.charAt(end) === ' ' ? end + 1 : end
    if (!text.startsWith('}\n', closing)) return undefined
    return toItem(fields, { indent: start - at - 2, at, end: closing + 1, start })
  }
}

/** As many lines as there are; whoever reads a run sees that what follows is no new item. */
function readBlockItem(text: string, at: number, start: number): ListItem | undefined {
  const margin = ' '.repeat(start - at)
  const fields = new FieldList()
  let end = start - 1
  for (let next = start; ; next = end + 1 + margin.length) {
    const field = readField(LINE_PAIR, text, next)
    if (field === undefined) break
    if (!fields.add(field)) return undefined
    end = field.end
    if (!text.startsWith(margin, end + 1)) break
  }
  return fields.sorted.length === 0 ? undefined : toItem(fields, { indent: start - at - 2, at, end, start })
}

type FoundField = ItemField & { readonly end: number }

function readField(pair: RegExp, text: string, at: number): FoundField | undefined {
  const found = readText(pair, text, at, 2)
  if (found === undefined || WORD.test(found.key)) return undefined
  const { key, value, textShift, end } = found
  return { key, value, keyStart: at, start: at + key.length + 2, textShift, end }
}

interface FoundText {
  /** The first group of the expression. */
  readonly key: string
  readonly value: string
  readonly textShift: 0 | 1
  readonly end: number
}

/** @param group the first of the three that `TEXT` captures. */
function readText(expression: RegExp, text: string, at: number, group: 1 | 2): FoundText | undefined {
  expression.lastIndex = at
  const match = expression.exec(text)
  if (match === null) return undefined
  const plain = match[group + 2]
  if (plain !== undefined && (WORD.test(plain) || DIGITS.test(plain) || OPEN_END.test(plain))) return undefined
  const value = plain ?? match[group] ?? match[group + 1] ?? ''
  return { key: match[1] ?? '', value, textShift: plain === undefined ? 1 : 0, end: expression.lastIndex }
}

/** The value keeps the author's order, the fields are sorted. */
class FieldList {
  readonly value: Record<string, string> = {}
  readonly sorted: ItemField[] = []

  /** @returns false for a key that is there already. */
  add(field: ItemField): boolean {
    const { key } = field
    let at = this.sorted.length
    while (at > 0 && (this.sorted[at - 1]?.key ?? '') > key) at -= 1
    if (at > 0 && this.sorted[at - 1]?.key === key) return false
    if (at === this.sorted.length) this.sorted.push(field)
    else this.sorted.splice(at, 0, field)
    this.value[key] = field.value
    return true
  }
}

function toItem({ value, sorted }: FieldList, place: Pick<ListItem, 'indent' | 'at' | 'end' | 'start'>): ListItem {
  const { indent, at, end, start } = place
  return { value, indent, at, end, start, textShift: undefined, fields: sorted }
}
