/**
 * The journal's thread. SQLite is synchronous, and a checkpoint waits for the disk: on the event loop, a slow disk
 * would hold up every review. Started by journal-writer.ts, never imported.
 */

import { platform, setPriority } from 'node:os'
import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import { KnownError } from '../errors.js'
import type { JournalBatch, JournalStore, Retention } from './journal-store.js'
import { openJournalStore } from './journal-store.js'

/**
 * Of 0 to 19. At a core that both want all the time the thread gets a tenth of it: twice what it needs when the event loop
 * does nothing but reviews.
 */
const NICENESS = 10

/** What the thread is started with. */
export interface JournalThreadData {
  readonly directory: string
  readonly runId: string
  readonly started: number
  readonly retention: Retention
}

export type ToJournalThread =
  | { readonly type: 'write'; readonly batches: readonly JournalBatch[]; readonly rows: number }
  | { readonly type: 'beat'; readonly now: number; readonly dropped: number }
  | { readonly type: 'close'; readonly now: number; readonly dropped: number }

export type FromJournalThread =
  | { readonly type: 'opened' }
  /** An operator's mistake: the message is for them. */
  | { readonly type: 'unusable'; readonly message: string }
  /** To each message one answer, with half a sentence about what went wrong. */
  | { readonly type: 'written'; readonly settled: SettledBatches; readonly problem: string | undefined }
  | { readonly type: 'beaten'; readonly problem: string | undefined }
  | { readonly type: 'closed'; readonly problem: string | undefined }

/** How much of what waited is written or, with a problem, lost; and the memory that it took, for later batches. */
export interface SettledBatches {
  readonly rows: number
  readonly bytes: number
  readonly memory: readonly ArrayBuffer[]
}

type Reply = (message: FromJournalThread, transferred?: readonly ArrayBuffer[]) => void

if (!isMainThread && parentPort !== null) {
  const port = parentPort
  yieldToReviews()
  serve(workerData as JournalThreadData, (message, transferred = []) => port.postMessage(message, [...transferred]))
}

/**
 * Where the two threads share a core, an answer must not wait until a batch is written. Only Linux has priorities of
 * threads: elsewhere it would be the whole process's.
 */
function yieldToReviews(): void {
  if (platform() !== 'linux') return
  try {
    setPriority(NICENESS)
  } catch {
    // Forbidden here: then the two are equals.
  }
}

function serve(data: JournalThreadData, reply: Reply): void {
  let store: JournalStore
  try {
    store = openJournalStore(data.directory, data.runId, data.started, data.retention)
  } catch (error) {
    if (!(error instanceof KnownError)) throw error
    reply({ type: 'unusable', message: error.message })
    return
  }
  parentPort?.on('message', (message: ToJournalThread) => handle(store, message, reply))
  reply({ type: 'opened' })
}

function handle(store: JournalStore, message: ToJournalThread, reply: Reply): void {
  switch (message.type) {
    case 'write': {
      const { batches, rows } = message
      const problem = attempt(() => store.write(...batches))
      const bytes = batches.reduce((sum, { records }) => sum + records.length, 0)
      const memory = batches.map(({ records }) => records.buffer)
      reply({ type: 'written', settled: { rows, bytes, memory }, problem }, memory)
      return
    }
    case 'beat': {
      const problem = attempt(() => {
        store.beat(message.now, message.dropped)
        store.prune(message.now)
      })
      reply({ type: 'beaten', problem })
      return
    }
    case 'close': {
      const problem = attempt(() => {
        store.beat(message.now, message.dropped)
        store.close(message.now)
      })
      reply({ type: 'closed', problem })
      return
    }
  }
}

/** A full or failing disk: what was to be written is lost and counted, the next lot is tried. */
function attempt(work: () => void): string | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : 'unknown'
  }
}
