/** The journal's file: where it lies, its tables, and who may open it. */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'libsql'
import { KnownError } from '../errors.js'

/** Inside the journal's folder; SQLite keeps `-wal` and `-shm` beside it, so the folder is the unit to mount or copy. */
export const JOURNAL_FILE = 'journal.db'
/** Raised by every change of the tables; a newer file than this program is refused, never guessed at. */
export const JOURNAL_VERSION = 2

/** "SALY": tells a journal from any other SQLite file that an operator may point at. */
const APPLICATION_ID = 0x53414c59
/** How long one process waits while another one writes. */
const BUSY_TIMEOUT_MS = 5_000
/**
 * Of a new journal. A batch under load fills a hundred pages of the usual 4 KiB, each with system calls of its own; with
 * much larger ones, a single record would write much more than itself.
 */
const PAGE_BYTES = 8_192
/** When the write-ahead log goes into the file: as by default, which is given in pages of 4 KiB. */
const CHECKPOINT_BYTES = 4_096_000
/** The write-ahead log is cut back to this after a burst. */
const WAL_LIMIT_BYTES = 64 * 1024 * 1024

/** Since version 2. */
const KEY_PAGES = `
  CREATE TABLE key_pages (
    id INTEGER PRIMARY KEY,
    bucket INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    keys BLOB NOT NULL
  );
  CREATE INDEX key_pages_by_bucket ON key_pages (bucket);
  CREATE INDEX key_pages_by_generation ON key_pages (generation);
`

/**
 * A row of `batches` keeps the decision records that were written together, one JSON a line, `since` and `until` their
 * first and last time: a row with indexes for each record costs five times as much.
 * `keys` says which batches may hold a record of an object, see journal-index.ts; `unindexed` are those that it does
 * not know yet. `key_pages` is the same as `keys` in bulk, see journal-key-pages.ts. `repeats` counts the same objects and outcomes that came again within the retry window; `at` and
 * `record_id` are the first one's. `runs` says when a webhook was recording. `bounds` holds `pruned_before`: older
 * records may have been deleted. Times are milliseconds since the epoch.
 */
const TABLES = `
  CREATE TABLE batches (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    size INTEGER NOT NULL,
    records BLOB NOT NULL
  );
  CREATE INDEX batches_by_time ON batches (until);
  CREATE TABLE unindexed (batch INTEGER PRIMARY KEY);
  CREATE TABLE generations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    size INTEGER NOT NULL DEFAULT 0,
    last_batch INTEGER NOT NULL DEFAULT 0
  );
  CREATE TABLE keys (
    generation INTEGER NOT NULL,
    hash INTEGER NOT NULL,
    batch INTEGER NOT NULL,
    PRIMARY KEY (generation, hash, batch)
  ) WITHOUT ROWID;
  ${KEY_PAGES}
  CREATE TABLE repeats (
    at INTEGER NOT NULL,
    record_id TEXT NOT NULL,
    count INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (at, record_id)
  ) WITHOUT ROWID;
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
    // Without effect on a journal that is there: it keeps the pages that it was made with.
    database.pragma(`page_size = ${PAGE_BYTES}`)
    migrate(database, path)
    database.pragma('journal_mode = WAL')
    // In WAL mode NORMAL cannot corrupt the file; a power cut may lose the last moments, a kill -9 loses no commit.
    database.pragma('synchronous = NORMAL')
    const pageBytes = readNumber(database, 'PRAGMA page_size')
    database.pragma(`wal_autocheckpoint = ${Math.ceil(CHECKPOINT_BYTES / pageBytes)}`)
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
    const version = versionOf(database, path)
    if (version === 0) {
      database.exec(TABLES)
      database.pragma(`application_id = ${APPLICATION_ID}`)
    }
    if (version === 1) database.exec(KEY_PAGES)
    if (version < JOURNAL_VERSION) database.pragma(`user_version = ${JOURNAL_VERSION}`)
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
