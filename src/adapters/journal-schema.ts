/** The journal's file: where it lies, its tables, and what it takes to open it. */

import { join } from 'node:path'
import type { SqliteKind } from './sqlite-file.js'

/** Inside the journal's folder; SQLite keeps `-wal` and `-shm` beside it, so the folder is the unit to mount or copy. */
export const JOURNAL_FILE = 'journal.db'
export const JOURNAL_VERSION = 2

/** "SALY": tells a journal from any other SQLite file that an operator may point at. */
const APPLICATION_ID = 0x53414c59
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
 * not know yet. `key_pages` is the same as `keys` in bulk, see journal-key-pages.ts. `repeats` counts the same objects and
 * outcomes that came again within the retry window; `at` and `record_id` are the first one's. `runs` says when a webhook
 * was recording. `bounds` holds `pruned_before`: older records may have been deleted. Times are milliseconds since the
 * epoch.
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

export const JOURNAL: SqliteKind = {
  name: 'journal',
  code: 'JOURNAL_UNUSABLE',
  applicationId: APPLICATION_ID,
  version: JOURNAL_VERSION,
  tables: TABLES,
  migrations: [{ from: 1, sql: KEY_PAGES }],
  walLimitBytes: WAL_LIMIT_BYTES,
  pageBytes: PAGE_BYTES,
  checkpointBytes: CHECKPOINT_BYTES,
}

export function journalPath(directory: string): string {
  return join(directory, JOURNAL_FILE)
}
