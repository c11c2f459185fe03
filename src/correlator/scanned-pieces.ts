/** What the pieces mean that the scanner keeps: made of their bytes once, and kept by their places as long as they are. */

import { decodePod, type EventParent, type EventPod } from './exec-event.js'
import {
  COMMAND_PLACES,
  CONTAINER_PLACES,
  FLAGS_PLACES,
  OF_COMMANDS,
  OF_CONTAINERS,
  OF_PROCESSES,
  PROCESS_PLACES,
  RECORD_NUMBERS,
  WIDE_AT,
} from './scan-records.js'
import type { Scanner } from './scanner-module.js'

interface Command {
  readonly binary: string
  readonly arguments: string | undefined
}

interface Container {
  /** The same object for the same container, for as long as it is remembered. */
  readonly pod: EventPod | undefined
  readonly docker: string | undefined
}

/** What a line says of one process. */
export interface ScannedProcess extends Command, Container {
  readonly pid: number | undefined
  readonly flags: readonly string[]
  readonly isInInitTree: boolean | undefined
  /** The same process, as its children's lines are told of it. */
  readonly asParent: EventParent
}

const NO_FLAGS: readonly string[] = []
const NO_COMMAND: Command = { binary: '', arguments: undefined }
const NO_CONTAINER: Container = { pod: undefined, docker: undefined }

export class ScannedPieces {
  readonly #scanner: Scanner
  /** What its records speak of. */
  readonly #input: Buffer
  readonly #numbers: Int32Array
  readonly #wide: Float64Array
  readonly #processes = placesFor<ScannedProcess>(PROCESS_PLACES + 1)
  readonly #commands = placesFor<Command>(COMMAND_PLACES + 1)
  readonly #flagSets = placesFor<readonly string[]>(FLAGS_PLACES + 1)
  readonly #containers = placesFor<Container>(CONTAINER_PLACES + 1)

  /** @param numbers,wide the records, as numbers of 32 and of 64 bits. */
  constructor(scanner: Scanner, input: Buffer, numbers: Int32Array, wide: Float64Array) {
    this.#scanner = scanner
    this.#input = input
    this.#numbers = numbers
    this.#wide = wide
  }

  processAt(place: number): ScannedProcess | undefined {
    return this.#processes[place]
  }

  /** @param record which one; the same for those below. */
  addProcess(record: number): void {
    const at = record * RECORD_NUMBERS
    const numbers = this.#numbers
    const wide = this.#wide[(at + WIDE_AT) / 2] ?? -1
    const pid = wide === -1 ? undefined : wide
    const { binary, arguments: args } = this.#commands[numbers[at + 2] ?? -1] ?? NO_COMMAND
    const { pod, docker } = this.#containers[numbers[at + 4] ?? -1] ?? NO_CONTAINER
    const initTree = numbers[at + 7]
    this.#processes[numbers[at + 1] ?? 0] = {
      binary,
      arguments: args,
      pod,
      docker: docker ?? this.#textAt(at + 5),
      pid,
      flags: this.#flagSets[numbers[at + 3] ?? -1] ?? NO_FLAGS,
      isInInitTree: initTree === -1 ? undefined : initTree === 1,
      asParent: { binary: binary === '' ? undefined : binary, arguments: args, pid },
    }
  }

  addCommand(record: number): void {
    const at = record * RECORD_NUMBERS
    const numbers = this.#numbers
    const binary = this.#escapedTextAt(at + 2) ?? ''
    this.#commands[numbers[at + 1] ?? 0] = { binary, arguments: this.#escapedTextAt(at + 5) }
  }

  addFlags(record: number): void {
    const at = record * RECORD_NUMBERS
    this.#flagSets[this.#numbers[at + 1] ?? 0] = this.#textAt(at + 2)?.split(' ') ?? NO_FLAGS
  }

  addContainer(record: number): void {
    const at = record * RECORD_NUMBERS
    const members = this.#textAt(at + 2) ?? ''
    const parsed: { readonly pod: unknown; readonly docker?: unknown } = JSON.parse(
      `{${members.slice(members.indexOf('"'))}}`,
    )
    const docker = typeof parsed.docker === 'string' && parsed.docker !== '' ? parsed.docker : undefined
    this.#containers[this.#numbers[at + 1] ?? 0] = { pod: decodePod(parsed.pod), docker }
  }

  /** What can never be asked for again must not be kept alive. */
  forgetGone(record: number): void {
    const which = this.#numbers[record * RECORD_NUMBERS + 1] ?? -1
    const values = this.#valuesOf(which)
    for (let place = this.#scanner.nextGone(which, 0); place !== -1; place = this.#scanner.nextGone(which, place + 1)) {
      values[place] = undefined
    }
  }

  /** The text of a range, the offsets of which stand there in the records; undefined when it is missing or empty. */
  textOf(record: number, index: number): string | undefined {
    return this.#textAt(record * RECORD_NUMBERS + index)
  }

  #valuesOf(which: number): unknown[] {
    switch (which) {
      case OF_PROCESSES:
        return this.#processes
      case OF_COMMANDS:
        return this.#commands
      case OF_CONTAINERS:
        return this.#containers
      default:
        return []
    }
  }

  #textAt(at: number): string | undefined {
    const from = this.#numbers[at] ?? -1
    const to = this.#numbers[at + 1] ?? -1
    // An empty string says nothing more than a missing field does.
    return from === to ? undefined : this.#input.toString('utf8', from, to)
  }

  /** The inside of a JSON string that is known to be well-formed. */
  #escapedTextAt(at: number): string | undefined {
    const inside = this.#textAt(at)
    return inside === undefined || this.#numbers[at + 2] === 0 ? inside : String(JSON.parse(`"${inside}"`))
  }
}

/** As many as there are from the start: an array that grows by gaps would become a slow table. */
function placesFor<Value>(count: number): (Value | undefined)[] {
  return Array.from({ length: count }, () => undefined)
}
