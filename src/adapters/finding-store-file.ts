/** The findings of a run and how far its source was read, kept in one SQLite file for the next run. */

import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { AgentReading } from '../correlator/agent-losses.js'
import type { SourcePosition } from '../correlator/event-source.js'
import type { Finding } from '../correlator/finding.js'
import type { ArchiveChanges, ArchivedState, FindingArchive, KeptFinding } from '../correlator/finding-archive.js'
import type { WatchState } from '../correlator/watch-clock.js'
import { createOutbox, OUTBOX_TABLES, type Outbox, type OutboxSink } from './finding-store-outbox.js'
import {
  createRetiredRows,
  findingOf,
  RETIRED_COLUMN,
  RETIRED_INDEX,
  retiredColumnOf,
} from './finding-store-retired.js'
import { createTroubleWatch, type StateTrouble, type TroubleOptions } from './finding-store-trouble.js'
import { makeFolders } from './make-folders.js'
import {
  guardFor,
  inTransaction,
  openForWriting,
  type SqliteDatabase,
  type SqliteKind,
  unusable,
} from './sqlite-file.js'
import { reasonOf } from './text-file.js'

/** Inside the state's folder; SQLite keeps its log beside it, so the folder is the unit to mount or copy. */
export const FINDINGS_FILE = 'findings.db'

/** "SALF": tells the file from any other SQLite file. */
const APPLICATION_ID = 0x53414c46
const VERSION = 4
/** The write-ahead log is cut back to this after a burst. */
const WAL_LIMIT_BYTES = 16 * 1024 * 1024
/** Nothing else happens while another process is waited for; what takes it longer is tried again later. */
const BUSY_TIMEOUT_MS = 1_000

/**
 * `findings` mirrors what is in memory, and keeps what made room there (`retired`). `pending` are the lines that were about to be
 * given out. `run` holds the source's `position`, the agent's `reading`, the `watch` and the `owner`, as JSON.
 */
const TABLES = `
  CREATE TABLE findings (
    fingerprint TEXT PRIMARY KEY,
    last_seen TEXT NOT NULL,
    is_changed INTEGER NOT NULL,
    finding TEXT NOT NULL,
    ${RETIRED_COLUMN}
  );
  ${RETIRED_INDEX}
  CREATE TABLE pending (id INTEGER PRIMARY KEY, finding TEXT NOT NULL);
  CREATE TABLE run (name TEXT PRIMARY KEY, value TEXT NOT NULL);
  ${OUTBOX_TABLES}
`

/**
 * What each version added to the one before. The fourth added the `reading` to `run`: one that does not keep it up must
 * not have the file, or the next would count again what was lost meanwhile.
 */
const MIGRATIONS = [
  { from: 1, sql: OUTBOX_TABLES },
  { from: 2, sql: `ALTER TABLE findings ADD COLUMN ${RETIRED_COLUMN}; ${RETIRED_INDEX}` },
]

export const FINDINGS: SqliteKind = {
  name: 'state',
  code: 'STATE_UNUSABLE',
  applicationId: APPLICATION_ID,
  version: VERSION,
  tables: TABLES,
  migrations: MIGRATIONS,
  walLimitBytes: WAL_LIMIT_BYTES,
}

export interface FindingStoreFile extends FindingArchive {
  /** Where the source is to be taken up; undefined in a new state. Final only once the state is claimed. */
  readonly position: SourcePosition | undefined
  /** Where counting the agent's losses is to be taken up; final only once the state is claimed. */
  readonly agentReading: AgentReading | undefined
  /** Take the state over, once nothing else can keep the run from beginning. */
  claim(): void
  /** What waits for the sinks; `save` fills it. */
  readonly outbox: Outbox
  /** Why nothing can be saved for now. */
  readonly trouble: StateTrouble | undefined
  close(): void
}

/**
 * The folder is made when it is missing. The state belongs to the process that claimed it last: two would count
 * everything twice. So `save` and `confirm` throw STATE_UNUSABLE in a process from which another has taken over. No
 * lock does it, because a lock would have to be cleared away after a kill, and does not reach from node to node.
 *
 * What may pass, such as a full disk, is thrown as ArchiveUnavailable by all methods but `load` and `claim`, which belong to a
 * start.
 *
 * @throws KnownError STATE_UNUSABLE: not writable, no state, or of a newer version; all its methods do.
 */
export function openFindingStore(
  directory: string,
  sinks: readonly OutboxSink[] = [],
  options: TroubleOptions = { now: Date.now },
): FindingStoreFile {
  const path = join(directory, FINDINGS_FILE)
  makeFolder(directory, path)
  const database = openForWriting(path, FINDINGS)
  database.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`)
  const guard = guardFor(path, FINDINGS)
  const watch = createTroubleWatch(guard, problem => unusable(path, FINDINGS, problem), options)
  const owner = randomUUID()
  const run = createRunRows(database)
  const inOwnTransaction = (work: () => unknown): void =>
    watch.writing(() =>
      inTransaction(database, () => {
        const present = run.read('owner')
        if (present !== owner) throw unusable(path, FINDINGS, 'another process has taken over')
        work()
      }),
    )
  const put = database.prepare('INSERT OR REPLACE INTO findings VALUES (?, ?, ?, ?, ?)')
  const forget = database.prepare('DELETE FROM findings WHERE fingerprint = ?')
  const queue = database.prepare('INSERT INTO pending (finding) VALUES (?)')
  const unqueue = database.prepare('DELETE FROM pending')
  const outbox = createOutbox(database, sinks, watch)
  const retired = createRetiredRows(database)
  const write = ({ findings, forgotten, pending, position, ...changes }: ArchiveChanges): void => {
    let isAnyRetired = false
    // One that was forgotten may have been raised anew.
    for (const fingerprint of forgotten) forget.run([fingerprint])
    for (const kept of findings) {
      const { finding, isChanged } = kept
      const place = retiredColumnOf(kept)
      isAnyRetired ||= place > 0
      put.run([finding.fingerprint, finding.lastSeen, isChanged ? 1 : 0, JSON.stringify(finding), place])
    }
    if (isAnyRetired || changes.forgetBefore !== undefined) retired.prune(changes.forgetBefore)
    unqueue.run([])
    for (const finding of pending) {
      const json = JSON.stringify(finding)
      queue.run([json])
      outbox.put(finding, json)
    }
    run.write('position', position)
    run.write('reading', changes.agentReading)
    run.write('watch', changes.watch)
  }
  return {
    get position() {
      return run.read<SourcePosition>('position')
    },
    get agentReading() {
      return run.read<AgentReading>('reading')
    },
    outbox,
    get trouble() {
      return watch.trouble
    },
    claim() {
      guard(() => run.write('owner', owner))
      guard(outbox.recount)
    },
    load: () => guard(() => load(database, run)),
    recall: fingerprint => watch.reading(() => retired.recall(fingerprint)),
    recallUnseen: since => watch.reading(() => retired.recallUnseen(since)),
    save(changes) {
      outbox.begin()
      inOwnTransaction(() => write(changes))
      outbox.commit()
    },
    confirm: () => inOwnTransaction(() => unqueue.run([])),
    close() {
      database.close()
    },
  }
}

function load(database: SqliteDatabase, run: RunRows): ArchivedState {
  const findings: KeptFinding[] = []
  for (const row of database
    .prepare('SELECT finding, is_changed FROM findings WHERE retired = 0 ORDER BY last_seen')
    .raw(true)
    .iterate()) {
    const finding = Array.isArray(row) ? findingOf(row[0]) : undefined
    if (finding !== undefined && Array.isArray(row)) findings.push({ finding, isChanged: row[1] === 1 })
  }
  const pending: Finding[] = []
  for (const row of database.prepare('SELECT finding FROM pending ORDER BY id').raw(true).iterate()) {
    const finding = Array.isArray(row) ? findingOf(row[0]) : undefined
    if (finding !== undefined) pending.push(finding)
  }
  return { findings, pending, position: run.read('position'), watch: run.read<WatchState>('watch') }
}

interface RunRows {
  /** What this program wrote itself, in a file of this very version. */
  read<Value>(name: string): Value | undefined
  /** Undefined: what stands there stays. */
  write(name: string, value: unknown): void
}

function createRunRows(database: SqliteDatabase): RunRows {
  const select = database.prepare('SELECT value FROM run WHERE name = ?').raw(true)
  const put = database.prepare('INSERT OR REPLACE INTO run VALUES (?, ?)')
  return {
    read<Value>(name: string): Value | undefined {
      const row: unknown = select.get([name])
      const json: unknown = Array.isArray(row) ? row[0] : undefined
      return typeof json === 'string' ? (JSON.parse(json) as Value) : undefined
    },
    write(name, value) {
      if (value !== undefined) put.run([name, JSON.stringify(value)])
    },
  }
}

function makeFolder(directory: string, path: string): void {
  try {
    makeFolders(directory, 0o700)
  } catch (cause) {
    throw unusable(path, FINDINGS, reasonOf(cause), cause)
  }
}
