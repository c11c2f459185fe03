/**
 * Loads a policy beside the requests: files are read and parsed in a thread of their own, and what must be done in this
 * one is done in slices. A policy of a hundred thousand entries would otherwise hold up every review for seconds.
 */

import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { Worker } from 'node:worker_threads'
import { KnownError } from '../errors.js'
import type { CompiledPolicy } from '../policy/index.js'
import { compileBetweenTurns, type PolicyFiles, readPolicyFiles } from './policy-files.js'
import type { FromPolicyThread, PolicyThreadData } from './policy-worker.js'
import { expandPath } from './text-file.js'

/** Beside this file: compiled it is JavaScript, under a loader it is the source. */
const WORKER_FILE = import.meta.url.endsWith('.ts') ? './policy-worker.ts' : './policy-worker.js'
/** To start a thread takes 100 ms, in which so much is read in place, without holding anybody up for long. */
const SMALL_BYTES = 32 * 1024
/** Node's code for a thread that needs more memory than it may have. */
const OUT_OF_MEMORY = 'ERR_WORKER_OUT_OF_MEMORY'

/**
 * The same as `loadPolicy`, slower for whoever waits and felt far less by anybody else (docs/performance.md has the longest
 * turns).
 *
 * @param signal ends the thread; the load is then rejected.
 * @throws KnownError FILE_UNREADABLE or POLICY_INVALID, the latter also for a policy too large for the memory at hand.
 */
export async function loadPolicyAside(paths: readonly string[], signal: AbortSignal): Promise<CompiledPolicy> {
  const files = (await isSmall(paths)) ? await readPolicyFiles(paths) : await readAside(paths, signal)
  return compileBetweenTurns(files, signal)
}

/** What cannot be looked at is small: reading it says why. */
async function isSmall(paths: readonly string[]): Promise<boolean> {
  try {
    const files = (await Promise.all(paths.map(expandPath))).flat()
    const sizes = await Promise.all(files.map(async file => (await stat(file)).size))
    return sizes.reduce((sum, size) => sum + size, 0) <= SMALL_BYTES
  } catch {
    return true
  }
}

async function readAside(paths: readonly string[], signal: AbortSignal): Promise<PolicyFiles> {
  signal.throwIfAborted()
  const workerData: PolicyThreadData = { paths }
  const worker = new Worker(new URL(WORKER_FILE, import.meta.url), { workerData })
  // What goes wrong rejects the promises below; what goes wrong after that has nobody to tell.
  worker.on('error', () => {})
  const answered = new AbortController()
  try {
    const ended = once(worker, 'exit', { signal: answered.signal }).then(() => {
      throw new Error('the thread that reads the policy ended without an answer')
    })
    // The decode edge of our own thread.
    const answer = once(worker, 'message', { signal: AbortSignal.any([signal, answered.signal]) })
    const [message] = (await Promise.race([answer, ended])) as [FromPolicyThread]
    if (message.type === 'refused') throw new KnownError(message.code, message.message)
    return message.files
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === OUT_OF_MEMORY)) throw cause
    throw new KnownError('POLICY_INVALID', `${paths.join(', ')}: too large for the memory at hand`, { cause })
  } finally {
    answered.abort()
    await worker.terminate()
  }
}
