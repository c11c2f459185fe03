/**
 * Child process of group `admission`: one webhook, Sallyport's or a bare one, that tells its CPU time when asked.
 *
 * Sallyport's is the compiled one, as it is shipped: a TypeScript loader wraps every closure.
 */

import fastify from 'fastify'
import { generateEntries, policyOf } from './generated-policy.js'
import { totalMicros } from './measure.js'

export interface ServerSettings {
  readonly kind: 'bare' | 'sallyport'
  readonly tls: { readonly cert: string; readonly key: string }
  /** How many generated entries the policy has besides `patterns`; nothing to a bare server. */
  readonly entries: number
  readonly patterns: readonly string[]
  /** The journal's folder; undefined keeps no records there. */
  readonly journal: string | undefined
  /** The audit log's file. */
  readonly auditLog: string | undefined
}

export type ToServer = { readonly type: 'start'; readonly settings: ServerSettings } | { readonly type: 'cpu' }
export type FromServer =
  | { readonly type: 'started'; readonly port: number }
  /** CPU time of all threads of this process so far. */
  | { readonly type: 'cpu'; readonly micros: number }

const LOOPBACK = { host: '127.0.0.1', port: 0 }
const BODY_LIMIT_BYTES = 7 * 1024 * 1024
const KEEP_ALIVE_TIMEOUT_MS = 120_000
const CONSTANT_ANSWER = JSON.stringify({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  response: { uid: '00000000-0000-0000-0000-000000000000', allowed: true },
})

let close = async (): Promise<unknown> => undefined

process.on('message', async (message: ToServer) => {
  if (message.type === 'cpu') {
    answer({ type: 'cpu', micros: totalMicros(process.cpuUsage()) })
    return
  }
  const { settings } = message
  answer({ type: 'started', port: settings.kind === 'bare' ? await startBare(settings) : await startOurs(settings) })
})
process.on('disconnect', () => close())

function answer(message: FromServer): void {
  process.send?.(message)
}

/** A module of the compiled program, with the types of its source. */
function compiled(path: string): Promise<unknown> {
  return import(new URL(`../build/${path}`, import.meta.url).href)
}

/** The least that any webhook on Fastify does: TLS, HTTP, the body parsed by Fastify's own parser, an answer. It judges nothing. */
async function startBare({ tls }: ServerSettings): Promise<number> {
  const { secureOptions } = (await compiled('webhook/tls-options.js')) as typeof import('../src/webhook/tls-options.js')
  const server = fastify({
    https: secureOptions(tls),
    logger: false,
    bodyLimit: BODY_LIMIT_BYTES,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    forceCloseConnections: true,
  })
  server.post('/validate', (_request, reply) => reply.header('content-type', 'application/json').send(CONSTANT_ANSWER))
  const url = await server.listen(LOOPBACK)
  close = () => server.close()
  return Number(new URL(url).port)
}

async function startOurs({ tls, entries, patterns, journal, auditLog }: ServerSettings): Promise<number> {
  const { startWebhook } = (await compiled(
    'commands/start-webhook.js',
  )) as typeof import('../src/commands/start-webhook.js')
  const { createWebhookMetrics } = (await compiled(
    'adapters/metrics.js',
  )) as typeof import('../src/adapters/metrics.js')
  const { createLogger } = (await compiled('logger.js')) as typeof import('../src/logger.js')
  const { compilePolicy } = (await compiled('policy/index.js')) as typeof import('../src/policy/index.js')
  const allow = [...generateEntries(entries).map(({ pattern }) => pattern), ...patterns]
  const policy = policyOf(allow, {}, compilePolicy)
  const log = createLogger({ level: 'warn', destination: process.stderr })
  const { observer } = createWebhookMetrics(
    {
      policy: () => policy,
      isPolicyRejected: () => false,
      policyLoadedAt: () => 0,
      certificateExpiresAt: () => 0,
      isCertificateRejected: () => false,
      areLabelsSynced: () => undefined,
      droppedRecords: () => webhook.droppedRecords(),
    },
    'bench',
  )
  const webhook = await startWebhook({
    policy: () => policy,
    tls,
    listen: LOOPBACK,
    journal,
    auditLog,
    observer,
    log,
    now: Date.now,
  })
  close = async () => {
    await webhook.close()
    const { journal, auditLog } = webhook.droppedRecords()
    if (journal + auditLog > 0) process.stderr.write(`admission: ${journal + auditLog} records were dropped\n`)
  }
  return webhook.port
}
