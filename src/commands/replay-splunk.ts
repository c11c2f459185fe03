/** `sallyport replay -o splunk`: the rows of the two Splunk detections, and why some of them are no finding here. */

import { loadSplunkToolNames } from '../adapters/splunk-macro-file.js'
import { loadToolCatalogue } from '../adapters/tool-catalogue-file.js'
import { createAdmissionLookup } from '../correlator/admission-lookup.js'
import { createClusterLookup } from '../correlator/cluster-lookup.js'
import type { DetectionTools } from '../correlator/detection-context.js'
import type { EventSource } from '../correlator/event-source.js'
import { readExecEvents } from '../correlator/event-stream.js'
import { jsonLine } from '../correlator/json-line.js'
import { type DifferenceRule, explainDifference } from '../correlator/splunk-difference.js'
import { createSplunkRows } from '../correlator/splunk-rows.js'
import type { StreamStats } from '../correlator/stream-stats.js'
import type { CompiledPolicy } from '../policy/index.js'
import type { CommandIo } from './command-io.js'
import { type ClusterOptions, openCluster } from './open-cluster.js'
import { openJournal } from './open-journal.js'

export interface SplunkOptions extends Pick<ClusterOptions, 'inventory' | 'auditLog' | 'webhookConfiguration'> {
  readonly policy: readonly string[]
  readonly journal?: string
  readonly asOf?: number
}

/** The sentences on what is no finding go to standard error. */
export async function splunkRows(
  policy: CompiledPolicy,
  source: EventSource,
  stats: StreamStats,
  options: SplunkOptions,
  io: CommandIo,
): Promise<{ readonly text: string; readonly isAny: boolean }> {
  const table = createSplunkRows(policy, await loadSplunkToolNames())
  const catalogue = await loadToolCatalogue(policy.runtime)
  const journal = await openJournal(options.journal)
  const { inventory, audit } = await openCluster(options, 'once', io)
  const { asOf, policy: policyPaths } = options
  const admissions = createAdmissionLookup(journal, io.now)
  const cluster = createClusterLookup(inventory, audit, io.now)
  const tools: DetectionTools = { policy, catalogue, admissions, cluster, asOf, policyPaths }
  const differences = new Map<DifferenceRule, number>()
  try {
    for await (const { events } of readExecEvents(source, stats)) {
      for (const event of events) {
        for (const detection of table.add(event)) {
          const rule = explainDifference(detection, event, tools)
          if (rule !== undefined) differences.set(rule, (differences.get(rule) ?? 0) + 1)
        }
      }
    }
  } finally {
    journal?.close()
  }
  for (const [rule, count] of differences) {
    io.stderr.write(
      `sallyport: ${count} events behind these rows are no finding of Sallyport: ${rule} (docs/splunk.md)\n`,
    )
  }
  const rows = table.rows()
  return { text: rows.map(jsonLine).join(''), isAny: rows.length > 0 }
}
