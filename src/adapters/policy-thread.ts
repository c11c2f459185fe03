/**
 * Loads a policy beside the requests: files are read and compiled in a thread of their own, and what must be done in this
 * one is done in slices. A policy of a hundred thousand entries would otherwise hold up every review for seconds.
 */

import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { KnownError } from '../errors.js'
import { threadFile } from '../own-files.js'
import type { CompiledPolicy, PolicyDraft } from '../policy/index.js'
import { assembleBetweenTurns, draftPolicy } from './policy-files.js'
import { PolicyCollector, type PolicyPart } from './policy-parts.js'
import type { FromPolicyThread, PolicyThreadData } from './policy-worker.js'
import { expandPath } from './text-file.js'

/** So much is read in place in some 10 ms; to start a thread takes 100 ms and more. */
const SMALL_BYTES = 8 * 1024
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
  const draft = (await isSmall(paths)) ? await draftPolicy(paths) : await draftAside(paths, signal)
  return assembleBetweenTurns(draft, signal)
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

async function draftAside(paths: readonly string[], signal: AbortSignal): Promise<PolicyDraft> {
  signal.throwIfAborted()
  const { port1: port, port2 } = new MessageChannel()
  const workerData: PolicyThreadData = { paths, port: port2 }
  const worker = new Worker(threadFile('adapters/policy-worker'), { workerData, transferList: [port2] })
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
    return await collect(port, signal)
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === OUT_OF_MEMORY)) throw cause
    throw new KnownError('POLICY_INVALID', `${paths.join(', ')}: too large for the memory at hand`, { cause })
  } finally {
    answered.abort()
    port.close()
    await worker.terminate()
  }
}

/** One part a turn: they were posted before the answer was. */
async function collect(port: MessagePort, signal: AbortSignal): Promise<PolicyDraft> {
  const collector = new PolicyCollector()
  for (;;) {
    const received = receiveMessageOnPort(port)
    if (received === undefined) throw new Error('the thread that reads the policy left out a part')
    // The decode edge of our own thread.
    const draft = collector.add(received.message as PolicyPart)
    if (draft !== undefined) return draft
    await nextTurn(undefined, { signal })
  }
}
