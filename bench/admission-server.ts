/** Child process of group `admission`: one webhook, Sallyport's or a bare one, that tells its CPU time when asked. */

import fastify from 'fastify'
import { startWebhook } from '../src/commands/start-webhook.js'
import { createLogger } from '../src/logger.js'
import { generateEntries, policyOf } from './generated-policy.js'
import { totalMicros } from './measure.js'

export interface ServerSettings {
  readonly kind: 'bare' | 'sallyport'
  readonly tls: { readonly cert: string; readonly key: string }
  /** How many generated entries the policy has besides `patterns`; nothing to a bare server. */
  readonly entries: number
  readonly patterns: readonly string[]
  /** The journal's folder; undefined keeps no records. */
  readonly journal: string | undefined
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

/** The least that any webhook on Fastify does: TLS, HTTP, the body parsed, an answer. It judges nothing. */
async function startBare({ tls }: ServerSettings): Promise<number> {
  const server = fastify({
    https: { ...tls, minVersion: 'TLSv1.2' },
    logger: false,
    bodyLimit: BODY_LIMIT_BYTES,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    forceCloseConnections: true,
  })
  server.removeAllContentTypeParsers()
  server.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    done(null, JSON.parse(String(body)))
  })
  server.post('/validate', (_request, reply) => reply.header('content-type', 'application/json').send(CONSTANT_ANSWER))
  const url = await server.listen(LOOPBACK)
  close = () => server.close()
  return Number(new URL(url).port)
}

async function startOurs({ tls, entries, patterns, journal }: ServerSettings): Promise<number> {
  const policy = policyOf([...generateEntries(entries).map(({ pattern }) => pattern), ...patterns])
  const log = createLogger({ level: 'warn', destination: process.stderr })
  const webhook = await startWebhook({ policy: () => policy, tls, listen: LOOPBACK, journal, log, now: Date.now })
  close = async () => {
    await webhook.close()
    const dropped = webhook.droppedRecords().journal
    if (dropped > 0) process.stderr.write(`admission: the journal dropped ${dropped} records\n`)
  }
  return webhook.port
}
