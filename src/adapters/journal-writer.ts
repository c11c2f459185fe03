/** The journal's writing end: queues records in memory and hands them to the journal's thread in batches. */

import { mkdirSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { KnownError } from '../errors.js'
import type { DecisionRecord } from '../webhook/decision-record.js'
import { retryKeyOf } from '../webhook/decision-record.js'
import type { DecisionRecorder } from '../webhook/ports.js'
import { PendingBatch } from './journal-batch.js'
import { createKeyDigest, digestOf, JournalRetries } from './journal-retries.js'
import type { Retention } from './journal-store.js'
import type { FromJournalThread, JournalThreadData, ToJournalThread } from './journal-worker.js'

/** A record is durable after this long at the latest, when the disk keeps up; a full batch goes at once. */
const FLUSH_INTERVAL_MS = 50
/** Records that may wait for the thread, whichever is reached first; more are dropped and counted. */
const MAX_WAITING_ROWS = 20_000
const MAX_WAITING_BYTES = 32 * 1024 * 1024
/** Messages that the thread has not answered yet. */
const MAX_IN_FLIGHT = 4
/** The API server and the controllers retry within seconds; what comes later is counted anew. */
const RETRY_WINDOW_MS = 60_000
/** The oldest keys make room: an attacker's flood costs memory for so many and no more. */
const MAX_RETRY_KEYS = 20_000
/** Beside this file: compiled it is JavaScript, under a loader it is the source. */
const WORKER_FILE = import.meta.url.endsWith('.ts') ? './journal-worker.ts' : './journal-worker.js'
const HEARTBEAT_INTERVAL_MS = 2_000
const CLOSE_DEADLINE_MS = 5_000

const DAY_MS = 86_400_000
/** 30 days or 1 GiB, whichever comes first. */
export const DEFAULT_RETENTION: Retention = { maxAgeMs: 30 * DAY_MS, maxBytes: 1024 ** 3 }

export interface JournalWriterOptions {
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Names this run of the webhook in the journal; unique. */
  readonly runId: string
  /** Told of each batch that could not be written, in half a sentence. */
  readonly onProblem: (problem: string) => void
  readonly retention?: Retention
}

export interface JournalWriter extends DecisionRecorder {
  /** Records that were lost, since the start: too many waiting, or a disk that refused them. */
  readonly dropped: number
  /** Write everything that waits and mark the run as stopped; gives up after 5 s. */
  close(): Promise<void>
}

/**
 * Open the journal in a folder, which is made if it is missing, and keep records in it from now on.
 *
 * @throws KnownError JOURNAL_UNUSABLE.
 */
export async function openJournalWriter(directory: string, options: JournalWriterOptions): Promise<JournalWriter> {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o750 })
  } catch (cause) {
    throw new KnownError('JOURNAL_UNUSABLE', `${directory}: the journal's folder cannot be made`, { cause })
  }
  const { runId, retention = DEFAULT_RETENTION } = options
  const workerData: JournalThreadData = { directory, runId, started: options.now(), retention }
  const worker = new Worker(new URL(WORKER_FILE, import.meta.url), { workerData })
  await untilOpened(worker)
  // The server keeps the process alive, not its journal.
  worker.unref()
  return new ThreadedJournalWriter(worker, options)
}

function untilOpened(worker: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.once('error', reject)
    worker.once('message', (message: FromJournalThread) => {
      worker.off('error', reject)
      if (message.type === 'unusable') reject(new KnownError('JOURNAL_UNUSABLE', message.message))
      else resolve()
    })
  })
}

class ThreadedJournalWriter implements JournalWriter {
  readonly #worker: Worker
  readonly #options: JournalWriterOptions
  readonly #heartbeat: NodeJS.Timeout
  readonly #digest = createKeyDigest()
  readonly #retries = new JournalRetries(MAX_RETRY_KEYS)
  #pending = new PendingBatch()
  /** Full ones that wait for the thread to catch up: here they are bounded, in its message queue they would not be. */
  #sealed: ToJournalThread[] = []
  /** What is sealed, here or in the thread. */
  #sealedBytes = 0
  /** Rows that wait here or in the thread. */
  #unwritten = 0
  #inFlight = 0
  #flushTimer: NodeJS.Timeout | undefined
  #dropped = 0
  #isOpen = true
  #resolveClosed: () => void = () => {}

  constructor(worker: Worker, options: JournalWriterOptions) {
    this.#worker = worker
    this.#options = options
    worker.on('message', (message: FromJournalThread) => this.#receive(message))
    worker.on('error', error => this.#fail(error.message))
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_INTERVAL_MS).unref()
  }

  get dropped(): number {
    return this.#dropped
  }

  record(decisionRecord: DecisionRecord, json: string): void {
    if (!this.#isOpen) {
      this.#dropped += 1
      return
    }
    const at = Date.parse(decisionRecord.time)
    const key = digestOf(retryKeyOf(decisionRecord), this.#digest)
    const earlier = this.#retries.find(key)
    if (earlier !== undefined && at - earlier.at <= RETRY_WINDOW_MS) {
      this.#pending.repeat(earlier.recordId, earlier.at, at)
      this.#flushSoon()
      return
    }
    if (this.#unwritten >= MAX_WAITING_ROWS || this.#sealedBytes >= MAX_WAITING_BYTES) {
      this.#dropped += 1
      return
    }
    this.#retries.remember(key, decisionRecord.id, at)
    this.#add(decisionRecord, json, at)
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return
    this.#isOpen = false
    clearInterval(this.#heartbeat)
    this.#worker.ref()
    // Whatever is in flight: these are the last messages.
    this.#inFlight = Number.NEGATIVE_INFINITY
    this.#seal()
    this.#flush()
    const closed = new Promise<void>(resolve => {
      this.#resolveClosed = resolve
    })
    const deadline = setTimeout(() => this.#fail('the journal did not close in time'), CLOSE_DEADLINE_MS)
    this.#send({ type: 'close', now: this.#options.now(), dropped: this.#dropped })
    await closed
    clearTimeout(deadline)
    await this.#worker.terminate()
  }

  #add(decisionRecord: DecisionRecord, json: string, at: number): void {
    this.#pending.add(decisionRecord, json, at)
    this.#unwritten += 1
    if (this.#pending.isFull) this.#flush()
    else this.#flushSoon()
  }

  #flushSoon(): void {
    this.#flushTimer ??= setTimeout(() => this.#flush(), FLUSH_INTERVAL_MS).unref()
  }

  #flush(): void {
    clearTimeout(this.#flushTimer)
    this.#flushTimer = undefined
    // While the thread is behind, what waits here grows to a full batch first.
    if (this.#sealed.length === 0 || this.#pending.isFull) this.#seal()
    while (this.#inFlight < MAX_IN_FLIGHT) {
      const message = this.#sealed.shift()
      if (message === undefined) return
      this.#send(message)
    }
  }

  #seal(): void {
    const pending = this.#pending
    if (pending.isEmpty) return
    this.#sealedBytes += pending.bytes
    this.#sealed.push({ type: 'write', batch: pending.seal(), rows: pending.rows })
    this.#pending = new PendingBatch(pending.bytes)
  }

  #beat(): void {
    if (this.#inFlight < MAX_IN_FLIGHT) {
      this.#send({ type: 'beat', now: this.#options.now(), dropped: this.#dropped })
    }
  }

  #send(message: ToJournalThread): void {
    this.#inFlight += 1
    // The records' memory moves to the thread; nothing is copied.
    this.#worker.postMessage(message, message.type === 'write' ? [message.batch.records.buffer] : [])
  }

  #receive(message: FromJournalThread): void {
    switch (message.type) {
      case 'done':
        this.#settle(message)
        return
      case 'failed':
        this.#dropped += message.rows
        this.#options.onProblem(message.problem)
        this.#settle(message)
        return
      case 'closed':
        this.#resolveClosed()
        return
      case 'opened':
      case 'unusable':
        return
    }
  }

  #settle({ rows, bytes }: { readonly rows: number; readonly bytes: number }): void {
    this.#inFlight -= 1
    this.#unwritten -= rows
    this.#sealedBytes -= bytes
    if (this.#sealed.length > 0) this.#flush()
    else if (!this.#pending.isEmpty) this.#flushSoon()
  }

  /** The thread is gone: from now on every record is counted as lost. */
  #fail(problem: string): void {
    this.#isOpen = false
    this.#dropped += this.#unwritten
    this.#unwritten = 0
    clearInterval(this.#heartbeat)
    this.#options.onProblem(problem)
    this.#resolveClosed()
  }
}
