/**
 * The shapes in which agents write the larger parts of an event, as regular expressions: a subset of
 * JSON in which each key can stand only once and in one place, so that whatever matches means to a JSON parser what it
 * means here. The fields of agents that are told to report credentials or file properties are not among them.
 *
 * All but the last are sticky, and are tried on a text of which each byte is one character.
 * Keys come in the order of the agent's schema, white space only after a comma, as some builds of the agent write it.
 * Two classes of characters never follow each other unless they are disjoint: matching and failing take linear time.
 */

const PLAIN = '[^"\\\\\\x00-\\x1f\\x80-\\xff]*'
/** The same with what is not ASCII: it never ends a string, whether it is UTF-8 or not. */
const UNESCAPED = '[^"\\\\\\x00-\\x1f]*'
/** The inside of a string, with escapes. */
const TEXT = `${UNESCAPED}(?:\\\\(?:["\\\\/bfnrt]|u[\\da-fA-F]{4})${UNESCAPED})*`
/** At most 15 digits: exact as a number. */
const NUMBER = '(?:0|[1-9]\\d{0,14})'
const COMMA = ', ?'
/** Capabilities by set, and namespaces by kind: they are checked and not read. */
const CAP = objectOf(`"${PLAIN}":${listOf(`"${PLAIN}"`)}`)
const NS = objectOf(`"${PLAIN}":\\{"inum":${NUMBER}(?:${COMMA}"is_host":true)?\\}`)
const MAP = objectOf(`"${TEXT}":"${TEXT}"`)

/** A pod with its container, and `docker`. Captures all before the container's pid, which may be missing, and all behind it. */
export const POD = sticky(
  `(${COMMA}"pod":\\{"namespace":"${PLAIN}"${COMMA}"name":"${PLAIN}"${field('uid', `"${PLAIN}"`)}`,
  `${COMMA}"container":\\{"id":"${PLAIN}"${containerRest()})${field('pid', NUMBER)}`,
  `(${podEnd()}${field('docker', `"${PLAIN}"`)})`,
)

/** What agents write that are told to report credentials and namespaces; perhaps nothing. */
export const CAP_AND_NS = sticky(field('cap', CAP), field('ns', NS))

/** From the end of the event to the line's. Captures all before the time, node_name, time, all behind it, cluster_name. */
export const END = new RegExp(
  `(\\}${field('node_name', `"(${PLAIN})"`)}${COMMA}"time":")(${PLAIN})("${field('cluster_name', `"(${PLAIN})"`)}` +
    `${field('node_labels', MAP)}\\}\\r?)$`,
)

/** @param expression a sticky one. */
export function matchAt(expression: RegExp, text: string): RegExpExecArray | null {
  expression.lastIndex = 0
  return expression.exec(text)
}

function sticky(...parts: readonly string[]): RegExp {
  return new RegExp(parts.join(''), 'y')
}

/** A field that may be missing; never the first of its object, which has no comma. */
function field(key: string, value: string): string {
  return `(?:${COMMA}"${key}":${value})?`
}

function listOf(item: string): string {
  return `\\[(?:${item}(?:${COMMA}${item})*)?\\]`
}

function objectOf(member: string): string {
  return `\\{(?:${member}(?:${COMMA}${member})*)?\\}`
}

function containerRest(): string {
  const image = `\\{"id":"${PLAIN}"${field('name', `"${PLAIN}"`)}\\}`
  return `${field('name', `"${PLAIN}"`)}${field('image', image)}${field('start_time', `"${PLAIN}"`)}`
}

/** From behind the container's pid to the pod's end. */
function podEnd(): string {
  const container = `${field('maybe_exec_probe', 'true')}${field('security_context', '\\{(?:"privileged":true)?\\}')}\\}`
  const workload = `${field('workload', `"${PLAIN}"`)}${field('workload_kind', `"${PLAIN}"`)}`
  return `${container}${field('pod_labels', MAP)}${workload}${field('pod_annotations', MAP)}\\}`
}
