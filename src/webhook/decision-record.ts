/** What is kept of one decision: a flat, versioned, bounded record, documented in docs/decision-record.md. */

import type { Action, Decision, ImageList, JudgedImage, Mode, Outcome, Reason } from '../policy/index.js'
import { escapeForeign, formatImageReference } from '../policy/index.js'
import type { AdmissionRequest, Operation } from './admission-review.js'
import { exceptionsOf } from './answer.js'
import type { ObjectMetadata, OwnerReference } from './object-metadata.js'

/** Raised when a field changes its meaning or goes; new fields do not raise it. */
export const DECISION_RECORD_SCHEMA = 1

/** A real object has a handful; a forged one must not fill the journal. */
const MAX_IMAGES = 64
/** A DNS subdomain's 253 characters. */
const MAX_NAME_RUNES = 253
/** A user name may be a certificate's or a provider's; there is no limit in Kubernetes. */
const MAX_USER_RUNES = 256
/** The longest readable reference has some 780 characters: those stay whole and comparable. */
const MAX_IMAGE_RUNES = 1024
const MAX_WORDS_RUNES = 256

/** One image of a decision; `null` says "none", so that every record has the same keys. */
export interface RecordedImage {
  readonly list: ImageList
  /** The container's or the volume's name. */
  readonly container: string
  /** Where it stands in the object: `spec.template.spec.containers[0].image`. */
  readonly field: string
  /** As written in the object, control characters escaped, at most 1,024 characters. */
  readonly written: string
  /** The normal form, or null when it cannot be read. */
  readonly image: string | null
  readonly outcome: Outcome
  readonly reason: Reason
  /** The pattern or rule that decided. */
  readonly entry: string | null
  /** The exception that admitted it. */
  readonly exception: string | null
  /** False when an update left it as it was. */
  readonly changed: boolean
}

/** One decision. Its JSON has these keys in this order. */
export interface DecisionRecord {
  readonly schema: typeof DECISION_RECORD_SCHEMA
  readonly id: string
  /** RFC 3339, UTC, milliseconds. */
  readonly time: string
  readonly cluster: string | null
  readonly requestUid: string
  /** On Pod CREATE the uid of the pod that is stored if it is admitted. */
  readonly objectUid: string | null
  readonly kind: string
  readonly subResource: string | null
  readonly namespace: string
  /** Null while the API server has yet to generate it. */
  readonly name: string | null
  readonly generateName: string | null
  /** The controlling owner. */
  readonly topOwner: OwnerReference | null
  readonly operation: Operation
  /** A dry run admits nothing: never count it as an admission. */
  readonly dryRun: boolean
  readonly user: string
  readonly mode: Mode
  readonly action: Action
  readonly allowed: boolean
  readonly policy: string
  readonly revision: string
  readonly images: readonly RecordedImage[]
  /** How many images are left out of `images`: at most 64 are kept, the denied ones first. */
  readonly imagesOmitted: number
  /** Why the object could not be read. */
  readonly unreadable: string | null
  readonly waived: string | null
  /** The ids of the exceptions that admitted an image. */
  readonly exceptions: readonly string[]
  readonly warnings: readonly string[]
}

/** What a record holds beyond request and decision. */
export interface RecordContext {
  readonly id: string
  /** Milliseconds since the epoch. */
  readonly now: number
  readonly cluster: string | undefined
  readonly policy: { readonly name: string; readonly revision: string }
  readonly warnings: readonly string[]
}

/** The record of one decision. Foreign strings are escaped and cut; whatever was sent, it stays below 400 KiB. */
export function createDecisionRecord(
  request: AdmissionRequest,
  metadata: ObjectMetadata,
  decision: Decision,
  context: RecordContext,
): DecisionRecord {
  const kept = mostTelling(decision.judged)
  return {
    schema: DECISION_RECORD_SCHEMA,
    id: context.id,
    time: new Date(context.now).toISOString(),
    cluster: context.cluster ?? null,
    requestUid: request.uid,
    objectUid: textOrNull(metadata.uid, MAX_NAME_RUNES),
    kind: request.kind === 'EphemeralContainers' ? 'Pod' : escapeForeign(request.kind, MAX_NAME_RUNES),
    subResource: textOrNull(request.subResource ?? '', MAX_NAME_RUNES),
    namespace: escapeForeign(request.namespace, MAX_NAME_RUNES),
    name: textOrNull(request.name || metadata.name, MAX_NAME_RUNES),
    generateName: textOrNull(metadata.generateName, MAX_NAME_RUNES),
    topOwner: metadata.controller === undefined ? null : boundedOwner(metadata.controller),
    operation: request.operation,
    dryRun: request.dryRun,
    user: escapeForeign(request.user.name, MAX_USER_RUNES),
    mode: decision.mode,
    action: decision.action,
    allowed: decision.allowed,
    policy: context.policy.name,
    revision: context.policy.revision,
    images: kept.map(recordImage),
    imagesOmitted: decision.judged.length - kept.length,
    unreadable: textOrNull(decision.unreadable ?? '', MAX_WORDS_RUNES),
    waived: decision.waived ?? null,
    exceptions: exceptionsOf(decision).slice(0, MAX_IMAGES),
    warnings: context.warnings,
  }
}

/** What is kept of one image. */
export function recordImage({ image, verdict, isChanged }: JudgedImage): RecordedImage {
  return {
    list: image.list,
    container: escapeForeign(image.name, MAX_NAME_RUNES),
    field: image.field,
    written: escapeForeign(verdict.written, MAX_IMAGE_RUNES),
    image: verdict.reference === undefined ? null : formatImageReference(verdict.reference),
    outcome: verdict.outcome,
    reason: verdict.reason,
    entry: verdict.entry ?? null,
    exception: verdict.outcome === 'excepted' ? (verdict.entry ?? null) : null,
    changed: isChanged,
  }
}

/** Whether everything foreign is short enough to be kept whole. */
export function fitsDecisionRecord(request: AdmissionRequest, metadata: ObjectMetadata): boolean {
  const { controller } = metadata
  return (
    fits(metadata.uid) &&
    fits(request.kind) &&
    fits(request.subResource ?? '') &&
    fits(request.namespace) &&
    fits(request.name) &&
    fits(metadata.name) &&
    fits(metadata.generateName) &&
    request.user.name.length <= MAX_USER_RUNES &&
    (controller === undefined || (fits(controller.kind) && fits(controller.name) && fits(controller.uid)))
  )
}

/**
 * The same object with the same outcome has the same key, so that the API server's retries can be counted as one.
 * A denied CREATE never becomes an object: each retry of its controller has another uid and name, and the owner stands
 * for it. Everything that was admitted, and every update, keeps its uid.
 *
 * @returns the key's parts, each a text of its own; to join them costs more than to look at them.
 */
export function retryKeyOf(record: DecisionRecord): readonly string[] {
  const isUnborn = record.operation === 'CREATE' && !record.allowed
  const { topOwner } = record
  const identity = isUnborn
    ? topOwner?.uid || record.generateName || record.name
    : (record.objectUid ?? record.name ?? record.generateName)
  const { kind, namespace, operation, dryRun, action, revision } = record
  const key = [kind, namespace, identity ?? '', operation, dryRun ? 'dry run' : '', action, revision]
  for (const { container, written, reason } of record.images) key.push(container, written, reason)
  return key
}

function mostTelling(judged: readonly JudgedImage[]): readonly JudgedImage[] {
  if (judged.length <= MAX_IMAGES) return judged
  const isDenied = (image: JudgedImage) => image.verdict.outcome === 'denied'
  const ordered = [...judged.filter(isDenied), ...judged.filter(image => !isDenied(image))]
  return ordered.slice(0, MAX_IMAGES)
}

function fits(text: string): boolean {
  return text.length <= MAX_NAME_RUNES
}

function boundedOwner({ kind, name, uid }: OwnerReference): OwnerReference {
  return {
    kind: escapeForeign(kind, MAX_NAME_RUNES),
    name: escapeForeign(name, MAX_NAME_RUNES),
    uid: escapeForeign(uid, MAX_NAME_RUNES),
  }
}

function textOrNull(text: string, maxRunes: number): string | null {
  return text === '' ? null : escapeForeign(text, maxRunes)
}
