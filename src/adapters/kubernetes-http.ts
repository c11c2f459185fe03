/** One request to the Kubernetes API: credentials, bounds, and what an answer other than success means. */

import { type IncomingMessage, type RequestOptions, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { KubeConfig } from '@kubernetes/client-node'
import { escapeForeign } from '../policy/index.js'

/** A page of a list, or one object of a watch; etcd holds objects of 1.5 MB at most. */
const MAX_JSON_BYTES = 64 * 1024 * 1024
/** What the API server reads of a request. */
const MAX_REQUEST_BYTES = 3 * 1024 * 1024
const MAX_ERROR_BYTES = 4_096
const NEWLINE = 0x0a

export type WriteMethod = 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export interface ApiRequest {
  readonly url: URL
  readonly method: 'GET' | WriteMethod
  readonly body?: object | undefined
  readonly contentType?: string | undefined
  /** Milliseconds: for getting credentials, for connecting, and between two reads of the answer. */
  readonly idleMs: number
  readonly signal: AbortSignal
}

/** The API server answered, with something else than success. */
export class KubernetesStatusError extends Error {
  override readonly name = 'KubernetesStatusError'
  readonly status: number
  /** A word such as `AlreadyExists`, `Conflict` or `NotFound`, where the answer has one: 409 alone may be either. */
  readonly reason: string | undefined
  /** Milliseconds to wait before the next try, when the server asks for it. */
  readonly retryAfterMs: number | undefined

  constructor(status: number, message: string, details: { reason?: string; retryAfterMs?: number } = {}) {
    super(message)
    this.status = status
    this.reason = details.reason
    this.retryAfterMs = details.retryAfterMs
  }
}

/** @throws KubernetesStatusError, or whatever went wrong on the way. */
export async function request(config: KubeConfig, wanted: ApiRequest): Promise<IncomingMessage> {
  const { url, method, contentType = 'application/json', idleMs, signal } = wanted
  const body = wanted.body === undefined ? undefined : Buffer.from(JSON.stringify(wanted.body))
  if (body !== undefined && body.length > MAX_REQUEST_BYTES) {
    throw new Error(`an object of ${body.length} bytes is more than the API server reads`)
  }
  const options: RequestOptions = { headers: { accept: 'application/json', 'user-agent': 'sallyport' } }
  await orStop(applyCredentials(config, options), idleMs, signal)
  const headers = withoutNewlines(options.headers)
  if (body !== undefined) Object.assign(headers, { 'content-type': contentType, 'content-length': String(body.length) })
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const start = url.protocol === 'http:' ? requestHttp : requestHttps
    let answer: IncomingMessage | undefined
    const sent = start(url, { ...options, method, headers, signal, timeout: idleMs }, arrived => {
      answer = arrived
      resolve(arrived)
    })
    sent.on('timeout', () => (answer ?? sent).destroy(new Error(`the API server was silent for ${idleMs} ms`)))
    sent.on('error', reject)
    sent.end(body)
  })
  const status = response.statusCode ?? 0
  if (status >= 200 && status < 300) return response
  throw await statusErrorOf(status, response)
}

/** Undefined for an empty body. */
export async function readJson(response: IncomingMessage): Promise<unknown> {
  const body = await readBody(response, MAX_JSON_BYTES)
  return body.length === 0 ? undefined : JSON.parse(body.toString('utf8'))
}

/** Complete lines without their newline. What stands after the last newline was cut off, and comes again. */
export async function* readLines(response: IncomingMessage): AsyncGenerator<Buffer> {
  let pending: Buffer[] = []
  let pendingBytes = 0
  for await (const chunk of response) {
    let rest: Buffer = chunk
    for (let end = rest.indexOf(NEWLINE); end !== -1; end = rest.indexOf(NEWLINE)) {
      yield Buffer.concat([...pending, rest.subarray(0, end)])
      pending = []
      pendingBytes = 0
      rest = rest.subarray(end + 1)
    }
    pending.push(rest)
    pendingBytes += rest.length
    if (pendingBytes > MAX_JSON_BYTES) throw new Error(`the API server sent more than ${MAX_JSON_BYTES} bytes at once`)
  }
}

/** An exec plugin may hang, and knows of no signal; what it prints may be anything. */
async function applyCredentials(config: KubeConfig, options: RequestOptions): Promise<void> {
  try {
    await config.applyToHTTPSOptions(options)
  } catch (cause) {
    const problem = cause instanceof Error ? escapeForeign(cause.message, 200) : 'they cannot be read'
    throw new Error(`no credentials for the API server: ${problem}`, { cause })
  }
}

/** Stops waiting; whatever `work` does goes on unseen. */
async function orStop(work: Promise<void>, timeoutMs: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  let stop = (): void => {}
  const stopped = new Promise<never>((_, reject) => {
    stop = () => reject(new Error(`credentials for the API server took longer than ${timeoutMs} ms`))
  })
  const timer = setTimeout(stop, timeoutMs)
  signal.addEventListener('abort', stop, { once: true })
  try {
    await Promise.race([work, stopped])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
  }
}

/** A token file may end in a newline, which no header can hold. */
function withoutNewlines(headers: RequestOptions['headers']): Record<string, string> {
  return Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name, String(value).trim()]))
}

async function statusErrorOf(status: number, response: IncomingMessage): Promise<KubernetesStatusError> {
  // The status is known: an answer that breaks off behind it is no other error.
  const text = await readBody(response, MAX_ERROR_BYTES, 'cut').then(String, () => '')
  const { message, reason } = fieldsOfStatus(text)
  // Whatever a proxy said is shown as it is.
  const problem = escapeForeign(typeof message === 'string' ? message : text.trim(), 300)
  // The API server writes seconds; a date, which a proxy may write, is not worth understanding.
  const seconds = Number(response.headers['retry-after'])
  return new KubernetesStatusError(status, `the API server answered ${status}: ${problem}`, {
    ...(typeof reason === 'string' && { reason: escapeForeign(reason, 100) }),
    ...(seconds > 0 && Number.isFinite(seconds) && { retryAfterMs: seconds * 1000 }),
  })
}

/** Of a Status; empty for whatever else. */
function fieldsOfStatus(text: string): { readonly message?: unknown; readonly reason?: unknown } {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}

async function readBody(response: IncomingMessage, maxBytes: number, excess: 'cut' | 'refuse' = 'refuse') {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response) {
    chunks.push(chunk)
    length += chunk.length
    if (length <= maxBytes) continue
    if (excess === 'cut') break
    throw new Error(`the API server sent more than ${maxBytes} bytes at once`)
  }
  return Buffer.concat(chunks)
}
