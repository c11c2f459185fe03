/**
 * The rows of the two Splunk detections that Sallyport grew from, computed as their searches would: to compare with,
 * before a site switches. Their shortcomings are kept on purpose (docs/splunk.md names them).
 *
 * `search` ignores case, and `*` in a value crosses `/`; `stats … by` drops a row in which any by-field is missing.
 */

import type { CompiledPolicy } from '../policy/index.js'
import type { ExecEvent } from './exec-event.js'
import { basename, commandLineOf } from './finding-text.js'

type FieldValue = string | number

export type SplunkDetection = 'non_allowlisted_image_use' | 'pods_running_offensive_tools'

/** One row of a result table; the by-fields stand between `detection` and `count`. */
export interface SplunkRow {
  readonly detection: SplunkDetection
  readonly count: number
  /** `%Y-%m-%dT%H:%M:%S`, UTC. */
  readonly firstTime: string
  readonly lastTime: string
  /** Distinct, sorted; only in the second table. */
  readonly process?: readonly string[]
  readonly [byField: string]: FieldValue | readonly string[] | undefined
}

export interface SplunkRows {
  /** Says in which tables the event has a row. */
  add(event: ExecEvent): readonly SplunkDetection[]
  /** The first table, then the second, each in the order of its by-fields. */
  rows(): readonly SplunkRow[]
}

/** `stats … by` of the first search. */
const IMAGE_FIELDS = ['pod_image_name', 'pod_namespace', 'pod_name', 'process_name', 'cluster_name'] as const
/** … and of the second. */
const TOOL_FIELDS = [
  'cluster_name',
  'container_id',
  'pod_name',
  'pod_namespace',
  'pod_image_name',
  'parent_process_name',
  'process_name',
  'process_exec',
  'process_id',
  'node_name',
] as const

/**
 * @param policy its allow entries are the macro `cisco_isovalent_allowed_images`, read as Splunk would read them.
 * @param toolNames the names of the macro `linux_offsec_tool_processes`.
 */
export function createSplunkRows(policy: CompiledPolicy, toolNames: readonly string[]): SplunkRows {
  const tools = new Set(toolNames.map(name => name.toLowerCase()))
  const isAllowed = createAllowlist(policy)
  const images = new ResultTable('non_allowlisted_image_use', IMAGE_FIELDS)
  const processes = new ResultTable('pods_running_offensive_tools', TOOL_FIELDS)
  return {
    add(event) {
      const fields = splunkFields(event)
      const { pod } = event
      const image = fields['pod_image_name']
      const isImage = pod !== undefined && typeof image === 'string' && !isAllowed(pod.namespace, image)
      const isTool = tools.has(basename(event.binary).toLowerCase())
      const tables = [...(isImage ? [images] : []), ...(isTool ? [processes] : [])]
      return tables.filter(table => table.add(fields, event)).map(({ detection }) => detection)
    },
    rows: () => [...images.rows(), ...processes.rows()],
  }
}

type SplunkFields = Readonly<Record<string, FieldValue | undefined>>

function splunkFields(event: ExecEvent): SplunkFields {
  const { pod, parent } = event
  return {
    cluster_name: event.clusterName,
    container_id: event.docker ?? pod?.container?.id,
    node_name: event.nodeName,
    parent_process_name: parent?.binary === undefined ? undefined : basename(parent.binary),
    pod_image_name: pod?.container?.imageName,
    pod_name: pod?.name,
    pod_namespace: pod?.namespace,
    process_exec: event.binary === '' ? undefined : event.binary,
    process_id: event.pid,
    process_name: event.binary === '' ? undefined : basename(event.binary),
  }
}

interface Group {
  readonly fields: Readonly<Record<string, FieldValue>>
  count: number
  /** Milliseconds since the epoch. */
  first: number
  last: number
  readonly processes: Set<string>
}

/** `stats count min(_time) max(_time) values(process) by …`. Holds one group a row: as many as Splunk would show. */
class ResultTable {
  readonly #groups = new Map<string, Group>()
  readonly detection: SplunkDetection
  readonly #byFields: readonly string[]

  constructor(detection: SplunkDetection, byFields: readonly string[]) {
    this.detection = detection
    this.#byFields = byFields
  }

  /** False: a by-field is missing, and the row is dropped. */
  add(fields: SplunkFields, event: ExecEvent): boolean {
    const values: Record<string, FieldValue> = {}
    for (const field of this.#byFields) {
      const value = fields[field]
      if (value === undefined || value === '') return false
      values[field] = value
    }
    const key = JSON.stringify(Object.values(values))
    const group = this.#groups.get(key) ?? newGroup(values, event.time)
    this.#groups.set(key, group)
    group.count += 1
    group.first = Math.min(group.first, event.time)
    group.last = Math.max(group.last, event.time)
    if (this.detection === 'pods_running_offensive_tools') group.processes.add(commandLineOf(event))
    return true
  }

  rows(): readonly SplunkRow[] {
    return [...this.#groups.values()]
      .toSorted((one, other) => this.#compareFields(one, other))
      .map(group => this.#row(group))
  }

  #compareFields({ fields: one }: Group, { fields: other }: Group): number {
    for (const field of this.#byFields) {
      const order = compare(String(one[field]), String(other[field]))
      if (order !== 0) return order
    }
    return 0
  }

  #row({ fields, count, first, last, processes }: Group): SplunkRow {
    const row = { detection: this.detection, ...fields, count, firstTime: ctime(first), lastTime: ctime(last) }
    return processes.size === 0 ? row : { ...row, process: [...processes].toSorted(compare) }
  }
}

function newGroup(fields: Readonly<Record<string, FieldValue>>, time: number): Group {
  return { fields, count: 0, first: time, last: time, processes: new Set() }
}

/** The policy's allow entries as a Splunk search would apply them; what namespaces have in common is prepared once. */
function createAllowlist(policy: CompiledPolicy): (namespace: string, image: string) => boolean {
  const byNamespace = new Map<string, Allowlist>()
  const byContent = new Map<string, Allowlist>()
  const allowlistOf = (namespace: string): Allowlist => {
    const known = byNamespace.get(namespace)
    if (known !== undefined) return known
    const patterns = policy.allowedIn({ name: namespace, labels: undefined })
    const content = patterns.join('\n')
    const prepared = byContent.get(content) ?? prepare(patterns)
    byContent.set(content, prepared)
    byNamespace.set(namespace, prepared)
    return prepared
  }
  return (namespace, image) => {
    const { exact, wildcards } = allowlistOf(namespace)
    const text = image.toLowerCase()
    return exact.has(text) || wildcards.some(pieces => matchesPieces(pieces, text))
  }
}

interface Allowlist {
  readonly exact: ReadonlySet<string>
  /** The texts between the stars. */
  readonly wildcards: readonly (readonly string[])[]
}

function prepare(patterns: readonly string[]): Allowlist {
  const values = patterns.flatMap(pattern => searchValues(pattern.toLowerCase()))
  return {
    exact: new Set(values.filter(value => !value.includes('*'))),
    wildcards: values.filter(value => value.includes('*')).map(value => value.split('*')),
  }
}

/** An entry without a tag accepts any tag or digest; Splunk would need wildcards to say so. */
function searchValues(pattern: string): readonly string[] {
  const name = pattern.slice(pattern.lastIndexOf('/') + 1)
  const hasVersion = name.includes(':') || name.includes('@')
  return hasVersion || name.endsWith('*') ? [pattern] : [pattern, `${pattern}:*`, `${pattern}@*`]
}

/** Wildcard match in linear time: the first and last piece are anchored, the others are found in turn. */
function matchesPieces(pieces: readonly string[], text: string): boolean {
  const first = pieces.at(0) ?? ''
  const last = pieces.at(-1) ?? ''
  if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false
  let from = first.length
  const end = text.length - last.length
  for (const piece of pieces.slice(1, -1)) {
    const found = text.indexOf(piece, from)
    if (found === -1 || found + piece.length > end) return false
    from = found + piece.length
  }
  return true
}

/** By code points, as Splunk sorts text, and numbers like text: code units would put U+FF21 behind U+1F600. */
function compare(one: string, other: string): number {
  if (one === other) return 0
  const length = Math.min(one.length, other.length)
  let at = 0
  while (at < length && one[at] === other[at]) at += 1
  if (at === length) return one.length - other.length
  // Where the first halves of two pairs are the same, the second halves say as much as the whole.
  return (one.codePointAt(at) ?? 0) - (other.codePointAt(at) ?? 0)
}

/** `security_content_ctime`: whole seconds, cut and not rounded. */
function ctime(time: number): string {
  return new Date(time).toISOString().slice(0, 19)
}
