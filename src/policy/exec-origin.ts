/** Where a program comes from, told by its path: an open file descriptor, shared memory, a file that is gone. */

/** Longer paths are no such origin. */
const MAX_PATH = 4_096

/**
 * - `memfd`: a file in memory without a name on any disk.
 * - `proc-fd`, `dev-fd`: an open (or mapped) file; which one cannot be seen (usually a memfd, or a deleted file).
 * - `shared-memory`: a file on a file system in memory.
 * - `deleted`: a file whose name is gone.
 */
export const EXEC_ORIGINS = ['memfd', 'proc-fd', 'dev-fd', 'shared-memory', 'deleted'] as const

export type ExecOrigin = (typeof EXEC_ORIGINS)[number]

const MEMFD = /^\/?memfd:/
const PROC_FD =
  /^\/proc\/(?:self|thread-self|\d{1,10})\/(?:task\/\d{1,10}\/)?(?:fd\/\d{1,10}|map_files\/[0-9a-f]{1,16}-[0-9a-f]{1,16})$/
const DEV_FD = /^\/dev\/(?:fd\/\d{1,10}|stdin)$/
const SHARED_MEMORY = /^\/(?:dev|run)\/shm\//
/** The root directory of some process, mostly the same one. */
const PROC_ROOT = /^(?:\/proc\/(?:self|thread-self|\d{1,10})\/root){1,8}(?=\/)/
const DELETED = ' (deleted)'
/** Container runtimes start each container from a sealed copy of themselves. */
const RUNTIME =
  /^(?:runc|crun|youki|runsc|kata-runtime|conmon|docker-runc|containerd-shim[a-z0-9.-]{0,32}|runc\.[a-z0-9]{1,16})$/

/** Undefined for an ordinary path. @param path as given to execve: never cleaned. */
export function originOf(path: string): ExecOrigin | undefined {
  if (path.length > MAX_PATH || !mayHaveOrigin(path)) return undefined
  if (MEMFD.test(path)) return 'memfd'
  const isDeleted = path.endsWith(DELETED)
  const clean = cleanPath(isDeleted ? path.slice(0, -DELETED.length) : path).replace(PROC_ROOT, '')
  if (PROC_FD.test(clean)) return 'proc-fd'
  if (DEV_FD.test(clean)) return 'dev-fd'
  if (SHARED_MEMORY.test(clean)) return 'shared-memory'
  return isDeleted ? 'deleted' : undefined
}

/** `runc init`: the runtime's own copy, in every start of a container. */
export function isRuntimeInit(args: string, parentName: string | undefined): boolean {
  return args === 'init' && parentName !== undefined && RUNTIME.test(parentName)
}

/** A quick look, for nearly every path is an ordinary one. */
function mayHaveOrigin(path: string): boolean {
  return (
    path.includes('fd') ||
    path.includes('map_files') ||
    path.includes('shm') ||
    path.includes('stdin') ||
    path.endsWith(DELETED)
  )
}

/** Without empty parts, `.` and `..`; symbolic links cannot be followed. */
function cleanPath(path: string): string {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return `/${parts.join('/')}`
}
