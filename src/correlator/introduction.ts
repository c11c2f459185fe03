/** When a container's image came into its pod, and whether a webhook was recording then. */

import type { CoverageSpan, RecordedAdmission, RecordedImage } from './admission-journal.js'
import type { ClusterEvidence, DriftEvidence, JournalEvidence } from './drift-evidence.js'
import { type ExplanationEvidence, fact, iso } from './explanation.js'
import { imageOf } from './governing-admission.js'
import { isSameImage } from './image-digest.js'

/** The API server writes creation times, and times of changes, in whole seconds. */
const SECOND_MS = 1000
/** A run beats every 2 s, so one that was killed may have lived a little longer than it says. */
const LAST_BREATH_MS = 3_000
/** A heartbeat may be that late to us: it is written every 2 s, and what was read is remembered for a while. */
const HEARTBEAT_DELAY_MS = 15_000

export interface Introduction {
  /**
   * - `creation`: with the pod.
   * - `ephemeral-container`: by the subresource, later.
   * - `update`: in the place of another image.
   * - `start`: the pod is not known; the container had it when it started.
   */
  readonly by: 'creation' | 'ephemeral-container' | 'update' | 'start'
  /** It was not there before; undefined when that cannot be told. */
  readonly notBefore: number | undefined
  /** The best guess; undefined when nothing tells. */
  readonly at: number | undefined
  /** `at` is known to the second. */
  readonly isExact: boolean
  readonly evidence: readonly ExplanationEvidence[]
}

/** What tells by which kind of request a container came in. */
export type WayInEvidence = Pick<DriftEvidence, 'governing' | 'records' | 'subject'> & {
  readonly cluster: Pick<ClusterEvidence, 'container'>
}

/** A record that let the container in with another image than the one that the pod's spec has now. */
export interface FormerAdmission {
  readonly record: RecordedAdmission
  readonly image: RecordedImage
}

export function introductionOf(evidence: DriftEvidence): Introduction {
  const { pod, container } = evidence.cluster
  const { startedAt } = evidence.running
  const writer = container?.imageWriter
  const start = startedAt === undefined ? [] : [fact('event', 'container.start_time', iso(startedAt))]
  if (isEphemeral(evidence)) {
    const at = writer?.subresource === 'ephemeralcontainers' ? writer.at : startedAt
    const notBefore = pod?.createdAt
    return { by: 'ephemeral-container', notBefore, at, isExact: false, evidence: start }
  }
  const former = formerAdmissionOf(evidence)
  if (former !== undefined) {
    const notBefore = former.record.at
    const at = writer !== undefined && writer.at + SECOND_MS > notBefore ? writer.at : undefined
    return { by: 'update', notBefore, at, isExact: false, evidence: [] }
  }
  if (pod === undefined) return { by: 'start', notBefore: undefined, at: startedAt, isExact: false, evidence: start }
  const { createdAt, seenAt } = pod
  const created = fact('inventory', 'metadata.creationTimestamp', iso(createdAt), seenAt)
  // Whoever wrote the image wrote nothing after the pod's first second.
  const isExact = writer !== undefined && writer.at <= createdAt + SECOND_MS
  return { by: 'creation', notBefore: createdAt, at: createdAt, isExact, evidence: [created] }
}

/**
 * Ephemeral containers are the only ones that a pod can get after its creation: so is one that the record of the
 * creation does not name, when that record names all of the others.
 */
export function isEphemeral({ cluster, records, subject }: WayInEvidence): boolean {
  if (cluster.container !== undefined) return cluster.container.list === 'ephemeralContainers'
  if (subject.container === undefined || subject.uid === undefined) return false
  const named = records.some(record => imageOf(record, subject.container)?.list === 'ephemeralContainers')
  const creation = records.find(({ operation, dryRun, allowed }) => operation === 'CREATE' && allowed && !dryRun)
  if (named || creation === undefined) return named
  return (
    creation.uid === subject.uid && creation.imagesOmitted === 0 && imageOf(creation, subject.container) === undefined
  )
}

/** The last record that let another image in; undefined when one names the present image, or the spec is not known. */
export function formerAdmissionOf({
  cluster,
  governing,
  records,
  subject,
}: WayInEvidence): FormerAdmission | undefined {
  const spec = cluster.container
  if (spec === undefined || governing !== undefined || spec.image === '') return undefined
  const former = records
    .filter(({ allowed, dryRun, uid }) => allowed && !dryRun && uid !== undefined && uid === subject.uid)
    .flatMap(record => {
      const image = imageOf(record, spec.name)
      return image === undefined || image.list !== spec.list ? [] : [{ record, image }]
    })
  // An update that carried the present image along is later than whatever brought it in.
  return former.findLast(({ image }) => !isSameImage(image.written, spec.image))
}

/**
 * What the journal's heartbeats say of a second.
 *
 * - `covered`: a webhook recorded, and lost nothing.
 * - `gap`: no webhook was recording, though one did before and one did after.
 * - `since`: none has been recording since before that.
 * - `unknown`: it is older than what the journal remembers, records were lost, or there is no journal.
 */
export type Coverage =
  | { readonly status: 'covered' | 'gap' | 'since'; readonly evidence: ExplanationEvidence }
  | { readonly status: 'unknown' }

const NOT_KNOWN: Coverage = { status: 'unknown' }

export function coverageAt(journal: JournalEvidence, at: number | undefined): Coverage {
  if (journal.status !== 'recording' || at === undefined || Number.isNaN(at)) return NOT_KNOWN
  const until = at + SECOND_MS
  const inside = journal.spans.find(({ from, to }) => from <= at && until <= to)
  if (inside !== undefined) {
    const span = `${iso(inside.from)}/${iso(inside.to)}`
    return { status: 'covered', evidence: fact('heartbeat', 'recording', span) }
  }
  const touches = ({ from, to }: CoverageSpan): boolean => from <= until && at <= to + LAST_BREATH_MS
  if (journal.lossySpans.some(touches) || journal.spans.some(touches)) return NOT_KNOWN
  const before = journal.spans.findLast(({ to }) => to < at)
  if (before === undefined) return NOT_KNOWN
  const after = journal.spans.find(({ from }) => from > at)
  if (after !== undefined) {
    return { status: 'gap', evidence: fact('heartbeat', 'no recording', `${iso(before.to)}/${iso(after.from)}`) }
  }
  if (at - before.to <= HEARTBEAT_DELAY_MS) return NOT_KNOWN
  return { status: 'since', evidence: fact('heartbeat', 'last recording', iso(before.to)) }
}
