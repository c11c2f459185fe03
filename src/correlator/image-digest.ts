/** What an image id says, and when two references mean the same. */

import { formatImageReference, type ImageReference, parseImageReference } from '../policy/index.js'

/** Docker's runtime puts a scheme in front of the image id. */
const IMAGE_ID_SCHEME = /^docker(?:-pullable)?:\/\//
/** What containerd calls an image that was imported without a name: it does not say where it came from. */
const IMPORTED_NAME = /(?:^|\/)import-\d{4}-\d{2}-\d{2}(?:[@:]|$)/
const BARE_DIGEST = /^(?:sha256:)?[0-9a-f]{64}$/

/** Without the runtime's scheme. */
export function plainImageId(imageId: string): string {
  return imageId.replace(IMAGE_ID_SCHEME, '')
}

export function isImportedName(image: string): boolean {
  return IMPORTED_NAME.test(image)
}

/** Whether an image id or a status name says nothing of where the content came from. */
export function isContentOnly(image: string): boolean {
  const plain = plainImageId(image)
  return BARE_DIGEST.test(plain) || isImportedName(plain)
}

/**
 * The digest of an image id, when it is one of the reference's own repository: an id of another repository is an
 * alias, and a bare one is of another kind (a configuration's), neither of which may be compared.
 */
export function digestWithin(reference: ImageReference, imageId: string | undefined): string | undefined {
  if (imageId === undefined) return undefined
  const parsed = parseImageReference(plainImageId(imageId))
  if (!parsed.ok) return undefined
  const { registry, repository, digest } = parsed.reference
  return registry === reference.registry && repository === reference.repository ? digest : undefined
}

/** Whether two written references mean the same; unreadable ones only when they are the same text. */
export function isSameImage(one: string, other: string): boolean {
  return one === other || normalForm(one) === normalForm(other)
}

function normalForm(written: string): string {
  const parsed = parseImageReference(written)
  // No normal form begins with a blank.
  return parsed.ok ? formatImageReference(parsed.reference) : ` ${written}`
}
