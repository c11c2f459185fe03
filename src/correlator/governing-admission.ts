/** Which decision record let the image of a running container in. */

import type { PodIdentity, RecordedAdmission, RecordedImage } from './admission-journal.js'
import { isSameImage } from './image-digest.js'

/** Containers' start times are whole seconds with some runtimes, so that a record may seem up to a second late. */
const START_SLACK_MS = 1000

/** The decision that first let a container's present image in, and what it said of that image. */
export interface GoverningAdmission {
  readonly record: RecordedAdmission
  readonly image: RecordedImage
}

/** The container that is asked about. */
export interface GovernedContainer {
  readonly name: string | undefined
  /** RFC 3339. */
  readonly startTime: string | undefined
  /** The reference in the pod's spec, when it is known: a record of another image lets nothing in. */
  readonly specImage?: string | undefined
}

/**
 * Choose among one pod's records. Refused requests and dry runs let nothing in and are passed over; so are records of
 * a former pod of the same name, when both uids are known, and updates that left the image as it was.
 *
 * The image is that of the last record before the container started (an image patched in place runs only after the
 * restart); the record is the one that *introduced* it: later UPDATEs that left the image alone explain nothing.
 */
export function findGoverningAdmission(
  records: readonly RecordedAdmission[],
  pod: Pick<PodIdentity, 'uid'>,
  container: GovernedContainer,
): GoverningAdmission | undefined {
  const { name, startTime, specImage } = container
  if (records.length === 0) return undefined
  const candidates = recordsOfPod(records, pod)
    .filter(({ allowed, dryRun }) => allowed && !dryRun)
    .toSorted((one, other) => one.at - other.at)
    .flatMap(record => {
      const image = imageOf(record, name)
      return image === undefined ? [] : [{ record, image }]
    })
    .filter(({ image }) => image.isChanged)
  const startedAt = Date.parse(startTime ?? '')
  const inForce = candidates.findLastIndex(({ record, image }) => {
    return specImage === undefined ? record.at <= startedAt + START_SLACK_MS : isSameImage(image.written, specImage)
  })
  if (inForce === -1 && specImage !== undefined) return undefined
  // A start before every record means clocks that differ, or no start time: the earliest record is the best guess.
  let index = Math.max(inForce, 0)
  while (index > 0 && candidates[index - 1]?.image.written === candidates[index]?.image.written) index -= 1
  return candidates[index]
}

/** Those about the pod itself, and not about a former one of its name, nor about its owner. */
export function recordsOfPod(
  records: readonly RecordedAdmission[],
  { uid }: Pick<PodIdentity, 'uid'>,
): readonly RecordedAdmission[] {
  return records.filter(record => {
    // `pods/ephemeralcontainers` has a kind of its own on Kubernetes 1.20 and 1.21.
    if (record.kind !== 'Pod' && record.kind !== 'EphemeralContainers') return false
    return record.uid === undefined || uid === undefined || record.uid === uid
  })
}

/** What a record says of the container; without a name, of the only one. */
export function imageOf(record: RecordedAdmission, name: string | undefined): RecordedImage | undefined {
  const images = record.images.filter(({ list }) => list !== 'volumes')
  if (name !== undefined) return images.find(({ container }) => container === name)
  return images.length === 1 ? images[0] : undefined
}
