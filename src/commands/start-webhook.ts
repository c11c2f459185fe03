/** A running webhook from its parts: recorders, server, listening socket; and its orderly end. */

import { randomBytes } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import type { DecisionLog } from '../adapters/decision-log.js'
import { createDecisionLog, createStreamDecisionLog, openDecisionLog } from '../adapters/decision-log.js'
import type { JournalWriter } from '../adapters/journal-writer.js'
import { openJournalWriter } from '../adapters/journal-writer.js'
import { KnownError } from '../errors.js'
import type { Logger } from '../logger.js'
import type { CompiledPolicy } from '../policy/index.js'
import type { NamespaceLabels } from '../webhook/ports.js'
import { recordToAll } from '../webhook/ports.js'
import type { RecordIds } from '../webhook/record-id.js'
import { createRecordIds } from '../webhook/record-id.js'
import type { WebhookServer } from '../webhook/server.js'
import { createWebhookServer, VALIDATE_PATH } from '../webhook/server.js'
import type { Tally } from '../webhook/tally.js'
import { createTally } from '../webhook/tally.js'

/** How long requests in flight may take to finish once the webhook stops. */
const DRAIN_DEADLINE_MS = 10_000
/** A disk that refuses every batch must not fill the log as well. */
const PROBLEM_INTERVAL_MS = 10_000
const STDOUT_FD = 1
/** Until namespaces are watched: no labels are known, so the strictest mode that could apply holds. */
const UNKNOWN_LABELS: NamespaceLabels = { labelsOf: () => undefined }

const LISTEN_PROBLEMS: ReadonlyMap<string, string> = new Map([
  ['EADDRINUSE', 'something else listens there'],
  ['EADDRNOTAVAIL', 'this machine has no such address'],
  ['EACCES', 'it is not permitted'],
  ['ENOTFOUND', 'the host is not known'],
])

export interface WebhookSettings {
  readonly policy: () => CompiledPolicy
  /** PEM. */
  readonly tls: { readonly cert: string; readonly key: string }
  /** Port 0 takes any free one. */
  readonly listen: { readonly host: string; readonly port: number }
  /** The journal's folder; undefined keeps none. */
  readonly journal?: string | undefined
  /** A file's path, or a stream; undefined writes none. */
  readonly auditLog?: string | NodeJS.WritableStream | undefined
  readonly cluster?: string | undefined
  readonly labels?: NamespaceLabels
  readonly log: Logger
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

export interface RunningWebhook {
  readonly host: string
  readonly port: number
  /** Where AdmissionReviews go: `https://127.0.0.1:8443/validate`. */
  readonly url: string
  tally(): Tally
  /** Finish what is in flight, then write what waits. @returns how many records were lost since the start. */
  close(): Promise<{ readonly droppedRecords: number }>
}

interface Recorders {
  readonly journal: JournalWriter | undefined
  readonly auditLog: DecisionLog | undefined
}

/**
 * Start a webhook. Whoever starts it closes it.
 *
 * @throws KnownError LISTEN_FAILED, JOURNAL_UNUSABLE, FILE_UNREADABLE, TLS_INVALID; nothing is left open then.
 */
export async function startWebhook(settings: WebhookSettings): Promise<RunningWebhook> {
  const recordIds = createRecordIds(randomBytes)
  const recorders = await openRecorders(settings, recordIds(settings.now()))
  const tally = createTally()
  try {
    const server = buildServer(settings, recorders, tally, recordIds)
    const { address, port, family } = await listen(server, settings.listen)
    const host = family === 'IPv6' ? `[${address}]` : address
    return {
      host: address,
      port,
      url: `https://${host}:${port}${VALIDATE_PATH}`,
      tally: () => tally.read(),
      close: () => closeAll(server, recorders),
    }
  } catch (error) {
    await closeRecorders(recorders)
    throw error
  }
}

async function openRecorders(settings: WebhookSettings, runId: string): Promise<Recorders> {
  const { log, now } = settings
  const report = (recorder: string) =>
    atMostEvery(PROBLEM_INTERVAL_MS, now, problem => {
      log.error({ recorder, problem }, 'Decision records could not be written')
    })
  const onLogProblem = report('audit-log')
  const auditLog = openAuditLog(settings.auditLog, error => onLogProblem(error.message))
  try {
    const journal =
      settings.journal === undefined
        ? undefined
        : await openJournalWriter(settings.journal, { now, runId, onProblem: report('journal') })
    return { journal, auditLog }
  } catch (error) {
    await auditLog?.close()
    throw error
  }
}

function openAuditLog(target: WebhookSettings['auditLog'], onProblem: (error: Error) => void): DecisionLog | undefined {
  if (target === undefined) return undefined
  if (typeof target === 'string') return openDecisionLog(target, onProblem)
  // The process's own stdout is written through a buffer; another stream is its owner's business.
  return 'fd' in target && target.fd === STDOUT_FD
    ? createDecisionLog(STDOUT_FD, onProblem)
    : createStreamDecisionLog(target)
}

function buildServer(
  settings: WebhookSettings,
  { journal, auditLog }: Recorders,
  tally: ReturnType<typeof createTally>,
  recordIds: RecordIds,
): WebhookServer {
  const recorder = recordToAll([journal, auditLog].filter(one => one !== undefined))
  const { policy, tls, log, now, cluster, labels = UNKNOWN_LABELS } = settings
  try {
    return createWebhookServer({ policy, labels, recorder, observer: tally, log, now, recordIds, cluster, tls })
  } catch (cause) {
    // OpenSSL has the last word on a certificate: a curve or a signature that it does not take.
    if (!(cause instanceof Error && 'code' in cause && String(cause.code).startsWith('ERR_'))) throw cause
    throw new KnownError('TLS_INVALID', `the certificate or key cannot be used (${cause.message})`, { cause })
  }
}

async function listen(server: WebhookServer, { host, port }: WebhookSettings['listen']): Promise<AddressInfo> {
  try {
    await server.listen({ host, port })
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
    const problem = LISTEN_PROBLEMS.get(code)
    if (problem === undefined) throw cause
    throw new KnownError('LISTEN_FAILED', `--listen ${host}:${port}: ${problem}`, { cause })
  }
  // A TCP server that listens has an address of this form.
  return server.server.address() as AddressInfo
}

async function closeAll(server: WebhookServer, recorders: Recorders): Promise<{ readonly droppedRecords: number }> {
  const deadline = setTimeout(() => server.server.closeAllConnections(), DRAIN_DEADLINE_MS)
  await server.close()
  clearTimeout(deadline)
  await closeRecorders(recorders)
  return { droppedRecords: (recorders.journal?.dropped ?? 0) + (recorders.auditLog?.dropped ?? 0) }
}

async function closeRecorders({ journal, auditLog }: Recorders): Promise<void> {
  await journal?.close()
  await auditLog?.close()
}

function atMostEvery(
  intervalMs: number,
  now: () => number,
  tell: (problem: string) => void,
): (problem: string) => void {
  let last = Number.NEGATIVE_INFINITY
  return problem => {
    if (now() - last < intervalMs) return
    last = now()
    tell(problem)
  }
}
