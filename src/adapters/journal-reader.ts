/** The journal's reading end: answers the correlator while a webhook writes, and lists records for reports. */

import type { AdmissionJournal, PodIdentity, RecordedAdmission } from '../correlator/admission-journal.js'
import { KnownError } from '../errors.js'
import type { DecisionRecord } from '../webhook/decision-record.js'
import { createBatchFinder, keyOfName, keyOfUid } from './journal-index.js'
import { JOURNAL, journalPath } from './journal-schema.js'
import { openForReading, readNumber, type SqliteDatabase, unusable } from './sqlite-file.js'

/** Far more than one pod can have; a forged name must not fetch the whole journal. */
const MAX_FOUND = 100
/** A batch has 1 MB or so at most. */
const PAGE_BATCHES = 16
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
  /**
   * Oldest first; a page at a time, so that a reader holds up no writer and a million records fit. Where two webhooks
   * write one journal, records of the same tenth of a second may come in any order.
   *
   * @throws KnownError JOURNAL_UNUSABLE when the file turns out to be damaged on the way.
   */
  records(filter: { readonly since?: number; readonly namespace?: string }): IterableIterator<CountedRecord>
  close(): void
}

/**
 * @throws KnownError FILE_UNREADABLE without a journal in the folder; JOURNAL_UNUSABLE when it is none, or a newer one.
 */
export function openJournalReader(directory: string): JournalReader {
  const database = openForReading(journalPath(directory), JOURNAL)
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
  const find = createFinder(database)
  return {
    findAdmissions: pod => guarded(() => find(pod), []),
    coverageSpans: () => guarded(() => spansOf(database), []),
    lossySpans: () => guarded(() => lossySpansOf(database), []),
    records: filter => refusingDamage(directory, listRecords(database, filter)),
    close: () => {
      database.close()
    },
  }
}

/** The decode edge of the journal's own tables: `openForReading` has checked their version. */
interface StoredBatch {
  readonly id: number
  readonly since: number
  readonly until: number
  readonly records: ArrayBuffer
}

interface StoredRepeat {
  readonly at: number
  readonly record_id: string
  readonly count: number
  readonly last_at: number
}

interface StoredRun {
  readonly started: number
  readonly last_seen: number
}

/** From a pod to the records of its uid, or else of its name. */
function createFinder(database: SqliteDatabase): (pod: PodIdentity) => readonly RecordedAdmission[] {
  const candidates = createBatchFinder(database)
  const batch = database.prepare('SELECT records FROM batches WHERE id = ?').raw(true)
  return ({ uid, namespace, name }) => {
    const key = uid === undefined ? keyOfName(namespace, name) : keyOfUid(uid)
    const needle = JSON.stringify(uid ?? name)
    const isWanted = (record: DecisionRecord): boolean =>
      uid === undefined ? record.namespace === namespace && record.name === name : record.objectUid === uid
    const found: DecisionRecord[] = []
    for (const id of candidates(key)) {
      // One that was deleted meanwhile is none.
      const [records] = (batch.get([id]) ?? []) as [Buffer?]
      found.push(
        ...linesWith(records?.toString() ?? '', needle)
          .map(parseRecord)
          .filter(isWanted),
      )
      if (found.length >= MAX_FOUND) break
    }
    return found
      .slice(0, MAX_FOUND)
      .map(toAdmission)
      .toSorted((one, other) => one.at - other.at)
  }
}

/** The lines that hold the text: only they need to be parsed. */
function linesWith(text: string, needle: string): readonly string[] {
  const lines: string[] = []
  let end = 0
  for (let at = text.indexOf(needle); at !== -1; at = text.indexOf(needle, end)) {
    end = text.indexOf('\n', at)
    if (end === -1) end = text.length
    lines.push(text.slice(text.lastIndexOf('\n', at) + 1, end))
  }
  return lines
}

/** The decode edge of our own lines. */
function parseRecord(line: string): DecisionRecord {
  return JSON.parse(line) as DecisionRecord
}

function toAdmission(record: DecisionRecord): RecordedAdmission {
  return {
    recordId: record.id,
    at: Date.parse(record.time),
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
      isChanged: image.changed,
    })),
    imagesOmitted: record.imagesOmitted,
    waived: record.waived === 'mirror-pod' ? record.waived : undefined,
  }
}

/**
 * A run that lost records proves nothing by the absence of one, and neither does a time whose records may have been
 * deleted. A run that was killed counts until its last heartbeat.
 */
function spansOf(database: SqliteDatabase): readonly Span[] {
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

function lossySpansOf(database: SqliteDatabase): readonly Span[] {
  const runs = database.prepare('SELECT started, last_seen FROM runs WHERE dropped > 0 ORDER BY started').all()
  return (runs as StoredRun[]).map(({ started, last_seen }) => ({ from: started, to: last_seen }))
}

/** A page that SQLite cannot read, or a line that is no record: a report over half a journal would look like a whole one. */
function* refusingDamage<T>(directory: string, records: Iterable<T>): IterableIterator<T> {
  try {
    yield* records
  } catch (cause) {
    const isDamage = cause instanceof SyntaxError || (cause instanceof Error && 'code' in cause)
    if (!isDamage || cause instanceof KnownError) throw cause
    throw unusable(journalPath(directory), JOURNAL, `it is damaged (${cause.message})`, cause)
  }
}

function* listRecords(
  database: SqliteDatabase,
  { since = Number.NEGATIVE_INFINITY, namespace }: { readonly since?: number; readonly namespace?: string },
): IterableIterator<CountedRecord> {
  const page = database.prepare(
    `SELECT id, since, until, records FROM batches
     WHERE until >= ?1 AND (until > ?1 OR id > ?2) ORDER BY until, id LIMIT ${PAGE_BATCHES}`,
  )
  let until = Math.max(since, 0)
  let id = -1
  for (;;) {
    const batches = page.all([until, id]) as StoredBatch[]
    for (const batch of batches) {
      for (const counted of readBatch(database, batch)) {
        const isWanted =
          counted.firstAt >= since && (namespace ?? counted.record.namespace) === counted.record.namespace
        if (isWanted) yield counted
      }
      until = batch.until
      id = batch.id
    }
    if (batches.length < PAGE_BATCHES) return
  }
}

function readBatch(database: SqliteDatabase, { since, until, records }: StoredBatch): readonly CountedRecord[] {
  const select = database.prepare('SELECT at, record_id, count, last_at FROM repeats WHERE at BETWEEN ? AND ?')
  const repeats = new Map((select.all([since, until]) as StoredRepeat[]).map(repeat => [repeat.record_id, repeat]))
  return Buffer.from(records)
    .toString()
    .split('\n')
    .map(line => {
      const record = parseRecord(line)
      const firstAt = Date.parse(record.time)
      const repeat = repeats.get(record.id)
      return { record, count: 1 + (repeat?.count ?? 0), firstAt, lastAt: repeat?.last_at ?? firstAt }
    })
}
