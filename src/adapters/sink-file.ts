/** A file as a sink: one finding a line, JSON, appended; it may be rotated, removed or emptied at any time. */

import type { FindingReceiver } from '../correlator/delivery.js'
import { KnownError } from '../errors.js'
import { escapeForeign } from '../policy/index.js'
import { type AppendedFile, lookAt, NON_BLOCKING, openForAppending } from './appended-file.js'
import { endsTorn } from './line-end.js'
import { createLineSink, type LinePlace } from './sink-lines.js'
import { isMissing, reasonOf } from './text-file.js'

/** Findings name images, people's commands and their arguments: for the owner alone. */
const FILE_MODE = 0o600

/**
 * Before each portion it is looked whether the path still leads to the open file, so that a rotation needs no signal.
 *
 * @throws KnownError FILE_UNWRITABLE: a directory, no right, no folder, a pipe that nobody reads.
 */
export async function openFileSink(path: string): Promise<FindingReceiver> {
  let file: AppendedFile
  try {
    file = await openForAppending(path, FILE_MODE, NON_BLOCKING)
  } catch (cause) {
    const reason = isMissing(cause) ? 'there is no such folder' : reasonOf(cause)
    throw new KnownError('FILE_UNWRITABLE', `${escapeForeign(path, 300)}: cannot be appended to: ${reason}`, { cause })
  }
  let isFirst = true
  let lastSize = 0
  const prepare = async (): Promise<LinePlace> => {
    const { identity = file.identity, size } = await lookAt(path)
    const isOther = identity !== file.identity
    if (isOther) {
      const former = file.handle
      file = await openForAppending(path, FILE_MODE, NON_BLOCKING)
      await former.close().catch(() => {})
    }
    const isSame = !isFirst && !isOther && size >= lastSize
    isFirst = false
    lastSize = size
    if (isSame) return 'same'
    return endsTorn(path) ? 'torn' : 'other'
  }
  return createLineSink({
    prepare,
    async write(bytes) {
      const { bytesWritten } = await file.handle.write(bytes)
      return bytesWritten
    },
    close() {
      // Nothing is left to do when it fails: what was written was taken.
      void file.handle.close().catch(() => {})
    },
  })
}
