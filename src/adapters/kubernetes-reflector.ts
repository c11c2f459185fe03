/**
 * Keeps up with all objects of one kind: list, then watch from there, for ever.
 *
 * What client-node's informer leaves to its caller: it stops at the first error, lists everything in one page, and after an
 * expired version waits for the server to close the watch before it lists anew.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { type Backoff, backoffMs } from '../backoff.js'
import { escapeForeign } from '../policy/index.js'
import { type KubernetesClient, KubernetesStatusError, type Query } from './kubernetes-client.js'
import { recordOf } from './kubernetes-metadata.js'

const PAGE_SIZE = '500'
/** The server ends a watch after a time between this and twice this: all replicas at different moments. */
const WATCH_SECONDS = 300
/** A watch that lasted this long was a good one: the next begins at once, and back-off begins anew. */
const GOOD_WATCH_MS = 5_000
const DEFAULT_BACKOFF: Backoff = { minMs: 1_000, maxMs: 30_000 }
/** HTTP 410: the version asked for, or a page's continuation, is no longer kept. */
const GONE = 410
const FORBIDDEN = 403

export interface ReflectorOptions<T> {
  readonly client: KubernetesClient
  /** `/api/v1/namespaces` */
  readonly path: string
  /** Of lists and watches, beside what they need themselves: `fieldSelector`. */
  readonly query?: Query
  /** What to keep of an object; undefined drops it. Whole objects are never held together. */
  readonly decode: (object: unknown) => T | undefined
  /** Everything that exists now; what was known before and is missing here is gone. */
  readonly onList: (values: readonly T[]) => void
  readonly onChange: (type: 'upsert' | 'delete', value: T) => void
  /** The watch stands. */
  readonly onConnected: () => void
  /** Listing or watching failed; it is tried again. What is known may be out of date from now on. */
  readonly onDisconnected: (error: unknown) => void
  readonly signal: AbortSignal
  readonly backoff?: Backoff
  /** From 0 to 1. Default Math.random. */
  readonly random?: () => number
}

interface Position {
  /** Undefined: list first. */
  resourceVersion: string | undefined
}

/** Runs until the signal. Never rejects: what a callback throws counts as a failure, and is told to `onDisconnected`. */
export async function reflect<T>(options: ReflectorOptions<T>): Promise<void> {
  const { signal, backoff = DEFAULT_BACKOFF, random = Math.random } = options
  const position: Position = { resourceVersion: undefined }
  let failures = 0
  while (!signal.aborted) {
    const begun = performance.now()
    const isClean = await follow(options, position, random)
    const wasGood = performance.now() - begun >= GOOD_WATCH_MS
    if (wasGood) failures = 0
    if (wasGood && isClean) continue
    const pauseMs = backoffMs(backoff, failures, random())
    failures += 1
    // Aborted or not, the loop looks itself.
    await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => {})
  }
}

/** What to tell people of an error, safe to print. @param resource what `list` and `watch` are needed on. */
export function describeWatchProblem(error: unknown, resource: string): string {
  const message = error instanceof Error ? escapeForeign(error.message, 300) : String(error)
  const isForbidden = error instanceof KubernetesStatusError && error.status === FORBIDDEN
  return isForbidden ? `${message} (a ClusterRole with list and watch on ${resource} is needed)` : message
}

/** One list, if it is needed, and one watch. @returns whether the server ended it in order. */
async function follow<T>(options: ReflectorOptions<T>, position: Position, random: () => number): Promise<boolean> {
  const isStale = position.resourceVersion !== undefined
  try {
    position.resourceVersion ??= await list(options)
    return await watch(options, position, random)
  } catch (error) {
    if (options.signal.aborted) return true
    const isGone = error instanceof KubernetesStatusError && error.status === GONE
    if (isGone) position.resourceVersion = undefined
    // A version that expired in the meantime is nothing to report; one that was listed just now is.
    if (!isGone || !isStale) options.onDisconnected(error)
    return false
  }
}

/** Page by page. @returns the version that the watch begins at. */
async function list<T>({ client, path, query: filter, decode, onList, signal }: ReflectorOptions<T>): Promise<string> {
  const values: T[] = []
  let continuation = ''
  while (true) {
    const query = { ...filter, limit: PAGE_SIZE, ...(continuation === '' ? {} : { continue: continuation }) }
    const page = await client.read(path, query, signal)
    const { items, metadata } = recordOf(page)
    if (!Array.isArray(items)) throw new Error(`the API server sent no list for ${path}`)
    for (const item of items) {
      const value = decode(item)
      if (value !== undefined) values.push(value)
    }
    const { resourceVersion, continue: next } = recordOf(metadata)
    if (typeof next === 'string' && next !== '') {
      continuation = next
      continue
    }
    if (typeof resourceVersion !== 'string') throw new Error(`the API server sent a list without version for ${path}`)
    onList(values)
    return resourceVersion
  }
}

async function watch<T>(options: ReflectorOptions<T>, position: Position, random: () => number): Promise<boolean> {
  const { client, path, signal, onConnected } = options
  const query = {
    ...options.query,
    allowWatchBookmarks: 'true',
    resourceVersion: position.resourceVersion ?? '',
    timeoutSeconds: String(Math.round(WATCH_SECONDS * (1 + random()))),
  }
  for await (const event of client.watch(path, query, signal, onConnected)) {
    const { type, object } = recordOf(event)
    if (type === 'ERROR') {
      const { code, message } = recordOf(object)
      throw new KubernetesStatusError(Number(code), `the API server ended the watch: ${String(message)}`)
    }
    apply(options, type, object)
    const { resourceVersion } = recordOf(recordOf(object)['metadata'])
    if (typeof resourceVersion === 'string') position.resourceVersion = resourceVersion
  }
  return true
}

function apply<T>({ decode, onChange }: ReflectorOptions<T>, type: unknown, object: unknown): void {
  if (type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED') return
  const value = decode(object)
  if (value !== undefined) onChange(type === 'DELETED' ? 'delete' : 'upsert', value)
}
