/** The webhook for as long as it serves: watched policy and certificate, namespace labels, ops port, drained stop. */

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { createWebhookMetrics, type WebhookMetrics } from '../adapters/metrics.js'
import { type OpenPolicy, openPolicy } from '../adapters/policy-watch.js'
import type { Logger } from '../logger.js'
import { formatProblem } from '../policy/index.js'
import { createOpsServer, type ReadinessCheck } from '../webhook/ops-server.js'
import type { CommandIo } from './command-io.js'
import { createLabelSource, type LabelSource } from './label-source.js'
import type { ListenAddress } from './listen-address.js'
import { openServingTls, type ServedTls, type ServingTlsSettings } from './serving-tls.js'
import { addressOf, listen, type RunningWebhook, startWebhook } from './start-webhook.js'

export interface ServeSettings {
  readonly policy: readonly string[]
  readonly tls: ServingTlsSettings
  readonly listen: ListenAddress
  readonly ops: ListenAddress | undefined
  readonly journal: string | undefined
  readonly auditLog: string | undefined
  readonly cluster: string | undefined
  /** How namespace labels are had; undefined: not at all. */
  readonly access: Parameters<typeof createLabelSource>[0]
  readonly stop: { readonly delayMs: number; readonly deadlineMs: number }
  readonly version: string
  readonly log: Logger
}

/** Serve until the signal, then stop in order. @throws KnownError when it cannot begin. */
export async function serveWebhook(settings: ServeSettings, io: CommandIo): Promise<void> {
  const closers: (() => Promise<void> | void)[] = []
  try {
    await serve(settings, io, closers)
  } finally {
    for (const close of closers.toReversed()) await close()
  }
}

/** What serves, and what can be asked of it. */
interface Parts {
  readonly policy: OpenPolicy
  readonly tls: ServedTls
  readonly labels: LabelSource
  readonly webhook: RunningWebhook
}

async function serve(settings: ServeSettings, io: CommandIo, closers: (() => Promise<void> | void)[]): Promise<void> {
  const { log } = settings
  const now = () => io.now()
  // Reloads begin only after these are filled in: the first reload comes after the first look at the files.
  let webhook: RunningWebhook | undefined
  let metrics: WebhookMetrics | undefined
  const labels = createLabelSource(settings.access, log)
  closers.push(() => labels.close())
  const policy = await openPolicy(settings.policy, {
    log,
    now,
    onReload: next => {
      metrics?.policyReloaded('accepted')
      void labels.need(next.needsNamespaceLabels)
    },
    onReject: () => metrics?.policyReloaded('rejected'),
  })
  closers.push(() => policy.close())
  for (const warning of policy.current().warnings)
    log.warn({ problem: formatProblem(warning) }, 'The policy holds something doubtful')
  await labels.need(policy.current().needsNamespaceLabels)
  const tls = await openServingTls(settings.tls, { log, now, onReload: next => webhook?.replaceTls(next) })
  closers.push(() => tls.close())

  metrics = createWebhookMetrics(
    {
      policy: () => policy.current(),
      isPolicyRejected: () => policy.state().isRejected,
      policyLoadedAt: () => policy.state().lastReloadAt,
      certificateExpiresAt: () => tls.expiresAt(),
      isCertificateRejected: () => tls.state().isRejected,
      areLabelsSynced: () => labels.isSynced(),
      droppedRecords: () => webhook?.droppedRecords() ?? { journal: 0, auditLog: 0 },
    },
    settings.version,
  )
  const started = await start(settings, io, { policy, tls, labels }, metrics)
  webhook = started
  await runUntilStopped(settings, io, { policy, tls, labels, webhook: started }, metrics)
}

function start(
  settings: ServeSettings,
  io: CommandIo,
  { policy, tls, labels }: Omit<Parts, 'webhook'>,
  metrics: WebhookMetrics,
): Promise<RunningWebhook> {
  const { listen, journal, auditLog, cluster, log } = settings
  return startWebhook({
    policy: () => policy.current(),
    tls: tls.current(),
    listen,
    journal,
    auditLog: auditLog === '-' ? io.stdout : auditLog,
    cluster,
    labels,
    observer: metrics.observer,
    log,
    now: () => io.now(),
  })
}

async function runUntilStopped(
  settings: ServeSettings,
  io: CommandIo,
  parts: Parts,
  metrics: WebhookMetrics,
): Promise<void> {
  const { log, stop } = settings
  const { webhook, policy } = parts
  let isStopping = false
  const ops = createOpsServer({
    readiness: () => readinessOf(parts, isStopping, io.now()),
    metrics: () => metrics.page(),
  })
  try {
    if (settings.ops !== undefined) {
      await listen(ops, settings.ops, '--ops')
      const { address, port } = addressOf(ops.server)
      log.info({ address, port }, 'The ops port listens')
    }
    io.onHangup?.(() => {
      webhook.reopenAuditLog()
      void policy.reload()
      void parts.tls.reload()
    })
    const { name, revision } = policy.current()
    log.info({ url: webhook.url, policy: name, revision }, 'Listening')
    if (!io.signal.aborted) await once(io.signal, 'abort')
    isStopping = true
    webhook.beginStop()
    log.info({ delayMs: stop.delayMs }, 'Stopping: not ready any more; requests are still answered')
    await sleep(stop.delayMs)
  } finally {
    await webhook.close(stop.deadlineMs)
    await ops.close()
  }
  log.info({ droppedRecords: webhook.droppedRecords() }, 'Stopped')
}

function readinessOf({ tls, webhook }: Parts, isStopping: boolean, now: number): readonly ReadinessCheck[] {
  const isValid = now < tls.expiresAt()
  const isTrusted = tls.isTrusted()
  const expired = `the certificate expired at ${new Date(tls.expiresAt()).toISOString()}`
  return [
    // There is no webhook without a policy: a bad change leaves the last good one in force.
    { name: 'policy', isReady: true, problem: undefined },
    { name: 'certificate', isReady: isValid, problem: isValid ? undefined : expired },
    { name: 'trust', isReady: isTrusted, problem: isTrusted ? undefined : 'the caBundle has never held its authority' },
    { name: 'listening', isReady: webhook.port > 0, problem: undefined },
    { name: 'stopping', isReady: !isStopping, problem: isStopping ? 'asked to stop' : undefined },
  ]
}
