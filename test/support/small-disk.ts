/** A file system of a few pages, to be filled: mounted for one test, where that is allowed. */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const BALLAST = 'ballast'

export interface SmallDisk {
  readonly folder: string
  /** Nothing more goes onto it. */
  fill(): void
  /** What `fill` put there is gone. */
  clear(): void
  unmount(): void
}

/** Or, as one text, why there is none. */
export function mountSmallDisk(bytes: number): SmallDisk | string {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-disk-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', folder], { stdio: 'pipe' })
  } catch {
    rmdirSync(folder)
    return 'no file system may be mounted here: this needs Linux, and root'
  }
  const ballast = join(folder, BALLAST)
  return {
    folder,
    fill() {
      for (let size = bytes; size >= 1; size = Math.floor(size / 2)) {
        try {
          writeFileSync(ballast, Buffer.alloc(size), { flag: 'a' })
        } catch {
          // Half of it may fit.
        }
      }
    },
    clear: () => rmSync(ballast),
    unmount() {
      execFileSync('umount', ['-l', folder])
      rmdirSync(folder)
    },
  }
}
