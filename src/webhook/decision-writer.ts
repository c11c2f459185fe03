/**
 * Decision records as they are nearly always: quickly. What needs no escapes, and has nothing unusual, is written into one
 * text without looking at it again, and what was said of an image is not said anew. All else takes the plain way, which a
 * test holds this one to.
 */

import type { Decision, JudgedImage, Verdict } from '../policy/index.js'
import type { AdmissionRequest } from './admission-review.js'
import {
  createDecisionRecord,
  DECISION_RECORD_SCHEMA,
  type DecisionRecord,
  fitsDecisionRecord,
  type RecordContext,
  type RecordedImage,
  recordImage,
} from './decision-record.js'
import { encodeDecisionRecord, encodeImage } from './encode-decision-record.js'
import { copyOf, jsonText, jsonTextOrNull } from './json-text.js'
import type { ObjectMetadata, OwnerReference } from './object-metadata.js'

/** Verdicts whose images are remembered. The policy makes the same verdict for an image it has judged lately. */
const MAX_VERDICTS = 1_000
/** Places of one verdict: a container's name and number. */
const MAX_PLACES = 4
const MAX_IMAGE_JSON_LENGTH = 1_024
const MAX_WRITTEN_LENGTH = 300
/** More images than this are nothing usual. */
const MAX_IMAGES = 8
const NONE: readonly never[] = []

export interface WrittenDecision {
  readonly record: DecisionRecord
  /** The record's one serialisation. */
  readonly json: string
}

export interface WritingContext extends RecordContext {
  /** True when no text in request and metadata has anything to escape. */
  readonly isPlain: boolean
}

interface WrittenImage {
  readonly image: RecordedImage
  readonly json: string
}

/** Writes the records of one webhook. What it remembers is bounded. */
export class DecisionWriter {
  readonly #images = new Map<Verdict, readonly WrittenImage[]>()
  #time = { now: Number.NaN, text: '' }
  #frame = { policy: '', revision: '', mode: '', action: '', text: '' }

  /** The same as `createDecisionRecord` and `encodeDecisionRecord`. */
  write(
    request: AdmissionRequest,
    metadata: ObjectMetadata,
    decision: Decision,
    context: WritingContext,
  ): WrittenDecision {
    const isUsual = context.isPlain && hasNothingUnusual(decision, context) && fitsDecisionRecord(request, metadata)
    if (isUsual) return this.#writeUsual(request, metadata, decision, context)
    const record = createDecisionRecord(request, metadata, decision, context)
    return { record, json: encodeDecisionRecord(record) }
  }

  #writeUsual(
    request: AdmissionRequest,
    metadata: ObjectMetadata,
    decision: Decision,
    context: WritingContext,
  ): WrittenDecision {
    const images: RecordedImage[] = []
    let imagesJson = ''
    for (const judged of decision.judged) {
      const { image, json } = this.#writeImage(judged)
      images.push(image)
      imagesJson += imagesJson === '' ? json : `,${json}`
    }
    const { mode, action, allowed } = decision
    const record: DecisionRecord = {
      schema: DECISION_RECORD_SCHEMA,
      id: context.id,
      time: this.#timeOf(context.now),
      cluster: context.cluster ?? null,
      requestUid: request.uid,
      objectUid: metadata.uid || null,
      kind: request.kind === 'EphemeralContainers' ? 'Pod' : request.kind,
      subResource: request.subResource ?? null,
      namespace: request.namespace,
      name: request.name || metadata.name || null,
      generateName: metadata.generateName || null,
      topOwner: metadata.controller ?? null,
      operation: request.operation,
      dryRun: request.dryRun,
      user: request.user.name,
      mode,
      action,
      allowed,
      policy: context.policy.name,
      revision: context.policy.revision,
      images,
      imagesOmitted: 0,
      unreadable: null,
      waived: null,
      exceptions: NONE,
      warnings: NONE,
    }
    return { record, json: this.#encodeUsual(record, imagesJson) }
  }

  #encodeUsual(record: DecisionRecord, imagesJson: string): string {
    return (
      `{"schema":1,"id":"${record.id}","time":"${record.time}","cluster":${jsonTextOrNull(record.cluster)},` +
      `"requestUid":"${record.requestUid}","objectUid":${quoted(record.objectUid)},"kind":"${record.kind}",` +
      `"subResource":${quoted(record.subResource)},"namespace":"${record.namespace}","name":${quoted(record.name)},` +
      `"generateName":${quoted(record.generateName)},"topOwner":${quotedOwner(record.topOwner)},` +
      `"operation":"${record.operation}","dryRun":${record.dryRun ? 'true' : 'false'},"user":"${record.user}",` +
      `${this.#frameOf(record)}${imagesJson}],"imagesOmitted":0,"unreadable":null,"waived":null,"exceptions":[],"warnings":[]}`
    )
  }

  /** What hardly ever changes from one record to the next. */
  #frameOf({ mode, action, allowed, policy, revision }: DecisionRecord): string {
    const frame = this.#frame
    const isSame =
      frame.revision === revision && frame.mode === mode && frame.action === action && frame.policy === policy
    if (isSame) return frame.text
    const text =
      `"mode":"${mode}","action":"${action}","allowed":${allowed},` +
      `"policy":${jsonText(policy)},"revision":${jsonText(revision)},"images":[`
    this.#frame = { policy, revision, mode, action, text }
    return text
  }

  /** Many requests share a millisecond. */
  #timeOf(now: number): string {
    if (now !== this.#time.now) this.#time = { now, text: new Date(now).toISOString() }
    return this.#time.text
  }

  #writeImage(judged: JudgedImage): WrittenImage {
    const { image, verdict, isChanged } = judged
    const places = this.#images.get(verdict) ?? NONE
    for (const known of places) {
      const { container, field, changed } = known.image
      // The list is part of the field.
      if (changed === isChanged && container === image.name && field === image.field) return known
    }
    const recorded = recordImage(judged)
    const json = encodeImage(recorded)
    // A verdict holds what was written, whole: it may be as long as a body.
    const isShort = verdict.written.length <= MAX_WRITTEN_LENGTH && json.length <= MAX_IMAGE_JSON_LENGTH
    if (isShort && places.length < MAX_PLACES) {
      const kept = { image: { ...recorded, container: copyOf(recorded.container) }, json: copyOf(json) }
      if (this.#images.size >= MAX_VERDICTS) this.#images.clear()
      this.#images.set(verdict, [...places, kept])
    }
    return { image: recorded, json }
  }
}

function hasNothingUnusual({ judged, unreadable, waived }: Decision, { warnings }: WritingContext): boolean {
  return (
    unreadable === undefined &&
    waived === undefined &&
    warnings.length === 0 &&
    judged.length <= MAX_IMAGES &&
    judged.every(({ verdict }) => verdict.outcome !== 'excepted')
  )
}

function quoted(text: string | null): string {
  return text === null ? 'null' : `"${text}"`
}

function quotedOwner(owner: OwnerReference | null): string {
  return owner === null ? 'null' : `{"kind":"${owner.kind}","name":"${owner.name}","uid":"${owner.uid}"}`
}
