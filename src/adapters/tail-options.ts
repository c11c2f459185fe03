/** With what a file is followed, and what its path must be. */

import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { SourcePosition } from '../correlator/event-source.js'
import { KnownError } from '../errors.js'
import { isMissing, reasonOf, unreadable } from './text-file.js'

export const DEFAULT_POLL_MS = 250
/** What has no places in it to go on at: a pipe is standard input's matter. */
export const NO_FILE = 'it is a pipe or a device, which cannot be followed; read a pipe as standard input'

export interface TailOptions {
  /** Read what the file holds already; default: begin after its last complete line. Without effect beside `from`. */
  readonly fromStart: boolean
  /** Go on here: the position that came with the last part that was kept. */
  readonly from?: SourcePosition | undefined
  /** How often an unchanged file is looked at, in milliseconds. Default 250. */
  readonly pollMs?: number
  /** The clock of this machine, in milliseconds since the epoch: it dates gaps. */
  readonly now: () => number
  /** Ends the source. */
  readonly signal: AbortSignal
  /** Called once when the path does not exist at the start; it is then waited for. */
  readonly onWaiting?: () => void
  /** Called when `from` cannot be used, with half a sentence: the source then begins as if it had not been given. */
  readonly onBadPosition?: (problem: string) => void
  /** Called with half a sentence when the file cannot be read any more for now: it is tried again, from the same place. */
  readonly onTrouble?: (problem: string) => void
}

/**
 * @throws KnownError FILE_UNREADABLE for a directory, a pipe or a device, a file that may not be read, or a missing parent
 *   directory.
 */
export async function checkPath(path: string, { onWaiting }: Pick<TailOptions, 'onWaiting'> = {}): Promise<void> {
  try {
    const stats = await stat(path)
    if (stats.isDirectory()) throw unreadable(path, 'it is a directory; name the file in it')
    if (!stats.isFile()) throw unreadable(path, NO_FILE)
  } catch (cause) {
    if (cause instanceof KnownError) throw cause
    const hasParent = isMissing(cause) && (await stat(dirname(path)).catch(() => undefined))?.isDirectory() === true
    if (!hasParent) throw unreadable(path, reasonOf(cause), cause)
    onWaiting?.()
  }
}
