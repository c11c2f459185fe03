/** Reading a whole small file, with a clear sentence for everything that can be wrong with it. */

import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { KnownError } from '../errors.js'
import { escapeForeign } from '../policy/index.js'

/** A policy or a manifest: 100,000 entries take some 6 MB. */
const MAX_FILE_BYTES = 64 * 1024 * 1024

/** What a directory of policies or manifests is read for. */
const EXTENSION = /\.(?:ya?ml|json)$/i

const REASONS: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'there is no such file'],
  ['ENOTDIR', 'a part of the path is no directory'],
  ['EISDIR', 'it is a directory'],
  ['EACCES', 'permission denied'],
  ['EPERM', 'operation not permitted'],
  ['ELOOP', 'too many symbolic links'],
  ['EMFILE', 'too many open files'],
  ['EIO', 'the device reports an error'],
  ['EROFS', 'the file system is read-only'],
  ['ENOSPC', 'no space is left on the device'],
  ['ENXIO', 'nobody reads from it'],
])

/**
 * @returns the text, as UTF-8 without a byte-order mark.
 * @throws KnownError FILE_UNREADABLE that names the file and the reason; also for what is no text.
 */
export async function readTextFile(file: string): Promise<string> {
  let bytes: Buffer
  try {
    const { size } = await stat(file)
    if (size > MAX_FILE_BYTES) throw unreadable(file, `it is larger than ${MAX_FILE_BYTES / 1024 / 1024} MiB`)
    bytes = await readFile(file)
  } catch (cause) {
    throw asUnreadable(file, cause)
  }
  return decodeText(bytes, file)
}

/**
 * The files that a path stands for: itself, or a directory's *.yaml, *.yml and *.json files by name, not those below it and
 * not hidden ones (such as the `..data` of a ConfigMap mount).
 *
 * @throws KnownError FILE_UNREADABLE, also for a directory without such a file.
 */
export async function expandPath(path: string): Promise<readonly string[]> {
  let names: readonly string[]
  try {
    if (!(await stat(path)).isDirectory()) return [path]
    names = await readdir(path)
  } catch (cause) {
    throw unreadable(path, reasonOf(cause), cause)
  }
  const files = names.filter(name => EXTENSION.test(name) && !name.startsWith('.')).toSorted()
  if (files.length === 0) throw unreadable(path, 'the directory holds no .yaml, .yml or .json file')
  return files.map(name => join(path, name))
}

/** UTF-8 bytes as text; binary junk is an error of its own, before any parser stumbles over it. */
export function decodeText(bytes: Buffer, file: string): string {
  if (bytes.includes(0)) throw unreadable(file, 'it is binary, not text')
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw unreadable(file, 'it is not UTF-8 text', cause)
  }
}

/** Half a sentence for a system error: `there is no such file`. */
export function reasonOf(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  return REASONS.get(code) ?? (cause instanceof Error ? escapeForeign(cause.message, 200) : 'it cannot be read')
}

export function isMissing(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'
}

/** Something that the system refused, as it is or told as FILE_UNREADABLE: no bug, and it may pass. */
export function isSystemError(cause: unknown): boolean {
  if (cause instanceof KnownError) return cause.code === 'FILE_UNREADABLE'
  return cause instanceof Error && 'errno' in cause && typeof cause.errno === 'number'
}

/** What the system said, as an operator is told it. */
export function asUnreadable(file: string, cause: unknown): KnownError {
  return cause instanceof KnownError ? cause : unreadable(file, reasonOf(cause), cause)
}

export function unreadable(file: string, reason: string, cause?: unknown): KnownError {
  return new KnownError('FILE_UNREADABLE', `cannot read ${escapeForeign(file, 300)}: ${reason}`, { cause })
}
