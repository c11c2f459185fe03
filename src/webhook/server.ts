/** The HTTPS server: built here, not yet listening. One route, `POST /validate`. */

import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { createServer as createHttpsServer, type Server } from 'node:https'
import underPressure from '@fastify/under-pressure'
import type { FastifyInstance, FastifyReply, RouteGenericInterface } from 'fastify'
import fastify from 'fastify'
import { AnswerWriter } from './answer-writer.js'
import { DecisionWriter } from './decision-writer.js'
import { BODY_LIMIT_BYTES, HTTP_ERRORS, WebhookHttpError } from './http-errors.js'
import { answerPlain, isPlain, JSON_TYPE, type ReviewHandling, VALIDATE_PATH } from './plain-reviews.js'
import { createReviewParser, type ReviewBody } from './review-part.js'
import { answerReview, type ReviewService, refusalOf } from './review-service.js'
import { type ServingTls, secureOptions } from './tls-options.js'

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
/** Of a request that says neither type nor length. */
const NO_BODY: ReviewBody = { body: undefined, isPlain: false }

export interface WebhookOptions extends Omit<ReviewService, 'answers' | 'records'> {
  /** Undefined serves plain HTTP: for tests that inject requests. */
  readonly tls: ServingTls | undefined
  /** True once the webhook stops: each answer then asks the API server to take another connection. Default: never. */
  readonly isStopping?: () => boolean
}

type Reply = FastifyReply<RouteGenericInterface, Server>

export type WebhookServer = FastifyInstance<Server>

/** Build the server. The caller listens and closes; closing finishes what is in flight and closes idle connections. */
export function createWebhookServer(options: WebhookOptions): WebhookServer {
  const parse = createReviewParser()
  let isClosing = false
  const handling: ReviewHandling = {
    service: { ...options, answers: new AnswerWriter(), records: new DecisionWriter() },
    parse,
    isOverloaded: () => server.memoryUsage().eventLoopDelay > MAX_EVENT_LOOP_DELAY_MS,
    isLast: () => isClosing || options.isStopping?.() === true,
  }
  const server = buildServer(options, handling)
  server.addHook('preClose', done => {
    isClosing = true
    done()
  })
  watchEventLoop(server)
  addRoutes(server, handling)
  return server
}

/** Fastify on a server of ours, which looks at each request first. */
function buildServer(options: WebhookOptions, handling: ReviewHandling): WebhookServer {
  return fastify<Server>({
    https: null,
    serverFactory: handler =>
      createNodeServer(options.tls, (request, response) => {
        if (isPlain(request)) answerPlain(handling, request, response)
        else handler(request, response)
      }),
    // A logger of Fastify's costs a sixth of a request; what matters is recorded or logged by us.
    logger: false,
    bodyLimit: BODY_LIMIT_BYTES,
    // While closing, a review that still comes in is answered: a 503 would be a failed webhook to the API server.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    frameworkErrors: (error, _request, reply) => {
      refuse(handling, reply, error)
    },
  })
}

/** With the limits that Fastify would set on one of its own. */
function createNodeServer(tls: ServingTls | undefined, listener: RequestListener): Server {
  const timeouts = { connectionsCheckingInterval: TIMEOUT_CHECK_MS }
  const server =
    tls === undefined
      ? // Inject-only: the one thing that sets it apart, TLS, nobody asks it for.
        (createHttpServer(timeouts, listener) as Server)
      : createHttpsServer({ ...secureOptions(tls), ...timeouts, handshakeTimeout: HANDSHAKE_TIMEOUT_MS }, listener)
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS
  server.requestTimeout = REQUEST_TIMEOUT_MS
  server.headersTimeout = HEADERS_TIMEOUT_MS
  server.maxConnections = MAX_CONNECTIONS
  return server
}

function addRoutes(server: WebhookServer, handling: ReviewHandling): void {
  const { service, parse, isOverloaded } = handling
  // Fastify's own parser and Ajv are not used: the decoder is the one reader of a review.
  server.removeAllContentTypeParsers()
  server.addContentTypeParser(JSON_TYPE, { parseAs: 'buffer' }, (_request, body: Buffer, done) => {
    const parsed = parse(body)
    if (parsed.ok) done(null, parsed)
    else done(new WebhookHttpError(HTTP_ERRORS.BODY_NOT_JSON))
  })
  server.setErrorHandler((error, _request, reply) => refuse(handling, reply, error))
  server.setNotFoundHandler((_request, reply) => refuse(handling, reply, new WebhookHttpError(HTTP_ERRORS.NOT_FOUND)))
  const send = (reply: Reply, json: string): void => sendJson(handling, reply, json)
  server.route<{ Body: ReviewBody | undefined }>({
    method: 'POST',
    url: VALIDATE_PATH,
    onRequest: (_request, reply, next) => {
      if (isOverloaded()) refuse(handling, reply, new WebhookHttpError(HTTP_ERRORS.OVERLOADED))
      else next()
    },
    handler: (request, reply) => {
      answerReview(service, request.body ?? NO_BODY, reply, send)
    },
  })
  server.route({
    method: ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
    url: VALIDATE_PATH,
    // Before the body is read: its size and type do not matter for a method that is not taken.
    onRequest: (_request, reply) => {
      refuse(handling, reply.header('allow', 'POST'), new WebhookHttpError(HTTP_ERRORS.METHOD_NOT_ALLOWED))
      return Promise.resolve(reply)
    },
    handler: (_request, reply) => reply,
  })
}

/** The delay is sampled by a timer of the plugin's; its hook would ask for much more at each request. */
function watchEventLoop(server: WebhookServer): void {
  server.register(underPressure, {})
}

function sendJson({ isLast }: ReviewHandling, reply: Reply, json: string): void {
  if (isLast()) reply.header('connection', 'close')
  reply.header('content-type', JSON_TYPE).send(json)
}

function refuse(handling: ReviewHandling, reply: Reply, error: unknown): void {
  const { status, json } = refusalOf(handling.service, error)
  sendJson(handling, reply.code(status), json)
}
