/** The journal's reading end: answers the correlator while a webhook writes, and lists records for reports. */

import type { AdmissionJournal, PodIdentity, RecordedAdmission } from '../correlator/admission-journal.js'
import type { DecisionRecord } from '../webhook/decision-record.js'
import type { JournalDatabase } from './journal-schema.js'
import { openForReading, readNumber } from './journal-schema.js'

/** Far more than one pod can have; a forged name must not fetch the whole journal. */
const MAX_FOUND = 100
const PAGE_ROWS = 500
/** Heartbeats come every 2 s, so a killed run may have lived a little longer than it says: shorter gaps are none. */
const MAX_GAP_MS = 5_000

/** A stretch of time, in milliseconds since the epoch. */
export interface Span {
  readonly from: number
  readonly to: number
}

/** A record and how often the same object came with the same outcome. */
export interface CountedRecord {
  readonly record: DecisionRecord
  readonly count: number
  /** Milliseconds since the epoch. */
  readonly firstAt: number
  readonly lastAt: number
}

export interface JournalReader extends AdmissionJournal {
  /** The stretches over which a webhook recorded and lost nothing, oldest first. */
  coverageSpans(): readonly Span[]
  /** Oldest first; a page at a time, so that a reader holds up no writer and a million records fit. */
  records(filter: { readonly since?: number; readonly namespace?: string }): IterableIterator<CountedRecord>
  close(): void
}

/**
 * @throws KnownError FILE_UNREADABLE without a journal in the folder; JOURNAL_UNUSABLE when it is none, or a newer one.
 */
export function openJournalReader(directory: string): JournalReader {
  const database = openForReading(directory)
  const byUid = database.prepare('SELECT at, record FROM admissions WHERE uid = ? ORDER BY at, id LIMIT ?')
  const byName = database.prepare(
    'SELECT at, record FROM admissions WHERE namespace = ? AND name = ? ORDER BY at, id LIMIT ?',
  )
  // After a failed read nothing is known any more: neither a record nor that there is none.
  let isBroken = false
  const guarded = <T>(read: () => T, otherwise: T): T => {
    if (isBroken) return otherwise
    try {
      return read()
    } catch {
      isBroken = true
      return otherwise
    }
  }
  const find = ({ uid, namespace, name }: PodIdentity): readonly RecordedAdmission[] => {
    const rows = uid === undefined ? byName.all([namespace, name, MAX_FOUND]) : byUid.all([uid, MAX_FOUND])
    return (rows as StoredRow[]).map(toAdmission)
  }
  return {
    findAdmissions: pod => guarded(() => find(pod), []),
    coverage: () => guarded(() => spansOf(database).at(-1), undefined),
    coverageSpans: () => guarded(() => spansOf(database), []),
    records: filter => listRecords(database, filter),
    close: () => {
      database.close()
    },
  }
}

/** The decode edge of the journal's own tables: `openForReading` has checked their version. */
interface StoredRow {
  readonly at: number
  readonly record: string
}

interface StoredRun {
  readonly started: number
  readonly last_seen: number
}

function toAdmission({ at, record: json }: StoredRow): RecordedAdmission {
  const record = JSON.parse(json) as DecisionRecord
  return {
    recordId: record.id,
    at,
    operation: record.operation,
    dryRun: record.dryRun,
    kind: record.kind,
    namespace: record.namespace,
    name: record.name ?? '',
    uid: record.objectUid ?? undefined,
    topOwner: record.topOwner ?? undefined,
    user: record.user === '' ? undefined : record.user,
    mode: record.mode,
    action: record.action,
    allowed: record.allowed,
    policy: record.policy,
    revision: record.revision,
    images: record.images.map(image => ({
      list: image.list,
      container: image.container,
      written: image.written,
      outcome: image.outcome,
      reason: image.reason,
      entry: image.entry ?? undefined,
      exception: image.exception ?? undefined,
    })),
  }
}

/**
 * A run that lost records proves nothing by the absence of one, and neither does a time whose records may have been
 * deleted. A run that was killed counts until its last heartbeat.
 */
function spansOf(database: JournalDatabase): readonly Span[] {
  const prunedBefore = readNumber(database, "SELECT value FROM bounds WHERE name = 'pruned_before'")
  const runs = database.prepare('SELECT started, last_seen FROM runs WHERE dropped = 0 ORDER BY started').all()
  const spans: { from: number; to: number }[] = []
  for (const { started, last_seen: to } of runs as StoredRun[]) {
    const from = Math.max(started, prunedBefore)
    const last = spans.at(-1)
    if (to < from) continue
    if (last !== undefined && from - last.to <= MAX_GAP_MS) last.to = Math.max(last.to, to)
    else spans.push({ from, to })
  }
  return spans
}

function* listRecords(
  database: JournalDatabase,
  { since = 0, namespace }: { readonly since?: number; readonly namespace?: string },
): IterableIterator<CountedRecord> {
  const scope = namespace === undefined ? '' : 'AND namespace = ?5'
  const page = database.prepare(
    `SELECT id, at, last_at, count, record FROM admissions
     WHERE at >= ?1 AND (at > ?2 OR id > ?3) ${scope} ORDER BY at, id LIMIT ?4`,
  )
  let at = since
  let id = -1
  for (;;) {
    const parameters = [at, at, id, PAGE_ROWS, ...(namespace === undefined ? [] : [namespace])]
    const rows = page.all(parameters) as (StoredRow & { id: number; last_at: number; count: number })[]
    for (const row of rows) {
      yield { record: JSON.parse(row.record) as DecisionRecord, count: row.count, firstAt: row.at, lastAt: row.last_at }
      at = row.at
      id = row.id
    }
    if (rows.length < PAGE_ROWS) return
  }
}
