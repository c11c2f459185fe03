/** The thread that reads a changed policy beside the requests. Started by policy-thread.ts, never imported. */

import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import { KnownError, type KnownErrorCode } from '../errors.js'
import { type PolicyFiles, readPolicyFiles } from './policy-files.js'

/** What the thread is started with. */
export interface PolicyThreadData {
  readonly paths: readonly string[]
}

export type FromPolicyThread =
  | { readonly type: 'read'; readonly files: PolicyFiles }
  /** An operator's mistake; anything else ends the thread as an error. */
  | { readonly type: 'refused'; readonly code: KnownErrorCode; readonly message: string }

if (!isMainThread && parentPort !== null) {
  // The decode edge of what policy-thread.ts gives.
  const { paths } = workerData as PolicyThreadData
  const answer = await read(paths)
  parentPort.postMessage(answer, answer.type === 'read' ? memoryOf(answer.files) : [])
}

async function read(paths: readonly string[]): Promise<FromPolicyThread> {
  try {
    return { type: 'read', files: await readPolicyFiles(paths) }
  } catch (error) {
    if (!(error instanceof KnownError)) throw error
    return { type: 'refused', code: error.code, message: error.message }
  }
}

/** Places are handed over; documents of one file share some of them. */
function memoryOf({ documents }: PolicyFiles): ArrayBuffer[] {
  return [...new Set(documents.flatMap(({ places }) => [places.lineStarts.buffer, places.nodes.buffer]))]
}
