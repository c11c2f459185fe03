/**
 * Lines to events, fast: what agents usually write is matched and compared instead of parsed, and most of a line is
 * bytes that have been seen before (its pod, its parent, its command line, its node's labels), of which no string is
 * made. Whatever is not of the expected shape gets the full parse of `decodeEvent`; both say the same of every line,
 * which a test holds them to.
 *
 * No byte is skipped unread: each is matched by a strict grammar, or equals bytes that it has matched.
 */

import { type DecodedEvent, decodeEvent, type ExecEvent } from './exec-event.js'
import { LineEnd } from './exec-event-end.js'
import { ANCESTORS } from './exec-event-grammar.js'
import { matchAt, ProcessReader } from './exec-event-process.js'
import { hashOf, RecentTexts } from './exec-event-texts.js'
import { keyOf, LineCursor } from './line-cursor.js'

/** Longer lines are rare, and their time goes into their arguments. */
const MAX_FAST_BYTES = 32_768
const EXEC_START = new TextEncoder().encode('{"process_exec":{"process":{"exec_id":')
const EXIT_START = new TextEncoder().encode('{"process_exit":{"process":{"exec_id":')
const SIGNAL = keyOf('signal')
const STATUS = keyOf('status')
const TIME = keyOf('time')
/** Processes whose end is usually seen soon, and what each of their events may take: 1 MB in all. */
const RECENT = 256
const RECENT_BYTES = 4_096
/** Where exec ids differ: behind the node's name, or whatever stands there. */
const HASHED_FROM = 32
const HASHED_TO = 96
const EXITED: DecodedEvent = { type: 'other', name: 'process_exit' }

/** Reads the line from `start` to `end`. */
export type EventDecoder = (bytes: Buffer, start: number, end: number) => DecodedEvent

/**
 * A decoder with a memory of what it has read, bounded. Events share objects and strings with each other, never with the
 * lines that they came from.
 */
export function createEventDecoder(): EventDecoder {
  const reader = new FastLineReader()
  return (bytes, start, end) => reader.read(bytes, start, end) ?? decodeEvent(bytes.toString('utf8', start, end))
}

/** The fast half of the decoder, on its own. */
export class FastLineReader {
  readonly #cursor = new LineCursor()
  readonly #process = new ProcessReader(this.#cursor)
  readonly #end = new LineEnd()
  /** What exec lines say of process and parent: the line of the same process's exit repeats it. */
  readonly #recent = new RecentTexts(RECENT, RECENT_BYTES)

  /** Undefined when the line is not of the expected shape: that says nothing about it. */
  read(line: Buffer, start: number, end: number): DecodedEvent | undefined {
    if (end - start > MAX_FAST_BYTES) return undefined
    const cursor = this.#cursor
    cursor.open(line, start, end)
    const isExec = cursor.literal(EXEC_START)
    if (!isExec && !cursor.literal(EXIT_START)) return undefined
    const eventEnd = this.#end.find(cursor)
    if (eventEnd === -1) return undefined
    cursor.end = eventEnd
    if (!isExec) return this.#isExit() ? EXITED : undefined
    const event = this.#readExec()
    return event && { type: 'exec', event }
  }

  #isExit(): boolean {
    const cursor = this.#cursor
    const { bytes, at, end } = cursor
    const known = this.#recent.endAt(this.#hash(), bytes, at, end)
    if (known !== -1) cursor.at = known
    else if (!this.#process.read() || this.#process.readParent() === false) return false
    const isRead = cursor.plainField(SIGNAL) && cursor.numberField(STATUS) && cursor.plainField(TIME)
    return isRead && cursor.at === cursor.end
  }

  #readExec(): ExecEvent | undefined {
    const process = this.#process
    const { bytes, at: start } = this.#cursor
    const hash = this.#hash()
    if (!process.read()) return undefined
    const parent = process.readParent()
    if (parent === false) return undefined
    this.#recent.keep(hash, bytes, start, this.#cursor.at)
    if (!this.#isAtEnd()) return undefined
    const { binary, arguments: args } = process.command
    return {
      time: this.#end.time,
      nodeName: this.#end.nodeName,
      clusterName: this.#end.clusterName,
      execId: process.execId,
      pid: process.pid,
      binary,
      arguments: args,
      flags: process.flags,
      docker: process.docker,
      pod: process.pod,
      parent,
      isInInitTree: process.isInInitTree,
      hardLinks: undefined,
    }
  }

  #hash(): number {
    const { view, at, end } = this.#cursor
    return hashOf(view, Math.min(end, at + HASHED_FROM), Math.min(end, at + HASHED_TO))
  }

  /** Behind the ancestors, if there are any. */
  #isAtEnd(): boolean {
    const { at, end } = this.#cursor
    if (at === end) return true
    const found = matchAt(ANCESTORS, this.#cursor.slice(at, end))
    return found !== null && at + found[0].length === end
  }
}
