/** One message over HTTP to a receiver of findings, within bounds; and what its answer means unless a protocol says more. */

import { readFile } from 'node:fs/promises'
import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import type { SendOutcome } from '../correlator/delivery.js'
import { escapeForeign } from '../policy/index.js'
import { withDeadline } from './deadline.js'
import type { HttpSink } from './sink-spec.js'
import { readTextFile, reasonOf } from './text-file.js'

/** Answers are a few words; of an endless one no more than this is read. */
const MAX_ANSWER_BYTES = 64 * 1024
const MAX_TOKEN_BYTES = 16 * 1024
/** What a header may hold: a token with anything else is a mistake, and perhaps a second header. */
const TOKEN = /^[\x21-\x7e]+$/
/** The other side is there and is not who it should be, or wants to know who we are. */
const TLS_CODE = /CERT|SELF_SIGNED|UNABLE_TO|TLS|SSL/
/** The receiver, or something on the way, has too much to do. */
const LATER = new Set([408, 425, 429])
/** The credentials are wrong, or it is the wrong address. */
const MISTAKEN = new Set([401, 403, 404, 405, 407, 410, 501, 505])

export interface HttpMessage {
  readonly url: URL
  readonly body: string | Buffer
  readonly headers: Readonly<Record<string, string>>
}

export interface HttpAnswer {
  readonly status: number
  /** Of its end no more is known when it is too long or breaks off. */
  readonly text: string
  readonly retryAfterMs: number | undefined
}

/** Either an answer, or an outcome because there is none. */
export type Posted = { readonly ok: true; readonly answer: HttpAnswer } | { readonly ok: false; outcome: SendOutcome }

export interface HttpTarget {
  /** POST, within the sink's timeout. @param scheme of the authorization, such as `Bearer`; only with a token file. */
  post(message: HttpMessage, scheme: string, signal: AbortSignal): Promise<Posted>
  close(): void
}

/** @throws KnownError FILE_UNREADABLE for a token or CA file that cannot be read now, while somebody still looks. */
export async function openHttpTarget(sink: HttpSink): Promise<HttpTarget> {
  if (sink.tokenFile !== undefined) await readTextFile(sink.tokenFile)
  if (sink.caFile !== undefined) await readTextFile(sink.caFile)
  let agent = await createAgent(sink)
  return {
    async post(message, scheme, signal) {
      const token = await readToken(sink.tokenFile)
      if (token.problem !== undefined) return { ok: false, outcome: { type: 'refused', problem: token.problem } }
      const authorization = token.value === undefined ? {} : { authorization: `${scheme} ${token.value}` }
      const headers = { 'user-agent': 'sallyport', ...message.headers, ...authorization }
      const sent = { ...message, headers }
      try {
        const answer = await withDeadline(signal, sink.timeoutMs, deadline => post(sent, agent, deadline))
        return { ok: true, answer }
      } catch (cause) {
        const outcome = outcomeOfFailure(cause)
        // The CA may have been renewed.
        if (outcome.type === 'refused') {
          agent.destroy()
          agent = await createAgent(sink)
        }
        return { ok: false, outcome }
      }
    },
    close: () => agent.destroy(),
  }
}

/** What an answer means by its status alone. `details` is half a sentence of the receiver's own. */
export function outcomeOfStatus({ status, text, retryAfterMs }: HttpAnswer, details?: string): SendOutcome {
  if (status >= 200 && status < 300) return { type: 'delivered' }
  const words = details ?? escapeForeign(text.trim(), 200)
  const problem = `it answered ${status}${words === '' ? '' : `: ${words}`}`
  if (MISTAKEN.has(status) || status < 400) return { type: 'refused', problem }
  if (LATER.has(status) || status >= 500) return { type: 'retry', problem, retryAfterMs }
  return { type: 'rejected', problem }
}

async function createAgent({ url, caFile }: HttpSink): Promise<HttpAgent> {
  const options = { keepAlive: true, maxSockets: 2 }
  if (url.protocol === 'http:') return new HttpAgent(options)
  if (caFile === undefined) return new HttpsAgent(options)
  // A file that is gone at this moment makes the next connection fail, and then it is read again. In a list, because Node
  // takes an empty text for "none given" and trusts every public CA.
  return new HttpsAgent({ ...options, ca: [await readFile(caFile, 'utf8').catch(() => '')] })
}

async function readToken(file: string | undefined): Promise<{ readonly value?: string; readonly problem?: string }> {
  if (file === undefined) return {}
  try {
    const bytes = await readFile(file)
    const value = bytes.subarray(0, MAX_TOKEN_BYTES).toString('latin1').trim()
    return TOKEN.test(value) ? { value } : { problem: 'its token file holds no token: one word of printable ASCII' }
  } catch (cause) {
    return { problem: `its token file cannot be read: ${reasonOf(cause)}` }
  }
}

async function post({ url, body, headers }: HttpMessage, agent: HttpAgent, signal: AbortSignal): Promise<HttpAnswer> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const start = url.protocol === 'http:' ? requestHttp : requestHttps
    const length = { 'content-length': String(Buffer.byteLength(body)) }
    const sent = start(url, { method: 'POST', agent, headers: { ...headers, ...length }, signal }, resolve)
    sent.on('error', reject)
    sent.end(body)
  })
  const status = response.statusCode ?? 0
  const retryAfterMs = retryAfterOf(response.headers['retry-after'], Date.now())
  return { status, text: await readAnswer(response), retryAfterMs }
}

/** @throws when it breaks off: an answer that is not whole is none. */
async function readAnswer(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response) {
    chunks.push(chunk)
    length += chunk.length
    if (length > MAX_ANSWER_BYTES) break
  }
  return Buffer.concat(chunks).subarray(0, MAX_ANSWER_BYTES).toString('utf8')
}

/** Seconds, or a date. */
function retryAfterOf(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined
  const ms = /^\d{1,9}$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - now
  return ms > 0 ? ms : undefined
}

function outcomeOfFailure(cause: unknown): SendOutcome {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  if (TLS_CODE.test(code)) return { type: 'refused', problem: `its certificate is not accepted: ${reasonOf(cause)}` }
  return { type: 'retry', problem: reasonOf(cause) }
}
