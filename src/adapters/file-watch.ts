/**
 * Notices changes of small files and of the directories that hold them, by looking at them twice a second, and at once
 * where the system hints at a change.
 *
 * Polling, because it is the one way that sees every kind of mount alike: a ConfigMap is changed by pointing the link
 * `..data` at a new folder, which tells no watcher of the file itself, and network mounts tell nobody.
 */

import type { BigIntStats } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createChangeHints } from './change-hints.js'

const DEFAULT_INTERVAL_MS = 500
const DEFAULT_SETTLE_MS = 100
/** After the first of many hints, so that a busy directory leads to few looks. */
const HINT_MS = 20
/** A file that never rests is reported all the same. */
const MAX_SETTLE_MS = 800
/** How often a load begins anew because files changed in the meantime; the watch looks again anyway. */
const MAX_LOADS = 5

export interface FileWatchOptions {
  /** Between two looks, in milliseconds. Default 500. */
  readonly intervalMs?: number
  /** How long changed files must have rested before they are reported, in milliseconds. Default 100, at most 800. */
  readonly settleMs?: number
}

export interface FileWatch {
  /** No look begins after this; an `onChange` that is under way is not interrupted. */
  close(): void
}

/** Files and directories; a function is asked at each look. */
export type WatchedPaths = readonly string[] | (() => readonly string[])

/**
 * Call `onChange` after the paths changed: once for a swap of many files, and never while a former call is under way (what
 * changes then is noticed afterwards). It must not reject. A directory stands for what it holds, hidden files left out.
 *
 * Resolves once the state to compare with is known: load the files after that, and no change is missed. The watch does
 * not keep the process alive.
 */
export async function watchFiles(
  paths: WatchedPaths,
  { intervalMs = DEFAULT_INTERVAL_MS, settleMs = DEFAULT_SETTLE_MS }: FileWatchOptions,
  onChange: () => void | Promise<void>,
): Promise<FileWatch> {
  const pathsNow = () => (typeof paths === 'function' ? paths() : paths)
  const look = () => readFingerprint(pathsNow())
  let isClosed = false
  let timer: NodeJS.Timeout | undefined
  let isPolling = false
  let isHinted = false
  const hints = createChangeHints(() => {
    if (isHinted) return
    isHinted = true
    if (!isPolling) pollIn(HINT_MS)
  })
  const listen = (): void => hints.listen(pathsNow().flatMap(path => [path, dirname(path)]))
  const pollIn = (ms: number): void => {
    clearTimeout(timer)
    if (!isClosed) timer = setTimeout(() => void poll(), ms).unref()
  }
  /**
   * Two equal looks, apart in time, end the wait. A file's times are only as fine as the kernel's tick: a second write
   * within one tick looks like the first, but is over before the second look, and so before anything is loaded.
   */
  const settle = async (first: string): Promise<string> => {
    let latest = first
    for (let waited = 0; waited < MAX_SETTLE_MS && !isClosed; waited += settleMs) {
      await new Promise<void>(resolve => setTimeout(resolve, settleMs).unref())
      const next = await look()
      if (next === latest) return next
      latest = next
    }
    return latest
  }
  const poll = async (): Promise<void> => {
    isPolling = true
    isHinted = false
    try {
      const seen = await look()
      if (seen === reported || isClosed) return
      const settled = await settle(seen)
      if (settled === reported || isClosed) return
      reported = settled
      listen()
      await onChange()
    } finally {
      isPolling = false
      pollIn(isHinted ? HINT_MS : intervalMs)
    }
  }

  let reported = await look()
  listen()
  pollIn(intervalMs)
  return {
    close: () => {
      isClosed = true
      clearTimeout(timer)
      hints.close()
    },
  }
}

/**
 * Run `load` until the paths were the same before and after it, a few times at most: what was read half before and half
 * after a swap of several files is never used. The last run's error is thrown.
 */
export async function loadUnchanged<T>(paths: readonly string[], load: () => Promise<T>): Promise<T> {
  for (let remaining = MAX_LOADS; ; remaining -= 1) {
    const before = await readFingerprint(paths)
    const outcome = await load().then(
      value => ({ ok: true as const, value }),
      (error: unknown) => ({ ok: false as const, error }),
    )
    if (remaining > 1 && (await readFingerprint(paths)) !== before) continue
    if (!outcome.ok) throw outcome.error
    return outcome.value
  }
}

/** Changes when anything changes: where links lead, which file it is, its length, and its times in nanoseconds. */
async function readFingerprint(paths: readonly string[]): Promise<string> {
  const parts: string[] = []
  for (const path of paths) parts.push(await fingerprintPath(path))
  return JSON.stringify(parts)
}

async function fingerprintPath(path: string): Promise<string> {
  try {
    const target = await realpath(path)
    const stats = await stat(target, { bigint: true })
    if (!stats.isDirectory()) return fingerprintFile(target, stats)
    // The directory's own times would also change with the hidden files that nobody reads.
    const names = (await readdir(target)).filter(name => !name.startsWith('.')).sort()
    const entries: string[] = []
    for (const name of names) entries.push(name, await fingerprintEntry(join(target, name)))
    return JSON.stringify([target, ...entries])
  } catch (error) {
    return problemOf(error)
  }
}

/** A directory in a directory is not looked into: nobody reads policies there. */
async function fingerprintEntry(path: string): Promise<string> {
  try {
    const target = await realpath(path)
    const stats = await stat(target, { bigint: true })
    return stats.isDirectory() ? `${target} directory` : fingerprintFile(target, stats)
  } catch (error) {
    return problemOf(error)
  }
}

function fingerprintFile(target: string, { dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [target, dev, ino, size, mtimeNs, ctimeNs].join(' ')
}

/** What cannot be looked at has a state too: that of being absent, or forbidden. */
function problemOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}
