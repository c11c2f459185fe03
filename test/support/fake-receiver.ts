/**
 * A receiver of findings over HTTP, on loopback: whatever a test wants it to answer, and as a Splunk HTTP Event Collector
 * by its manual: gzip, tokens, data channels, acknowledgements that come later and are told once.
 */

import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'

export interface ReceivedMessage {
  readonly path: string
  readonly headers: IncomingMessage['headers']
  /** Unpacked. */
  readonly body: string
  readonly packedBytes: number
}

/** Answers, or leaves it. */
export type Behaviour = (response: ServerResponse, message: ReceivedMessage) => void

export interface FakeReceiverOptions {
  /** PEM; without it, plain HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string }
}

export class FakeReceiver {
  readonly messages: ReceivedMessage[] = []
  behaviour: Behaviour
  readonly #server: ReturnType<typeof createHttpServer>
  readonly #sockets = new Set<Socket>()
  readonly #scheme: 'http' | 'https'
  #port = 0

  constructor(behaviour: Behaviour, { tls }: FakeReceiverOptions = {}) {
    this.behaviour = behaviour
    const listener = (request: IncomingMessage, response: ServerResponse) => void this.#take(request, response)
    this.#scheme = tls === undefined ? 'http' : 'https'
    this.#server = tls === undefined ? createHttpServer(listener) : createHttpsServer(tls, listener)
    this.#server.on('connection', socket => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
      socket.on('error', () => undefined)
    })
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${this.#port}`
  }

  get connections(): number {
    return this.#sockets.size
  }

  /** The same port again after `stop`. */
  async start(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    // A TCP server that listens has an address of this form.
    this.#port = (this.#server.address() as AddressInfo).port
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const packed = await buffer(request).catch(() => undefined)
    if (packed === undefined) return
    const { headers, url: path = '' } = request
    const body = (headers['content-encoding'] === 'gzip' ? gunzipSync(packed) : packed).toString('utf8')
    const message = { path, headers, body, packedBytes: packed.length }
    this.messages.push(message)
    this.behaviour(response, message)
  }
}

export function answer(response: ServerResponse, status: number, body: object | string, headers = {}): void {
  response.writeHead(status, headers).end(typeof body === 'string' ? body : JSON.stringify(body))
}

/** One event as it stands in a message to a collector. */
export interface CollectedEvent {
  readonly time: number
  readonly host?: string
  readonly source: string
  readonly sourcetype: string
  readonly index?: string
  readonly event: Readonly<Record<string, unknown>>
}

export function eventsOf({ body }: ReceivedMessage): readonly CollectedEvent[] {
  return body
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line))
}

export interface CollectorOptions {
  readonly token: string
  /** Indexes that the token may write to; undefined: any. */
  readonly indexes?: readonly string[]
  /** Acknowledgement is switched on: questions before an event counts as indexed. */
  readonly acknowledgesAfter?: number
}

/** @param indexed what has arrived to stay. */
export function collector(indexed: CollectedEvent[], options: CollectorOptions): Behaviour {
  const { token, indexes, acknowledgesAfter } = options
  const pending = new Map<string, { readonly events: readonly CollectedEvent[]; questions: number }>()
  let lastAck = -1
  const acknowledge: Behaviour = (response, { path, headers, body }) => {
    const channel = headers['x-splunk-request-channel']
    const asked: { acks: number[] } = JSON.parse(body)
    const isSame = new URL(path, 'http://collector').searchParams.get('channel') === channel
    const acks = asked.acks.map(id => {
      const one = pending.get(`${channel} ${id}`)
      if (one === undefined || !isSame) return [id, false]
      one.questions += 1
      if (one.questions <= (acknowledgesAfter ?? 0)) return [id, false]
      pending.delete(`${channel} ${id}`)
      indexed.push(...one.events)
      return [id, true]
    })
    answer(response, 200, { acks: Object.fromEntries(acks) })
  }
  const take: Behaviour = (response, message) => {
    const events = eventsOf(message)
    const isForeign = events.some(({ index }) => index !== undefined && indexes?.includes(index) === false)
    if (events.length === 0) answer(response, 400, { text: 'No data', code: 5 })
    else if (isForeign) answer(response, 400, { text: 'Incorrect index', code: 7 })
    else if (acknowledgesAfter === undefined) {
      indexed.push(...events)
      answer(response, 200, { text: 'Success', code: 0 })
    } else {
      lastAck += 1
      pending.set(`${message.headers['x-splunk-request-channel']} ${lastAck}`, { events, questions: 0 })
      answer(response, 200, { text: 'Success', code: 0, ackId: lastAck })
    }
  }
  return (response, message) => {
    const { pathname } = new URL(message.path, 'http://collector')
    const isAck = pathname === '/services/collector/ack'
    const refusal = refusalOf(message, token) ?? channelRefusalOf(message, isAck, acknowledgesAfter !== undefined)
    if (refusal !== undefined) answer(response, refusal[0], { text: refusal[2], code: refusal[1] })
    else if (isAck) acknowledge(response, message)
    else if (pathname === '/services/collector/event') take(response, message)
    else answer(response, 404, { text: 'The requested URL was not found on this server.', code: 404 })
  }
}

type Refusal = readonly [status: number, code: number, text: string]

function refusalOf({ headers }: ReceivedMessage, token: string): Refusal | undefined {
  const { authorization } = headers
  if (authorization === undefined) return [401, 2, 'Token is required']
  if (!authorization.startsWith('Splunk ')) return [401, 3, 'Invalid authorization']
  return authorization === `Splunk ${token}` ? undefined : [403, 4, 'Invalid token']
}

function channelRefusalOf({ headers }: ReceivedMessage, isAck: boolean, isAcking: boolean): Refusal | undefined {
  if (isAcking)
    return headers['x-splunk-request-channel'] === undefined ? [400, 10, 'Data channel is missing'] : undefined
  return isAck ? [400, 14, 'ACK is disabled'] : undefined
}
