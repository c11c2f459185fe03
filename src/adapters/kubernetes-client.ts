/**
 * The Kubernetes API over HTTP: reading JSON and following a watch, with a kubeconfig's or a pod's credentials.
 *
 * Of @kubernetes/client-node only the credentials are used (kubeconfig, service account, exec plugins, OIDC, proxies), and it
 * is loaded when it is first needed: it costs some 80 MB. Its own watch cuts lines at U+2028, which JSON may hold, and throws
 * away what it cannot parse; its HTTP client makes a new connection pool for each request.
 */

import { type IncomingMessage, type RequestOptions, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { dirname } from 'node:path'
import type { KubeConfig } from '@kubernetes/client-node'
import { KnownError } from '../errors.js'
import { escapeForeign } from '../policy/index.js'
import { readTextFile } from './text-file.js'

const DEFAULT_READ_MS = 30_000
const DEFAULT_WATCH_MS = 90_000
/** A page of a list, or one object of a watch; etcd holds objects of 1.5 MB at most. */
const MAX_JSON_BYTES = 64 * 1024 * 1024
const MAX_ERROR_BYTES = 4_096
const NEWLINE = 0x0a

/** Milliseconds; for tests. */
export interface ClientTimeouts {
  /** For getting credentials, for connecting, and between two reads of an answer. Default 30,000. */
  readonly readMs?: number
  /** Between two lines of a watch. Default 90,000: a bookmark comes about once a minute. */
  readonly watchMs?: number
}

/** Whose credentials to use. */
export type ClusterAccess = { readonly kubeconfig: string } | { readonly inCluster: true }
export type Query = Readonly<Record<string, string>>

export interface KubernetesClient {
  /** Its address, for logs. */
  readonly server: string
  /** @throws KubernetesStatusError, or whatever went wrong on the way. */
  read(path: string, query: Query, signal: AbortSignal): Promise<unknown>
  /** The decoded lines of a watch, until the server ends it. @throws like `read`. */
  watch(path: string, query: Query, signal: AbortSignal, onOpen: () => void): AsyncGenerator<unknown>
}

/** The API server answered, with something else than 200. */
export class KubernetesStatusError extends Error {
  override readonly name = 'KubernetesStatusError'
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/**
 * Read the credentials. Nothing is sent yet: a server that is away is no error here.
 *
 * @throws KnownError FILE_UNREADABLE, or KUBERNETES_UNUSABLE for a kubeconfig that names no server, or outside of a pod.
 */
export async function openKubernetesClient(
  access: ClusterAccess,
  { readMs = DEFAULT_READ_MS, watchMs = DEFAULT_WATCH_MS }: ClientTimeouts = {},
): Promise<KubernetesClient> {
  const config = 'kubeconfig' in access ? await readKubeconfig(access.kubeconfig) : await readServiceAccount()
  const origin = 'kubeconfig' in access ? access.kubeconfig : '--in-cluster'
  const server = serverOf(config, origin)
  for (const file of credentialFiles(config)) await readTextFile(file)
  return {
    server,
    read: async (path, query, signal) => {
      const response = await send(config, urlOf(server, path, query), readMs, signal)
      return JSON.parse((await readBody(response, MAX_JSON_BYTES)).toString('utf8'))
    },
    watch: async function* (path, query, signal, onOpen) {
      const response = await send(config, urlOf(server, path, { ...query, watch: 'true' }), watchMs, signal)
      onOpen()
      for await (const line of splitLines(response)) yield JSON.parse(line.toString('utf8'))
    },
  }
}

async function readKubeconfig(file: string): Promise<KubeConfig> {
  const text = await readTextFile(file)
  const config = await newConfig()
  try {
    config.loadFromString(text)
    config.makePathsAbsolute(dirname(file))
  } catch (cause) {
    // The parser's second line is a drawing of the place.
    const [reason = ''] = cause instanceof Error ? cause.message.split('\n', 1) : []
    throw new KnownError('KUBERNETES_UNUSABLE', `${file}: is no kubeconfig: ${escapeForeign(reason, 200)}`, { cause })
  }
  return config
}

async function readServiceAccount(): Promise<KubeConfig> {
  const config = await newConfig()
  config.loadFromCluster()
  if (URL.canParse(config.getCurrentCluster()?.server ?? '')) return config
  throw new KnownError(
    'KUBERNETES_UNUSABLE',
    '--in-cluster: this is no pod of a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set',
  )
}

async function newConfig(): Promise<KubeConfig> {
  const { KubeConfig } = await import('@kubernetes/client-node')
  return new KubeConfig()
}

function serverOf(config: KubeConfig, origin: string): string {
  const cluster = config.getCurrentCluster()
  if (cluster === null) {
    throw new KnownError('KUBERNETES_UNUSABLE', `${origin}: its current-context names no context with a cluster`)
  }
  const { server, skipTLSVerify } = cluster
  const protocol = URL.canParse(server) ? new URL(server).protocol : ''
  if (protocol === 'https:' || (protocol === 'http:' && skipTLSVerify)) return server
  // Plain HTTP would send the credentials to anybody: it needs a second word.
  const hint = protocol === 'http:' ? 'needs insecure-skip-tls-verify: true' : 'is no https:// address'
  throw new KnownError('KUBERNETES_UNUSABLE', `${origin}: the server ${escapeForeign(server, 200)} ${hint}`)
}

/** Read at each request, so that renewed ones are used; looked at once at the start, when somebody still reads errors. */
function credentialFiles(config: KubeConfig): readonly string[] {
  const user = config.getCurrentUser()
  const tokenFile: unknown = user?.authProvider?.config?.['tokenFile']
  const files: readonly unknown[] = [config.getCurrentCluster()?.caFile, user?.certFile, user?.keyFile, tokenFile]
  return files.filter(file => typeof file === 'string')
}

/** A server behind a proxy may have a path of its own. */
function urlOf(server: string, path: string, query: Query): URL {
  const url = new URL(server.replace(/\/+$/, '') + path)
  for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value)
  return url
}

async function send(config: KubeConfig, url: URL, idleMs: number, signal: AbortSignal): Promise<IncomingMessage> {
  const options: RequestOptions = { headers: { accept: 'application/json', 'user-agent': 'sallyport' } }
  // An exec plugin may hang, and knows of no signal.
  await orStop(config.applyToHTTPSOptions(options), idleMs, signal)
  const headers = withoutNewlines(options.headers)
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = url.protocol === 'http:' ? requestHttp : requestHttps
    let answer: IncomingMessage | undefined
    const sent = request(url, { ...options, headers, signal, timeout: idleMs }, arrived => {
      answer = arrived
      resolve(arrived)
    })
    sent.on('timeout', () => (answer ?? sent).destroy(new Error(`the API server was silent for ${idleMs} ms`)))
    sent.on('error', reject)
    sent.end()
  })
  if (response.statusCode === 200) return response
  const status = response.statusCode ?? 0
  throw new KubernetesStatusError(status, `the API server answered ${status}: ${await readProblem(response)}`)
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

/** The message of a Status, or the beginning of whatever a proxy said. */
async function readProblem(response: IncomingMessage): Promise<string> {
  const text = (await readBody(response, MAX_ERROR_BYTES, 'cut')).toString('utf8')
  try {
    const status: unknown = JSON.parse(text)
    if (typeof status === 'object' && status !== null && 'message' in status) {
      return escapeForeign(String(status.message), 300)
    }
  } catch {
    // No JSON: shown as it is.
  }
  return escapeForeign(text.trim(), 300)
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

/** Complete lines without their newline. What stands after the last newline was cut off, and comes again. */
async function* splitLines(response: IncomingMessage): AsyncGenerator<Buffer> {
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
