/** Findings in the file that are not held in memory: recalled one by one, and bounded on disk by number and age. */

import type { Finding } from '../correlator/finding.js'
import type { KeptFinding } from '../correlator/finding-archive.js'
import { parseFinding } from '../correlator/finding-schema.js'
import type { SqliteDatabase } from './sqlite-file.js'

/** Some 2 kB each. The one that was unseen the longest goes first. */
export const MAX_RETIRED = 250_000
/** So many are looked at in one go. */
const MAX_RECALLED = 1_000

/** `retired`: 0 held in memory; 1 retired; 2 retired, and resolved. */
export const RETIRED_COLUMN = 'retired INTEGER NOT NULL DEFAULT 0'
export const RETIRED_INDEX = 'CREATE INDEX findings_retired ON findings (retired, last_seen) WHERE retired > 0;'

export interface RetiredRows {
  recall(fingerprint: string): KeptFinding | undefined
  recallUnseen(since: number): readonly KeptFinding[]
  /** Inside the transaction that saves the findings. */
  prune(forgetBefore: number | undefined): void
}

/** What the column says of a finding. */
export function retiredColumnOf({ finding, isRetired = false }: KeptFinding): number {
  if (!isRetired) return 0
  return finding.status === 'resolved' ? 2 : 1
}

/** A finding that this version cannot read is raised anew when it is seen again. */
export function findingOf(json: unknown): Finding | undefined {
  return typeof json === 'string' ? parseFinding(JSON.parse(json)) : undefined
}

export function createRetiredRows(database: SqliteDatabase): RetiredRows {
  const one = database.prepare('SELECT finding FROM findings WHERE fingerprint = ? AND retired > 0').raw(true)
  const unseen = database
    .prepare('SELECT finding FROM findings WHERE retired = 1 AND last_seen < ? ORDER BY last_seen LIMIT ?')
    .raw(true)
  const count = database.prepare('SELECT count(*) FROM findings WHERE retired > 0').raw(true)
  const dropOld = database.prepare('DELETE FROM findings WHERE retired > 0 AND last_seen < ?')
  const dropOldest = database.prepare(
    `DELETE FROM findings WHERE fingerprint IN
      (SELECT fingerprint FROM findings WHERE retired > 0 ORDER BY last_seen LIMIT ?)`,
  )
  return {
    recall: fingerprint => keptIn(one.get([fingerprint])),
    recallUnseen: since =>
      unseen.all([new Date(since).toISOString(), MAX_RECALLED]).flatMap((row: unknown) => keptIn(row) ?? []),
    prune(forgetBefore) {
      if (forgetBefore !== undefined) dropOld.run([new Date(forgetBefore).toISOString()])
      const row: unknown = count.get([])
      const excess = (Array.isArray(row) && typeof row[0] === 'number' ? row[0] : 0) - MAX_RETIRED
      if (excess > 0) dropOldest.run([excess])
    },
  }
}

/** Whatever retires was given out. */
function keptIn(row: unknown): KeptFinding | undefined {
  const finding = Array.isArray(row) ? findingOf(row[0]) : undefined
  return finding === undefined ? undefined : { finding, isChanged: false, isRetired: true }
}
