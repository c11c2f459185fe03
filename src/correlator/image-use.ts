/**
 * What image a container runs, and what the policy says of it.
 *
 * An event names the container *status* image: the runtime's first local name of the same content. So the spec's
 * image is judged where a decision record knows it, and the status name is only a second witness: an alias of an
 * admitted image never counts against it. Without a record the status name is the only witness, and a weak one.
 */

import { type CompiledPolicy, evaluate, type Verdict } from '../policy/index.js'
import type { EventContainer, EventPod } from './exec-event.js'
import type { GoverningAdmission } from './governing-admission.js'

/**
 * - `proved`: the record of the very pod says so.
 * - `likely`: a witness says so that is usually right.
 * - `unknown`: what was seen is no proof either way.
 */
export type Certainty = 'proved' | 'likely' | 'unknown'

export interface ImageUse {
  /** The reference that was judged. */
  readonly image: string
  readonly witness: 'admission-record' | 'container-status' | 'image-id'
  readonly verdict: Verdict
  readonly certainty: Certainty
  /** Whole sentences on what weakens the judgement. */
  readonly remarks: readonly string[]
}

/** Docker's runtime puts a scheme in front of the image id. */
const IMAGE_ID_SCHEME = /^docker(?:-pullable)?:\/\//

/** What containerd calls an image that was imported without a name: it does not say where it came from. */
const IMPORTED_NAME = /(?:^|\/)import-\d{4}-\d{2}-\d{2}(?:[@:]|$)/
const STATUS_REMARK =
  'judged by the name in the container status, which may be another name of an admitted image: no decision record names this container'

/** Judge a container's image at a time; undefined when the event names none. */
export function judgeImageUse(
  policy: CompiledPolicy,
  pod: EventPod,
  container: EventContainer,
  governing: GoverningAdmission | undefined,
  now: number,
): ImageUse | undefined {
  // Labels come with the inventory; until then the strictest rules that could apply hold.
  const context = { namespace: { name: pod.namespace, labels: undefined }, now }
  const judge = (written: string): Verdict => evaluate(policy, written, context)
  const use =
    governing === undefined
      ? judgeStatus(container, judge)
      : judgeSpec(policy, governing, judge(governing.image.written))
  if (use === undefined || !policy.needsNamespaceLabels || use.verdict.outcome !== 'denied') return use
  const remark = 'the labels of the namespace are not known here, so the strictest rules that could apply were used'
  return {
    ...use,
    certainty: use.certainty === 'proved' ? 'likely' : use.certainty,
    remarks: [...use.remarks, remark],
  }
}

function judgeSpec(policy: CompiledPolicy, governing: GoverningAdmission, verdict: Verdict): ImageUse | undefined {
  const { record, image } = governing
  // The webhook knew the namespace's labels; under the same policy its word stands.
  const isVouchedFor =
    image.outcome === 'allowed' && record.policy === policy.name && record.revision === policy.revision
  if (verdict.outcome === 'denied' && isVouchedFor) return undefined
  return { image: image.written, witness: 'admission-record', verdict, certainty: 'proved', remarks: [] }
}

function judgeStatus(container: EventContainer, judge: (written: string) => Verdict): ImageUse | undefined {
  const { imageName } = container
  if (imageName === undefined) return undefined
  const verdict = judge(imageName)
  if (IMPORTED_NAME.test(imageName)) return judgeImageId(container, judge) ?? contentOnly(imageName, verdict)
  if (verdict.reason !== 'image-unreadable') {
    const certainty = verdict.reason === 'digest-required' ? 'unknown' : 'likely'
    const remarks =
      certainty === 'unknown' ? ['the container status never shows whether the spec has a digest'] : [STATUS_REMARK]
    return { image: imageName, witness: 'container-status', verdict, certainty, remarks }
  }
  return judgeImageId(container, judge) ?? contentOnly(imageName, verdict)
}

/** `repository@sha256:…`: where the content came from, though not under which tag. */
function judgeImageId(container: EventContainer, judge: (written: string) => Verdict): ImageUse | undefined {
  const image = container.imageId?.replace(IMAGE_ID_SCHEME, '')
  if (image === undefined || IMPORTED_NAME.test(image)) return undefined
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
