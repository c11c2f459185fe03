/**
 * Lines to events, fast. What agents usually write is matched and compared, not parsed, by WebAssembly that looks at
 * sixteen bytes at once; most of a line is bytes that have been seen before (its pod, its parent, its command line, its
 * node's labels), of which no string is made. Whatever is not of the expected shape is left to `decodeEvent`; both say
 * the same of every line, which a test holds them to.
 *
 * No byte is skipped unread: each is matched by a strict grammar, or equals bytes that it has matched.
 */

import type { ExecEvent } from './exec-event.js'
import {
  COMMAND,
  CONTAINER,
  EXEC,
  FLAGS,
  LINE,
  LINE_END,
  MAX_SCANNED_LINE,
  PROCESS,
  RECORD_NUMBERS,
  TURN,
  WIDE_AT,
} from './scan-records.js'
import { ScannedPieces } from './scanned-pieces.js'
import { startScanner } from './scanner-module.js'

const NEWLINE = 0x0a

/** Takes what a chunk holds, in the order of its lines. */
export interface LineTaker {
  takeEvent(event: ExecEvent): void
  /**
   * A line of another shape, from `start` to `end` of the chunk, which says nothing about it: it may be blank.
   *
   * @param before lines of the chunk before it.
   */
  takeLine(chunk: Buffer, start: number, end: number, before: number): void
}

/** Has a memory of what it has read, bounded. Events share objects and strings with each other, never with the chunk. */
export class EventScanner {
  readonly #scanner = startScanner()
  readonly #maxLine: number
  readonly #input: Buffer
  readonly #numbers: Int32Array
  readonly #wide: Float64Array
  readonly #pieces: ScannedPieces
  #nodeName: string | undefined
  #clusterName: string | undefined
  #lines = 0
  #exits = 0

  /** @param maxLine bytes; a longer line is never read here. */
  constructor(maxLine: number = MAX_SCANNED_LINE) {
    const { memory, INPUT, INPUT_BYTES, RECORDS } = this.#scanner
    this.#maxLine = Math.min(maxLine, MAX_SCANNED_LINE)
    this.#input = Buffer.from(memory.buffer, INPUT.value, INPUT_BYTES.value)
    this.#numbers = new Int32Array(memory.buffer, RECORDS.value)
    this.#wide = new Float64Array(memory.buffer, RECORDS.value)
    this.#pieces = new ScannedPieces(this.#scanner, this.#input, this.#numbers, this.#wide)
  }

  /** Complete lines in the last chunk. */
  get lines(): number {
    return this.#lines
  }

  /** Those of them that were events `process_exit`, and were given to nobody. */
  get exits(): number {
    return this.#exits
  }

  /**
   * Read the complete lines of a chunk.
   *
   * @param start where the first one begins.
   * @returns behind the last newline; `start` when there is none.
   */
  scan(chunk: Buffer, start: number, taker: LineTaker): number {
    this.#lines = 0
    this.#exits = 0
    let at = start
    while (at < chunk.length) {
      const length = Math.min(chunk.length - at, this.#input.length)
      chunk.copy(this.#input, 0, at, at + length)
      const read = this.#scanInput(chunk, at, length, taker)
      const isAll = at + length === chunk.length
      at += read
      if (isAll) break
      if (read > 0) continue
      const newline = chunk.indexOf(NEWLINE, at + length)
      if (newline === -1) break
      // Longer than the input is.
      taker.takeLine(chunk, at, newline, this.#lines)
      this.#lines += 1
      at = newline + 1
    }
    return at
  }

  /** @returns how much of it was read. */
  #scanInput(chunk: Buffer, base: number, length: number, taker: LineTaker): number {
    const scanner = this.#scanner
    let read = 0
    do {
      read = scanner.scan(read, length, this.#maxLine)
      this.#takeRecords(chunk, base, taker)
      this.#lines += scanner.lines.value
      this.#exits += scanner.exits.value
    } while (scanner.isFull.value !== 0)
    return read
  }

  #takeRecords(chunk: Buffer, base: number, taker: LineTaker): void {
    const numbers = this.#numbers
    const pieces = this.#pieces
    const count = this.#scanner.records.value
    for (let record = 0; record < count; record += 1) {
      const at = record * RECORD_NUMBERS
      switch (numbers[at]) {
        case PROCESS:
          pieces.addProcess(record)
          break
        case EXEC:
          this.#takeExec(at, taker)
          break
        case COMMAND:
          pieces.addCommand(record)
          break
        case CONTAINER:
          pieces.addContainer(record)
          break
        case LINE:
          taker.takeLine(
            chunk,
            base + (numbers[at + 1] ?? 0),
            base + (numbers[at + 2] ?? 0),
            this.#lines + (numbers[at + 3] ?? 0),
          )
          break
        case LINE_END:
          this.#nodeName = pieces.textOf(record, 1)
          this.#clusterName = pieces.textOf(record, 3)
          break
        case FLAGS:
          pieces.addFlags(record)
          break
        case TURN:
          pieces.forgetGone(record)
          break
      }
    }
  }

  #takeExec(at: number, taker: LineTaker): void {
    const process = this.#pieces.processAt(this.#numbers[at + 1] ?? -1)
    if (process === undefined) throw new Error('the scanner named a process that it did not tell of')
    const { pid, binary, arguments: args, flags, docker, pod, isInInitTree } = process
    const parentPlace = this.#numbers[at + 2] ?? -1
    taker.takeEvent({
      time: this.#wide[(at + WIDE_AT) / 2] ?? 0,
      nodeName: this.#nodeName,
      clusterName: this.#clusterName,
      pid,
      binary,
      arguments: args,
      flags,
      docker,
      pod,
      parent: parentPlace === -1 ? undefined : this.#pieces.processAt(parentPlace)?.asParent,
      isInInitTree,
      hardLinks: undefined,
    })
  }
}
