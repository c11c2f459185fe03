/** Reads one process of an event without making more strings of it than are asked for. */

import { decodePod, type EventParent, type EventPod } from './exec-event.js'
import { CAP_AND_NS, PARENT, POD } from './exec-event-grammar.js'
import { fromBytes, hashOf, KnownTexts, textOf, unescapeText } from './exec-event-texts.js'
import { keyOf, type LineCursor } from './line-cursor.js'

/** Bytes of pods, of parents and of command lines that are kept: some 8,000, 4,000 and 8,000 of them. */
const POD_BYTES = 5_000_000
const PARENT_BYTES = 4_000_000
const COMMAND_BYTES = 2_000_000
const FLAGS_BYTES = 50_000
/** Of a pod: its name and uid, and the container's id. */
const HASHED_OF_POD = 200
/** Of an id: its last characters differ the most. */
const HASHED_OF_ID = 24
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
const POD_KEY = keyOf('pod')
const DOCKER = keyOf('docker')
const PARENT_EXEC_ID = keyOf('parent_exec_id')
const REFCNT = keyOf('refcnt')
const TID = keyOf('tid')
const IN_INIT_TREE = keyOf('in_init_tree')
const PARENT_START = new TextEncoder().encode('"parent":{"exec_id":')
const TRUE = new TextEncoder().encode('true')
const FALSE = new TextEncoder().encode('false')
const NO_FLAGS: readonly string[] = []

export interface KnownCommand {
  readonly binary: string
  readonly arguments: string | undefined
}

/** A container, and what stands beside it in its process. */
interface KnownPod {
  readonly pod: EventPod | undefined
  readonly docker: string | undefined
}

const NO_POD: KnownPod = { pod: undefined, docker: undefined }

/** Where a string stands in the line. */
interface Range {
  from: number
  to: number
  isEscaped: boolean
}

export class ProcessReader {
  readonly #cursor: LineCursor
  /** By container: with and without the mark of a probe, and after a change of labels. */
  readonly #pods = new KnownTexts<KnownPod>(POD_BYTES)
  /** By exec. */
  readonly #parents = new KnownTexts<EventParent>(PARENT_BYTES)
  readonly #commands = new KnownTexts<KnownCommand>(COMMAND_BYTES)
  readonly #flagSets = new KnownTexts<readonly string[]>(FLAGS_BYTES)
  readonly #execId = emptyRange()
  readonly #binary = emptyRange()
  readonly #arguments = emptyRange()
  readonly #flags = emptyRange()
  readonly #docker = emptyRange()
  #commandAt = 0
  #commandEnd = 0
  #pod = NO_POD
  pid: number | undefined
  isInInitTree: boolean | undefined

  constructor(cursor: LineCursor) {
    this.#cursor = cursor
  }

  /** From behind `"exec_id":` to behind the process's brace; false when it is of another shape. */
  read(): boolean {
    const cursor = this.#cursor
    if (!cursor.id()) return false
    note(this.#execId, cursor)
    if (!cursor.numberField(PID)) return false
    this.pid = cursor.value()
    if (!(cursor.numberField(UID) && cursor.textField(CWD) && this.#readCommand())) return false
    if (!cursor.plainField(FLAGS)) return false
    note(this.#flags, cursor)
    return cursor.plainField(START_TIME) && cursor.numberField(AUID) && this.#readPod() && this.#readRest()
  }

  get execId(): string | undefined {
    return this.#textAt(this.#execId)
  }

  get pod(): EventPod | undefined {
    return this.#pod.pod
  }

  get docker(): string | undefined {
    return this.#docker.from === -1 ? this.#pod.docker : this.#textAt(this.#docker)
  }

  /** The same strings for the same command line, for as long as they are remembered. */
  get command(): KnownCommand {
    const { bytes, view } = this.#cursor
    const hash = hashOf(view, this.#commandAt, this.#commandEnd)
    for (const known of this.#commands.under(hash) ?? []) {
      if (known.headLength !== this.#commandEnd - this.#commandAt) continue
      if (this.#commands.isHeadAt(known, bytes, view, this.#commandAt, this.#commandEnd)) return known.value
    }
    const command = { binary: this.#textAt(this.#binary) ?? '', arguments: this.#textAt(this.#arguments) }
    this.#commands.add(hash, bytes, [this.#commandAt, this.#commandEnd, this.#commandEnd, this.#commandEnd], command)
    return command
  }

  get flags(): readonly string[] {
    const { from, to } = this.#flags
    if (from === to) return NO_FLAGS
    const { bytes, view } = this.#cursor
    const hash = hashOf(view, from, to)
    for (const known of this.#flagSets.under(hash) ?? []) {
      if (known.headLength === to - from && this.#flagSets.isHeadAt(known, bytes, view, from, to)) return known.value
    }
    const flags = this.#cursor.slice(from, to).split(' ')
    this.#flagSets.add(hash, bytes, [from, to, to, to], flags)
    return flags
  }

  /** The parent, if one comes next. False when it is of another shape. */
  readParent(): EventParent | undefined | false {
    const cursor = this.#cursor
    const { at: start, end, bytes, view } = cursor
    if (!cursor.key(PARENT_START)) return undefined
    if (!cursor.plain()) return false
    const hash = hashOf(view, Math.max(cursor.from, cursor.to - HASHED_OF_ID), cursor.to)
    for (const known of this.#parents.under(hash) ?? []) {
      if (!this.#parents.isHeadAt(known, bytes, view, start, end)) continue
      cursor.at = start + known.headLength
      return known.value
    }
    const found = matchAt(PARENT, cursor.slice(start, end))
    if (found === null) return false
    const [whole, pid, binary = '', args = ''] = found
    const parent = {
      binary: textOf(fromBytes(binary)),
      arguments: textOf(fromBytes(args)),
      pid: pid === undefined ? undefined : Number(pid),
    }
    cursor.at = start + whole.length
    this.#parents.add(hash, bytes, [start, cursor.at, cursor.at, cursor.at], parent)
    return parent
  }

  #readCommand(): boolean {
    const cursor = this.#cursor
    this.#commandAt = cursor.at
    if (!cursor.textField(BINARY)) return false
    note(this.#binary, cursor)
    if (!cursor.textField(ARGUMENTS)) return false
    note(this.#arguments, cursor)
    this.#commandEnd = cursor.at
    return true
  }

  #readPod(): boolean {
    const cursor = this.#cursor
    const { at: start, end, bytes, view } = cursor
    this.#pod = NO_POD
    if (!cursor.key(POD_KEY)) return true
    const hash = hashOf(view, start, Math.min(end, start + HASHED_OF_POD))
    for (const known of this.#pods.under(hash) ?? []) {
      if (!this.#pods.isHeadAt(known, bytes, view, start, end)) continue
      cursor.at = start + known.headLength
      if (!cursor.number() || !this.#pods.isTailAt(known, bytes, view, cursor.at, end)) continue
      cursor.at += known.tailLength
      this.#pod = known.value
      return true
    }
    const found = matchAt(POD, cursor.slice(start, end))
    if (found === null) return false
    const [whole, head = '', tail = ''] = found
    const parsed: { readonly pod: unknown; readonly docker?: unknown } = JSON.parse(
      `{${whole.slice(whole.indexOf('"'))}}`,
    )
    const docker = typeof parsed.docker === 'string' && parsed.docker !== '' ? parsed.docker : undefined
    this.#pod = { pod: decodePod(parsed.pod), docker }
    cursor.at = start + whole.length
    this.#pods.add(hash, bytes, [start, start + head.length, cursor.at - tail.length, cursor.at], this.#pod)
    return true
  }

  #readRest(): boolean {
    const cursor = this.#cursor
    if (!cursor.plainField(DOCKER)) return false
    note(this.#docker, cursor)
    if (!(cursor.idField(PARENT_EXEC_ID) && cursor.numberField(REFCNT))) return false
    this.#skipCapAndNs()
    if (!cursor.numberField(TID)) return false
    this.isInInitTree = undefined
    if (cursor.key(IN_INIT_TREE)) {
      this.isInInitTree = cursor.literal(TRUE)
      if (!(this.isInInitTree || cursor.literal(FALSE))) return false
    }
    return cursor.byte(BRACE)
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

export function matchAt(expression: RegExp, text: string): RegExpExecArray | null {
  expression.lastIndex = 0
  return expression.exec(text)
}

function emptyRange(): Range {
  return { from: -1, to: -1, isEscaped: false }
}

function note(range: Range, { from, to, isEscaped }: LineCursor): void {
  range.from = from
  range.to = to
  range.isEscaped = isEscaped
}
