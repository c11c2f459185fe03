/** A value that is loaded from files and kept up with them: a good change replaces it, a bad one leaves the last good one. */

import { KnownError } from '../errors.js'
import { type FileWatchOptions, loadUnchanged, watchFiles } from './file-watch.js'

const DEFAULT_RETRY_MS = 1_000

export interface KeptValueOptions<T> extends FileWatchOptions {
  /** Files and directories that decide what `load` gives. */
  readonly paths: readonly string[]
  /** Throws a KnownError for what the operator must mend. `former` is the value in force; undefined at the start. */
  readonly load: (former: T | undefined) => Promise<T>
  /** Nothing that matters changed: the value is replaced without `onReload`. */
  readonly isSame: (next: T, former: T) => boolean
  /** Whether a load may succeed next time although no file changes. */
  readonly mayPass: (error: KnownError) => boolean
  /** How often it is then tried, in milliseconds. Default 1,000. */
  readonly retryMs?: number
  /** For how long a failure is borne in silence, in milliseconds. Default 0. */
  readonly graceMs?: number
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly onReload: (next: T, former: T) => void
  /** Called when the problem is another than at the load before; not again while it stays. */
  readonly onReject: (error: KnownError, current: T) => void
  /** A value could be loaded again after `onReject`; called before `onReload`. */
  readonly onMend: (next: T) => void
  /** A bug, in a load or in one of these functions: the last good value stays in force. */
  readonly onFault: (error: unknown) => void
}

export interface KeptState {
  /** When the value in force was loaded, in milliseconds since the epoch; a reload that found no difference counts. */
  readonly lastReloadAt: number
  /** The files as they stand cannot be used. */
  readonly isRejected: boolean
}

export interface KeptValue<T> {
  current(): T
  state(): KeptState
  /** Load now, whether or not a file changed. During a load, any number of calls ask for one more. Never rejects. */
  reload(): Promise<void>
  /** Neither a load nor a callback begins after this. */
  close(): void
}

/** @throws what `load` throws, the first time. */
export async function keepLoaded<T>(options: KeptValueOptions<T>): Promise<KeptValue<T>> {
  const { paths, load, isSame, now, graceMs = 0, retryMs = DEFAULT_RETRY_MS } = options
  let reload: () => Promise<void> = () => Promise.resolve()
  const watch = await watchFiles(paths, options, () => reload())
  const loadNow = (former: T | undefined) => loadUnchanged(paths, () => load(former))
  let value: T
  try {
    value = await loadNow(undefined)
  } catch (error) {
    watch.close()
    throw error
  }
  let lastReloadAt = now()
  /** On the monotonic clock; undefined while all is well. */
  let failingSince: number | undefined
  let reported: string | undefined
  let retry: NodeJS.Timeout | undefined
  let isClosed = false

  const accept = (next: T): void => {
    const former = value
    value = next
    lastReloadAt = now()
    failingSince = undefined
    if (reported !== undefined) {
      reported = undefined
      options.onMend(next)
    }
    if (!isSame(next, former)) options.onReload(next, former)
  }
  const reject = (error: KnownError): void => {
    failingSince ??= performance.now()
    const isPatient = performance.now() - failingSince < graceMs
    if (isPatient || options.mayPass(error)) retry = setTimeout(() => void reload(), retryMs).unref()
    if (isPatient || error.message === reported) return
    reported = error.message
    options.onReject(error, value)
  }
  const attempt = async (): Promise<void> => {
    clearTimeout(retry)
    try {
      const next = await loadNow(value)
      if (!isClosed) accept(next)
    } catch (error) {
      if (isClosed) return
      if (error instanceof KnownError) reject(error)
      else options.onFault(error)
    }
  }

  reload = oneAtATime(attempt)
  return {
    current: () => value,
    state: () => ({ lastReloadAt, isRejected: reported !== undefined }),
    reload: () => reload(),
    close: () => {
      isClosed = true
      clearTimeout(retry)
      watch.close()
    },
  }
}

/** Calls during a run share the one run that follows it. `run` never rejects. */
function oneAtATime(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined
  let queued: Promise<void> | undefined
  const start = (): Promise<void> => {
    if (running === undefined) {
      running = run().finally(() => {
        running = undefined
      })
      return running
    }
    queued ??= running.then(() => {
      queued = undefined
      return start()
    })
    return queued
  }
  return start
}
