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
import { type KnownProcess, ProcessReader } from './exec-event-process.js'
import { keyOf, LineCursor } from './line-cursor.js'

/** Longer lines are rare, and their time goes into their arguments. */
const MAX_FAST_BYTES = 32_768
const EXEC_START = new TextEncoder().encode('{"process_exec":{"process":{"exec_id":')
const EXIT_START = new TextEncoder().encode('{"process_exit":{"process":{"exec_id":')
const PARENT_START = new TextEncoder().encode('"parent":{"exec_id":')
const ANCESTORS_START = new TextEncoder().encode('"ancestors":[{"exec_id":')
const NEXT_START = new TextEncoder().encode('{"exec_id":')
const BRACKET = 0x5d
const SIGNAL = keyOf('signal')
const STATUS = keyOf('status')
const TIME = keyOf('time')
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
    return isExec ? this.#readExec() : this.#readExit()
  }

  #readExit(): DecodedEvent | undefined {
    const cursor = this.#cursor
    const isRead =
      this.#process.read() !== undefined &&
      this.#readParent() !== undefined &&
      cursor.plainField(SIGNAL) &&
      cursor.numberField(STATUS) &&
      cursor.plainField(TIME)
    return isRead && cursor.at === cursor.end ? EXITED : undefined
  }

  #readExec(): DecodedEvent | undefined {
    const process = this.#process.read()
    const parent = process && this.#readParent()
    if (process === undefined || parent === undefined || !this.#readAncestors()) return undefined
    if (this.#cursor.at !== this.#cursor.end) return undefined
    const { time, nodeName, clusterName } = this.#end
    const { pid, binary, arguments: args, flags, docker, pod, isInInitTree } = process
    const event: ExecEvent = {
      time,
      nodeName,
      clusterName,
      pid,
      binary,
      arguments: args,
      flags,
      docker,
      pod,
      parent: parent === 'none' ? undefined : parent.asParent,
      isInInitTree,
      hardLinks: undefined,
    }
    return { type: 'exec', event }
  }

  /** Undefined when it is of another shape. */
  #readParent(): KnownProcess | 'none' | undefined {
    return this.#cursor.key(PARENT_START) ? this.#process.read() : 'none'
  }

  #readAncestors(): boolean {
    const cursor = this.#cursor
    if (!cursor.key(ANCESTORS_START)) return true
    do if (this.#process.read() === undefined) return false
    while (cursor.key(NEXT_START))
    return cursor.byte(BRACKET)
  }
}
