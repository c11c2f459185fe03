/** The ops port, plain HTTP: liveness, readiness and metrics, apart from the reviews. Built here, not yet listening. */

import fastify, { type FastifyInstance } from 'fastify'

/** One thing that must hold before reviews may come. */
export interface ReadinessCheck {
  /** A word: `policy`, `certificate`, `listening`, `draining`. */
  readonly name: string
  readonly isReady: boolean
  /** Half a sentence, when it does not hold. */
  readonly problem: string | undefined
}

export interface OpsOptions {
  readonly readiness: () => readonly ReadinessCheck[]
  /** The metrics page in the text format of Prometheus. */
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>
}

/** A probe that takes longer has failed. */
const REQUEST_TIMEOUT_MS = 10_000
const MAX_CONNECTIONS = 64

/**
 * - `GET /livez`: 200 as long as the event loop turns.
 * - `GET /readyz`: 200 when every check holds, else 503; one line a check.
 * - `GET /metrics`.
 */
export function createOpsServer({ readiness, metrics }: OpsOptions): FastifyInstance {
  const server = fastify({
    logger: false,
    bodyLimit: 1024,
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: true,
  })
  server.server.maxConnections = MAX_CONNECTIONS
  server.get('/livez', (_request, reply) => reply.type('text/plain').send('ok\n'))
  server.get('/readyz', (_request, reply) => {
    const checks = readiness()
    const isReady = checks.every(check => check.isReady)
    const lines = checks.map(({ name, problem }) => `${name}: ${problem ?? 'ok'}\n`)
    return reply
      .code(isReady ? 200 : 503)
      .type('text/plain')
      .send(lines.join(''))
  })
  server.get('/metrics', async (_request, reply) => {
    const { contentType, text } = await metrics()
    return reply.header('content-type', contentType).send(text)
  })
  server.setNotFoundHandler((_request, reply) =>
    reply.code(404).type('text/plain').send('There is nothing here: try /livez, /readyz or /metrics.\n'),
  )
  return server
}
