/** The HTTPS server: built here, not yet listening. One route, `POST /validate`. */

import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'
import type { Server } from 'node:https'
import type { SecureContextOptions, TlsOptions } from 'node:tls'
import underPressure from '@fastify/under-pressure'
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteGenericInterface } from 'fastify'
import fastify from 'fastify'
import type { CompiledPolicy } from '../policy/index.js'
import { decodeAdmissionReview, encodeAdmissionReview } from './admission-review.js'
import { answerDecision, describeWarnings } from './answer.js'
import { createDecisionRecord } from './decision-record.js'
import { encodeDecisionRecord } from './encode-decision-record.js'
import type { HttpError } from './http-errors.js'
import { BODY_LIMIT_BYTES, HTTP_ERRORS, httpErrorOf, WebhookHttpError } from './http-errors.js'
import { judge } from './judge.js'
import type { AdmissionObserver, DecisionRecorder, NamespaceLabels, WebhookLog } from './ports.js'
import type { RecordIds } from './record-id.js'
import { declaredLength, readBody } from './request-body.js'
import { createReviewParser } from './review-part.js'

export const VALIDATE_PATH = '/validate'

/** The API server keeps up to 25 idle connections for 90 s: closing first would fail a review in flight. */
const KEEP_ALIVE_TIMEOUT_MS = 120_000
/** The API server's own limit for a webhook is 30 s. */
const REQUEST_TIMEOUT_MS = 35_000
const HEADERS_TIMEOUT_MS = 10_000
const HANDSHAKE_TIMEOUT_MS = 10_000
/** How often header and request timeouts are looked at. */
const TIMEOUT_CHECK_MS = 5_000
/** An API server keeps 25 connections; this is room for many of them, and a bound on what a stranger can open. */
const MAX_CONNECTIONS = 1024
/** Beyond it an answer would come too late for most of the queue: say so at once. */
const MAX_EVENT_LOOP_DELAY_MS = 1_000
/** Forward secrecy and authenticated encryption only: the suites of TLS 1.3, and those of 1.2 that have both. */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':')
const JSON_TYPE = 'application/json'
/** As Fastify writes it. */
const ANSWER_TYPE = 'application/json; charset=utf-8'

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
  /** Undefined serves plain HTTP: for tests that inject requests. */
  readonly tls: ServingTls | undefined
  /** True once the webhook stops: each answer then asks the API server to take another connection. Default: never. */
  readonly isStopping?: () => boolean
}

/** PEM. */
export interface ServingTls {
  readonly cert: string
  readonly key: string
  /** The CA of client certificates: with it, only clients that it signed are served. */
  readonly ca?: string | undefined
}

/** For `createServer`, and for `setSecureContext` when the certificate is renewed: both need all of it. */
export function secureOptions({ cert, key, ca }: ServingTls): SecureOptions {
  const client = ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: true }
  return { cert, key, ...client, minVersion: 'TLSv1.2', ciphers: CIPHERS, honorCipherOrder: true }
}

type SecureOptions = SecureContextOptions & Pick<TlsOptions, 'requestCert' | 'rejectUnauthorized'>

type Request = FastifyRequest<RouteGenericInterface, Server>
type Reply = FastifyReply<RouteGenericInterface, Server>
type ParseReview = ReturnType<typeof createReviewParser>

export type WebhookServer = FastifyInstance<Server>

/** Build the server. The caller listens and closes; closing finishes what is in flight and closes idle connections. */
export function createWebhookServer(options: WebhookOptions): WebhookServer {
  const server = buildServer(options)
  server.server.headersTimeout = HEADERS_TIMEOUT_MS
  server.server.maxConnections = MAX_CONNECTIONS
  watchEventLoop(server)

  // Fastify's own parser and Ajv are not used: the decoder is the one reader of a review.
  const parse = createReviewParser()
  server.removeAllContentTypeParsers()
  server.addContentTypeParser(JSON_TYPE, { parseAs: 'buffer' }, (_request, body: Buffer, done) => {
    const parsed = parse(body)
    if (parsed.ok) done(null, parsed.body)
    else done(new WebhookHttpError(HTTP_ERRORS.BODY_NOT_JSON))
  })
  server.setErrorHandler((error, _request, reply) => refuse(options, reply, error))
  server.setNotFoundHandler((_request, reply) => refuse(options, reply, new WebhookHttpError(HTTP_ERRORS.NOT_FOUND)))
  server.route({
    method: 'POST',
    url: VALIDATE_PATH,
    onRequest: (request, reply, next) => {
      if (isOverloaded(server)) refuse(options, reply, new WebhookHttpError(HTTP_ERRORS.OVERLOADED))
      else if (isPlain(request.raw.headers)) answerPlain(options, parse, request, reply)
      else next()
    },
    handler: (request, reply) => {
      answerReview(options, request.body, reply, sendJson)
    },
  })
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
    https:
      tls === undefined
        ? null
        : {
            ...secureOptions(tls),
            handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
            connectionsCheckingInterval: TIMEOUT_CHECK_MS,
          },
    // A logger of Fastify's costs a sixth of a request; what matters is recorded or logged by us.
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

/** The delay is sampled by a timer of the plugin's; its hook would ask for much more at each request. */
function watchEventLoop(server: WebhookServer): void {
  server.register(underPressure, {})
}

/** Looked at before a body is read, so that refusing costs next to nothing. */
function isOverloaded(server: WebhookServer): boolean {
  return server.memoryUsage().eventLoopDelay > MAX_EVENT_LOOP_DELAY_MS
}

/** What API servers send. All else goes through Fastify's own reading, which knows each way in which a body is wrong. */
function isPlain(headers: IncomingHttpHeaders): boolean {
  return (
    headers['content-type'] === JSON_TYPE && (declaredLength(headers) ?? Number.POSITIVE_INFINITY) <= BODY_LIMIT_BYTES
  )
}

/** The same as parser and handler do, without what Fastify does for those who need more. */
function answerPlain(options: WebhookOptions, parse: ParseReview, request: Request, reply: Reply): void {
  readBody(request.raw, (error, body) => {
    try {
      if (error !== undefined) throw error
      if (body.length !== declaredLength(request.raw.headers)) throw new WebhookHttpError(HTTP_ERRORS.BODY_INCOMPLETE)
      const parsed = parse(body)
      if (!parsed.ok) throw new WebhookHttpError(HTTP_ERRORS.BODY_NOT_JSON)
      answerReview(options, parsed.body, reply, sendRaw)
    } catch (problem) {
      refuse(options, reply, problem)
    }
  })
}

type Send = (options: WebhookOptions, reply: Reply, json: string) => void

function answerReview(options: WebhookOptions, body: unknown, reply: Reply, send: Send): void {
  const decoded = decodeAdmissionReview(body)
  if (!decoded.ok) throw new WebhookHttpError({ ...HTTP_ERRORS.REVIEW_INVALID, message: decoded.problem })
  const { request } = decoded
  const startedMs = performance.now()
  const policy = options.policy()
  const now = options.now()
  const judgement = judge(policy, request, options.labels, now)
  if (judgement.status === 'passed') {
    options.observer.passed(judgement.why)
    send(options, reply, encodeAdmissionReview({ uid: request.uid, allowed: true }))
    return
  }
  const { metadata, subject, decision } = judgement
  const id = options.recordIds(now)
  const warnings = describeWarnings(decision, subject, policy)
  const answer = answerDecision(decision, { requestUid: request.uid, subject, policy, recordId: id, warnings })
  send(options, reply, encodeAdmissionReview(answer))
  // The answer is on its way: nothing from here on can delay it.
  const { kind, dryRun } = request
  options.observer.judged({ kind, decision, dryRun }, (performance.now() - startedMs) / 1000)
  const decisionRecord = createDecisionRecord(request, metadata, decision, {
    id,
    now,
    cluster: options.cluster,
    policy,
    warnings,
  })
  options.recorder.record(decisionRecord, encodeDecisionRecord(decisionRecord))
}

function sendJson(options: WebhookOptions, reply: Reply, json: string): void {
  if (options.isStopping?.() === true) reply.header('connection', 'close')
  reply.header('content-type', JSON_TYPE).send(json)
}

/** Past Fastify's own way out: neither hooks nor serialisers wait there. */
function sendRaw(options: WebhookOptions, reply: Reply, json: string): void {
  const headers: OutgoingHttpHeaders = { 'content-type': ANSWER_TYPE, 'content-length': Buffer.byteLength(json) }
  if (options.isStopping?.() === true) headers['connection'] = 'close'
  reply.hijack().raw.writeHead(200, headers).end(json)
}

/** One sentence, never a stack: what a bug threw goes to our log only. */
function refuse(options: WebhookOptions, reply: Reply, error: unknown): void {
  const { code, status, message }: HttpError = httpErrorOf(error)
  options.observer.rejected(code)
  if (code === 'INTERNAL') options.log.error({ err: error }, 'A request could not be judged')
  sendJson(options, reply.code(status), JSON.stringify({ code, message }))
}
