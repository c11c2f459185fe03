/**
 * What image a container runs, and what the policy says of it.
 *
 * An event names the container *status* image: the runtime's first local name of the same content. So the spec's
 * image is judged where the inventory or a decision record knows it, and the status name is only a second witness: an alias of an
 * admitted image never counts against it. Without a record the status name is the only witness, and a weak one.
 */

import { type CompiledPolicy, evaluate, type Verdict } from '../policy/index.js'
import type { EventContainer, EventPod } from './exec-event.js'
import type { GoverningAdmission } from './governing-admission.js'
import { isImportedName, plainImageId } from './image-digest.js'

/**
 * - `proved`: the record or the spec of the very pod says so.
 * - `likely`: a witness says so that is usually right.
 * - `unknown`: what was seen is no proof either way.
 */
export type Certainty = 'proved' | 'likely' | 'unknown'

export interface ImageUse {
  /** The reference that was judged. */
  readonly image: string
  readonly witness: 'admission-record' | 'pod-spec' | 'container-status' | 'image-id'
  readonly verdict: Verdict
  readonly certainty: Certainty
  /** Whole sentences on what weakens the judgement. */
  readonly remarks: readonly string[]
}

const STATUS_REMARK =
  'judged by the name in the container status, which may be another name of an admitted image: no decision record names this container'

/** What is known of a container beside its event. */
export interface ImageQuestion {
  readonly pod: Pick<EventPod, 'namespace'>
  readonly container: Pick<EventContainer, 'imageName' | 'imageId'>
  readonly governing: GoverningAdmission | undefined
  /** By the inventory; undefined what it does not know. */
  readonly known?: {
    readonly specImage: string | undefined
    readonly namespaceLabels: Readonly<Record<string, string>> | undefined
  }
}

/** Judge a container's image at a time; undefined when the event names none. */
export function judgeImageUse(policy: CompiledPolicy, question: ImageQuestion, now: number): ImageUse | undefined {
  const { pod, known } = question
  const labels = known?.namespaceLabels
  // Without labels the strictest rules that could apply hold.
  const context = { namespace: { name: pod.namespace, labels }, now }
  const judge = (written: string): Verdict => evaluate(policy, written, context)
  const use = judgeBest(policy, question, judge)
  const isSure = !policy.needsNamespaceLabels || labels !== undefined
  if (use === undefined || isSure || use.verdict.outcome !== 'denied') return use
  const remark = 'the labels of the namespace are not known here, so the strictest rules that could apply were used'
  return {
    ...use,
    certainty: use.certainty === 'proved' ? 'likely' : use.certainty,
    remarks: [...use.remarks, remark],
  }
}

function judgeBest(
  policy: CompiledPolicy,
  { container, governing, known }: ImageQuestion,
  judge: (written: string) => Verdict,
): ImageUse | undefined {
  if (governing !== undefined) return judgeSpec(policy, governing, judge(governing.image.written))
  const image = known?.specImage
  if (image === undefined) return judgeStatus(container, judge)
  return { image, witness: 'pod-spec', verdict: judge(image), certainty: 'proved', remarks: [] }
}

function judgeSpec(policy: CompiledPolicy, governing: GoverningAdmission, verdict: Verdict): ImageUse | undefined {
  const { record, image } = governing
  // The webhook knew the namespace's labels; under the same policy its word stands.
  const isVouchedFor =
    image.outcome === 'allowed' && record.policy === policy.name && record.revision === policy.revision
  if (verdict.outcome === 'denied' && isVouchedFor) return undefined
  return { image: image.written, witness: 'admission-record', verdict, certainty: 'proved', remarks: [] }
}

function judgeStatus(container: ImageQuestion['container'], judge: (written: string) => Verdict): ImageUse | undefined {
  const { imageName } = container
  if (imageName === undefined) return undefined
  const verdict = judge(imageName)
  if (isImportedName(imageName)) return judgeImageId(container, judge) ?? contentOnly(imageName, verdict)
  if (verdict.reason !== 'image-unreadable') {
    const certainty = verdict.reason === 'digest-required' ? 'unknown' : 'likely'
    const remarks =
      certainty === 'unknown' ? ['the container status never shows whether the spec has a digest'] : [STATUS_REMARK]
    return { image: imageName, witness: 'container-status', verdict, certainty, remarks }
  }
  return judgeImageId(container, judge) ?? contentOnly(imageName, verdict)
}

/** `repository@sha256:…`: where the content came from, though not under which tag. */
function judgeImageId(
  container: ImageQuestion['container'],
  judge: (written: string) => Verdict,
): ImageUse | undefined {
  const image = container.imageId === undefined ? undefined : plainImageId(container.imageId)
  if (image === undefined || isImportedName(image)) return undefined
  const verdict = judge(image)
  if (verdict.reason === 'image-unreadable') return undefined
  const remarks = ['the container status names no image, so the repository of the image id was judged instead']
  // An entry for this very repository that pins a tag: whether this is the tag that it means cannot be seen.
  const isPinned = verdict.closest !== undefined && verdict.closest.differsAt === verdict.reference?.digest
  const certainty = isPinned ? 'unknown' : 'likely'
  return { image, witness: 'image-id', verdict, certainty, remarks }
}

function contentOnly(image: string, verdict: Verdict): ImageUse {
  const remarks = [
    'the runtime knows this image by its content alone (imported, or its name was moved): no proof by itself',
  ]
  return { image, witness: 'container-status', verdict, certainty: 'unknown', remarks }
}
