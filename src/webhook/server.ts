/** The HTTPS server: built here, not yet listening. One route, `POST /validate`. */

import type { Server } from 'node:https'
import type { FastifyInstance, FastifyReply, RouteGenericInterface } from 'fastify'
import fastify from 'fastify'
import type { CompiledPolicy } from '../policy/index.js'
import { decodeAdmissionReview, encodeAdmissionReview } from './admission-review.js'
import { answerDecision, describeWarnings } from './answer.js'
import { createDecisionRecord } from './decision-record.js'
import type { HttpError } from './http-errors.js'
import { BODY_LIMIT_BYTES, HTTP_ERRORS, httpErrorOf, WebhookHttpError } from './http-errors.js'
import type { Judgement } from './judge.js'
import { judge } from './judge.js'
import type { AdmissionObserver, DecisionRecorder, NamespaceLabels, WebhookLog } from './ports.js'
import type { RecordIds } from './record-id.js'

export const VALIDATE_PATH = '/validate'

/** The API server keeps up to 25 idle connections for 90 s: closing first would fail a review in flight. */
const KEEP_ALIVE_TIMEOUT_MS = 120_000
/** The API server's own limit for a webhook is 30 s. */
const REQUEST_TIMEOUT_MS = 35_000
const HEADERS_TIMEOUT_MS = 10_000
const HANDSHAKE_TIMEOUT_MS = 10_000
const JSON_TYPE = 'application/json'

export interface WebhookOptions {
  /** Asked once a request, so that a policy can be replaced between two. */
  readonly policy: () => CompiledPolicy
  readonly labels: NamespaceLabels
  readonly recorder: DecisionRecorder
  readonly observer: AdmissionObserver
  readonly log: WebhookLog
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly recordIds: RecordIds
  /** Written into every record; undefined when there is but one cluster. */
  readonly cluster: string | undefined
  /** PEM. Undefined serves plain HTTP: for tests that inject requests. */
  readonly tls: { readonly cert: string | Buffer; readonly key: string | Buffer } | undefined
}

type Reply = FastifyReply<RouteGenericInterface, Server>

export type WebhookServer = FastifyInstance<Server>

/** Build the server. The caller listens and closes; closing finishes what is in flight and closes idle connections. */
export function createWebhookServer(options: WebhookOptions): WebhookServer {
  const server = buildServer(options)
  server.server.headersTimeout = HEADERS_TIMEOUT_MS

  // Fastify's own parser and Ajv are not used: the decoder is the one reader of a review.
  server.removeAllContentTypeParsers()
  server.addContentTypeParser(JSON_TYPE, { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, JSON.parse(String(body)))
    } catch {
      done(new WebhookHttpError(HTTP_ERRORS.BODY_NOT_JSON))
    }
  })
  server.setErrorHandler((error, _request, reply) => refuse(options, reply, error))
  server.setNotFoundHandler((_request, reply) => refuse(options, reply, new WebhookHttpError(HTTP_ERRORS.NOT_FOUND)))
  server.post(VALIDATE_PATH, (request, reply) => answerReview(options, request.body, reply))
  server.route({
    method: ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
    url: VALIDATE_PATH,
    // Before the body is read: its size and type do not matter for a method that is not taken.
    onRequest: (_request, reply) => {
      refuse(options, reply.header('allow', 'POST'), new WebhookHttpError(HTTP_ERRORS.METHOD_NOT_ALLOWED))
      return Promise.resolve(reply)
    },
    handler: (_request, reply) => reply,
  })
  return server
}

function buildServer(options: WebhookOptions): WebhookServer {
  const { tls } = options
  return fastify({
    https: tls === undefined ? null : { ...tls, minVersion: 'TLSv1.2', handshakeTimeout: HANDSHAKE_TIMEOUT_MS },
    // A logger of Fastify's costs 16 % a request (PERFORMANCE.md); what matters is recorded or logged by us.
    logger: false,
    bodyLimit: BODY_LIMIT_BYTES,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    // While closing, a review that still comes in is answered: a 503 would be a failed webhook to the API server.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    frameworkErrors: (error, _request, reply) => {
      refuse(options, reply, error)
    },
  })
}

function answerReview(options: WebhookOptions, body: unknown, reply: Reply): Reply {
  const decoded = decodeAdmissionReview(body)
  if (!decoded.ok) {
    return refuse(options, reply, new WebhookHttpError({ ...HTTP_ERRORS.REVIEW_INVALID, message: decoded.problem }))
  }
  const { request } = decoded
  const policy = options.policy()
  const now = options.now()
  const judgement = judge(policy, request, options.labels, now)
  if (judgement.status === 'passed') {
    options.observer.passed(judgement.why)
    return sendJson(reply, encodeAdmissionReview({ uid: request.uid, allowed: true }))
  }
  return answerJudged(options, policy, judgement, now, reply)
}

function answerJudged(
  options: WebhookOptions,
  policy: CompiledPolicy,
  { request, metadata, subject, decision }: Extract<Judgement, { status: 'judged' }>,
  now: number,
  reply: Reply,
): Reply {
  const recordId = options.recordIds(now)
  const warnings = describeWarnings(decision, subject, policy)
  const answer = answerDecision(decision, { requestUid: request.uid, subject, policy, recordId, warnings })
  sendJson(reply, encodeAdmissionReview(answer))
  // The answer is on its way: nothing from here on can delay it.
  options.observer.judged(decision.action)
  const context = { id: recordId, now, cluster: options.cluster, policy, warnings }
  const decisionRecord = createDecisionRecord(request, metadata, decision, context)
  options.recorder.record(decisionRecord, JSON.stringify(decisionRecord))
  return reply
}

function sendJson(reply: Reply, json: string): Reply {
  return reply.header('content-type', JSON_TYPE).send(json)
}

/** One sentence, never a stack: what a bug threw goes to our log only. */
function refuse(options: WebhookOptions, reply: Reply, error: unknown): Reply {
  const { code, status, message }: HttpError = httpErrorOf(error)
  options.observer.rejected(code)
  if (code === 'INTERNAL') options.log.error({ err: error }, 'A request could not be judged')
  return sendJson(reply.code(status), JSON.stringify({ code, message }))
}
