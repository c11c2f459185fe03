/** The HTTP errors of the webhook: code, status, sentence. The API server throws their bodies away; people do not. */

export type HttpErrorCode =
  | 'BODY_NOT_JSON'
  | 'BODY_INCOMPLETE'
  | 'REVIEW_INVALID'
  | 'NOT_FOUND'
  | 'METHOD_NOT_ALLOWED'
  | 'BODY_TOO_LARGE'
  | 'MEDIA_TYPE_UNSUPPORTED'
  | 'REQUEST_MALFORMED'
  | 'OVERLOADED'
  | 'INTERNAL'

export interface HttpError {
  readonly code: HttpErrorCode
  readonly status: number
  readonly message: string
}

/** A review with its object and old object; etcd keeps objects of 1.5 MiB, JSON swells them. */
export const BODY_LIMIT_BYTES = 7 * 1024 * 1024

export const HTTP_ERRORS: { readonly [Code in HttpErrorCode]: HttpError & { readonly code: Code } } = {
  BODY_NOT_JSON: { code: 'BODY_NOT_JSON', status: 400, message: 'The body is not valid JSON.' },
  BODY_INCOMPLETE: {
    code: 'BODY_INCOMPLETE',
    status: 400,
    message: 'The body is shorter or longer than its Content-Length says.',
  },
  /** The sentence is replaced by the decoder's, which names the field. */
  REVIEW_INVALID: { code: 'REVIEW_INVALID', status: 400, message: 'The body is not an AdmissionReview v1.' },
  NOT_FOUND: { code: 'NOT_FOUND', status: 404, message: 'There is nothing here: send AdmissionReviews to /validate.' },
  METHOD_NOT_ALLOWED: {
    code: 'METHOD_NOT_ALLOWED',
    status: 405,
    message: '/validate takes POST only.',
  },
  BODY_TOO_LARGE: {
    code: 'BODY_TOO_LARGE',
    status: 413,
    message: `The body is larger than ${BODY_LIMIT_BYTES} bytes.`,
  },
  MEDIA_TYPE_UNSUPPORTED: {
    code: 'MEDIA_TYPE_UNSUPPORTED',
    status: 415,
    message: 'The Content-Type is not application/json.',
  },
  REQUEST_MALFORMED: { code: 'REQUEST_MALFORMED', status: 400, message: 'The request is not well-formed HTTP.' },
  OVERLOADED: {
    code: 'OVERLOADED',
    status: 503,
    message: 'Too much to judge at once: the API server applies its failurePolicy.',
  },
  INTERNAL: { code: 'INTERNAL', status: 500, message: 'Sallyport failed to judge this request; see its log.' },
}

/** The errors that Fastify itself raises, by its codes; whatever is not here is a bug of ours. */
const FASTIFY_CODES: ReadonlyMap<string, HttpErrorCode> = new Map([
  ['FST_ERR_CTP_BODY_TOO_LARGE', 'BODY_TOO_LARGE'],
  ['FST_ERR_CTP_INVALID_MEDIA_TYPE', 'MEDIA_TYPE_UNSUPPORTED'],
  ['FST_ERR_CTP_INVALID_CONTENT_LENGTH', 'BODY_INCOMPLETE'],
  ['FST_ERR_CTP_EMPTY_JSON_BODY', 'BODY_NOT_JSON'],
  ['FST_ERR_BAD_URL', 'REQUEST_MALFORMED'],
  ['FST_ERR_ASYNC_CONSTRAINT', 'REQUEST_MALFORMED'],
  ['FST_ERR_MAX_PARAM_LENGTH', 'NOT_FOUND'],
  ['ECONNRESET', 'BODY_INCOMPLETE'],
  ['ERR_STREAM_PREMATURE_CLOSE', 'BODY_INCOMPLETE'],
])

/** An entry of the catalogue on its way through Fastify's error handling. */
export class WebhookHttpError extends Error {
  override readonly name = 'WebhookHttpError'
  readonly httpError: HttpError

  constructor(httpError: HttpError) {
    super(httpError.message)
    this.httpError = httpError
  }
}

/** The catalogue entry for an error that the server raised; `INTERNAL` for a bug. */
export function httpErrorOf(error: unknown): HttpError {
  if (error instanceof WebhookHttpError) return error.httpError
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
  return HTTP_ERRORS[FASTIFY_CODES.get(code) ?? 'INTERNAL']
}
