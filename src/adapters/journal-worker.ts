/**
 * The journal's thread. SQLite is synchronous, and a checkpoint waits for the disk: on the event loop, a slow disk
 * would hold up every review. Started by journal-writer.ts, never imported.
 */

import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import { KnownError } from '../errors.js'
import type { JournalBatch, JournalStore, Retention } from './journal-store.js'
import { openJournalStore } from './journal-store.js'

/** What the thread is started with. */
export interface JournalThreadData {
  readonly directory: string
  readonly runId: string
  readonly started: number
  readonly retention: Retention
}

export type ToJournalThread =
  | { readonly type: 'write'; readonly batch: JournalBatch; readonly rows: number }
  | { readonly type: 'beat'; readonly now: number; readonly dropped: number }
  | { readonly type: 'close'; readonly now: number; readonly dropped: number }

export type FromJournalThread =
  | { readonly type: 'opened' }
  /** An operator's mistake: the message is for them. */
  | { readonly type: 'unusable'; readonly message: string }
  /** Either tells how much of what waited is settled. */
  | { readonly type: 'done'; readonly rows: number; readonly bytes: number }
  | { readonly type: 'failed'; readonly rows: number; readonly bytes: number; readonly problem: string }
  | { readonly type: 'closed' }

type Reply = (message: FromJournalThread) => void

if (!isMainThread && parentPort !== null) {
  const port = parentPort
  serve(workerData as JournalThreadData, message => port.postMessage(message))
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
  const [rows, bytes] = message.type === 'write' ? [message.rows, message.batch.records.length] : [0, 0]
  try {
    perform(store, message)
    reply(message.type === 'close' ? { type: 'closed' } : { type: 'done', rows, bytes })
  } catch (error) {
    // A full or failing disk: the batch is lost and counted, the next one is tried.
    reply({ type: 'failed', rows, bytes, problem: error instanceof Error ? error.message : 'unknown' })
    if (message.type === 'close') reply({ type: 'closed' })
  }
}

function perform(store: JournalStore, message: ToJournalThread): void {
  switch (message.type) {
    case 'write':
      store.write(message.batch)
      return
    case 'beat':
      store.beat(message.now, message.dropped)
      store.prune(message.now)
      return
    case 'close':
      store.beat(message.now, message.dropped)
      store.close(message.now)
      return
  }
}
