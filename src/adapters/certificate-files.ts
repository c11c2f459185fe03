/** Writes a set of certificates into a folder: all four files or none, and never over another file. */

import { randomUUID } from 'node:crypto'
import { link, lstat, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { KnownError } from '../errors.js'
import type { CertificateSet } from './certificates.js'
import { makeFolders } from './make-folders.js'

const FOLDER_MODE = 0o700
const KEY_MODE = 0o600
const CERTIFICATE_MODE = 0o644

export interface CertificatePaths {
  readonly caCertificate: string
  readonly caKey: string
  readonly certificate: string
  readonly key: string
}

interface PlannedFile {
  readonly path: string
  readonly temporary: string
  readonly mode: number
  readonly text: string
}

/** Where each part of a set stands in a folder: `ca.crt`, `ca.key`, `tls.crt`, `tls.key` (the names of a TLS Secret). */
export function certificatePaths(folder: string): CertificatePaths {
  return {
    caCertificate: join(folder, 'ca.crt'),
    caKey: join(folder, 'ca.key'),
    certificate: join(folder, 'tls.crt'),
    key: join(folder, 'tls.key'),
  }
}

/**
 * Write the four files; the folder is made (mode 0700) when it is absent. Keys have mode 0600.
 *
 * Each file is written whole under a temporary name, then linked to its own: a link, unlike a rename, fails when the
 * name is taken, even by a broken symbolic link. After any failure nothing of the set is left.
 *
 * @throws KnownError FILE_EXISTS, FILE_UNWRITABLE.
 */
export async function writeCertificates(folder: string, set: CertificateSet): Promise<CertificatePaths> {
  const paths = certificatePaths(folder)
  const made: string[] = []
  try {
    await refuseExisting(paths)
    makeFolders(folder, FOLDER_MODE)
    const files = plan(paths, set)
    for (const file of files) await writeTemporary(file, made)
    for (const file of files) await place(file, made)
    for (const file of files) await unlink(file.temporary)
  } catch (error) {
    for (const path of made) await unlink(path).catch(() => undefined)
    throw asKnown(error, folder)
  }
  return paths
}

/** Says all that is in the way at once; `place` is what makes sure. */
async function refuseExisting(paths: CertificatePaths): Promise<void> {
  const existing: string[] = []
  for (const path of Object.values(paths)) {
    if (await exists(path)) existing.push(path)
  }
  if (existing.length > 0) throw fileExists(existing)
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false
    throw error
  }
}

function plan(paths: CertificatePaths, set: CertificateSet): readonly PlannedFile[] {
  const suffix = `.${randomUUID()}.tmp`
  const file = (path: string, mode: number, text: string) => ({ path, temporary: `${path}${suffix}`, mode, text })
  return [
    file(paths.caCertificate, CERTIFICATE_MODE, set.caCertificate),
    file(paths.caKey, KEY_MODE, set.caKey),
    file(paths.certificate, CERTIFICATE_MODE, set.certificate),
    file(paths.key, KEY_MODE, set.key),
  ]
}

async function writeTemporary(file: PlannedFile, made: string[]): Promise<void> {
  const handle = await open(file.temporary, 'wx', file.mode)
  made.push(file.temporary)
  try {
    await handle.writeFile(file.text)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function place(file: PlannedFile, made: string[]): Promise<void> {
  try {
    await link(file.temporary, file.path)
  } catch (error) {
    if (codeOf(error) === 'EEXIST') throw fileExists([file.path])
    throw error
  }
  made.push(file.path)
}

function fileExists(paths: readonly string[]): KnownError {
  const files = paths.length === 1 ? `${paths[0]} exists` : `${paths.join(', ')} exist`
  return new KnownError(
    'FILE_EXISTS',
    `${files} and will not be overwritten; move the old set away or name another folder`,
  )
}

/** An error of the file system is the operator's to mend; whatever has no errno is a bug and passes through. */
function asKnown(error: unknown, path: string): unknown {
  const code = codeOf(error)
  if (error instanceof KnownError || code === undefined) return error
  return new KnownError('FILE_UNWRITABLE', `${path}: certificates cannot be written here (${code})`, { cause: error })
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
