/**
 * Recorded export lines, cut at whatever differs from one process and one pod to the next, so that any number of lines
 * can be written that repeat no more than a node's real ones do.
 */

const SECOND_LENGTH = '2026-11-21T23:08:09'.length
const VARYING = new RegExp(
  [
    '(?<=exec_id":")(?<id>[^"]+)',
    '(?<="[pt]id":)(?<pid>\\d+)',
    // Of the event and of the process; a container starts once.
    '(?<="time":")(?<time>[^"]+)',
    '(?<="start_time":")(?<start>[^"]+)(?=","auid")',
    '(?<="(?:docker|id)":"(?:containerd://)?)(?<container>[0-9a-f]{31,64})(?=")',
    '(?<="pod":\\{"namespace":"[^"]+","name":")(?<pod>[^"]+)',
    '(?<="uid":")(?<uid>[0-9a-f-]{36})',
    '(?<="workload":")(?<workload>[^"]+)',
    '(?<="arguments":")(?<args>(?:[^"\\\\]|\\\\.)+)',
    '(?<="refcnt":)(?<references>2)',
  ].join('|'),
  'g',
)
const LONG_NUMBER = /\d{3,}/g
const PODS_OF_A_WORKLOAD = 10
const MAX_PID = 4_194_304

/** Which repetition is written: every process is another one in each, and every pod in each `variants`. */
export interface Round {
  readonly copy: number
  /** How many pods there are for each recorded one. */
  readonly variants: number
}

export interface EventTemplates {
  /** An exec line and the exit of the same process, with newlines; no exit for what was found running. */
  readonly pairs: readonly { readonly exec: Template; readonly exit: Template | undefined }[]
}

/** The line as it is in a round; its bytes hold until the next one is asked for. */
export type Template = (round: Round) => Buffer

/** What stays the same, or what is written there in a round: ASCII. */
type Slot = string | ((round: Round) => string)

/** @param text exec lines of one agent, no longer than `maxLine` each; longer ones are left out. */
export function createEventTemplates(text: string, maxLine: number): EventTemplates {
  const ids = new ExecIds()
  const lines = text.split('\n').filter(line => line !== '' && line.length <= maxLine)
  const span = spanOf(lines)
  const pairs = lines.map(recorded => {
    const line = withReferences(recorded)
    const exit = line.includes('"procFS') ? undefined : templateOf(`${exitOf(line)}\n`, ids, span)
    return { exec: templateOf(`${line}\n`, ids, span), exit }
  })
  return { pairs }
}

/**
 * The lines were recorded without a kernel, so that nothing was counted; an agent at work says of a process how many
 * hold it: 1 at its start, none at its end, and of a parent each time another number.
 */
function withReferences(line: string): string {
  let isParent = false
  return line.replaceAll(',"tid":', tid => {
    const references = isParent ? 2 : 1
    isParent = true
    return `,"refcnt":${references}${tid}`
  })
}

/** The exit of a process repeats its exec; the agent adds the time, and a status that is not 0. */
function exitOf(line: string): string {
  const time = /"time":"([^"]+)"/.exec(line)?.[1] ?? ''
  const status = line.length % 8 === 0 ? ',"status":1' : ''
  return line
    .replace(',"refcnt":1', '')
    .replace('{"process_exec":', '{"process_exit":')
    .replace('},"node_name":', `${status},"time":"${time}"},"node_name":`)
}

function templateOf(line: string, ids: ExecIds, span: number): Template {
  const slots: Slot[] = []
  let end = 0
  for (const match of line.matchAll(VARYING)) {
    slots.push(line.slice(end, match.index), ...slotsOf(match.groups ?? {}, ids, span))
    end = match.index + match[0].length
  }
  slots.push(line.slice(end))
  return createLine(slots)
}

/** Most of a line is as it was in the round before, and what is new is usually as long as what stood there. */
function createLine(slots: readonly Slot[]): Template {
  let line: Buffer | undefined
  const parts = slots.map(slot => ({ write: slot, written: typeof slot === 'string' ? slot : '', at: 0 }))
  const varying = parts.filter(({ write }) => typeof write !== 'string')
  return round => {
    for (const part of varying) {
      const written = typeof part.write === 'string' ? part.write : part.write(round)
      if (written.length !== part.written.length) line = undefined
      else if (written !== part.written) line?.write(written, part.at, 'latin1')
      part.written = written
    }
    line ??= joined(parts)
    return line
  }
}

/** Notes where each part stands. */
function joined(parts: readonly { readonly written: string; at: number }[]): Buffer {
  let length = 0
  for (const part of parts) {
    part.at = length
    length += Buffer.byteLength(part.written)
  }
  return Buffer.from(parts.map(({ written }) => written).join(''))
}

function slotsOf(groups: Readonly<Record<string, string | undefined>>, ids: ExecIds, span: number): readonly Slot[] {
  const { id, pid, time, start, container, pod, uid, workload, args, references } = groups
  if (id !== undefined) return [round => ids.of(id, round)]
  if (pid !== undefined) return [({ copy }) => String(Number(pid) < 100 ? pid : (Number(pid) + copy) % MAX_PID)]
  const stamp = time ?? start
  if (stamp !== undefined) return [timeSlot(stamp, span)]
  if (container !== undefined) return [round => hexOf(round) + container.slice(6)]
  if (references !== undefined) return [() => ids.nextReferences()]
  if (uid !== undefined) return [uid.slice(0, -6), hexOf]
  if (pod !== undefined) return [pod.slice(0, -5), round => variantOf(round).toString(36).padStart(5, 'z')]
  if (workload !== undefined) return [workload, workloadSuffix]
  return args === undefined ? [] : argumentSlots(args)
}

function variantOf({ copy, variants }: Round): number {
  return copy % variants
}

function hexOf(round: Round): string {
  return variantOf(round).toString(16).padStart(6, '0')
}

function workloadSuffix(round: Round): string {
  const number = Math.floor(variantOf(round) / PODS_OF_A_WORKLOAD)
  return number === 0 ? '' : `-${number}`
}

function timeSlot(stamp: string, span: number): Slot {
  const base = Date.parse(`${stamp.slice(0, SECOND_LENGTH)}Z`)
  const fraction = stamp.slice(SECOND_LENGTH)
  return ({ copy }) => secondOf(base + copy * span) + fraction
}

const SECONDS = new Map<number, string>()
const MAX_SECONDS = 10_000

function secondOf(time: number): string {
  const known = SECONDS.get(time)
  if (known !== undefined) return known
  if (SECONDS.size >= MAX_SECONDS) SECONDS.clear()
  const second = new Date(time).toISOString().slice(0, SECOND_LENGTH)
  SECONDS.set(time, second)
  return second
}

/** Ports, counts and dates on a command line differ between its runs. */
function argumentSlots(args: string): readonly Slot[] {
  const slots: Slot[] = []
  let end = 0
  for (const match of args.matchAll(LONG_NUMBER)) {
    const [digits] = match
    slots.push(args.slice(end, match.index), ({ copy }) => shifted(digits, copy))
    end = match.index + digits.length
  }
  slots.push(args.slice(end))
  return slots
}

function shifted(digits: string, copy: number): string {
  return String((Number(digits.slice(-3)) + copy) % 1000).padStart(3, '0') + digits.slice(3)
}

/** From the first to the last event that was no inventory, in whole seconds and in milliseconds. */
function spanOf(lines: readonly string[]): number {
  const times = lines
    .filter(line => !line.includes('"procFS'))
    .map(line => Date.parse(/"node_name":"[^"]*","time":"([^"]+)"/.exec(line)?.[1] ?? ''))
    .filter(time => !Number.isNaN(time))
  const [first = 0, last = 0] = [Math.min(...times), Math.max(...times)]
  return Math.ceil((last - first) / 1000) * 1000
}

/** An exec id is base64 of `node:nanoseconds:pid`; a process is named by its own, its children's and its exit's lines. */
class ExecIds {
  readonly #parts = new Map<string, readonly [string, bigint, string]>()
  #copy = -1
  readonly #written = new Map<string, string>()
  #references = 0

  /** How many hold a parent, when it is named again. */
  nextReferences(): string {
    this.#references = (this.#references + 1) % 17
    return String(2 + this.#references)
  }

  of(id: string, { copy }: Round): string {
    if (copy !== this.#copy) {
      this.#copy = copy
      this.#written.clear()
    }
    const known = this.#written.get(id)
    if (known !== undefined) return known
    const [node, nanoseconds, pid] = this.#partsOf(id)
    const written = Buffer.from(`${node}:${nanoseconds + BigInt(copy) * 1_000_003n}:${pid}`).toString('base64')
    this.#written.set(id, written)
    return written
  }

  #partsOf(id: string): readonly [string, bigint, string] {
    const known = this.#parts.get(id)
    if (known !== undefined) return known
    const [node = '', nanoseconds = '0', pid = ''] = Buffer.from(id, 'base64').toString('utf8').split(':')
    const parts = [node, BigInt(nanoseconds), pid] as const
    this.#parts.set(id, parts)
    return parts
  }
}
