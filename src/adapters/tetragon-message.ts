/**
 * A message of Tetragon's gRPC stream as a line of its export file, so that one decoder reads both. Keys in the order
 * of the export; what is unset is left out there and here.
 */

/** As the loader gives it: proto names, 64-bit integers as strings, nothing for what is unset. */
export interface EventMessage {
  readonly process_exec?: { readonly process?: ProcessMessage; readonly parent?: ProcessMessage }
  readonly process_exit?: object
  readonly rate_limit_info?: { readonly number_of_dropped_process_events?: string }
  readonly node_name?: string
  readonly time?: Timestamp
  readonly cluster_name?: string
}

interface ProcessMessage {
  readonly pid?: Wrapped<number>
  readonly uid?: Wrapped<number>
  readonly start_time?: Timestamp
  readonly pod?: { readonly container?: { readonly start_time?: Timestamp } }
  readonly binary_properties?: { readonly file?: { readonly inode?: { readonly links?: Wrapped<number> } } }
  readonly in_init_tree?: Wrapped<boolean>
}

/** A wrapper that is there without a value holds the type's zero. */
interface Wrapped<T> {
  readonly value?: T
}

interface Timestamp {
  readonly seconds?: string
  readonly nanos?: number
}

/** One line of JSON, with its newline. */
export function exportLine(message: EventMessage): string {
  const { process_exec: exec, process_exit, rate_limit_info, node_name, time, cluster_name } = message
  const event = exec && {
    process: exec.process && processOf(exec.process),
    parent: exec.parent && processOf(exec.parent),
  }
  const root = { process_exec: event, process_exit, rate_limit_info, node_name, time: timeOf(time), cluster_name }
  return `${JSON.stringify(root)}\n`
}

function processOf(process: ProcessMessage): object {
  const { pod, binary_properties: properties } = process
  const container = pod?.container
  const links = properties?.file?.inode?.links
  // Spread first: a key keeps its place, and only its value changes.
  return {
    ...process,
    ...(process.pid && { pid: process.pid.value ?? 0 }),
    ...(process.uid && { uid: process.uid.value ?? 0 }),
    ...(process.start_time && { start_time: timeOf(process.start_time) }),
    ...(container && { pod: { ...pod, container: { ...container, start_time: timeOf(container.start_time) } } }),
    ...(properties && { binary_properties: links && { file: { inode: { links: links.value ?? 0 } } } }),
    ...(process.in_init_tree && { in_init_tree: process.in_init_tree.value ?? false }),
  }
}

/** RFC 3339 with nanoseconds, as the export writes it. Undefined for none, and for one that no date can show. */
function timeOf(time: Timestamp | undefined): string | undefined {
  if (time === undefined) return undefined
  const date = new Date(Number(time.seconds ?? 0) * 1000)
  if (Number.isNaN(date.getTime())) return undefined
  return `${date.toISOString().slice(0, -'.000Z'.length)}.${String(time.nanos ?? 0).padStart(9, '0')}Z`
}
