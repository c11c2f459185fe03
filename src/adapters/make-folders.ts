/** A folder and those that lead to it. */

import { mkdirSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

/**
 * As `mkdir -p`. Node's recursive `mkdir` goes round for ever where a file system answers that something is missing
 * although the folder above is there, as /proc does.
 *
 * @param mode of those that are made.
 * @throws what the system says of the first one that cannot be made.
 */
export function makeFolders(directory: string, mode: number): void {
  const missing: string[] = []
  for (let at = resolve(directory); !isMade(at, mode); at = dirname(at)) missing.unshift(at)
  for (const folder of missing) mkdirOrFind(folder, mode)
}

/** False: the one above it has to be made first. */
function isMade(folder: string, mode: number): boolean {
  try {
    mkdirOrFind(folder, mode)
    return true
  } catch (error) {
    if (codeOf(error) === 'ENOENT' && dirname(folder) !== folder) return false
    throw error
  }
}

function mkdirOrFind(folder: string, mode: number): void {
  try {
    mkdirSync(folder, { mode })
  } catch (error) {
    if (codeOf(error) !== 'EEXIST' || !statSync(folder).isDirectory()) throw error
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
