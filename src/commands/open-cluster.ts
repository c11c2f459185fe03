/**
 * Inventory and audit log, as the options of several commands name them: opened together, closed together. What reads
 * them is loaded by who needs it.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import type { FollowedAuditLog } from '../adapters/audit-log-file.js'
import type { ClusterAccess } from '../adapters/kubernetes-client.js'
import type { AuditEvidence } from '../correlator/audit-evidence.js'
import type { Inventory } from '../correlator/inventory.js'
import { KnownError } from '../errors.js'
import { escapeForeign } from '../policy/index.js'
import type { CommandIo } from './command-io.js'

/** How long the first lists are waited for, before events are judged without them. */
const SYNC_WAIT_MS = 15_000
/** How often is said what is waited for. */
const WORDS_MS = 3_000

export interface ClusterOptions {
  /** `false`: there is to be none, though there is access to an API server. */
  readonly inventory?: readonly string[] | false
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
      collectFiles,
    )
    .option('--audit-log <file>', "the API server's audit log; may be repeated", collectFiles)
    .option(
      '--webhook-configuration <name>',
      "the configuration that registers the webhook (default: whatever is named and called as Sallyport's)",
    )
}

/** The API server that sinks write to, and that the inventory is of. */
export function accessOf({ kubeconfig, inCluster }: ClusterOptions): ClusterAccess | undefined {
  if (kubeconfig !== undefined) return { kubeconfig }
  return inCluster === true ? { inCluster } : undefined
}

/**
 * What takes long is told on standard error, and a signal ends it at once: what was read by then is used.
 *
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
    if (reading === 'once') return { inventory, audit: await loadAudit(options, io), close }
    const log = await followAudit(options, stop.signal, io.now)
    if (log !== undefined) {
      opened.push({ close: () => log.done.catch(() => {}) })
      await catchUp(log, io)
    }
    return { inventory, audit: log, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** One file an option, so that arguments may stand behind it; repeated for several. */
export function collectFiles(value: string, former: readonly string[] | false = []): readonly string[] {
  return [...(former === false ? [] : former), value]
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
  const files = [...(inventory || []), ...(auditLog ?? [])]
  if (files.filter(file => file === '-').length > (reading === 'once' ? 1 : 0)) {
    throw new KnownError('USAGE', reading === 'once' ? 'name - once' : '- can be no --inventory or --audit-log here')
  }
}

type OpenInventory = Inventory & { close(): Promise<void> }

async function openInventory(options: ClusterOptions, io: CommandIo): Promise<OpenInventory | undefined> {
  const { inventory: files, webhookConfiguration, node } = options
  const { stdin, stderr, signal, now } = io
  if (files === false) return undefined
  if (files !== undefined) {
    const { loadInventoryFiles } = await import('../adapters/inventory-file.js')
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
  // An API server that is away must keep nobody from seeing what runs.
  const words = (): string => "waiting for the API server's lists of pods, namespaces and webhooks"
  const wait = await waitAloud(inventory.whenSynced(), SYNC_WAIT_MS, words, io)
  if (wait === 'too-long') {
    stderr.write('sallyport: the API server did not list everything in time; what it did is used\n')
  }
  return inventory
}

async function loadAudit(
  { auditLog }: ClusterOptions,
  { stdin, signal }: CommandIo,
): Promise<AuditEvidence | undefined> {
  if (auditLog === undefined) return undefined
  const { loadAuditLogs } = await import('../adapters/audit-log-file.js')
  return loadAuditLogs(auditLog, { stdin, signal })
}

async function followAudit(
  { auditLog }: ClusterOptions,
  signal: AbortSignal,
  now: () => number,
): Promise<FollowedAuditLog | undefined> {
  const [path] = auditLog ?? []
  if (path === undefined) return undefined
  const { followAuditLog } = await import('../adapters/audit-log-file.js')
  return followAuditLog(path, { now, signal })
}

/** Without limit: an explanation may rest on any line of it. */
async function catchUp(log: FollowedAuditLog, io: CommandIo): Promise<void> {
  const words = (): string => `reading the audit log, ${log.stats.lines} lines so far; events wait for it`
  await waitAloud(log.whenCaughtUp(), Number.POSITIVE_INFINITY, words, io)
  log.done.catch((error: unknown) => {
    const reason = error instanceof Error ? escapeForeign(error.message, 300) : 'it cannot be read'
    io.stderr.write(`sallyport: the audit log is no longer followed: ${reason}\n`)
  })
}

/** @throws what `done` rejects with. */
async function waitAloud(
  done: Promise<unknown>,
  limitMs: number,
  words: () => string,
  { stderr, signal }: CommandIo,
): Promise<'done' | 'too-long' | 'stopped'> {
  const isDone = done.then(() => true)
  for (let waitedMs = 0; waitedMs < limitMs; waitedMs += WORDS_MS) {
    if (waitedMs > 0) stderr.write(`sallyport: ${words()}\n`)
    const pause = sleep(WORDS_MS, false, { ref: false, signal }).catch(() => false)
    if (await Promise.race([isDone, pause])) return 'done'
    if (signal.aborted) return 'stopped'
  }
  return 'too-long'
}
