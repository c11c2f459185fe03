/** The thread that makes a draft of a changed policy beside the requests. Started by policy-thread.ts, never imported. */

import { isMainThread, type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { KnownError, type KnownErrorCode } from '../errors.js'
import { draftPolicy } from './policy-files.js'
import { postPolicy } from './policy-parts.js'

/** What the thread is started with. */
export interface PolicyThreadData {
  readonly paths: readonly string[]
  /** Where the draft goes. */
  readonly port: MessagePort
}

export type FromPolicyThread =
  /** The draft lies in the port. */
  | { readonly type: 'drafted' }
  /** An operator's mistake; anything else ends the thread as an error. */
  | { readonly type: 'refused'; readonly code: KnownErrorCode; readonly message: string }

if (!isMainThread && parentPort !== null) {
  // The decode edge of what policy-thread.ts gives.
  parentPort.postMessage(await answer(workerData as PolicyThreadData))
}

async function answer({ paths, port }: PolicyThreadData): Promise<FromPolicyThread> {
  try {
    postPolicy(port, await draftPolicy(paths))
    return { type: 'drafted' }
  } catch (error) {
    if (!(error instanceof KnownError)) throw error
    return { type: 'refused', code: error.code, message: error.message }
  }
}
