/**
 * The part of the Kubernetes API that a watch of namespaces needs, on loopback, with the misbehaviour of real ones: pages,
 * bookmarks, expired versions, connections that end in every way, refusals and outages.
 */

import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'

const PATH = '/api/v1/namespaces'
const REFUSALS: Readonly<Partial<Record<Behaviour, readonly [status: number, message: string]>>> = {
  forbidden: [403, 'namespaces is forbidden: User "x" cannot list resource "namespaces"'],
  unavailable: [503, 'apiserver not ready'],
  gone: [410, 'too old resource version'],
}

type Behaviour = 'normal' | 'forbidden' | 'unavailable' | 'gone' | 'end-watches-at-once' | 'break-off-at-once'
type Labels = Readonly<Record<string, string>>

interface NamespaceObject {
  readonly apiVersion: 'v1'
  readonly kind: 'Namespace'
  readonly metadata: {
    readonly name: string
    readonly resourceVersion: string
    readonly labels?: Labels
    readonly annotations?: Labels
  }
}

interface WatchEvent {
  readonly version: number
  readonly line: string
}

export interface FakeApiServerOptions {
  /** PEM; without it, plain HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string }
}

export class FakeApiServer {
  /** `watch 12`, `list`, `list page-500`: one entry a request. */
  readonly requests: string[] = []
  readonly authorizations = new Set<string | undefined>()
  /** How the next requests are answered, until it is set anew. */
  behaviour: Behaviour = 'normal'
  readonly #server: ReturnType<typeof createHttpServer>
  readonly #scheme: 'http' | 'https'
  readonly #sockets = new Set<Socket>()
  readonly #watches = new Set<ServerResponse>()
  readonly #namespaces = new Map<string, NamespaceObject>()
  #history: WatchEvent[] = []
  #version = 1
  /** Versions below this are no longer kept. */
  #oldest = 0
  #port = 0

  constructor({ tls }: FakeApiServerOptions = {}) {
    const listener = (request: IncomingMessage, response: ServerResponse) => this.#answer(request, response)
    this.#scheme = tls === undefined ? 'http' : 'https'
    this.#server = tls === undefined ? createHttpServer(listener) : createHttpsServer(tls, listener)
    this.#server.on('connection', socket => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${this.#port}`
  }

  get openWatches(): number {
    return this.#watches.size
  }

  get openConnections(): number {
    return this.#sockets.size
  }

  /** The same port again after `stop`. */
  async start(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    // A TCP server that listens has an address of this form.
    this.#port = (this.#server.address() as AddressInfo).port
  }

  /** As if its machine were gone: connections are reset, new ones refused. */
  async stop(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  apply(name: string, labels?: Labels, annotations?: Labels): void {
    const type = this.#namespaces.has(name) ? 'MODIFIED' : 'ADDED'
    const object = namespaceOf(name, this.#next(), labels, annotations)
    this.#namespaces.set(name, object)
    this.#publish(type, object)
  }

  remove(name: string): void {
    const former = this.#namespaces.get(name)
    if (former === undefined) return
    this.#namespaces.delete(name)
    this.#publish('DELETED', namespaceOf(name, this.#next(), former.metadata.labels))
  }

  sendBookmark(): void {
    const metadata = { resourceVersion: String(this.#version) }
    this.sendLine(JSON.stringify({ type: 'BOOKMARK', object: { kind: 'Namespace', apiVersion: 'v1', metadata } }))
  }

  /** Whatever the test likes, to every watch. */
  sendLine(line: string): void {
    for (const watch of this.#watches) watch.write(`${line}\n`)
  }

  /** Changes that no watch hears of, as while a client is cut off. */
  endWatches(how: 'in-order' | 'break-off'): void {
    for (const watch of this.#watches) {
      if (how === 'in-order') watch.end()
      else watch.destroy()
    }
    this.#watches.clear()
  }

  /** Forget the history: a watch from an older version gets an ERROR event with code 410, as etcd's compaction does. */
  compact(): void {
    this.#history = []
    this.#oldest = this.#version
  }

  #next(): string {
    this.#version += 1
    return String(this.#version)
  }

  #publish(type: string, object: NamespaceObject): void {
    const line = JSON.stringify({ type, object })
    this.#history.push({ version: this.#version, line })
    this.sendLine(line)
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(request.url ?? '/', this.url)
    this.authorizations.add(request.headers.authorization)
    const isWatch = searchParams.get('watch') === 'true'
    const position = searchParams.get(isWatch ? 'resourceVersion' : 'continue') ?? ''
    this.requests.push(`${isWatch ? 'watch' : 'list'} ${position}`.trim())
    const refusal = pathname === PATH ? REFUSALS[this.behaviour] : ([404, 'no such path'] as const)
    if (refusal !== undefined) refuse(response, ...refusal)
    else if (isWatch) this.#watch(response, Number(position))
    else this.#list(response, Number(searchParams.get('limit')), position)
  }

  #list(response: ServerResponse, limit: number, position: string): void {
    const from = position === '' ? 0 : Number(position.replace('page-', ''))
    const all = [...this.#namespaces.values()]
    const items = all.slice(from, from + limit)
    const next = from + limit < all.length ? { continue: `page-${from + limit}` } : {}
    sendJson(response, 200, {
      kind: 'NamespaceList',
      apiVersion: 'v1',
      metadata: { resourceVersion: String(this.#version), ...next },
      items,
    })
  }

  #watch(response: ServerResponse, from: number): void {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    if (this.behaviour === 'break-off-at-once') response.destroy()
    else if (this.behaviour === 'end-watches-at-once') response.end()
    else if (from < this.#oldest) {
      response.write(`${JSON.stringify({ type: 'ERROR', object: statusOf(410, 'too old resource version') })}\n`)
    } else {
      for (const { version, line } of this.#history) if (version > from) response.write(`${line}\n`)
      this.#watches.add(response)
      response.on('close', () => this.#watches.delete(response))
    }
  }
}

function namespaceOf(name: string, resourceVersion: string, labels?: Labels, annotations?: Labels): NamespaceObject {
  const metadata = { name, resourceVersion, ...(labels && { labels }), ...(annotations && { annotations }) }
  return { apiVersion: 'v1', kind: 'Namespace', metadata }
}

function refuse(response: ServerResponse, code: number, message: string): void {
  sendJson(response, code, statusOf(code, message))
}

function statusOf(code: number, message: string): object {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, code }
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
