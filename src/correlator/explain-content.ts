/** What runs came from no registry: an image that the node made or imported, a program that is no file of its image. */

import type { DriftEvidence } from './drift-evidence.js'
import { type Explanation, fact, shown } from './explanation.js'
import { isContentOnly, plainImageId } from './image-digest.js'

/** The runtime has neither a name nor a repository for the content. A name alone, or a repository, is no such case. */
export function explainLocalImage({ running, cluster }: DriftEvidence): Explanation | undefined {
  const imageId = running.imageId ?? cluster.container?.status?.imageId
  const imageName = running.imageName ?? cluster.container?.status?.image
  if (imageId === undefined || !isContentOnly(imageId)) return undefined
  if (imageName !== undefined && !isContentOnly(imageName)) return undefined
  const spec = cluster.container?.image
  const seenAt = cluster.pod?.seenAt
  const source = running.imageId === undefined ? 'inventory' : 'event'
  return {
    code: 'image.local-or-unknown',
    // Its name may have been moved to another content since.
    certainty: 'likely',
    summary: `the node knows the image by its content alone (${shown(plainImageId(imageId))}): it was built or imported there, or its name was taken away`,
    evidence: [
      fact(source, 'container.image.id', imageId, source === 'inventory' ? seenAt : undefined),
      ...(imageName === undefined ? [] : [fact(source, 'container.image.name', imageName)]),
      ...(spec === undefined || spec === '' ? [] : [fact('inventory', 'spec image', spec, seenAt)]),
    ],
    remedy:
      'find out who loads images on the node; set imagePullPolicy: Always, so that only a registry can supply one',
  }
}

/** As far as one event can tell: where the program's file is, or that it is none. */
export function explainForeignBinary({ program }: DriftEvidence): Explanation | undefined {
  if (program === undefined) return undefined
  const { origin, path } = program
  // An open file may be any file, also one of the image.
  const isInMemory = origin === 'memfd' || origin === 'shared-memory'
  return {
    code: 'binary.not-from-image',
    certainty: isInMemory ? 'proved' : 'likely',
    summary: `${shown(path)} ${phraseOf(origin)}`,
    evidence: [fact('event', 'process.binary', path), fact('event', 'origin', origin)],
    remedy:
      "make the container's root file system read-only and mount its volumes noexec; find out what wrote the file",
  }
}

function phraseOf(origin: NonNullable<DriftEvidence['program']>['origin']): string {
  switch (origin) {
    case 'memfd':
      return 'is a file in memory, and none of the image'
    case 'shared-memory':
      return 'lies on a file system in memory, which is mounted over the image'
    case 'proc-fd':
    case 'dev-fd':
      return 'was started from an open file, as programs are that no image holds'
    case 'deleted':
      return 'is a file that was deleted, or never had a name'
  }
}
