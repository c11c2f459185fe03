/** The journal's writing end: counts retries, queues the rest in memory, and keeps the journal's thread. */

import { Worker } from 'node:worker_threads'
import { KnownError } from '../errors.js'
import { threadFile } from '../own-files.js'
import type { DecisionRecord } from '../webhook/decision-record.js'
import { retryKeyOf } from '../webhook/decision-record.js'
import type { DecisionRecorder } from '../webhook/ports.js'
import { JournalQueue } from './journal-queue.js'
import { JournalRetries } from './journal-retries.js'
import type { Retention } from './journal-store.js'
import type { FromJournalThread, JournalThreadData, ToJournalThread } from './journal-worker.js'
import { KeyedDigest } from './keyed-digest.js'
import { makeFolders } from './make-folders.js'

/** The API server and the controllers retry within seconds; what comes later is counted anew. */
const RETRY_WINDOW_MS = 60_000
/** The oldest keys make room: an attacker's flood costs memory for so many and no more. */
const MAX_RETRY_KEYS = 20_000
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
    makeFolders(directory, 0o750)
  } catch (cause) {
    throw new KnownError('JOURNAL_UNUSABLE', `${directory}: the journal's folder cannot be made`, { cause })
  }
  const { runId, retention = DEFAULT_RETENTION } = options
  const workerData: JournalThreadData = { directory, runId, started: options.now(), retention }
  const worker = new Worker(threadFile('adapters/journal-worker'), { workerData })
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
  readonly #digest = new KeyedDigest(crypto.getRandomValues(new Int32Array(2)))
  readonly #retries = new JournalRetries(MAX_RETRY_KEYS)
  readonly #queue: JournalQueue
  #isBeating = false
  #dropped = 0
  #isOpen = true
  #resolveClosed: () => void = () => {}
  #time = ''
  #at = 0

  constructor(worker: Worker, options: JournalWriterOptions) {
    this.#worker = worker
    this.#options = options
    this.#queue = new JournalQueue((message, memory) => worker.postMessage(message, memory))
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
    const at = this.#timeOf(decisionRecord)
    const key = this.#digest.of(retryKeyOf(decisionRecord))
    const earlier = this.#retries.find(key)
    if (earlier !== undefined && at - earlier.at <= RETRY_WINDOW_MS) {
      this.#queue.repeat(earlier.recordId, earlier.at, at)
    } else if (this.#queue.isOverfull) {
      this.#dropped += 1
    } else {
      this.#retries.remember(key, decisionRecord.id, at)
      this.#queue.add(decisionRecord, json, at)
    }
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return
    this.#isOpen = false
    clearInterval(this.#heartbeat)
    this.#worker.ref()
    this.#queue.close()
    const closed = new Promise<void>(resolve => {
      this.#resolveClosed = resolve
    })
    const deadline = setTimeout(() => this.#fail('the journal did not close in time'), CLOSE_DEADLINE_MS)
    this.#post('close')
    await closed
    clearTimeout(deadline)
    await this.#worker.terminate()
  }

  /** Many records share a millisecond, and so do their texts; to parse one takes longer than to look for its retry. */
  #timeOf({ time }: DecisionRecord): number {
    if (time !== this.#time) {
      this.#time = time
      this.#at = Date.parse(time)
    }
    return this.#at
  }

  /** Also while batches wait: the run is recording, and what is too old goes. */
  #beat(): void {
    if (this.#isBeating) return
    this.#isBeating = true
    this.#post('beat')
  }

  #post(type: 'beat' | 'close'): void {
    const message: ToJournalThread = { type, now: this.#options.now(), dropped: this.#dropped }
    this.#worker.postMessage(message)
  }

  #receive(message: FromJournalThread): void {
    if ('problem' in message && message.problem !== undefined) this.#options.onProblem(message.problem)
    switch (message.type) {
      case 'written':
        if (message.problem !== undefined) this.#dropped += message.settled.rows
        this.#queue.settle(message.settled)
        return
      case 'beaten':
        this.#isBeating = false
        return
      case 'closed':
        this.#resolveClosed()
        return
      case 'opened':
      case 'unusable':
        return
    }
  }

  /** The thread is gone: from now on every record is counted as lost. */
  #fail(problem: string): void {
    this.#isOpen = false
    this.#dropped += this.#queue.abandon()
    clearInterval(this.#heartbeat)
    this.#options.onProblem(problem)
    this.#resolveClosed()
  }
}
