/**
 * The labels of all namespaces, in memory, kept up with by a watch.
 *
 * While the API server cannot be reached, the last labels that were seen stay valid: whoever could change them goes through
 * the same server, and to forget them would put every namespace under the strictest rules in the middle of an outage. A
 * namespace that was never seen has no labels to go by, and gets the strictest mode that could apply.
 */

import type { Backoff } from '../backoff.js'
import type { Logger } from '../logger.js'
import type { NamespaceLabels } from '../webhook/ports.js'
import { type ClientTimeouts, type ClusterAccess, openKubernetesClient } from './kubernetes-client.js'
import { describeWatchProblem, reflect } from './kubernetes-reflector.js'

const PATH = '/api/v1/namespaces'
const OUTAGE = 'Namespaces cannot be watched: the labels last seen stay in use'
const NO_START = 'Namespaces cannot be watched yet: none is known, the strictest mode that could apply holds'

type Labels = Readonly<Record<string, string>>

interface LabelledNamespace {
  readonly name: string
  readonly labels: Labels
}

export interface NamespaceWatchState {
  /** All namespaces were listed at least once; false makes every namespace unknown. */
  readonly isSynced: boolean
  /** The watch stands; false while the labels may be out of date. */
  readonly isConnected: boolean
  readonly namespaces: number
}

export type NamespaceWatchOptions = ClusterAccess & {
  readonly log: Pick<Logger, 'info' | 'warn'>
  /** Called when `isSynced` or `isConnected` changed. */
  readonly onState?: (state: NamespaceWatchState) => void
  /** Default: 1 s to 30 s. */
  readonly backoff?: Backoff
  readonly timeouts?: ClientTimeouts
}

export interface NamespaceWatch extends NamespaceLabels {
  isSynced(): boolean
  state(): NamespaceWatchState
  /** Resolves at the first sync, and at the end. An API server that is away delays it without limit. */
  whenSynced(): Promise<void>
  /** Resolves once the connection is closed. The labels last seen can still be asked for. */
  close(): Promise<void>
}

/**
 * Begin to watch; does not wait for the API server. The same labels object is given for a namespace until its labels change.
 *
 * Needs `list` and `watch` on namespaces.
 *
 * @throws KnownError FILE_UNREADABLE, KUBERNETES_UNUSABLE.
 */
export async function watchNamespaceLabels(options: NamespaceWatchOptions): Promise<NamespaceWatch> {
  const client = await openKubernetesClient(options, options.timeouts)
  const known = new Map<string, Labels>()
  const stop = new AbortController()
  const synced = deferred()
  const connection = createConnectionLog(options.log, client.server)
  let isSynced = false
  let isConnected = false

  const state = (): NamespaceWatchState => ({ isSynced, isConnected, namespaces: known.size })
  const change = (next: Partial<Pick<NamespaceWatchState, 'isSynced' | 'isConnected'>>): void => {
    const former = state()
    isSynced = next.isSynced ?? isSynced
    isConnected = next.isConnected ?? isConnected
    if (isSynced === former.isSynced && isConnected === former.isConnected) return
    if (isSynced) synced.resolve()
    try {
      options.onState?.(state())
    } catch (error) {
      // It must not end the watch.
      options.log.warn({ err: error }, 'An observer of the namespaces failed')
    }
  }
  const running = reflect<LabelledNamespace>({
    client,
    path: PATH,
    decode: decodeNamespace,
    onList: namespaces => {
      replaceAll(known, namespaces)
      change({ isSynced: true })
    },
    onChange: (type, namespace) => {
      if (type === 'delete') known.delete(namespace.name)
      else upsert(known, namespace)
    },
    onConnected: () => {
      connection.connected(known.size)
      change({ isConnected: true })
    },
    onDisconnected: error => {
      connection.disconnected(error, isSynced)
      change({ isConnected: false })
    },
    signal: stop.signal,
    ...(options.backoff === undefined ? {} : { backoff: options.backoff }),
  })
  return {
    labelsOf: namespace => known.get(namespace),
    isSynced: () => isSynced,
    state,
    whenSynced: () => synced.promise,
    close: async () => {
      stop.abort()
      synced.resolve()
      await running
    },
  }
}

/** Undefined for what is no namespace. Without labels is not the same as unknown: that namespace has none. */
function decodeNamespace(object: unknown): LabelledNamespace | undefined {
  if (!isRecord(object) || !isRecord(object['metadata'])) return undefined
  const { name, labels } = object['metadata']
  if (typeof name !== 'string') return undefined
  const pairs = isRecord(labels) ? Object.entries(labels).filter(isTextPair) : []
  return { name, labels: Object.freeze(Object.fromEntries(pairs)) }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function isTextPair(pair: [string, unknown]): pair is [string, string] {
  return typeof pair[1] === 'string'
}

function replaceAll(known: Map<string, Labels>, namespaces: readonly LabelledNamespace[]): void {
  const names = new Set(namespaces.map(({ name }) => name))
  for (const name of known.keys()) {
    if (!names.has(name)) known.delete(name)
  }
  for (const namespace of namespaces) upsert(known, namespace)
}

/** The policy remembers the rules of a namespace by the identity of its labels. */
function upsert(known: Map<string, Labels>, { name, labels }: LabelledNamespace): void {
  const former = known.get(name)
  if (former === undefined || !isEqual(former, labels)) known.set(name, labels)
}

function isEqual(left: Labels, right: Labels): boolean {
  const keys = Object.keys(left)
  return (
    keys.length === Object.keys(right).length &&
    keys.every(key => Object.hasOwn(right, key) && left[key] === right[key])
  )
}

/** One line when an outage begins, one when its reason changes, one when it is over. */
function createConnectionLog(log: NamespaceWatchOptions['log'], server: string) {
  let problem: string | undefined
  let isFirst = true
  return {
    connected: (namespaces: number): void => {
      if (problem !== undefined || isFirst) log.info({ server, namespaces }, 'Namespaces are watched')
      problem = undefined
      isFirst = false
    },
    disconnected: (error: unknown, isSynced: boolean): void => {
      const next = describeWatchProblem(error, 'namespaces')
      if (next !== problem) log.warn({ server, problem: next }, isSynced ? OUTAGE : NO_START)
      problem = next
    },
  }
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let settle = (): void => {}
  const promise = new Promise<void>(resolve => {
    settle = resolve
  })
  return { promise, resolve: () => settle() }
}
