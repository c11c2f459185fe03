/**
 * Says at once that something in some directories may have changed, where the system tells.
 *
 * A hint and no more: mounts of other machines never tell, a directory that is replaced goes silent, and what is told may
 * be about another file. Whoever listens looks for himself, and also when nothing is said.
 */

import { type FSWatcher, watch } from 'node:fs'

export interface ChangeHints {
  /** Listen to these, anew: a directory of the same name may be another by now. */
  listen(directories: Iterable<string>): void
  close(): void
}

/** @param onHint called any number of times for one change. Nothing here keeps the process alive. */
export function createChangeHints(onHint: () => void): ChangeHints {
  let watchers: FSWatcher[] = []
  const close = (): void => {
    for (const watcher of watchers) watcher.close()
    watchers = []
  }
  return {
    close,
    listen: directories => {
      close()
      watchers = [...new Set(directories)].flatMap(directory => openWatcher(directory, onHint))
    },
  }
}

/** None where there is no such directory, or the system has no more watches to give. */
function openWatcher(directory: string, onHint: () => void): FSWatcher[] {
  try {
    const watcher = watch(directory, { persistent: false }, onHint)
    watcher.on('error', () => watcher.close())
    return [watcher]
  } catch {
    return []
  }
}
