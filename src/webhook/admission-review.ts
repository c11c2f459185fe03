/** AdmissionReview v1 on the wire: what the API server asks, and the answer in the form that it accepts. */

import { visibleJson } from '../policy/index.js'
import { jsonText } from './json-text.js'

const API_VERSION = 'admission.k8s.io/v1'
const KIND = 'AdmissionReview'
const OPERATIONS: ReadonlySet<string> = new Set(['CREATE', 'UPDATE', 'DELETE', 'CONNECT'])
/** The API server sends a UUID of 36 characters. The uid is echoed and recorded, so it has a bound of its own. */
const MAX_UID_LENGTH = 256
/** Everything before the response is the same in every answer. */
const ANSWER_HEAD = `{"apiVersion":"${API_VERSION}","kind":"${KIND}","response":`

export type Operation = 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT'

/** The part of a review that a decision needs. Every string in it is foreign: escape before showing. */
export interface AdmissionRequest {
  readonly uid: string
  /** `request.kind.kind`: the kind that the webhook's rules were written for, not `requestKind`. */
  readonly kind: string
  readonly subResource: string | undefined
  /** Empty while the API server has yet to generate it. */
  readonly name: string
  /** Empty for a cluster-wide object. */
  readonly namespace: string
  readonly operation: Operation
  readonly dryRun: boolean
  readonly user: { readonly name: string; readonly groups: readonly string[] }
  /** Undecoded; null on DELETE. */
  readonly object: unknown
  /** Undecoded; null on CREATE. */
  readonly oldObject: unknown
}

export type DecodedAdmissionReview =
  | { readonly ok: true; readonly request: AdmissionRequest }
  /** `problem` is one sentence that quotes nothing from the body. */
  | { readonly ok: false; readonly problem: string }

/** One reason of a denial, as `metav1.StatusCause`. */
export interface StatusCause {
  readonly reason: string
  readonly message: string
  readonly field: string
}

/** Without `code` the client would get a 400, without `message` "denied without explanation". */
export interface DenialStatus {
  readonly code: 403
  readonly reason: 'Forbidden'
  readonly message: string
  readonly details?: { readonly causes: readonly StatusCause[] }
}

/** `AdmissionReview.response`; absent members are left out of the JSON. */
export interface AdmissionAnswer {
  readonly uid: string
  readonly allowed: boolean
  readonly status?: DenialStatus
  readonly warnings?: readonly string[]
  /** Values must be strings, or the API server rejects the whole answer; keys must hold no `/`. */
  readonly auditAnnotations?: Readonly<Record<string, string>>
}

/** Read a parsed body. Never throws. The objects inside stay undecoded: policy's `parseWorkload` reads them. */
export function decodeAdmissionReview(body: unknown): DecodedAdmissionReview {
  if (!isObject(body)) return refused('The body is not a JSON object.')
  if (body.kind !== KIND) return refused(`The body's kind is not ${KIND}.`)
  if (body.apiVersion !== API_VERSION) {
    return refused(`The body's apiVersion is not ${API_VERSION}; list "v1" in the webhook's admissionReviewVersions.`)
  }
  const { request } = body
  if (!isObject(request)) return refused('The review has no request.')
  const problem = problemOfRequest(request)
  if (problem !== undefined) return refused(problem)
  return { ok: true, request: toRequest(request) }
}

/** The body of the HTTP 200 that carries an answer: the same text as `visibleJson` gives. */
export function encodeAdmissionReview({ uid, allowed, status, warnings, auditAnnotations }: AdmissionAnswer): string {
  const refusal = status === undefined ? '' : `,"status":${visibleJson(status)}`
  const warned = warnings === undefined ? '' : `,"warnings":${visibleJson(warnings)}`
  const noted = auditAnnotations === undefined ? '' : `,"auditAnnotations":${encodeAnnotations(auditAnnotations)}`
  return encodeReviewOf(`{"uid":${jsonText(uid)},"allowed":${allowed}${refusal}${warned}${noted}}`)
}

/** The same for a response that is JSON already. */
export function encodeReviewOf(response: string): string {
  return `${ANSWER_HEAD}${response}}`
}

function encodeAnnotations(annotations: Readonly<Record<string, string>>): string {
  let members = ''
  for (const key of Object.keys(annotations)) {
    members += `${members === '' ? '' : ','}"${key}":${jsonText(annotations[key] ?? '')}`
  }
  return `{${members}}`
}

function refused(problem: string): DecodedAdmissionReview {
  return { ok: false, problem }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function problemOfRequest(request: Record<string, unknown>): string | undefined {
  const { uid, kind, operation } = request
  if (typeof uid !== 'string' || uid === '') return 'request.uid is not a non-empty string.'
  if (uid.length > MAX_UID_LENGTH) return `request.uid is longer than ${MAX_UID_LENGTH} characters.`
  if (!isObject(kind) || typeof kind.kind !== 'string' || kind.kind === '') {
    return 'request.kind.kind is not a non-empty string.'
  }
  if (typeof operation !== 'string' || !OPERATIONS.has(operation)) {
    return 'request.operation is not CREATE, UPDATE, DELETE or CONNECT.'
  }
  if (!isAbsentOr('string', request.name)) return 'request.name is not a string.'
  if (!isAbsentOr('string', request.namespace)) return 'request.namespace is not a string.'
  if (!isAbsentOr('string', request.subResource)) return 'request.subResource is not a string.'
  if (!isAbsentOr('boolean', request.dryRun)) return 'request.dryRun is not a boolean.'
  return problemOfUser(request.userInfo)
}

function problemOfUser(userInfo: unknown): string | undefined {
  if (userInfo === undefined || userInfo === null) return undefined
  if (!isObject(userInfo)) return 'request.userInfo is not an object.'
  if (!isAbsentOr('string', userInfo.username)) return 'request.userInfo.username is not a string.'
  const { groups } = userInfo
  const isList = Array.isArray(groups) && groups.every(group => typeof group === 'string')
  if (groups !== undefined && groups !== null && !isList) return 'request.userInfo.groups is not a list of strings.'
  return undefined
}

function isAbsentOr(type: 'string' | 'boolean', value: unknown): boolean {
  return value === undefined || value === null || typeof value === type
}

/** The decode edge: `problemOfRequest` has checked each of these. */
function toRequest(request: Record<string, unknown>): AdmissionRequest {
  const userInfo = isObject(request.userInfo) ? request.userInfo : {}
  const subResource = textOr(request.subResource)
  return {
    uid: request.uid as string,
    kind: (request.kind as { kind: string }).kind,
    subResource: subResource === '' ? undefined : subResource,
    name: textOr(request.name),
    namespace: textOr(request.namespace),
    operation: request.operation as Operation,
    dryRun: request.dryRun === true,
    user: { name: textOr(userInfo.username), groups: Array.isArray(userInfo.groups) ? userInfo.groups : [] },
    object: request.object ?? null,
    oldObject: request.oldObject ?? null,
  }
}

function textOr(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
