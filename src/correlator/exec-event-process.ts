/**
 * Reads one process of an event without making more strings of it than are asked for. Agents write a process again and
 * again: when it starts, when it ends, and with each of its children, the same but for its reference count.
 */

import type { EventParent } from './exec-event.js'
import { ContainerReader, type KnownContainer } from './exec-event-container.js'
import { CAP_AND_NS, matchAt } from './exec-event-grammar.js'
import { hashOf, KnownTexts, unescapeText } from './exec-event-texts.js'
import { keyOf, type LineCursor } from './line-cursor.js'

/** What is kept: bytes in all, and how many. */
const PROCESSES = [2_000_000, 8_192] as const
const COMMANDS = [1_500_000, 16_384] as const
const FLAG_SETS = [16_384, 256] as const
/** Of an id: its last characters differ the most. */
const HASHED_OF_ID = 24
const QUOTE = 0x22
const BRACE = 0x7d
const LETTER_C = 0x63
const LETTER_N = 0x6e

const PID = keyOf('pid')
const UID = keyOf('uid')
const CWD = keyOf('cwd')
const BINARY = keyOf('binary')
const ARGUMENTS = keyOf('arguments')
const FLAGS = keyOf('flags')
const START_TIME = keyOf('start_time')
const AUID = keyOf('auid')
const PARENT_EXEC_ID = keyOf('parent_exec_id')
const REFCNT = keyOf('refcnt')
const TID = keyOf('tid')
const IN_INIT_TREE = keyOf('in_init_tree')
const TRUE = new TextEncoder().encode('true')
const FALSE = new TextEncoder().encode('false')
const NO_FLAGS: readonly string[] = []

interface KnownCommand {
  readonly binary: string
  readonly arguments: string | undefined
}

/** What a line says of one process. */
export interface KnownProcess extends KnownCommand, KnownContainer {
  readonly pid: number | undefined
  readonly flags: readonly string[]
  readonly isInInitTree: boolean | undefined
  /** The same process, as its children's lines are told of it. */
  readonly asParent: EventParent
}

/** Where a string stands in the line. */
interface Range {
  from: number
  to: number
  isEscaped: boolean
}

export class ProcessReader {
  readonly #cursor: LineCursor
  readonly #container: ContainerReader
  /** By exec id: all before the reference count, and all behind it. */
  readonly #processes = new KnownTexts<KnownProcess>(...PROCESSES)
  readonly #commands = new KnownTexts<KnownCommand>(...COMMANDS)
  readonly #flagSets = new KnownTexts<readonly string[]>(...FLAG_SETS)
  /** Of the last id that was read, with the quote before it. */
  #idLength = 0
  readonly #binary = emptyRange()
  readonly #arguments = emptyRange()

  constructor(cursor: LineCursor) {
    this.#cursor = cursor
    this.#container = new ContainerReader(cursor)
  }

  /** From behind `"exec_id":` to behind the process's brace; undefined when it is of another shape. */
  read(): KnownProcess | undefined {
    const cursor = this.#cursor
    const start = cursor.at
    // Ids of one node are of about the same length; whether it ends there need not be known to recall it.
    const likelyEnd = start + this.#idLength
    if (cursor.bytes[likelyEnd] === QUOTE && likelyEnd < cursor.end) {
      const known = this.#recall(this.#hashOfId(start, likelyEnd), start)
      if (known !== undefined) return known
      cursor.at = start
    }
    if (!cursor.id()) return undefined
    this.#idLength = cursor.to - start
    const hash = this.#hashOfId(start, cursor.to)
    const behindId = cursor.at
    return (cursor.to === likelyEnd ? undefined : this.#recall(hash, start)) ?? this.#readNew(hash, start, behindId)
  }

  #hashOfId(start: number, end: number): number {
    return hashOf(this.#cursor.view, Math.max(start, end - HASHED_OF_ID), end)
  }

  #recall(hash: number, start: number): KnownProcess | undefined {
    const cursor = this.#cursor
    const { bytes, view, end } = cursor
    for (let place = this.#processes.next(hash); place !== -1; place = this.#processes.next(hash, place)) {
      const headEnd = this.#processes.headEnd(place, bytes, view, start, end)
      if (headEnd === -1) continue
      cursor.at = headEnd
      const tailEnd = cursor.numberField(REFCNT) ? this.#processes.tailEnd(place, bytes, view, cursor.at, end) : -1
      if (tailEnd === -1) continue
      cursor.at = tailEnd
      return this.#processes.valueAt(place)
    }
    return undefined
  }

  #readNew(hash: number, start: number, behindId: number): KnownProcess | undefined {
    const cursor = this.#cursor
    cursor.at = behindId
    if (!cursor.numberField(PID)) return undefined
    const pid = cursor.value()
    const command = cursor.numberField(UID) && cursor.textField(CWD) ? this.#readCommand() : undefined
    const flags = command && this.#readFlags()
    if (command === undefined || flags === undefined) return undefined
    const container = cursor.plainField(START_TIME) && cursor.numberField(AUID) ? this.#container.read() : undefined
    if (container === undefined || !cursor.idField(PARENT_EXEC_ID)) return undefined
    const headEnd = cursor.at
    if (!cursor.numberField(REFCNT)) return undefined
    const tailStart = cursor.at
    const isInInitTree = this.#readEnd()
    if (isInInitTree === 'unread') return undefined
    const { pod, docker } = container
    const { binary, arguments: args } = command
    const asParent = { binary: binary === '' ? undefined : binary, arguments: args, pid }
    const process = { pid, binary, arguments: args, flags, docker, pod, isInInitTree, asParent }
    this.#processes.add(hash, cursor.bytes, { start, headEnd, tailStart, end: cursor.at }, process)
    return process
  }

  /** The same strings for the same command line, for as long as they are remembered. */
  #readCommand(): KnownCommand | undefined {
    const cursor = this.#cursor
    const { bytes, view, at: start } = cursor
    if (!cursor.textField(BINARY)) return undefined
    note(this.#binary, cursor)
    if (!cursor.textField(ARGUMENTS)) return undefined
    note(this.#arguments, cursor)
    const end = cursor.at
    const hash = hashOf(view, start, end)
    for (let place = this.#commands.next(hash); place !== -1; place = this.#commands.next(hash, place)) {
      if (this.#commands.headEnd(place, bytes, view, start, end) === end) return this.#commands.valueAt(place)
    }
    const command = { binary: this.#textAt(this.#binary) ?? '', arguments: this.#textAt(this.#arguments) }
    this.#commands.add(hash, bytes, { start, headEnd: end, tailStart: end, end }, command)
    return command
  }

  #readFlags(): readonly string[] | undefined {
    const cursor = this.#cursor
    if (!cursor.plainField(FLAGS)) return undefined
    const { bytes, view, from: start, to: end } = cursor
    if (start === end) return NO_FLAGS
    const hash = hashOf(view, start, end)
    for (let place = this.#flagSets.next(hash); place !== -1; place = this.#flagSets.next(hash, place)) {
      if (this.#flagSets.headEnd(place, bytes, view, start, end) === end) return this.#flagSets.valueAt(place)
    }
    const flags = cursor.slice(start, end).split(' ')
    this.#flagSets.add(hash, bytes, { start, headEnd: end, tailStart: end, end }, flags)
    return flags
  }

  /** What stands behind the reference count. */
  #readEnd(): boolean | undefined | 'unread' {
    const cursor = this.#cursor
    this.#skipCapAndNs()
    if (!cursor.numberField(TID)) return 'unread'
    let isInInitTree: boolean | undefined
    if (cursor.key(IN_INIT_TREE)) {
      isInInitTree = cursor.literal(TRUE)
      if (!(isInInitTree || cursor.literal(FALSE))) return 'unread'
    }
    return cursor.byte(BRACE) ? isInInitTree : 'unread'
  }

  /** Only agents that are told to write them do. */
  #skipCapAndNs(): void {
    const cursor = this.#cursor
    const { at, end, bytes } = cursor
    const isThere = [bytes[at + 2], bytes[at + 3]].some(letter => letter === LETTER_C || letter === LETTER_N)
    if (isThere) cursor.at += matchAt(CAP_AND_NS, cursor.slice(at, end))?.[0].length ?? 0
  }

  #textAt({ from, to, isEscaped }: Range): string | undefined {
    if (from === to) return undefined
    const text = this.#cursor.bytes.toString('utf8', from, to)
    return isEscaped ? unescapeText(text) : text
  }
}

function emptyRange(): Range {
  return { from: -1, to: -1, isEscaped: false }
}

function note(range: Range, { from, to, isEscaped }: LineCursor): void {
  range.from = from
  range.to = to
  range.isEscaped = isEscaped
}
