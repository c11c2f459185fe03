/**
 * What the decisions of some time amount to: for each namespace, top owner, image and reason, how many objects, first and
 * last when, and who asked. Made in one pass over any number of records, in bounded memory.
 */

import { OwnerNames } from './owner-names.js'
import { NamespaceTable, type ReportTotals } from './report-namespaces.js'
import { type OtherRows, type ReportRow, RowTable } from './report-rows.js'
import { objectKeyOf, type ReportedDecision, reportedImagesOf } from './reported-decision.js'

/** Raised when a field changes its meaning or goes; new fields do not raise it. */
export const REPORT_SCHEMA = 1

export interface ReportLimits {
  /** When there are more, the rarer half of them is summed up. */
  readonly rows: number
  /** Those that come later are summed up. */
  readonly namespaces: number
  /** An object takes a place or two; one that comes back when its place was taken is counted anew. */
  readonly rememberedObjects: number
}

export const DEFAULT_LIMITS: ReportLimits = { rows: 50_000, namespaces: 5_000, rememberedObjects: 400_000 }

export interface ViolationReport extends ReportTotals {
  readonly schema: typeof REPORT_SCHEMA
  /** Reviews that were dry runs; they are part of no other number. */
  readonly dryRuns: number
  /** By result, then the most frequent first. */
  readonly rows: readonly ReportRow[]
  readonly others: readonly OtherRows[]
}

export interface ViolationReporter {
  /** In any order; the owners of pods are told best with the oldest first. */
  add(decision: ReportedDecision): void
  /** What was added so far. */
  read(): ViolationReport
}

export function createViolationReporter(limits: ReportLimits = DEFAULT_LIMITS): ViolationReporter {
  const namespaces = new NamespaceTable(limits)
  const rows = new RowTable(limits)
  const owners = new OwnerNames(limits.rememberedObjects / 4)
  let dryRuns = 0
  return {
    add(decision) {
      const { record, count } = decision
      if (record.dryRun) {
        dryRuns += count
        return
      }
      const images = reportedImagesOf(record)
      const owner = owners.topOwnerOf(record)
      const objectKey = objectKeyOf(record)
      namespaces.add(decision, objectKey, new Set(images.map(({ result }) => result)))
      for (const image of images) rows.add(decision, objectKey, owner, image)
    },
    read: () => ({ schema: REPORT_SCHEMA, ...namespaces.read(), dryRuns, ...rows.read() }),
  }
}
