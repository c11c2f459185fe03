/** Whether a file ends with a whole line: what was being written at a kill or a power cut may be torn. */

import { closeSync, openSync, readSync, statSync } from 'node:fs'

const NEWLINE = 0x0a

/**
 * Whether the next line would be glued to the rest of another. False also for what is no regular file, is not there, or
 * may not be read.
 */
export function endsTorn(path: string): boolean {
  let fd: number | undefined
  try {
    const stats = statSync(path)
    // To open a pipe may mean to wait, and to read from it to steal.
    if (!stats.isFile() || stats.size === 0) return false
    fd = openSync(path, 'r')
    const last = Buffer.alloc(1)
    return readSync(fd, last, 0, 1, stats.size - 1) === 1 && last[0] !== NEWLINE
  } catch {
    return false
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}
