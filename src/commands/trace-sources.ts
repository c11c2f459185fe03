/** What `sallyport trace` looks in: opened at once, closed at once, and nothing of it written. */

import { setTimeout as sleep } from 'node:timers/promises'
import { loadAuditLogs } from '../adapters/audit-log-file.js'
import { loadInventoryFiles } from '../adapters/inventory-file.js'
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

/** How long the API server's lists are waited for. */
const SYNC_WAIT_MS = 15_000

export interface TraceSourceOptions {
  readonly policy: readonly string[]
  readonly journal?: string
  readonly inventory?: readonly string[]
  readonly kubeconfig?: string
  readonly inCluster?: boolean
  readonly webhookConfiguration?: string
  readonly auditLog?: readonly string[]
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
  refuseMixture(options)
  const { stdin, signal, now } = io
  const catalogue = await loadToolCatalogue(policy.runtime)
  const audit = options.auditLog && (await loadAuditLogs(options.auditLog, { stdin, signal }))
  const opened = await openInventory(options, io)
  const journal = options.journal === undefined ? undefined : openJournalReader(options.journal)
  const { policy: policyPaths, asOf } = options
  // The answers of this one run must not depend on how long it takes.
  const started = now()
  const admissions = createAdmissionLookup(journal, () => started)
  const cluster = createClusterLookup(opened?.inventory, audit, () => started)
  return {
    tools: { policy, catalogue, admissions, cluster, asOf, policyPaths },
    journal,
    inventory: opened?.inventory,
    audit,
    names: namesOf(options),
    async close() {
      journal?.close()
      await opened?.close()
    },
  }
}

interface OpenedInventory {
  readonly inventory: Inventory
  close(): Promise<void>
}

async function openInventory(options: TraceSourceOptions, io: CommandIo): Promise<OpenedInventory | undefined> {
  const { inventory: files, kubeconfig, inCluster, webhookConfiguration } = options
  const { stdin, stderr, signal, now } = io
  if (files !== undefined) {
    const inventory = await loadInventoryFiles(files, { stdin, signal, now, webhookConfiguration })
    for (const problem of inventory.report.problems) stderr.write(`sallyport: ${problem}\n`)
    return { inventory, close: async () => {} }
  }
  if (kubeconfig === undefined && inCluster !== true) return undefined
  const access = kubeconfig === undefined ? ({ inCluster: true } as const) : { kubeconfig }
  // The Kubernetes client takes time and memory to load: only who needs it pays.
  const { followInventory } = await import('../adapters/kubernetes-inventory.js')
  const onConnection = (sentence: string): void => {
    stderr.write(`sallyport: ${sentence}\n`)
  }
  const inventory = await followInventory({ ...access, webhookConfiguration, now, onConnection })
  const isSynced = inventory.whenSynced().then(() => true)
  const isInTime = await Promise.race([isSynced, sleep(SYNC_WAIT_MS, false, { ref: false, signal })])
  if (!isInTime) stderr.write('sallyport: the API server did not list everything in time; what it did is used\n')
  return { inventory, close: () => inventory.close() }
}

function refuseMixture({ inventory, kubeconfig, inCluster, auditLog, events }: TraceSourceOptions): void {
  const given = [inventory !== undefined, kubeconfig !== undefined, inCluster === true].filter(each => each)
  if (given.length > 1) throw new KnownError('USAGE', 'name one of --inventory, --kubeconfig and --in-cluster')
  const files = [...(inventory ?? []), ...(auditLog ?? []), ...(events ?? [])]
  if (files.filter(file => file === '-').length > 1) throw new KnownError('USAGE', 'name - once')
}

function namesOf(options: TraceSourceOptions): readonly string[] {
  const { journal, inventory, kubeconfig, inCluster, auditLog, events, state } = options
  const sources = { journal, inventory, 'API server': kubeconfig ?? inCluster, 'audit log': auditLog, events, state }
  return Object.entries(sources).flatMap(([name, value]) => (value === undefined ? [] : [name]))
}
