/** One line of the API server's audit log: an `audit.k8s.io/v1` Event, looked at closely only when it is about a pod. */

import type { AuditedDecision, AuditedRequest } from '../correlator/audit-evidence.js'
import { cutRunes } from '../policy/index.js'
import { countOf, isRecord, type JsonObject, recordOf, textOf, timeOf } from './kubernetes-metadata.js'

const API_GROUP = '"audit.k8s.io/'
const PODS = '"pods"'
const WRITTEN = Buffer.from('"stageTimestamp":"')
/** Room for the longest RFC 3339 time. */
const MAX_TIME_BYTES = 40
/** A request has more events than this one: when it was received, and for a watch when its answer began. */
const STAGES: readonly unknown[] = ['ResponseComplete', 'Panic']
const VERBS: readonly unknown[] = ['create', 'update', 'patch']
/** Nothing else changes what a pod runs; status updates are most of the log. */
const SUBRESOURCES: readonly unknown[] = [undefined, 'ephemeralcontainers']
const FAILED_OPEN = 'failed-open.validating.webhook.admission.k8s.io/'
const DRY_RUN = /[?&]dryRun=All(?:&|$)/
const MAX_AGENT_RUNES = 200
const MAX_NAME_RUNES = 512
/** Ours hold 4 KiB at most. */
const MAX_ANNOTATION_RUNES = 4_096
/** A request passes a handful of webhooks; a forged log may name thousands. */
const MAX_WEBHOOKS = 16

export type DecodedAuditEvent =
  /** `writtenAt`, in milliseconds since the epoch: a watch may have been received an hour before. */
  | { readonly type: 'request'; readonly request: AuditedRequest; readonly writtenAt: number }
  /** Of no concern. */
  | { readonly type: 'other'; readonly writtenAt: number | undefined }
  | { readonly type: 'malformed' }

/** Never throws. @param line the bytes between two newlines. */
export function decodeAuditEvent(line: Buffer): DecodedAuditEvent {
  if (!line.includes(API_GROUP)) return { type: 'malformed' }
  if (!line.includes(PODS)) return { type: 'other', writtenAt: writtenAtOf(line) }
  const event = parse(line)
  const at = timeOf(event?.['requestReceivedTimestamp'])
  if (event === undefined || at === undefined) return { type: 'malformed' }
  const objectRef = recordOf(event['objectRef'])
  const isWanted =
    STAGES.includes(event['stage']) &&
    VERBS.includes(event['verb']) &&
    objectRef['resource'] === 'pods' &&
    textOf(objectRef['apiGroup']) === undefined &&
    SUBRESOURCES.includes(textOf(objectRef['subresource']))
  const writtenAt = timeOf(event['stageTimestamp']) ?? at
  return isWanted
    ? { type: 'request', request: requestOf(event, objectRef, at), writtenAt }
    : { type: 'other', writtenAt }
}

/** Without parsing the line, which may hold a whole object: its time only dates the log. */
function writtenAtOf(line: Buffer): number | undefined {
  const at = line.lastIndexOf(WRITTEN)
  if (at === -1) return undefined
  const begin = at + WRITTEN.length
  const text = line.toString('latin1', begin, begin + MAX_TIME_BYTES)
  return timeOf(text.slice(0, text.indexOf('"')))
}

function parse(line: Buffer): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(line.toString('utf8'))
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

function requestOf(event: JsonObject, objectRef: JsonObject, at: number): AuditedRequest {
  const stored = recordOf(recordOf(event['responseObject'])['metadata'])
  const asked = recordOf(recordOf(event['requestObject'])['metadata'])
  // A refusal's answer is a Status, whose metadata is empty.
  const user = textOf(recordOf(event['impersonatedUser'])['username']) ?? textOf(recordOf(event['user'])['username'])
  const annotations = recordOf(event['annotations'])
  return {
    auditId: cut(textOf(event['auditID'])) ?? '',
    at,
    verb: String(event['verb']),
    subresource: textOf(objectRef['subresource']),
    namespace: cut(textOf(objectRef['namespace'])) ?? '',
    name: cut(textOf(objectRef['name']) ?? textOf(stored['name']) ?? textOf(asked['name'])),
    uid: cut(textOf(objectRef['uid']) ?? textOf(stored['uid'])),
    user: cut(user),
    userAgent: cut(textOf(event['userAgent']), MAX_AGENT_RUNES),
    dryRun: DRY_RUN.test(textOf(event['requestURI']) ?? ''),
    responseCode: countOf(recordOf(event['responseStatus'])['code']),
    decisions: decisionsOf(annotations),
    failedOpen: Object.entries(annotations)
      .flatMap(([key, value]) =>
        key.startsWith(FAILED_OPEN) && typeof value === 'string' ? [cutRunes(value, MAX_NAME_RUNES)] : [],
      )
      .slice(0, MAX_WEBHOOKS),
  }
}

function cut(text: string | undefined, maxRunes = MAX_NAME_RUNES): string | undefined {
  return text === undefined ? undefined : cutRunes(text, maxRunes)
}

/** The API server puts `<webhook's name>/` before each key. Ours are told by the keys that every answer of ours has. */
function decisionsOf(annotations: JsonObject): readonly AuditedDecision[] {
  const webhooks = Object.keys(annotations).flatMap(key =>
    key.endsWith('/record') ? [key.slice(0, -'/record'.length)] : [],
  )
  return webhooks.slice(0, MAX_WEBHOOKS).flatMap(webhook => {
    const textAt = (key: string) => cut(textOf(annotations[`${webhook}/${key}`]), MAX_ANNOTATION_RUNES)
    const decision = textAt('decision')
    const mode = textAt('mode')
    if (decision === undefined || mode === undefined) return []
    return [
      {
        webhook: cutRunes(webhook, MAX_NAME_RUNES),
        decision,
        mode,
        policy: textAt('policy'),
        recordId: textAt('record'),
        violations: textAt('violations'),
        exceptions: textAt('exceptions'),
      },
    ]
  })
}
