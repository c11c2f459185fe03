/**
 * The inventory of a live cluster: pods (of one node, or all), namespaces and webhook configurations, each listed and then
 * watched.
 *
 * While the API server cannot be reached, what was last seen stays known, and the state says since when it may be out of
 * date. One kind that may not be listed leaves the others known.
 */

import type { Backoff } from '../backoff.js'
import type { Inventory, InventoryState } from '../correlator/inventory.js'
import { InventoryIndex } from './inventory-index.js'
import {
  type ClientTimeouts,
  type ClusterAccess,
  type KubernetesClient,
  openKubernetesClient,
} from './kubernetes-client.js'
import type { Decoded } from './kubernetes-metadata.js'
import { decodePod } from './kubernetes-pod.js'
import { describeWatchProblem, type ReflectorOptions, reflect } from './kubernetes-reflector.js'
import { decodeNamespace, decodeWebhookConfiguration } from './kubernetes-registration.js'

const PODS = '/api/v1/pods'
const NAMESPACES = '/api/v1/namespaces'
const CONFIGURATIONS = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations'

export type LiveInventoryOptions = ClusterAccess & {
  /** Know the pods of this node only. */
  readonly nodeName?: string | undefined
  /** The configuration whose webhooks are ours; undefined: see `Inventory.webhooks`. */
  readonly webhookConfiguration?: string | undefined
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Told in one sentence, safe to print, when something cannot be followed, and when it can again. */
  readonly onConnection?: (sentence: string) => void
  /** Default: 1 s to 30 s. */
  readonly backoff?: Backoff
  readonly timeouts?: ClientTimeouts
  /** Of removed pods that are kept; default 10,000. */
  readonly maxGone?: number
}

export interface LiveInventory extends Inventory {
  /** Resolves when everything was listed once, and at the end. An API server that is away delays it without limit. */
  whenSynced(): Promise<void>
  /** Resolves once the connections are closed. What was last known can still be asked for. */
  close(): Promise<void>
}

/**
 * Begin to follow; does not wait for the API server.
 *
 * Needs `list` and `watch` on pods, namespaces and validatingwebhookconfigurations.
 *
 * @throws KnownError FILE_UNREADABLE, KUBERNETES_UNUSABLE.
 */
export async function followInventory(options: LiveInventoryOptions): Promise<LiveInventory> {
  const client = await openKubernetesClient(options, options.timeouts)
  const { nodeName } = options
  const index = new InventoryIndex(options)
  const stop = new AbortController()
  let state: InventoryState = { status: 'syncing', problem: undefined }
  const updateState = (): void => {
    state = stateOf(connections)
  }
  const context = { server: client.server, options, onChange: updateState }
  const kinds = {
    pods: new Connection('pods', context),
    namespaces: new Connection('namespaces', context),
    configurations: new Connection('validatingwebhookconfigurations', context),
  }
  const connections = Object.values(kinds)
  const running = runReflectors({ client, index, kinds, stop: stop.signal, options })
  return {
    podOf: (pod, containerId) => index.podOf(pod, containerId),
    pods: () => index.pods(),
    namespaceOf: name => index.namespaceOf(name),
    webhooks: () => (kinds.configurations.isSynced ? index.webhooks() : undefined),
    nodeName,
    state: () => state,
    whenSynced: async () => {
      await Promise.race([Promise.all(connections.map(({ synced }) => synced)), running])
    },
    close: async () => {
      stop.abort()
      await running
    },
  }
}

interface Reflection {
  readonly client: KubernetesClient
  readonly index: InventoryIndex
  readonly kinds: Readonly<Record<'pods' | 'namespaces' | 'configurations', Connection>>
  readonly stop: AbortSignal
  readonly options: LiveInventoryOptions
}

/** Resolves when all have ended. */
async function runReflectors({ client, index, kinds, stop, options }: Reflection): Promise<void> {
  const { nodeName, webhookConfiguration, now, backoff } = options
  const shared = { client, signal: stop, ...(backoff === undefined ? {} : { backoff }) }
  await Promise.all([
    follow(kinds.pods, {
      ...shared,
      path: PODS,
      ...(nodeName === undefined ? {} : { query: { fieldSelector: `spec.nodeName=${nodeName}` } }),
      decode: object => knownOf(decodePod(object, now())),
      onList: pods => index.replacePods(pods),
      onChange: (type, pod) => (type === 'delete' ? index.removePod(pod.uid) : index.putPod(pod)),
    }),
    follow(kinds.namespaces, {
      ...shared,
      path: NAMESPACES,
      decode: object => knownOf(decodeNamespace(object, now())),
      onList: namespaces => index.replaceNamespaces(namespaces),
      onChange: (type, namespace) =>
        type === 'delete' ? index.removeNamespace(namespace.name) : index.putNamespace(namespace),
    }),
    follow(kinds.configurations, {
      ...shared,
      path: CONFIGURATIONS,
      decode: object => knownOf(decodeWebhookConfiguration(object, webhookConfiguration, now())),
      onList: configurations => index.replaceConfigurations(configurations),
      onChange: (type, configuration) =>
        type === 'delete' ? index.removeConfiguration(configuration.name) : index.putConfiguration(configuration),
    }),
  ])
}

function follow<T>(
  connection: Connection,
  options: Omit<ReflectorOptions<T>, 'onConnected' | 'onDisconnected'>,
): Promise<void> {
  return reflect<T>({
    ...options,
    onList: values => {
      options.onList(values)
      connection.listed()
    },
    onConnected: () => connection.connected(),
    onDisconnected: error => connection.disconnected(error),
  })
}

function knownOf<Value>(decoded: Decoded<Value>): Value | undefined {
  return decoded.ok ? decoded.value : undefined
}

interface ConnectionContext {
  readonly server: string
  readonly options: LiveInventoryOptions
  readonly onChange: () => void
}

/** How it stands with one kind of object. */
class Connection {
  readonly #resource: string
  readonly #context: ConnectionContext
  /** When it broke off, and why. */
  break: { readonly at: number; readonly problem: string } | undefined
  isSynced = false
  readonly synced: Promise<void>
  #resolve = (): void => {}

  constructor(resource: string, context: ConnectionContext) {
    this.#resource = resource
    this.#context = context
    this.synced = new Promise(resolve => {
      this.#resolve = resolve
    })
  }

  listed(): void {
    this.isSynced = true
    this.#resolve()
    this.#context.onChange()
  }

  connected(): void {
    if (this.break === undefined) return
    this.break = undefined
    this.#context.onChange()
    this.#say(`${this.#resource} of ${this.#context.server} are followed again`)
  }

  disconnected(error: unknown): void {
    const problem = `${this.#resource}: ${describeWatchProblem(error, this.#resource)}`
    const former = this.break
    this.break = { at: former?.at ?? this.#context.options.now(), problem }
    this.#context.onChange()
    if (problem !== former?.problem) this.#say(`${this.#context.server} cannot be followed: ${problem}`)
  }

  #say(sentence: string): void {
    this.#context.options.onConnection?.(sentence)
  }
}

/** Of all kinds together. */
function stateOf(connections: readonly Connection[]): InventoryState {
  const breaks = connections.flatMap(connection => connection.break ?? [])
  const [first] = breaks.toSorted((one, other) => one.at - other.at)
  if (connections.some(({ isSynced }) => !isSynced)) return { status: 'syncing', problem: first?.problem }
  return first === undefined ? { status: 'synced' } : { status: 'stale', since: first.at, problem: first.problem }
}
