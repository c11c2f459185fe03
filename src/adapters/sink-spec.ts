/** `--sink`: what an operator writes there, read and checked. docs/sinks.md lists each option. */

import type { DeliveryFilter } from '../correlator/delivery.js'
import { findingSchema } from '../correlator/finding-schema.js'
import { KnownError } from '../errors.js'
import { escapeForeign } from '../policy/index.js'

const FORMS = 'stdout, file:PATH, hec:URL, webhook:URL, kubernetes-events or policy-report'
const NAME = /^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/
const KINDS = findingSchema.shape.kind.options
const SEVERITIES = findingSchema.shape.severity.options

/** What all sinks have in common. */
export interface CommonSink {
  /** Names the queue, the metrics and the messages: unique among the sinks of a run. */
  readonly name: string
  readonly filter: DeliveryFilter
  /** Make everything and send nothing. */
  readonly isDryRun: boolean
}

export interface HttpSink extends CommonSink {
  readonly url: URL
  /** Read at each message, so that a renewed token is used. */
  readonly tokenFile: string | undefined
  readonly caFile: string | undefined
  /** Milliseconds for one message, its answer included. */
  readonly timeoutMs: number
}

export interface StdoutSink extends CommonSink {
  readonly type: 'stdout'
}

export interface FileSink extends CommonSink {
  readonly type: 'file'
  readonly path: string
}

export interface HecSink extends HttpSink {
  readonly type: 'hec'
  readonly index: string | undefined
  readonly source: string
  readonly sourcetype: string
  readonly isAcknowledged: boolean
}

export interface WebhookSink extends HttpSink {
  readonly type: 'webhook'
  readonly format: 'falco' | 'finding'
}

export interface EventsSink extends CommonSink {
  readonly type: 'kubernetes-events'
  /** Writes a minute. */
  readonly rate: number
}

export interface ReportSink extends CommonSink {
  readonly type: 'policy-report'
  /** In one report. */
  readonly maxResults: number
  /** Tells correlators apart that see pods of the same workload: the node's name. Empty: there is one correlator. */
  readonly reporter: string
}

export type SinkSpec = StdoutSink | FileSink | HecSink | WebhookSink | EventsSink | ReportSink

/** @throws KnownError USAGE that names the sink, its option, and what may stand there. */
export function compileSinks(texts: readonly string[]): readonly SinkSpec[] {
  const specs = texts.map(compileSink)
  const names = new Set<string>()
  for (const spec of specs) {
    if (names.has(spec.name)) {
      throw new KnownError('USAGE', `--sink: two sinks are called ${spec.name}: give one of them another name=`)
    }
    names.add(spec.name)
  }
  return specs
}

function compileSink(text: string): SinkSpec {
  const [type = ''] = /^[a-z-]*/.exec(text) ?? []
  const rest = text.slice(type.length)
  switch (type) {
    case 'stdout': {
      const options = readOptions(type, rest)
      return { type, ...common(type, options), ...options.end() }
    }
    case 'file':
      return compileFile(rest)
    case 'hec':
      return compileHec(rest)
    case 'webhook':
      return compileWebhook(rest)
    case 'kubernetes-events': {
      const options = readOptions(type, rest)
      return { type, ...common(type, options), rate: options.number('rate', 60, 1, 6_000), ...options.end() }
    }
    case 'policy-report': {
      const options = readOptions(type, rest)
      const maxResults = options.number('max-results', 100, 1, 1_000)
      const reporter = options.text('reporter') ?? ''
      return { type, ...common(type, options), maxResults, reporter, ...options.end() }
    }
    default:
      throw new KnownError('USAGE', `--sink takes ${FORMS}, and not ${JSON.stringify(escapeForeign(text, 80))}`)
  }
}

/** The path is taken as it stands, whatever it holds: only its last question mark begins options. */
function compileFile(rest: string): FileSink {
  const text = rest.startsWith(':') ? rest.slice(1) : ''
  const [path, options] = text.includes('?') ? splitAt(text, text.lastIndexOf('?')) : [text, '']
  if (path === '') throw new KnownError('USAGE', '--sink file takes a path, as in file:/var/log/findings.jsonl')
  const read = readOptions('file', options, '; a path that holds a question mark ends with another one')
  return { type: 'file', ...common('file', read), path, ...read.end() }
}

function splitAt(text: string, index: number): readonly [string, string] {
  return [text.slice(0, index), text.slice(index)]
}

function compileHec(rest: string): HecSink {
  const options = readUrl('hec', rest)
  return {
    type: 'hec',
    ...common('hec', options),
    ...http(options),
    index: options.text('index'),
    source: options.text('source') ?? 'sallyport',
    sourcetype: options.text('sourcetype') ?? 'sallyport:finding',
    isAcknowledged: options.flag('ack'),
    ...options.end(),
  }
}

function compileWebhook(rest: string): WebhookSink {
  const options = readUrl('webhook', rest)
  const format = options.choice('format', ['falco', 'finding'] as const) ?? 'falco'
  return { type: 'webhook', ...common('webhook', options), ...http(options), format, ...options.end() }
}

function common(type: string, options: Options): CommonSink {
  const name = options.text('name') ?? type
  if (!NAME.test(name)) throw options.wrong('name', 'takes up to 40 lower-case letters, digits and hyphens')
  const kinds = options.text('kinds')?.split(',')
  const wanted = KINDS.filter(kind => kinds?.includes(kind) === true)
  if (kinds !== undefined && wanted.length !== new Set(kinds).size) {
    throw options.wrong('kinds', `takes ${KINDS.join(', ')}, parted by commas`)
  }
  const minSeverity = options.choice('min-severity', SEVERITIES) ?? 'info'
  const filter = { minSeverity, kinds: kinds === undefined ? undefined : new Set(wanted) }
  return { name, filter, isDryRun: options.flag('dry-run') }
}

function http(options: UrlOptions): Omit<HttpSink, keyof CommonSink> {
  const { url } = options
  if (url.username !== '' || url.password !== '') {
    throw options.wrong('URL', 'holds a password, which every user of this machine could read: use token-file=')
  }
  const isPlain = options.flag('plain-http')
  if (url.protocol === 'http:' && !isPlain) {
    throw options.wrong('URL', 'is plain HTTP, which anybody on the way can read: add plain-http=true if that may be')
  }
  return {
    url,
    tokenFile: options.text('token-file'),
    caFile: options.text('ca-file'),
    timeoutMs: options.number('timeout', 30, 1, 600) * 1_000,
  }
}

interface Options {
  text(key: string): string | undefined
  flag(key: string): boolean
  number(key: string, fallback: number, min: number, max: number): number
  choice<Choice extends string>(key: string, choices: readonly Choice[]): Choice | undefined
  wrong(key: string, problem: string): KnownError
  /** After all others: what nobody asked for is a mistake. */
  end(): object
}

interface UrlOptions extends Options {
  /** Without the options. */
  readonly url: URL
}

function readUrl(type: string, rest: string): UrlOptions {
  const text = rest.startsWith(':') ? rest.slice(1) : ''
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.hash !== '') {
    throw new KnownError('USAGE', `--sink ${type} takes a URL such as ${type}:https://HOST:PORT`)
  }
  const options = readOptions(type, url.search)
  url.search = ''
  return { ...options, url }
}

/** @param hint what else may be meant by an option that is none. */
function readOptions(type: string, rest: string, hint = ''): Options {
  if (rest !== '' && !rest.startsWith('?')) {
    throw new KnownError('USAGE', `--sink ${type}: options stand behind a question mark`)
  }
  const values = new URLSearchParams(rest)
  const asked = new Set<string>()
  const wrong = (key: string, problem: string) => new KnownError('USAGE', `--sink ${type}: ${key} ${problem}`)
  const text = (key: string): string | undefined => {
    asked.add(key)
    const [value, ...more] = values.getAll(key)
    if (more.length > 0) throw wrong(key, 'is given twice')
    if (value === '') throw wrong(key, 'is empty')
    return value
  }
  const choice = <Choice extends string>(key: string, choices: readonly Choice[]): Choice | undefined => {
    const value = text(key)
    if (value === undefined) return undefined
    const found = choices.find(each => each === value)
    if (found === undefined) throw wrong(key, `takes ${choices.join(', ')}`)
    return found
  }
  return {
    text,
    choice,
    wrong,
    flag: key => choice(key, ['true', 'false'] as const) === 'true',
    number(key, fallback, min, max) {
      const value = text(key)
      if (value === undefined) return fallback
      const number = /^\d{1,6}$/.test(value) ? Number(value) : Number.NaN
      if (!(number >= min && number <= max)) throw wrong(key, `takes a number from ${min} to ${max}`)
      return number
    },
    end() {
      const strange = [...values.keys()].find(key => !asked.has(key))
      if (strange === undefined) return {}
      throw wrong(escapeForeign(strange, 40), `is no option; there are ${[...asked].sort().join(', ')}${hint}`)
    },
  }
}
