/** Which decision record let the image of a running container in. */

import type { RecordedAdmission, RecordedImage } from './admission-journal.js'
import type { EventContainer, EventPod } from './exec-event.js'

/** Containers' start times are whole seconds with some runtimes, so that a record may seem up to a second late. */
const START_SLACK_MS = 1000

/** The decision that first let a container's present image in, and what it said of that image. */
export interface GoverningAdmission {
  readonly record: RecordedAdmission
  readonly image: RecordedImage
}

/**
 * Choose among one pod's records. Refused requests and dry runs let nothing in and are passed over; so are records of
 * a former pod of the same name, when both uids are known.
 *
 * The image is that of the last record before the container started (an image patched in place runs only after the
 * restart); the record is the one that *introduced* it: later UPDATEs that left the image alone explain nothing.
 */
export function findGoverningAdmission(
  records: readonly RecordedAdmission[],
  pod: EventPod,
  container: EventContainer,
): GoverningAdmission | undefined {
  const candidates = records
    .filter(record => record.allowed && !record.dryRun && isOfPod(record, pod))
    .toSorted((one, other) => one.at - other.at)
    .flatMap(record => {
      const image = imageOf(record, container.name)
      return image === undefined ? [] : [{ record, image }]
    })
  const startedAt = Date.parse(container.startTime ?? '')
  const inForce = candidates.findLastIndex(({ record }) => record.at <= startedAt + START_SLACK_MS)
  // A start before every record means clocks that differ, or no start time: the earliest record is the best guess.
  let index = Math.max(inForce, 0)
  while (index > 0 && candidates[index - 1]?.image.written === candidates[index]?.image.written) index -= 1
  return candidates[index]
}

function isOfPod(record: RecordedAdmission, pod: EventPod): boolean {
  // `pods/ephemeralcontainers` has a kind of its own on Kubernetes 1.20 and 1.21.
  if (record.kind !== 'Pod' && record.kind !== 'EphemeralContainers') return false
  return record.uid === undefined || pod.uid === undefined || record.uid === pod.uid
}

function imageOf(record: RecordedAdmission, name: string | undefined): RecordedImage | undefined {
  const images = record.images.filter(({ list }) => list !== 'volumes')
  if (name !== undefined) return images.find(({ container }) => container === name)
  return images.length === 1 ? images[0] : undefined
}
