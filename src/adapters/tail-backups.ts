/**
 * The rotated files beside a followed one, the oldest first: by Tetragon's rotation
 * (`tetragon-2006-01-02T15-04-05.000.log`) and by logrotate's (`tetragon.log.1`, `tetragon.log-20060102`), plain or
 * gzipped. A file under the name of an unfinished compression (`.gz.tmp`) is none.
 */

import { type FileHandle, open, readdir, stat } from 'node:fs/promises'
import { basename, dirname, extname, join } from 'node:path'
import { HEAD_BYTES, type Head, headOf } from './checkpoint.js'
import { GzipDamage } from './gzip-members.js'
import { decompress } from './gzip-stream.js'
import { countLeadingNuls } from './tail-cursor.js'
import { isMissing, reasonOf, unreadable } from './text-file.js'

const READ_BYTES = 256 * 1024
const GZIP_SUFFIX = '.gz'
/**
 * Far more than anybody keeps; older ones are passed over. Each look asks the system about all of them, and each of them has an
 * entry in the position, which is saved every second.
 */
export const MAX_BACKUPS = 1000
/** A rotation renames one file after the other: a list that was made meanwhile is made again. */
const MAX_LOOKS = 5

export interface Backup {
  readonly path: string
  readonly identity: string
  /** What it is known by, whatever its name is by now: its beginning, or its inode if it cannot be read. */
  readonly key: string
  /** Where its first byte stands that is not NUL. */
  readonly start: number
  /** Its first bytes from `start` on, up to `HEAD_BYTES`; undefined when it cannot be read. */
  readonly head: Buffer | undefined
  /** As it is stored. */
  readonly bytes: number
  /** Another one as soon as anything about the file has changed. */
  readonly version: string
}

export interface BackupFolder {
  /** `MAX_BACKUPS` at most, the youngest. @throws KnownError FILE_UNREADABLE when the directory is there and cannot be read. */
  list(): Promise<readonly Backup[]>
  /** Those that are older than these, the youngest first. */
  older(): AsyncGenerator<Backup>
}

/** @param path the followed file. */
export function createBackupFolder(path: string): BackupFolder {
  const known = new Map<string, Backup>()
  const folder = dirname(path)
  const allNow = async (): Promise<readonly string[]> => rotatedNames(await namesIn(folder), basename(path))
  const namesNow = async (): Promise<readonly string[]> => (await allNow()).slice(-MAX_BACKUPS)
  const look = async (names: readonly string[]): Promise<readonly Backup[]> => {
    const backups: Backup[] = []
    for (const name of names) {
      const backup = await lookAt(join(folder, name), known)
      if (backup !== undefined) backups.push(backup)
    }
    return backups
  }
  return {
    async list() {
      let names = await namesNow()
      let backups: readonly Backup[] = []
      for (let looks = 0; looks < MAX_LOOKS; looks += 1) {
        backups = await look(names)
        const after = await namesNow()
        if (after.join() === names.join() && (await areNamedSo(backups))) break
        names = after
      }
      known.clear()
      for (const backup of backups) known.set(backup.version, backup)
      return backups
    },
    async *older() {
      for (const name of (await allNow()).slice(0, -MAX_BACKUPS).reverse()) {
        const backup = await lookAt(join(folder, name), known)
        if (backup !== undefined) yield backup
      }
    },
  }
}

/** The key of a rotated file that begins so. */
export function backupKey(head: Buffer): string {
  const { bytes, sha256 } = headOf(head)
  return `${bytes}:${sha256}`
}

/** A file that was done, as one text; `parseDone` reads it. */
export function doneOf({ key, identity }: Pick<Backup, 'key' | 'identity'>): string {
  return Number.parseInt(key, 10) < HEAD_BYTES ? `${key}:${identity}` : key
}

/** With identity and head when the file was shorter than the measure, so that it may have grown since. */
export function parseDone(done: string): { key: string; identity?: string; head?: Head } {
  const [bytes = '', sha256 = '', ...identity] = done.split(':')
  const length = Number(bytes)
  if (!(length > 0) || identity.length === 0) return { key: done }
  return { key: `${bytes}:${sha256}`, identity: identity.join(':'), head: { bytes: length, sha256 } }
}

/**
 * The plain bytes of a rotated file from `offset` on.
 *
 * @throws a system or zlib error; ESTALE when another file has its name by now, which is not to be taken for it.
 */
export async function* readBackup(
  { path, identity }: Pick<Backup, 'path' | 'identity'>,
  offset: number,
): AsyncGenerator<Buffer> {
  const handle = await open(path, 'r')
  try {
    if ((await identityOf(handle)) !== identity) throw Object.assign(new Error('it was renamed'), { code: 'ESTALE' })
    let skip = offset
    for await (const bytes of plainBytesOf(handle)) {
      if (skip >= bytes.length) {
        skip -= bytes.length
        continue
      }
      yield skip === 0 ? bytes : bytes.subarray(skip)
      skip = 0
    }
  } finally {
    await handle.close()
  }
}

/** A directory that has gone holds no rotated files; the followed file is then waited for. */
async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder)
  } catch (cause) {
    if (isMissing(cause)) return []
    throw unreadable(folder, reasonOf(cause), cause)
  }
}

async function areNamedSo(backups: readonly Backup[]): Promise<boolean> {
  for (const { path, identity } of backups) {
    const stats = await stat(path, { bigint: true }).catch(() => undefined)
    if (stats === undefined || `${stats.dev}:${stats.ino}` !== identity) return false
  }
  return true
}

/** The oldest first. Of a file that stands there plain and gzipped, the plain one: the other may be unfinished. */
function rotatedNames(names: readonly string[], base: string): readonly string[] {
  const present = new Set(names)
  return names
    .flatMap(name => {
      const order = orderOf(withoutGzip(name), base)
      const isTwin = name.endsWith(GZIP_SUFFIX) && present.has(withoutGzip(name))
      return order === undefined || isTwin ? [] : [{ name, order }]
    })
    .sort((a, b) => (a.order < b.order ? -1 : 1))
    .map(({ name }) => name)
}

/** A text that sorts by age; undefined for a file that is no rotation of `base`. */
function orderOf(name: string, base: string): string | undefined {
  const extension = extname(base)
  const stem = `${base.slice(0, base.length - extension.length)}-`
  if (name.startsWith(stem) && name.endsWith(extension)) {
    const time = name.slice(stem.length, name.length - extension.length)
    if (/^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}$/.test(time)) return `b${time}`
  }
  if (!name.startsWith(base)) return undefined
  const suffix = name.slice(base.length)
  if (/^-\d{8,14}(?:[-_.]\d{1,6})?$/.test(suffix)) return `b${suffix}`
  // The higher the number, the older.
  return /^\.\d{1,6}$/.test(suffix) ? `a${String(1e6 - Number(suffix.slice(1))).padStart(7, '0')}` : undefined
}

/** Undefined when it has just gone, or is no file. A beginning that fills its measure is read once. */
async function lookAt(path: string, known: ReadonlyMap<string, Backup>): Promise<Backup | undefined> {
  const stats = await stat(path, { bigint: true }).catch(() => undefined)
  if (stats?.isFile() !== true) return undefined
  const identity = `${stats.dev}:${stats.ino}`
  const bytes = Number(stats.size)
  const version = `${path} ${identity} ${bytes} ${stats.mtimeNs}`
  const before = known.get(version)
  if (before?.head?.length === HEAD_BYTES) return before
  const begin = await readHead(path, identity).catch(() => undefined)
  if (begin !== undefined) return { path, identity, bytes, version, key: backupKey(begin.head), ...begin }
  return { path, identity, bytes, version, key: `unreadable:${identity}:${bytes}`, start: 0, head: undefined }
}

/** Up to damage, if there is any. @throws when nothing can be read, or another file has its name by now. */
async function readHead(path: string, identity: string): Promise<{ start: number; head: Buffer }> {
  let start = 0
  let head = Buffer.alloc(0)
  try {
    for await (const bytes of readBackup({ path, identity }, 0)) {
      const nuls = head.length === 0 ? countLeadingNuls(bytes) : 0
      start += nuls
      head = Buffer.concat([head, bytes.subarray(nuls, nuls + HEAD_BYTES - head.length)])
      if (head.length === HEAD_BYTES) break
    }
  } catch (cause) {
    if (!(cause instanceof GzipDamage) || head.length === 0) throw cause
  }
  return { start, head }
}

function plainBytesOf(handle: FileHandle): AsyncGenerator<Buffer> {
  return decompress(handle.createReadStream({ highWaterMark: READ_BYTES, autoClose: false }))
}

async function identityOf(handle: FileHandle): Promise<string> {
  const { dev, ino } = await handle.stat({ bigint: true })
  return `${dev}:${ino}`
}

function withoutGzip(name: string): string {
  return name.endsWith(GZIP_SUFFIX) ? name.slice(0, -GZIP_SUFFIX.length) : name
}
