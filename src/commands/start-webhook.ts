/** A running webhook from its parts: recorders, server, listening socket; and its orderly end. */

import { randomBytes } from 'node:crypto'
import type { AddressInfo, Server } from 'node:net'
import { KnownError } from '../errors.js'
import type { CompiledPolicy } from '../policy/index.js'
import { VALIDATE_PATH } from '../webhook/plain-reviews.js'
import type { AdmissionObserver, NamespaceLabels } from '../webhook/ports.js'
import { recordToAll } from '../webhook/ports.js'
import { createRecordIds, type RecordIds } from '../webhook/record-id.js'
import { createWebhookServer, type WebhookServer } from '../webhook/server.js'
import { type ServingTls, secureOptions } from '../webhook/tls-options.js'
import type { ListenAddress } from './listen-address.js'
import { closeRecorders, openRecorders, type RecorderSettings, type Recorders } from './webhook-recorders.js'

/** How long requests in flight may take to finish, where nobody says. */
const DRAIN_DEADLINE_MS = 10_000
/** Nobody watches namespaces: no labels are known, so the strictest mode that could apply holds. */
const UNKNOWN_LABELS: NamespaceLabels = { labelsOf: () => undefined }
const NOBODY: AdmissionObserver = { judged() {}, passed() {}, rejected() {} }

const LISTEN_PROBLEMS: ReadonlyMap<string, string> = new Map([
  ['EADDRINUSE', 'something else listens there'],
  ['EADDRNOTAVAIL', 'this machine has no such address'],
  ['EACCES', 'it is not permitted'],
  ['ENOTFOUND', 'the host is not known'],
])

export interface WebhookSettings extends RecorderSettings {
  /** Asked once a request. */
  readonly policy: () => CompiledPolicy
  readonly tls: ServingTls
  readonly listen: ListenAddress
  readonly cluster?: string | undefined
  readonly labels?: NamespaceLabels
  readonly observer?: AdmissionObserver
}

export interface RunningWebhook {
  readonly host: string
  readonly port: number
  /** Where AdmissionReviews go: `https://127.0.0.1:8443/validate`. */
  readonly url: string
  /** For handshakes from now on; connections that stand are left alone. */
  replaceTls(tls: ServingTls): void
  /** The audit log's file was rotated. */
  reopenAuditLog(): void
  /** Records that were lost since the start. */
  droppedRecords(): { readonly journal: number; readonly auditLog: number }
  /** From now on each answer asks the API server to take another connection; all are still answered. */
  beginStop(): void
  /** Finish what is in flight, then write what waits. */
  close(deadlineMs?: number): Promise<void>
}

/**
 * Start a webhook. Whoever starts it closes it.
 *
 * @throws KnownError LISTEN_FAILED, JOURNAL_UNUSABLE, FILE_UNWRITABLE, TLS_INVALID; nothing is left open then.
 */
export async function startWebhook(settings: WebhookSettings): Promise<RunningWebhook> {
  const recordIds = createRecordIds(randomBytes)
  const recorders = await openRecorders(settings, recordIds(settings.now()))
  let isStopping = false
  try {
    const server = buildServer(settings, recorders, recordIds, () => isStopping)
    await listen(server, settings.listen, '--listen')
    const { address, port, family } = addressOf(server.server)
    const host = family === 'IPv6' ? `[${address}]` : address
    return {
      host: address,
      port,
      url: `https://${host}:${port}${VALIDATE_PATH}`,
      replaceTls: tls => server.server.setSecureContext(secureOptions(tls)),
      reopenAuditLog: () => recorders.auditLog?.reopen(),
      droppedRecords: () => ({ journal: recorders.journal?.dropped ?? 0, auditLog: recorders.auditLog?.dropped ?? 0 }),
      beginStop: () => {
        isStopping = true
      },
      close: async (deadlineMs = DRAIN_DEADLINE_MS) => {
        isStopping = true
        const deadline = setTimeout(() => server.server.closeAllConnections(), deadlineMs)
        await server.close()
        clearTimeout(deadline)
        await closeRecorders(recorders)
      },
    }
  } catch (error) {
    await closeRecorders(recorders)
    throw error
  }
}

/**
 * Listen, or say why not in an operator's words.
 *
 * @param option the option that named the address, for the message.
 */
export async function listen(
  server: { listen(options: ListenAddress): Promise<unknown> },
  { host, port }: ListenAddress,
  option: string,
): Promise<void> {
  try {
    await server.listen({ host, port })
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
    const problem = LISTEN_PROBLEMS.get(code)
    if (problem === undefined) throw cause
    throw new KnownError('LISTEN_FAILED', `${option} ${host}:${port}: ${problem}`, { cause })
  }
}

/** Where a TCP server listens. */
export function addressOf(server: Pick<Server, 'address'>): AddressInfo {
  // A TCP server that listens has an address of this form.
  return server.address() as AddressInfo
}

function buildServer(
  settings: WebhookSettings,
  { journal, auditLog }: Recorders,
  recordIds: RecordIds,
  isStopping: () => boolean,
): WebhookServer {
  const recorder = recordToAll([journal, auditLog].filter(one => one !== undefined))
  const { policy, tls, log, now, cluster, labels = UNKNOWN_LABELS, observer = NOBODY } = settings
  try {
    return createWebhookServer({ policy, labels, recorder, observer, log, now, recordIds, cluster, tls, isStopping })
  } catch (cause) {
    // OpenSSL has the last word on a certificate: a curve or a signature that it does not take.
    if (!(cause instanceof Error && 'code' in cause && String(cause.code).startsWith('ERR_'))) throw cause
    throw new KnownError('TLS_INVALID', `the certificate or key cannot be used (${cause.message})`, { cause })
  }
}
