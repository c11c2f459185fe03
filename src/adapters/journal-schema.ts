/** The journal's file: where it lies, its tables, and who may open it. */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'libsql'
import { KnownError } from '../errors.js'

/** Inside the journal's folder; SQLite keeps `-wal` and `-shm` beside it, so the folder is the unit to mount or copy. */
export const JOURNAL_FILE = 'journal.db'
/** Raised by every change of the tables; a newer file than this program is refused, never guessed at. */
export const JOURNAL_VERSION = 1

/** "SALY": tells a journal from any other SQLite file that an operator may point at. */
const APPLICATION_ID = 0x53414c59
/** How long one process waits while another one writes. */
const BUSY_TIMEOUT_MS = 5_000
/** The write-ahead log is cut back to this after a burst. */
const WAL_LIMIT_BYTES = 64 * 1024 * 1024

/**
 * `admissions` keeps the record as JSON, and beside it what it is looked up by. `uid` is the object's.
 * `count` is how often the same object and outcome came within the retry window, `last_at` when it last did.
 * `runs` says when a webhook was recording. `bounds` holds `pruned_before`: older records may have been deleted.
 */
const TABLES = `
  CREATE TABLE admissions (
    id INTEGER PRIMARY KEY,
    record_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    count INTEGER NOT NULL DEFAULT 1,
    uid TEXT,
    namespace TEXT NOT NULL,
    name TEXT,
    record TEXT NOT NULL
  );
  CREATE INDEX admissions_by_time ON admissions (at);
  CREATE INDEX admissions_by_uid ON admissions (uid) WHERE uid IS NOT NULL;
  CREATE INDEX admissions_by_name ON admissions (namespace, name);
  CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    started INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    stopped INTEGER,
    dropped INTEGER NOT NULL DEFAULT 0
  );
  CREATE TABLE bounds (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
`

export type JournalDatabase = Database.Database

export function journalPath(directory: string): string {
  return join(directory, JOURNAL_FILE)
}

/**
 * Open for writing; makes the tables in a new file.
 *
 * @throws KnownError JOURNAL_UNUSABLE: not a journal, written by a newer Sallyport, or not writable.
 */
export function openForWriting(directory: string): JournalDatabase {
  const path = journalPath(directory)
  return opened(path, database => {
    database.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`)
    migrate(database, path)
    database.pragma('journal_mode = WAL')
    // In WAL mode NORMAL cannot corrupt the file; a power cut may lose the last moments, a kill -9 loses no commit.
    database.pragma('synchronous = NORMAL')
    database.pragma(`journal_size_limit = ${WAL_LIMIT_BYTES}`)
  })
}

/**
 * Open for reading, also while a webhook writes.
 *
 * @throws KnownError FILE_UNREADABLE without a journal there; JOURNAL_UNUSABLE when it is none, or a newer one.
 */
export function openForReading(directory: string): JournalDatabase {
  const path = journalPath(directory)
  if (!existsSync(path)) throw new KnownError('FILE_UNREADABLE', `${path}: there is no journal`)
  return opened(path, database => {
    database.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`)
    database.pragma('query_only = ON')
    if (versionOf(database, path) === 0) throw new KnownError('FILE_UNREADABLE', `${path}: the journal is still empty`)
  })
}

function opened(path: string, prepare: (database: JournalDatabase) => void): JournalDatabase {
  let database: JournalDatabase | undefined
  try {
    database = new Database(path)
    prepare(database)
    return database
  } catch (cause) {
    database?.close()
    if (cause instanceof KnownError) throw cause
    throw new KnownError('JOURNAL_UNUSABLE', `${path}: the journal cannot be opened (${problemOf(cause)})`, { cause })
  }
}

/** In one transaction, so that two webhooks that start together make the tables once. */
function migrate(database: JournalDatabase, path: string): void {
  database.exec('BEGIN IMMEDIATE')
  try {
    if (versionOf(database, path) === 0) {
      database.exec(TABLES)
      database.pragma(`application_id = ${APPLICATION_ID}`)
      database.pragma(`user_version = ${JOURNAL_VERSION}`)
    }
    database.exec('COMMIT')
  } catch (error) {
    database.exec('ROLLBACK')
    throw error
  }
}

/** 0 for an empty file. */
function versionOf(database: JournalDatabase, path: string): number {
  const version = readNumber(database, 'PRAGMA user_version')
  const isEmpty = readNumber(database, 'SELECT count(*) FROM sqlite_schema') === 0
  if (isEmpty && version === 0) return 0
  if (readNumber(database, 'PRAGMA application_id') !== APPLICATION_ID) {
    throw new KnownError('JOURNAL_UNUSABLE', `${path}: this SQLite file is not a journal of Sallyport`)
  }
  if (version > JOURNAL_VERSION) {
    const versions = `version ${version}, this Sallyport knows ${JOURNAL_VERSION}`
    throw new KnownError('JOURNAL_UNUSABLE', `${path}: the journal was written by a newer Sallyport (${versions})`)
  }
  return version
}

/** The single number that a query or pragma yields. */
export function readNumber(database: JournalDatabase, sql: string): number {
  const row: unknown = database.prepare(sql).raw(true).get()
  const value: unknown = Array.isArray(row) ? row[0] : undefined
  return typeof value === 'number' ? value : 0
}

function problemOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : 'unknown'
}
