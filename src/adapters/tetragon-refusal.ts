/** Why there is no connection to the agent: the channel does not say, but a call that it refuses does. */

import { setTimeout as sleep } from 'node:timers/promises'
import { escapeForeign } from '../policy/index.js'

/** A channel that has failed refuses a call at once. */
const PATIENCE_MS = 1_000

export interface RefusedCall {
  on(event: 'error', listener: (error: Error) => void): unknown
  cancel(): void
}

/** Half a sentence, without what must not reach a terminal. @param call is ended here. */
export async function whyRefused(call: RefusedCall): Promise<string> {
  const refused = new Promise<string>(resolve => {
    call.on('error', error => resolve(escapeForeign(error.message, 200)))
  })
  const reason = await Promise.race([refused, sleep(PATIENCE_MS, 'no connection', { ref: false })])
  call.cancel()
  return reason
}
