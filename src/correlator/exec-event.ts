/**
 * One line of Tetragon's export, read by hand at the edge: nothing behind this file trusts a shape.
 *
 * The format is protojson with proto names. Unset scalars, empty strings and empty lists are left out, so that a
 * missing field is the normal case and never an error by itself.
 */

type JsonObject = Readonly<Record<string, unknown>>

export interface EventContainer {
  /** `containerd://<64 hex>`. */
  readonly id: string | undefined
  readonly name: string | undefined
  /** `repository@sha256:<index digest>`, or a bare `sha256:<config digest>` for an imported image. */
  readonly imageId: string | undefined
  /**
   * `containerStatuses[].image`: the runtime's first local name of the same content, and *not* the admitted reference.
   * It may show another tag or repository, or be a bare `sha256:…`.
   */
  readonly imageName: string | undefined
  /** RFC 3339; whole seconds with some runtimes. */
  readonly startTime: string | undefined
  /** The agent's guess that a kubelet probe started the process. */
  readonly isExecProbe: boolean
}

export interface EventPod {
  readonly namespace: string
  readonly name: string
  /** Newer agents only. */
  readonly uid: string | undefined
  readonly workload: string | undefined
  readonly workloadKind: string | undefined
  readonly container: EventContainer | undefined
}

/** The parent process; missing at agent start and beyond the agent's cache limits. */
export interface EventParent {
  readonly binary: string | undefined
  readonly arguments: string | undefined
  readonly pid: number | undefined
}

/** A process that started, or that was found running (`procFS`). */
export interface ExecEvent {
  /** Milliseconds since the epoch: of `time`, or of the process's start when an older agent leaves `time` out. */
  readonly time: number
  readonly nodeName: string | undefined
  readonly clusterName: string | undefined
  readonly pid: number | undefined
  /** As given to execve, never resolved; empty when the agent could not read it. */
  readonly binary: string
  /** argv[1..] joined by blanks, quoted without escaping: argv cannot be recovered from it. */
  readonly arguments: string | undefined
  readonly flags: readonly string[]
  /** The first 31 characters of the container id (all of them in some modes). */
  readonly docker: string | undefined
  /** Undefined for a process of the host, or when the agent could not name the pod in time (then `docker` is set). */
  readonly pod: EventPod | undefined
  readonly parent: EventParent | undefined
  /** Descends from the container's first process; false after `kubectl exec`. Newer agents only. */
  readonly isInInitTree: boolean | undefined
  /** Names that the binary's file has; 0: deleted, or never named. Only when the agent reads credentials. */
  readonly hardLinks: number | undefined
}

export type DecodedEvent =
  | { readonly type: 'exec'; readonly event: ExecEvent }
  /** A type that is no concern of ours: `process_exit`, `process_kprobe`, `test`, … */
  | { readonly type: 'other'; readonly name: string }
  /** The agent dropped this many events on purpose. */
  | { readonly type: 'rate-limit'; readonly dropped: number }
  /** `problem` is half a sentence that quotes nothing from the line. */
  | { readonly type: 'malformed'; readonly problem: string }

const BYTE_ORDER_MARK = '\u{feff}'
const TYPE_NAME = /^process_[a-z0-9_]{1,40}$/
/** How every event begins; inside a JSON string its quote would be escaped, so that it cannot stand in a value. */
const EVENT_START = '{"process_'

/**
 * Read one line. Never throws.
 *
 * @param line the bytes between two newlines, or their text.
 */
export function decodeEvent(line: Buffer | string): DecodedEvent {
  const text = typeof line === 'string' ? line : line.toString('utf8')
  const root = parseObject(text)
  if (typeof root === 'string') return malformed(root)
  const exec = root['process_exec']
  if (exec !== undefined) return isObject(exec) ? decodeExec(root, exec) : malformed('process_exec is not an object')
  const limit = root['rate_limit_info']
  if (isObject(limit)) return { type: 'rate-limit', dropped: countOf(limit['number_of_dropped_process_events']) }
  const name = Object.keys(root).find(key => TYPE_NAME.test(key) || key === 'test')
  return name === undefined ? malformed('it is JSON, but no event of Tetragon') : { type: 'other', name }
}

/**
 * After a full disk an agent may glue a new line to a torn one: the text of the last event that begins inside a line,
 * or undefined.
 */
export function findGluedEvent(line: Buffer): Buffer | undefined {
  const start = line.lastIndexOf(EVENT_START)
  return start > 0 ? line.subarray(start) : undefined
}

function decodeExec(root: JsonObject, exec: JsonObject): DecodedEvent {
  const process = exec['process']
  if (!isObject(process)) return malformed('process_exec has no process')
  const time = timeOf(root['time']) ?? timeOf(process['start_time'])
  if (time === undefined) return malformed('it has neither a time nor a start_time')
  return {
    type: 'exec',
    event: {
      time,
      nodeName: textOf(root['node_name']),
      clusterName: textOf(root['cluster_name']),
      pid: numberOf(process['pid']),
      binary: textOf(process['binary']) ?? '',
      arguments: textOf(process['arguments']),
      flags: textOf(process['flags'])?.split(' ') ?? [],
      docker: textOf(process['docker']),
      pod: decodePod(process['pod']),
      parent: parentOf(exec['parent']),
      isInInitTree: booleanOf(process['in_init_tree']),
      hardLinks: hardLinksOf(process['binary_properties']),
    },
  }
}

/** The pod of a process; undefined without namespace or name. @param value parsed JSON, of any shape. */
export function decodePod(value: unknown): EventPod | undefined {
  if (!isObject(value)) return undefined
  const namespace = textOf(value['namespace'])
  const name = textOf(value['name'])
  if (namespace === undefined || name === undefined) return undefined
  return {
    namespace,
    name,
    uid: textOf(value['uid']),
    workload: textOf(value['workload']),
    workloadKind: textOf(value['workload_kind']),
    container: containerOf(value['container']),
  }
}

function containerOf(value: unknown): EventContainer | undefined {
  if (!isObject(value)) return undefined
  const image = isObject(value['image']) ? value['image'] : {}
  return {
    id: textOf(value['id']),
    name: textOf(value['name']),
    imageId: textOf(image['id']),
    imageName: textOf(image['name']),
    startTime: textOf(value['start_time']),
    isExecProbe: value['maybe_exec_probe'] === true,
  }
}

function parentOf(value: unknown): EventParent | undefined {
  if (!isObject(value)) return undefined
  return {
    binary: textOf(value['binary']),
    arguments: textOf(value['arguments']),
    pid: numberOf(value['pid']),
  }
}

/** @param properties `binary_properties` of a process, parsed, of any shape. */
function hardLinksOf(properties: unknown): number | undefined {
  const file = isObject(properties) ? properties['file'] : undefined
  const inode = isObject(file) ? file['inode'] : undefined
  return isObject(inode) ? numberOf(inode['links']) : undefined
}

function parseObject(text: string): JsonObject | string {
  try {
    const value: unknown = JSON.parse(text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text)
    return isObject(value) ? value : 'it is JSON, but no object'
  } catch {
    return 'it is not JSON'
  }
}

function malformed(problem: string): DecodedEvent {
  return { type: 'malformed', problem }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** An empty string says nothing more than a missing field does. */
function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function booleanOf(value: unknown): boolean | undefined {
  return typeof value === 'boolean' ? value : undefined
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}

/** A 64-bit count: protojson writes it as a string. */
function countOf(value: unknown): number {
  const count = Number(typeof value === 'string' || typeof value === 'number' ? value : Number.NaN)
  return Number.isSafeInteger(count) && count > 0 ? count : 0
}

function timeOf(value: unknown): number | undefined {
  const time = typeof value === 'string' ? Date.parse(value) : Number.NaN
  return Number.isNaN(time) ? undefined : time
}
