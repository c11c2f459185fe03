/**
 * The part of the Kubernetes API that watches of namespaces, pods and webhook configurations need, on loopback, with the misbehaviour of real ones: pages,
 * bookmarks, expired versions, connections that end in every way, refusals and outages.
 */

import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'

const PATHS = {
  namespaces: '/api/v1/namespaces',
  pods: '/api/v1/pods',
  configurations: '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations',
} as const
const REFUSALS: Readonly<Partial<Record<Behaviour, readonly [status: number, message: string]>>> = {
  forbidden: [403, 'namespaces is forbidden: User "x" cannot list resource "namespaces"'],
  unavailable: [503, 'apiserver not ready'],
  gone: [410, 'too old resource version'],
}

type Behaviour = 'normal' | 'forbidden' | 'unavailable' | 'gone' | 'end-watches-at-once' | 'break-off-at-once'
type Labels = Readonly<Record<string, string>>

export type FakeKind = keyof typeof PATHS

/** As much of an object as the server looks at; whatever else it holds is sent as it is. */
export interface FakeObject {
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [key: string]: unknown }
  readonly spec?: { readonly nodeName?: string; readonly [key: string]: unknown }
  readonly [key: string]: unknown
}

interface WatchEvent {
  readonly version: number
  readonly kind: FakeKind
  readonly object: FakeObject
  readonly line: string
}

interface OpenWatch {
  readonly kind: FakeKind
  readonly isSelected: (object: FakeObject) => boolean
}

export interface FakeApiServerOptions {
  /** PEM; without it, plain HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string }
}

export class FakeApiServer {
  /** `watch 12`, `list`, `list page-500`, of other kinds than namespaces `pods list`: one entry a request. */
  readonly requests: string[] = []
  /** When each of them came, on the monotonic clock. */
  readonly requestedAt: number[] = []
  readonly authorizations = new Set<string | undefined>()
  /** How the next requests are answered, until it is set anew. */
  behaviour: Behaviour = 'normal'
  /** Kinds that may not be listed, as where a ClusterRole lacks them. */
  readonly forbidden = new Set<FakeKind>()
  readonly #server: ReturnType<typeof createHttpServer>
  readonly #scheme: 'http' | 'https'
  readonly #sockets = new Set<Socket>()
  readonly #watches = new Map<ServerResponse, OpenWatch>()
  readonly #objects: Readonly<Record<FakeKind, Map<string, FakeObject>>> = {
    namespaces: new Map(),
    pods: new Map(),
    configurations: new Map(),
  }
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
    const metadata = { name, ...(labels && { labels }), ...(annotations && { annotations }) }
    this.put('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata })
  }

  remove(name: string): void {
    this.delete('namespaces', name)
  }

  /** Creates or replaces; the version is the server's. */
  put(kind: FakeKind, object: FakeObject): void {
    const key = keyOf(object)
    const type = this.#objects[kind].has(key) ? 'MODIFIED' : 'ADDED'
    this.#objects[kind].set(key, this.#publish(kind, type, object))
  }

  /** @param key a name, or `namespace/name`. */
  delete(kind: FakeKind, key: string): void {
    const former = this.#objects[kind].get(key)
    if (former === undefined) return
    this.#objects[kind].delete(key)
    this.#publish(kind, 'DELETED', former)
  }

  sendBookmark(): void {
    const metadata = { resourceVersion: String(this.#version) }
    this.sendLine(JSON.stringify({ type: 'BOOKMARK', object: { kind: 'Namespace', apiVersion: 'v1', metadata } }))
  }

  /** Whatever the test likes, to every watch. */
  sendLine(line: string): void {
    for (const watch of this.#watches.keys()) watch.write(`${line}\n`)
  }

  /** Changes that no watch hears of, as while a client is cut off. */
  endWatches(how: 'in-order' | 'break-off'): void {
    for (const watch of this.#watches.keys()) {
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

  #publish(kind: FakeKind, type: string, written: FakeObject): FakeObject {
    this.#version += 1
    const object = { ...written, metadata: { ...written.metadata, resourceVersion: String(this.#version) } }
    const line = `${JSON.stringify({ type, object })}\n`
    this.#history.push({ version: this.#version, kind, object, line })
    for (const [response, watch] of this.#watches) {
      if (watch.kind === kind && watch.isSelected(object)) response.write(line)
    }
    return object
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(request.url ?? '/', this.url)
    this.authorizations.add(request.headers.authorization)
    const isWatch = searchParams.get('watch') === 'true'
    const position = searchParams.get(isWatch ? 'resourceVersion' : 'continue') ?? ''
    const kind = kindAt(pathname)
    const words = [kind === 'namespaces' ? '' : kind, isWatch ? 'watch' : 'list', position]
    this.requestedAt.push(performance.now())
    this.requests.push(words.filter(word => word !== '').join(' '))
    const refusal = this.#refusalOf(kind)
    if (kind === undefined || refusal !== undefined) refuse(response, ...(refusal ?? ([404, 'no such path'] as const)))
    else if (isWatch) this.#watch(response, { kind, isSelected: selectorOf(searchParams) }, Number(position))
    else
      this.#list(response, { kind, isSelected: selectorOf(searchParams) }, Number(searchParams.get('limit')), position)
  }

  #refusalOf(kind: FakeKind | undefined): readonly [status: number, message: string] | undefined {
    const isForbidden = kind !== undefined && this.forbidden.has(kind)
    return isForbidden ? [403, `${kind} is forbidden`] : REFUSALS[this.behaviour]
  }

  #list(response: ServerResponse, { kind, isSelected }: OpenWatch, limit: number, position: string): void {
    const from = position === '' ? 0 : Number(position.replace('page-', ''))
    const all = [...this.#objects[kind].values()].filter(isSelected)
    const items = all.slice(from, from + limit)
    const next = from + limit < all.length ? { continue: `page-${from + limit}` } : {}
    sendJson(response, 200, {
      kind: 'List',
      apiVersion: 'v1',
      metadata: { resourceVersion: String(this.#version), ...next },
      items,
    })
  }

  #watch(response: ServerResponse, watch: OpenWatch, from: number): void {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    if (this.behaviour === 'break-off-at-once') response.destroy()
    else if (this.behaviour === 'end-watches-at-once') response.end()
    else if (from < this.#oldest) {
      response.write(`${JSON.stringify({ type: 'ERROR', object: statusOf(410, 'too old resource version') })}\n`)
    } else {
      for (const { version, kind, object, line } of this.#history) {
        if (version > from && kind === watch.kind && watch.isSelected(object)) response.write(line)
      }
      this.#watches.set(response, watch)
      response.on('close', () => this.#watches.delete(response))
    }
  }
}

function kindAt(path: string): FakeKind | undefined {
  switch (path) {
    case PATHS.namespaces:
      return 'namespaces'
    case PATHS.pods:
      return 'pods'
    case PATHS.configurations:
      return 'configurations'
    default:
      return undefined
  }
}

function keyOf({ metadata }: FakeObject): string {
  return metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`
}

/** The one field selector that is asked for here. */
function selectorOf(query: URLSearchParams): OpenWatch['isSelected'] {
  const wanted = /^spec\.nodeName=(.+)$/.exec(query.get('fieldSelector') ?? '')?.[1]
  return object => wanted === undefined || object.spec?.nodeName === wanted
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
