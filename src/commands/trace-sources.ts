/** What `sallyport trace` looks in: opened at once, closed at once, and nothing of it written. */

import { openJournalReader } from '../adapters/journal-reader.js'
import { loadToolCatalogue } from '../adapters/tool-catalogue-file.js'
import type { AdmissionJournal } from '../correlator/admission-journal.js'
import { createAdmissionLookup } from '../correlator/admission-lookup.js'
import type { AuditEvidence } from '../correlator/audit-evidence.js'
import { createClusterLookup } from '../correlator/cluster-lookup.js'
import type { DetectionTools } from '../correlator/detection-context.js'
import type { Inventory } from '../correlator/inventory.js'
import { KnownError } from '../errors.js'
import type { CompiledPolicy } from '../policy/index.js'
import type { CommandIo } from './command-io.js'
import { type ClusterOptions, openCluster } from './open-cluster.js'

export interface TraceSourceOptions extends Omit<ClusterOptions, 'node'> {
  readonly policy: readonly string[]
  readonly journal?: string
  readonly events?: readonly string[]
  readonly state?: string
  readonly asOf?: number
}

export interface TraceSources {
  readonly tools: DetectionTools
  readonly journal: AdmissionJournal | undefined
  readonly inventory: Inventory | undefined
  readonly audit: AuditEvidence | undefined
  /** For people: what there is to look in. */
  readonly names: readonly string[]
  close(): Promise<void>
}

/** @throws KnownError USAGE, or whatever a source has to say. */
export async function openTraceSources(
  options: TraceSourceOptions,
  policy: CompiledPolicy,
  io: CommandIo,
): Promise<TraceSources> {
  refuseRepeated(options)
  const catalogue = await loadToolCatalogue(policy.runtime)
  const journal = options.journal === undefined ? undefined : openJournalReader(options.journal)
  const opened = await openCluster(options, 'once', io).catch((error: unknown) => {
    journal?.close()
    throw error
  })
  const { inventory, audit } = opened
  const { policy: policyPaths, asOf } = options
  // The answers of this one run must not depend on how long it takes.
  const started = io.now()
  const admissions = createAdmissionLookup(journal, () => started)
  const cluster = createClusterLookup(inventory, audit, () => started)
  return {
    tools: { policy, catalogue, admissions, cluster, asOf, policyPaths },
    journal,
    inventory,
    audit,
    names: namesOf(options),
    async close() {
      journal?.close()
      await opened.close()
    },
  }
}

/** Standard input can be read once, by whatever names it. */
function refuseRepeated({ inventory, auditLog, events }: TraceSourceOptions): void {
  const files = [...(inventory || []), ...(auditLog ?? []), ...(events ?? [])]
  if (files.filter(file => file === '-').length > 1) throw new KnownError('USAGE', 'name - once')
}

function namesOf(options: TraceSourceOptions): readonly string[] {
  const { journal, inventory, kubeconfig, inCluster, auditLog, events, state } = options
  const sources = { journal, inventory, 'API server': kubeconfig ?? inCluster, 'audit log': auditLog, events, state }
  return Object.entries(sources).flatMap(([name, value]) => (value === undefined ? [] : [name]))
}
