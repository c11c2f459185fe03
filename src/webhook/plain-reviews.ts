/**
 * Reviews as API servers send them, answered straight from Node's own request and response. What Fastify does for each
 * request (a route looked up, a request and a reply made, hooks run) costs as much as judging it.
 *
 * Only what can be read in one way comes here: `POST /validate`, JSON, a body of a declared and possible length. All else
 * goes through Fastify, which knows each way in which a request is wrong; a test sends both the same.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { BODY_LIMIT_BYTES, HTTP_ERRORS, type HttpErrorCode, WebhookHttpError } from './http-errors.js'
import { declaredLength, readBody } from './request-body.js'
import type { ReviewParser } from './review-part.js'
import { answerReview, type ReviewService, refusalOf } from './review-service.js'

export const VALIDATE_PATH = '/validate'
/** API servers add how long they wait: `?timeout=10s`. */
const PATH_WITH_QUERY = `${VALIDATE_PATH}?`
export const JSON_TYPE = 'application/json'
/** As Fastify writes it. */
const ANSWER_TYPE = 'application/json; charset=utf-8'
/** As Fastify does it: whoever sends such a body may not mean what follows it as another request. */
const BODY_FAULTS: ReadonlySet<HttpErrorCode> = new Set(['BODY_NOT_JSON', 'BODY_INCOMPLETE'])

/** What both ways share. */
export interface ReviewHandling {
  readonly service: ReviewService
  readonly parse: ReviewParser
  /** Asked before a body is read, so that refusing costs next to nothing. */
  readonly isOverloaded: () => boolean
  /** True when the answer shall be the last one on its connection. */
  readonly isLast: () => boolean
}

/** Whether `answerPlain` can answer it. */
export function isPlain({ method, url, headers }: IncomingMessage): boolean {
  return (
    method === 'POST' &&
    headers['content-type'] === JSON_TYPE &&
    (url === VALIDATE_PATH || url?.startsWith(PATH_WITH_QUERY) === true) &&
    (declaredLength(headers) ?? Number.POSITIVE_INFINITY) <= BODY_LIMIT_BYTES
  )
}

/** The same as Fastify's way does. Never throws. */
export function answerPlain(handling: ReviewHandling, request: IncomingMessage, response: ServerResponse): void {
  if (handling.isOverloaded()) {
    refuse(handling, response, new WebhookHttpError(HTTP_ERRORS.OVERLOADED))
    return
  }
  const send = (to: ServerResponse, json: string): void => respond(to, 200, json, handling.isLast())
  readBody(request, (error, body) => {
    try {
      if (error !== undefined) throw error
      if (body.length !== declaredLength(request.headers)) throw new WebhookHttpError(HTTP_ERRORS.BODY_INCOMPLETE)
      const parsed = handling.parse(body)
      if (!parsed.ok) throw new WebhookHttpError(HTTP_ERRORS.BODY_NOT_JSON)
      answerReview(handling.service, parsed, response, send)
    } catch (problem) {
      refuse(handling, response, problem)
    }
  })
}

function refuse(handling: ReviewHandling, response: ServerResponse, error: unknown): void {
  const { code, status, json } = refusalOf(handling.service, error)
  respond(response, status, json, handling.isLast() || BODY_FAULTS.has(code))
}

function respond(response: ServerResponse, status: number, json: string, isLast: boolean): void {
  const length = Buffer.byteLength(json)
  const headers = isLast ? ['connection', 'close'] : []
  headers.push('content-type', ANSWER_TYPE, 'content-length', String(length))
  // A byte for each character: then it is ASCII, and written as Latin-1 it is copied and not encoded.
  response.writeHead(status, headers).end(json, length === json.length ? 'latin1' : 'utf8')
}
