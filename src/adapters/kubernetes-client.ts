/**
 * The Kubernetes API over HTTP: reading, writing and following a watch, with a kubeconfig's or a pod's credentials.
 *
 * Of @kubernetes/client-node only the credentials are used (kubeconfig, service account, exec plugins, OIDC, proxies), and it
 * is loaded when it is first needed: it costs some 80 MB. Its own watch cuts lines at U+2028, which JSON may hold, and throws
 * away what it cannot parse; its HTTP client makes a new connection pool for each request.
 */

import { dirname } from 'node:path'
import type { KubeConfig } from '@kubernetes/client-node'
import { KnownError } from '../errors.js'
import { escapeForeign } from '../policy/index.js'
import { type ApiRequest, readJson, readLines, request, type WriteMethod } from './kubernetes-http.js'
import { readTextFile } from './text-file.js'

export { KubernetesStatusError } from './kubernetes-http.js'

const DEFAULT_READ_MS = 30_000
const DEFAULT_WATCH_MS = 90_000

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

/** What a write sends beside its path. */
export interface WriteOptions {
  readonly query?: Query
  /** Sent as JSON, of 3 MiB at most: the API server reads no more. */
  readonly body?: object
  /** Default `application/json`; a patch has to say which kind of patch it is. */
  readonly contentType?: string
}

export interface KubernetesClient {
  /** Its address, for logs. */
  readonly server: string
  /** @throws KubernetesStatusError, or whatever went wrong on the way. */
  read(path: string, query: Query, signal: AbortSignal): Promise<unknown>
  /** The answer's JSON; undefined when there is none. It is not tried again. @throws like `read`. */
  send(method: WriteMethod, path: string, options: WriteOptions, signal: AbortSignal): Promise<unknown>
  /** The decoded lines of a watch, until the server ends it. @throws like `read`. */
  watch(path: string, query: Query, signal: AbortSignal, onOpen: () => void): AsyncGenerator<unknown>
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
  const answerTo = (path: string, query: Query, wanted: Omit<ApiRequest, 'url'>) =>
    request(config, { url: urlOf(server, path, query), ...wanted })
  return {
    server,
    read: async (path, query, signal) =>
      readJson(await answerTo(path, query, { method: 'GET', idleMs: readMs, signal })),
    send: async (method, path, { query = {}, body, contentType }, signal) =>
      readJson(await answerTo(path, query, { method, body, contentType, idleMs: readMs, signal })),
    watch: async function* (path, query, signal, onOpen) {
      const response = await answerTo(path, { ...query, watch: 'true' }, { method: 'GET', idleMs: watchMs, signal })
      onOpen()
      for await (const line of readLines(response)) yield JSON.parse(line.toString('utf8'))
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
