/**
 * Lines to events, fast: what agents usually write is matched and compared instead of parsed, and most of a line is
 * text that has been seen before (its pod, its parent, its node's labels). Whatever is not of the expected shape gets
 * the full parse of `decodeEvent`; both say the same of every line, which a test holds them to.
 *
 * No byte is skipped unread: each is matched by a strict expression, or equals text that one has matched.
 */

import {
  type DecodedEvent,
  decodeEvent,
  decodePod,
  type EventParent,
  type EventPod,
  type ExecEvent,
} from './exec-event.js'
import { ANCESTORS, END, EXIT, HEAD, PARENT, POD, REST } from './exec-event-grammar.js'
import { BoundedTexts, copyOf, unescapeText } from './exec-event-texts.js'
import { MinuteClock } from './exec-event-time.js'

/** Longer lines are rare, and their time goes into their arguments. */
const MAX_FAST_BYTES = 32_768
/** Characters of pods and of parents that are kept: some 8,000 and 4,000 of them. */
const MAX_POD_CHARACTERS = 5_000_000
const MAX_PARENT_CHARACTERS = 4_000_000
const MAX_FLAG_CHARACTERS = 20_000
/** An id's last characters find its text, which is then compared as a whole: a wrong hit costs time only. */
const KEY_LENGTH = 20
/** Texts that are kept of one container. */
const MAX_VARIANTS = 4
const MAX_DIGITS = 15
const ZERO = 0x30
const NINE = 0x39
const LETTER_E = 0x65
const LETTER_I = 0x69
/** Where `process_exec` and `process_exit` differ. */
const LETTER_AT = '{"process_ex'.length
const EXITED: DecodedEvent = { type: 'other', name: 'process_exit' }
const NO_FLAGS: readonly string[] = []

/** A container's text: all before its pid, which each process has for itself, and all behind it. */
interface KnownPod {
  readonly head: string
  readonly tail: string
  readonly pod: EventPod | undefined
  readonly docker: string | undefined
}

interface KnownParent {
  readonly text: string
  readonly parent: EventParent
}

interface KnownEnd {
  readonly before: string
  readonly after: string
  readonly nodeName: string | undefined
  readonly clusterName: string | undefined
}

const NO_POD: KnownPod = { head: '', tail: '', pod: undefined, docker: undefined }
const NO_PARENT = { parent: undefined }

/**
 * A decoder with a memory of what it has read, bounded. Events share objects and strings with each other, never with the
 * lines that they came from.
 */
export function createEventDecoder(): (line: Buffer) => DecodedEvent {
  const reader = new FastLineReader()
  return line => reader.read(line) ?? decodeEvent(line)
}

/** The fast half of the decoder, on its own. */
export class FastLineReader {
  /** By container: with and without the mark of a probe, and after a change of labels. */
  readonly #pods = new BoundedTexts<KnownPod[]>(MAX_POD_CHARACTERS)
  /** By exec. */
  readonly #parents = new BoundedTexts<KnownParent>(MAX_PARENT_CHARACTERS)
  readonly #flags = new BoundedTexts<readonly string[]>(MAX_FLAG_CHARACTERS)
  readonly #clock = new MinuteClock()
  #end: KnownEnd | undefined
  /** Where the reader stands in its line. */
  #at = 0

  /** Undefined when the line is not of the expected shape: that says nothing about it. */
  read(line: Buffer): DecodedEvent | undefined {
    const letter = line[LETTER_AT]
    if (line.length > MAX_FAST_BYTES || (letter !== LETTER_E && letter !== LETTER_I)) return undefined
    if (letter === LETTER_I) return this.#isExit(line.toString('latin1')) ? EXITED : undefined
    const event = this.#readExec(line.toString('latin1'))
    return event && { type: 'exec', event }
  }

  #isExit(text: string): boolean {
    return this.#match(EXIT, text, 0) !== null && !Number.isNaN(this.#readEnd(text))
  }

  #readExec(text: string): ExecEvent | undefined {
    const head = this.#match(HEAD, text, 0)
    if (head === null) return undefined
    const [, execId = '', pid, binary = '', args = '', flags = '', podStart, containerId = ''] = head
    const known =
      podStart === undefined
        ? NO_POD
        : this.#readPod(text, this.#at - podStart.length - containerId.length, containerId)
    const rest = known && this.#match(REST, text, this.#at)
    if (known === undefined || rest == null) return undefined
    const [, docker, isInInitTree, parentStart, parentId = ''] = rest
    const parent =
      parentStart === undefined
        ? NO_PARENT
        : this.#readParent(text, this.#at - parentStart.length - parentId.length, parentId)
    if (parent === undefined) return undefined
    const time = this.#readEnd(text)
    const end = this.#end
    if (end === undefined || Number.isNaN(time)) return undefined
    return {
      time,
      nodeName: end.nodeName,
      clusterName: end.clusterName,
      execId: textOf(execId),
      pid: pid === undefined ? undefined : Number(pid),
      binary: unescapeText(binary),
      arguments: textOf(args),
      flags: this.#readFlags(flags),
      docker: docker === undefined ? known.docker : textOf(docker),
      pod: known.pod,
      parent: parent.parent,
      isInInitTree: isInInitTree === undefined ? undefined : isInInitTree === 'true',
      hardLinks: undefined,
    }
  }

  #match(expression: RegExp, text: string, at: number): RegExpExecArray | null {
    expression.lastIndex = at
    const found = expression.exec(text)
    this.#at = expression.lastIndex
    return found
  }

  #readPod(text: string, start: number, containerId: string): KnownPod | undefined {
    const key = containerId.slice(-KEY_LENGTH)
    const pods = this.#pods.get(key) ?? []
    for (const known of pods) {
      const pidAt = endOfText(text, start, known.head)
      const end = pidAt === -1 ? -1 : endOfText(text, endOfNumber(text, pidAt), known.tail)
      if (end === -1) continue
      this.#at = end
      return known
    }
    const found = this.#match(POD, text, start)
    if (found === null) return undefined
    const [, head = '', tail = ''] = found
    const whole = `${head}0${tail}`
    const parsed: { readonly pod: unknown; readonly docker?: unknown } = JSON.parse(
      `{${whole.slice(whole.indexOf('"'))}}`,
    )
    const docker = typeof parsed.docker === 'string' && parsed.docker !== '' ? parsed.docker : undefined
    const known = { head: copyOf(head), tail: copyOf(tail), pod: decodePod(parsed.pod), docker }
    this.#pods.set(key, [known, ...pods.slice(0, MAX_VARIANTS - 1)], whole.length)
    return known
  }

  #readParent(text: string, start: number, execId: string): KnownParent | undefined {
    const key = execId.slice(-KEY_LENGTH)
    const known = this.#parents.get(key)
    const end = known === undefined ? -1 : endOfText(text, start, known.text)
    if (end !== -1) {
      this.#at = end
      return known
    }
    const found = this.#match(PARENT, text, start)
    if (found === null) return undefined
    const [, pid, binary = '', args = ''] = found
    const parent = {
      binary: textOf(binary),
      arguments: textOf(args),
      pid: pid === undefined ? undefined : Number(pid),
    }
    const read = { text: copyOf(text.slice(start, this.#at)), parent }
    this.#parents.set(key, read, read.text.length)
    return read
  }

  /** The event's time in milliseconds since the epoch; NaN when the line does not end as expected. */
  #readEnd(text: string): number {
    const time = this.#readKnownEnd(text)
    if (!Number.isNaN(time)) return time
    const start = this.#at
    const found = this.#match(END, text, this.#match(ANCESTORS, text, start) === null ? start : this.#at)
    if (found === null) return Number.NaN
    const [, before = '', nodeName = '', stamp = '', after = '', clusterName = ''] = found
    this.#end = {
      before: copyOf(before),
      after: copyOf(after),
      nodeName: textOf(nodeName),
      clusterName: textOf(clusterName),
    }
    return this.#clock.parse(stamp)
  }

  #readKnownEnd(text: string): number {
    if (this.#end === undefined) return Number.NaN
    const { before, after } = this.#end
    const stampAt = endOfText(text, this.#at, before)
    const stampEnd = text.length - after.length
    if (stampAt === -1 || endOfText(text, stampEnd, after) === -1) return Number.NaN
    return this.#clock.parse(text.slice(stampAt, stampEnd))
  }

  #readFlags(written: string): readonly string[] {
    if (written === '') return NO_FLAGS
    const known = this.#flags.get(written)
    if (known !== undefined) return known
    const flags = copyOf(written).split(' ')
    this.#flags.set(written, flags, written.length)
    return flags
  }
}

/** Where a text that stands at a place ends; -1 when it does not stand there. */
function endOfText(text: string, start: number, expected: string): number {
  // V8 compares the two in one go; `startsWith` looks at one character after the other.
  return text.slice(start, start + expected.length) === expected ? start + expected.length : -1
}

/** Where a JSON number without sign, fraction and exponent ends; past the text's end when none stands there. */
function endOfNumber(text: string, start: number): number {
  let end = start
  while (end - start < MAX_DIGITS && isDigit(text.charCodeAt(end))) end += 1
  const isNumber = end > start && (end === start + 1 || text.charCodeAt(start) !== ZERO)
  return isNumber ? end : text.length
}

function isDigit(code: number): boolean {
  return code >= ZERO && code <= NINE
}

/** An empty string says nothing more than a missing field does. */
function textOf(inside: string): string | undefined {
  return inside === '' ? undefined : unescapeText(inside)
}
