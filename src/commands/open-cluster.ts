/** Inventory and audit log, as the options of several commands name them: opened together, closed together. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { followAuditLog, loadAuditLogs } from '../adapters/audit-log-file.js'
import { loadInventoryFiles } from '../adapters/inventory-file.js'
import type { ClusterAccess } from '../adapters/kubernetes-client.js'
import type { AuditEvidence } from '../correlator/audit-evidence.js'
import type { Inventory } from '../correlator/inventory.js'
import { KnownError } from '../errors.js'
import { escapeForeign } from '../policy/index.js'
import type { CommandIo } from './command-io.js'

/** How long the first lists are waited for, before events are judged without them. */
const SYNC_WAIT_MS = 15_000

export interface ClusterOptions {
  readonly inventory?: readonly string[]
  readonly auditLog?: readonly string[]
  readonly webhookConfiguration?: string
  readonly kubeconfig?: string
  readonly inCluster?: boolean
  readonly node?: string
}

export interface ClusterSources {
  readonly inventory: Inventory | undefined
  readonly audit: AuditEvidence | undefined
  close(): Promise<void>
}

/** `--inventory`, `--audit-log` and `--webhook-configuration`. Those of a live cluster are the command's own. */
export function addClusterOptions(command: Command): Command {
  return command
    .option(
      '--inventory <file>',
      'pods, namespaces and webhook configurations as kubectl wrote them; may be repeated',
      collect,
    )
    .option('--audit-log <file>', "the API server's audit log; may be repeated", collect)
    .option(
      '--webhook-configuration <name>',
      "the configuration that registers the webhook (default: whatever is named and called as Sallyport's)",
    )
}

export function accessOf({ kubeconfig, inCluster }: ClusterOptions): ClusterAccess | undefined {
  if (kubeconfig !== undefined) return { kubeconfig }
  return inCluster === true ? { inCluster } : undefined
}

/**
 * @param reading `once`: finished files, read to their ends. `follow`: an audit log that is still written.
 * @throws KnownError USAGE, FILE_UNREADABLE, KUBERNETES_UNUSABLE; nothing stays open then.
 */
export async function openCluster(
  options: ClusterOptions,
  reading: 'once' | 'follow',
  io: CommandIo,
): Promise<ClusterSources> {
  refuseMixture(options, reading)
  const stop = new AbortController()
  const opened: { close(): Promise<void> }[] = []
  const close = async (): Promise<void> => {
    stop.abort()
    await Promise.all(opened.map(each => each.close()))
  }
  try {
    const inventory = await openInventory(options, io)
    if (inventory !== undefined) opened.push(inventory)
    const audit = reading === 'once' ? await loadAudit(options, io) : await followAudit(options, stop.signal, io)
    return { inventory, audit, close }
  } catch (error) {
    await close()
    throw error
  }
}

function collect(value: string, former: readonly string[] = []): readonly string[] {
  return [...former, value]
}

function refuseMixture(options: ClusterOptions, reading: 'once' | 'follow'): void {
  const { inventory, auditLog, kubeconfig, inCluster, node } = options
  const given = [inventory !== undefined, kubeconfig !== undefined, inCluster === true].filter(each => each)
  // A sink may need the API server all the same: the file then is what is asked for.
  if (reading === 'once' && given.length > 1) {
    throw new KnownError('USAGE', 'name one of --inventory, --kubeconfig and --in-cluster')
  }
  if (node !== undefined && (inventory !== undefined || given.length === 0)) {
    throw new KnownError('USAGE', '--node goes with --kubeconfig or --in-cluster')
  }
  if (reading === 'follow' && (auditLog?.length ?? 0) > 1) {
    throw new KnownError('USAGE', 'one --audit-log is followed; its rotated files are found by themselves')
  }
  const files = [...(inventory ?? []), ...(auditLog ?? [])]
  if (files.filter(file => file === '-').length > (reading === 'once' ? 1 : 0)) {
    throw new KnownError('USAGE', reading === 'once' ? 'name - once' : '- can be no --inventory or --audit-log here')
  }
}

type OpenInventory = Inventory & { close(): Promise<void> }

async function openInventory(options: ClusterOptions, io: CommandIo): Promise<OpenInventory | undefined> {
  const { inventory: files, webhookConfiguration, node } = options
  const { stdin, stderr, signal, now } = io
  if (files !== undefined) {
    const inventory = await loadInventoryFiles(files, { stdin, signal, now, webhookConfiguration })
    const { problems, unreadable } = inventory.report
    for (const problem of problems) stderr.write(`sallyport: ${problem}\n`)
    if (unreadable > problems.length) stderr.write(`sallyport: ${unreadable} objects of the inventory are unreadable\n`)
    return { ...inventory, close: async () => {} }
  }
  const access = accessOf(options)
  if (access === undefined) return undefined
  // The Kubernetes client takes time and memory to load: only who needs it pays.
  const { followInventory } = await import('../adapters/kubernetes-inventory.js')
  const onConnection = (sentence: string): void => {
    stderr.write(`sallyport: ${sentence}\n`)
  }
  const inventory = await followInventory({ ...access, nodeName: node, webhookConfiguration, now, onConnection })
  const isSynced = inventory.whenSynced().then(() => true)
  // An API server that is away must keep nobody from seeing what runs.
  const pause = sleep(SYNC_WAIT_MS, false, { ref: false, signal }).catch(() => true)
  if (!(await Promise.race([isSynced, pause]))) {
    stderr.write('sallyport: the API server did not list everything in time; what it did is used\n')
  }
  return inventory
}

async function loadAudit(
  { auditLog }: ClusterOptions,
  { stdin, signal }: CommandIo,
): Promise<AuditEvidence | undefined> {
  return auditLog === undefined ? undefined : await loadAuditLogs(auditLog, { stdin, signal })
}

async function followAudit(
  { auditLog }: ClusterOptions,
  signal: AbortSignal,
  { now, stderr }: CommandIo,
): Promise<AuditEvidence | undefined> {
  const [path] = auditLog ?? []
  if (path === undefined) return undefined
  const log = followAuditLog(path, { now, signal })
  await log.whenCaughtUp()
  log.done.catch((error: unknown) => {
    const reason = error instanceof Error ? escapeForeign(error.message, 300) : 'it cannot be read'
    stderr.write(`sallyport: the audit log is no longer followed: ${reason}\n`)
  })
  return log
}
