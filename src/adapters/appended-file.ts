/** A file that lines are appended to and that others rotate: opening it, and telling whether its path still leads to it. */

import { constants } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'

/** Neither opening a pipe nor writing to it waits for its reader. On a regular file the last flag means nothing. */
export const NON_BLOCKING = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK

export interface AppendedFile {
  readonly handle: FileHandle
  /** Device and inode: a path may lead to another file tomorrow. */
  readonly identity: string
}

/** What a path leads to now. */
export interface PathState {
  /** Undefined: that cannot be told; `none`: to nothing. */
  readonly identity: string | undefined
  readonly size: number
}

/** Made when it is missing, with these permissions. @throws a system error. */
export async function openForAppending(path: string, mode: number, flags: 'a' | number = 'a'): Promise<AppendedFile> {
  const handle = await open(path, flags, mode)
  const { dev, ino } = await handle.stat({ bigint: true })
  return { handle, identity: `${dev}:${ino}` }
}

export async function lookAt(path: string): Promise<PathState> {
  try {
    const { dev, ino, size } = await stat(path, { bigint: true })
    return { identity: `${dev}:${ino}`, size: Number(size) }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    return { identity: code === 'ENOENT' || code === 'ENOTDIR' ? 'none' : undefined, size: 0 }
  }
}
