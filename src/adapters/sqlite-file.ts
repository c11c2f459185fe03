/**
 * SQLite files of ours: opened for writing by one program and for reading by others, told from files of another kind and
 * from those of a newer version, which are refused and never guessed at.
 */

import { existsSync } from 'node:fs'
import Database from 'libsql'
import { KnownError, type KnownErrorCode } from '../errors.js'
import { escapeForeign } from '../policy/index.js'
import { reasonOf } from './text-file.js'

/** How long one process waits while another one writes. */
const BUSY_TIMEOUT_MS = 5_000
const MAX_PATH_RUNES = 300
/** https://www.sqlite.org/rescode.html; extended codes begin with the plain ones. */
const PASSING = /^SQLITE_(?:FULL|IOERR|READONLY|BUSY|LOCKED|PROTOCOL|CANTOPEN)/

export type SqliteDatabase = Database.Database

/** One of our files: what is in it, and how it is spoken of. */
export interface SqliteKind {
  /** One word for messages: there is no …, the … cannot be used. */
  readonly name: string
  /** The code of a file that cannot be used. */
  readonly code: KnownErrorCode
  /** Tells it from any other SQLite file that an operator may point at. */
  readonly applicationId: number
  /** Raised by every change of the tables. */
  readonly version: number
  readonly tables: string
  /** What each version added to the one before. */
  readonly migrations: readonly { readonly from: number; readonly sql: string }[]
  /** The write-ahead log is cut back to this after a burst. */
  readonly walLimitBytes: number
  /** Of a new file: one that is there keeps the pages that it was made with. Default: 4 KiB. */
  readonly pageBytes?: number
  /** When the write-ahead log goes into the file. Default: after 1,000 pages. */
  readonly checkpointBytes?: number
}

/**
 * Open for writing; makes the tables in a new file, and brings an older one up to date.
 *
 * @throws KnownError of the kind's code: another kind of file, written by a newer Sallyport, or not writable.
 */
export function openForWriting(path: string, kind: SqliteKind): SqliteDatabase {
  return opened(path, kind, database => {
    if (kind.pageBytes !== undefined) database.pragma(`page_size = ${kind.pageBytes}`)
    migrate(database, path, kind)
    database.pragma('journal_mode = WAL')
    // In WAL mode NORMAL cannot corrupt the file; a power cut may lose the last moments, a kill -9 loses no commit.
    database.pragma('synchronous = NORMAL')
    database.pragma(`journal_size_limit = ${kind.walLimitBytes}`)
    if (kind.checkpointBytes === undefined) return
    const pageBytes = readNumber(database, 'PRAGMA page_size')
    database.pragma(`wal_autocheckpoint = ${Math.ceil(kind.checkpointBytes / pageBytes)}`)
  })
}

/**
 * Open for reading, also while another process writes.
 *
 * @throws KnownError FILE_UNREADABLE without a file there, or an empty one; of the kind's code when it is another kind, or
 *   a newer one.
 */
export function openForReading(path: string, kind: SqliteKind): SqliteDatabase {
  if (!existsSync(path)) throw new KnownError('FILE_UNREADABLE', `${shown(path)}: there is no ${kind.name}`)
  return opened(path, kind, database => {
    database.pragma('query_only = ON')
    if (versionOf(database, path, kind) > 0) return
    throw new KnownError('FILE_UNREADABLE', `${shown(path)}: the ${kind.name} is still empty`)
  })
}

export function inTransaction(database: SqliteDatabase, work: () => unknown): void {
  database.exec('BEGIN IMMEDIATE')
  try {
    work()
    database.exec('COMMIT')
  } catch (error) {
    // Of some errors, a full disk among them, SQLite rolls back by itself.
    if (database.inTransaction) database.exec('ROLLBACK')
    throw error
  }
}

/** The single number that a query or pragma yields. */
export function readNumber(database: SqliteDatabase, sql: string): number {
  const row: unknown = database.prepare(sql).raw(true).get()
  const value: unknown = Array.isArray(row) ? row[0] : undefined
  return typeof value === 'number' ? value : 0
}

/** What is to be thrown when a file of this kind cannot be used. */
export function unusable(path: string, { name, code }: SqliteKind, problem: string, cause?: unknown): KnownError {
  return new KnownError(code, `${shown(path)}: the ${name} cannot be used: ${problem}`, { cause })
}

export type SqliteGuard = <Result>(work: () => Result) => Result

/** What SQLite refuses during the work, such as to write to a full disk, is thrown as `unusable`. */
export function guardFor(path: string, kind: SqliteKind): SqliteGuard {
  return work => {
    try {
      return work()
    } catch (cause) {
      throw isRefusal(cause) ? unusable(path, kind, reasonOf(cause), cause) : cause
    }
  }
}

/**
 * Whether what SQLite refuses now may work later: no room, a device that fails, a file system that is read-only, a file that
 * another process holds or that cannot be opened. A damaged file stays damaged.
 */
export function mayPass(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && PASSING.test(String(cause.code))
}

function isRefusal(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && String(cause.code).startsWith('SQLITE_')
}

function opened(path: string, kind: SqliteKind, prepare: (database: SqliteDatabase) => void): SqliteDatabase {
  let database: SqliteDatabase | undefined
  try {
    database = new Database(path)
    database.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`)
    prepare(database)
    return database
  } catch (cause) {
    database?.close()
    if (cause instanceof KnownError) throw cause
    throw unusable(path, kind, reasonOf(cause), cause)
  }
}

/** In one transaction: two programs that start together make the tables once, and one that is killed leaves no half of them. */
function migrate(database: SqliteDatabase, path: string, kind: SqliteKind): void {
  inTransaction(database, () => {
    const version = versionOf(database, path, kind)
    if (version === kind.version) return
    if (version === 0) {
      database.exec(kind.tables)
      database.pragma(`application_id = ${kind.applicationId}`)
    } else {
      for (const { from, sql } of kind.migrations) if (version <= from) database.exec(sql)
    }
    database.pragma(`user_version = ${kind.version}`)
  })
}

/** 0 for an empty file. */
function versionOf(database: SqliteDatabase, path: string, kind: SqliteKind): number {
  const version = readNumber(database, 'PRAGMA user_version')
  if (version === 0 && readNumber(database, 'SELECT count(*) FROM sqlite_schema') === 0) return 0
  if (readNumber(database, 'PRAGMA application_id') !== kind.applicationId) {
    throw unusable(path, kind, 'it is another SQLite file')
  }
  if (version > kind.version) {
    throw unusable(path, kind, `it has version ${version}, and this Sallyport knows ${kind.version}`)
  }
  return version
}

function shown(path: string): string {
  return escapeForeign(path, MAX_PATH_RUNES)
}
