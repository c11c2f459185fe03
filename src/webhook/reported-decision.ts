/** A decision as the reviewing commands see it, from the journal or from an audit log, and what it says of each image. */

import type { DecisionRecord, RecordedImage } from './decision-record.js'

/** A record and how often it came: the journal counts retries, a line of an audit log stands for one review. */
export interface ReportedDecision {
  readonly record: DecisionRecord
  /** Reviews, at least 1. */
  readonly count: number
  /** Milliseconds since the epoch. */
  readonly firstAt: number
  readonly lastAt: number
}

export interface ReportCount {
  /** Each object once, however often the API server or a controller asked. */
  readonly objects: number
  readonly reviews: number
}

/**
 * What became of an image that a report tells about.
 *
 * - `would-deny`: a violation that warn or audit mode admitted.
 * - `denied`: refused.
 * - `excepted`: admitted under an exception.
 * - `carried`: not allowed, but an update left it as it was; enforce mode would have let it pass as well.
 * - `waived`: a violation that nobody could have stopped here (a static pod's mirror).
 */
export const REPORTED_RESULTS = ['would-deny', 'denied', 'excepted', 'carried', 'waived'] as const
export type ReportedResult = (typeof REPORTED_RESULTS)[number]

export interface ReportedImage {
  readonly result: ReportedResult
  /** The normal form, or what was written when it cannot be read; null when the whole object could not be. */
  readonly image: string | null
  /** The verdict's reason, or `object-unreadable`. */
  readonly reason: string
  readonly exception: string | null
}

/** What is worth telling of a record: nothing, when every image is simply allowed. An image in two containers comes once. */
export function reportedImagesOf(record: DecisionRecord): readonly ReportedImage[] {
  const found: ReportedImage[] = []
  for (const recorded of record.images) {
    const result = resultOf(record, recorded)
    if (result === undefined) continue
    const { image, written, reason, exception } = recorded
    const one = { result, image: image ?? written, reason, exception }
    if (!found.some(other => isSame(one, other))) found.push(one)
  }
  if (record.unreadable !== null) {
    const result = resultOfDenied(record, true)
    if (result !== undefined) found.push({ result, image: null, reason: 'object-unreadable', exception: null })
  }
  return found
}

/**
 * Names the object among those of its namespace. A denied CREATE never became one: each attempt of its controller has
 * another uid and name, and the owner stands for all of them.
 */
export function objectKeyOf({
  operation,
  allowed,
  topOwner,
  kind,
  name,
  generateName,
  objectUid,
}: DecisionRecord): string {
  if (operation === 'CREATE' && !allowed) return topOwner?.uid || `${kind}/${generateName ?? name}`
  return objectUid ?? `${kind}/${name ?? generateName}`
}

function resultOf(record: DecisionRecord, { outcome, changed }: RecordedImage): ReportedResult | undefined {
  switch (outcome) {
    case 'allowed':
      return undefined
    case 'excepted':
      return record.allowed && changed ? 'excepted' : undefined
    case 'denied':
      return resultOfDenied(record, changed)
  }
}

function resultOfDenied({ allowed, waived }: DecisionRecord, isChanged: boolean): ReportedResult | undefined {
  // What was there before is not why the request was refused.
  if (!isChanged) return allowed ? 'carried' : undefined
  if (!allowed) return 'denied'
  return waived === null ? 'would-deny' : 'waived'
}

function isSame(one: ReportedImage, other: ReportedImage): boolean {
  return (
    one.image === other.image &&
    one.result === other.result &&
    one.reason === other.reason &&
    one.exception === other.exception
  )
}
