/** Reading a whole small file, with a clear sentence for everything that can be wrong with it. */

import { readFile, stat } from 'node:fs/promises'
import { KnownError } from '../errors.js'
import { escapeForeign } from '../policy/index.js'

/** A policy or a manifest: 100,000 entries take some 6 MB. */
const MAX_FILE_BYTES = 64 * 1024 * 1024

const REASONS: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'there is no such file'],
  ['ENOTDIR', 'a part of the path is no directory'],
  ['EISDIR', 'it is a directory'],
  ['EACCES', 'permission denied'],
  ['EPERM', 'operation not permitted'],
  ['ELOOP', 'too many symbolic links'],
  ['EMFILE', 'too many open files'],
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
    throw cause instanceof KnownError ? cause : unreadable(file, reasonOf(cause), cause)
  }
  return decodeText(bytes, file)
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

export function unreadable(file: string, reason: string, cause?: unknown): KnownError {
  return new KnownError('FILE_UNREADABLE', `cannot read ${escapeForeign(file, 300)}: ${reason}`, { cause })
}
