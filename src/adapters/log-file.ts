/**
 * Lines appended to a file that others rotate: buffered, written off the caller's path, bounded, and never for long to a
 * file that was renamed or removed.
 */

import { Buffer } from 'node:buffer'
import { setTimeout as delay } from 'node:timers/promises'
import { KnownError } from '../errors.js'
import { escapeForeign } from '../policy/index.js'
import { type AppendedFile, lookAt, openForAppending } from './appended-file.js'
import { reasonOf } from './text-file.js'

/** Lines name users and images: readable by the owner and the group, writable by the owner. */
const FILE_MODE = 0o640
const NEWLINE = 0x0a
/** A line is in the file after this long at the latest, when the disk keeps up. */
const FLUSH_INTERVAL_MS = 200
/** One write takes about so much: neither joining nor copying it holds up an answer. */
const BATCH_CHARACTERS = 64 * 1024
const MAX_WAITING_CHARACTERS = 16 * 1024 * 1024
const RETRY_INTERVAL_MS = 1_000
const LOOK_INTERVAL_MS = 3_000
const CLOSE_DEADLINE_MS = 2_000
const CLOSE_RETRY_MS = 100

export interface LogFileOptions {
  /** Told in half a sentence of each write, reopening or line that failed: as often as the disk does. */
  readonly onProblem: (problem: string) => void
  /** What may wait for a slow or full disk before new lines are dropped, in UTF-16 units. Default 16 Mi. */
  readonly maxWaitingCharacters?: number
  /** How often to look whether the path still leads to the open file, in milliseconds. Default 3,000. */
  readonly lookIntervalMs?: number
  /** From a failed write to the next attempt, in milliseconds. Default 1,000. */
  readonly retryIntervalMs?: number
}

export interface LogFile {
  /** Lines that were not written, since the start. */
  readonly dropped: number
  /** Append one line, which ends with its newline. Neither throws nor blocks. */
  append(line: string): void
  /** From now on write to the file that the path leads to now; it is made if it is missing. */
  reopen(): void
  /** Write what waits, for 2 s at most: what is left then is dropped and counted. */
  close(): Promise<void>
}

/**
 * No line is torn by a rotation, and each goes to exactly one file.
 *
 * @throws KnownError FILE_UNWRITABLE when the file cannot be opened for appending.
 */
export async function openLogFile(path: string, options: LogFileOptions): Promise<LogFile> {
  try {
    return new RotatedLogFile(path, await openForAppending(path, FILE_MODE), options)
  } catch (cause) {
    const problem = `${escapeForeign(path, 300)}: cannot be opened for appending (${reasonOf(cause)})`
    throw new KnownError('FILE_UNWRITABLE', problem, { cause })
  }
}

class RotatedLogFile implements LogFile {
  readonly #path: string
  readonly #options: LogFileOptions
  readonly #looking: NodeJS.Timeout
  #file: AppendedFile
  #lines: string[] = []
  /** Lines on their way: taken from `#lines`, written up to `#offset`. */
  #batch = Buffer.alloc(0)
  #offset = 0
  /** Characters in `#lines` and `#batch`. */
  #waiting = 0
  #batchCharacters = 0
  #dropped = 0
  #isOpen = true
  #isFailing = false
  #mustReopen = false
  #pumping: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(path: string, file: AppendedFile, options: LogFileOptions) {
    this.#path = path
    this.#file = file
    this.#options = options
    this.#looking = setInterval(() => void this.#look(), options.lookIntervalMs ?? LOOK_INTERVAL_MS).unref()
  }

  get dropped(): number {
    return this.#dropped
  }

  append(line: string): void {
    const limit = this.#options.maxWaitingCharacters ?? MAX_WAITING_CHARACTERS
    if (!this.#isOpen || this.#waiting + line.length > limit) {
      this.#dropped += 1
      if (this.#isOpen) this.#options.onProblem('too many lines wait for the disk')
      return
    }
    this.#lines.push(line)
    this.#waiting += line.length
    if (this.#waiting >= BATCH_CHARACTERS && !this.#isFailing) void this.#pump()
    else this.#pumpIn(FLUSH_INTERVAL_MS)
  }

  reopen(): void {
    if (!this.#isOpen) return
    this.#mustReopen = true
    void this.#pump()
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return
    this.#isOpen = false
    clearInterval(this.#looking)
    const done = new AbortController()
    const late = delay(CLOSE_DEADLINE_MS, true, { signal: done.signal }).catch(() => true)
    let isLate = false
    while (this.#waiting > 0 && !isLate) {
      isLate = await Promise.race([this.#pump().then(() => this.#pauseIfFailing()), late])
    }
    done.abort()
    clearTimeout(this.#timer)
    this.#dropped += this.#lines.length + countNewlines(this.#batch.subarray(this.#offset))
    this.#lines = []
    this.#waiting = 0
    const closing = this.#file.handle.close().catch((error: unknown) => this.#tell(error))
    // A disk that hangs would hold up the end of the program.
    if (this.#pumping === undefined) await closing
  }

  async #pauseIfFailing(): Promise<false> {
    if (this.#isFailing) await delay(CLOSE_RETRY_MS)
    return false
  }

  #pumpIn(ms: number): void {
    this.#timer ??= setTimeout(() => void this.#pump(), ms).unref()
  }

  /** Write everything that waits; never rejects. One at a time: a second call joins the first. */
  #pump(): Promise<void> {
    this.#pumping ??= this.#writeAll().finally(() => {
      this.#pumping = undefined
      if (!this.#isOpen) return
      // What came while the last write was ending.
      if (this.#isFailing) this.#pumpIn(this.#options.retryIntervalMs ?? RETRY_INTERVAL_MS)
      else if (this.#lines.length > 0 || this.#mustReopen) this.#pumpIn(0)
    })
    return this.#pumping
  }

  async #writeAll(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#isFailing = false
    try {
      do {
        if (this.#mustReopen) await this.#followPath()
        this.#fillBatch()
        if (this.#offset < this.#batch.length) await this.#writeSome()
      } while (this.#waiting > 0)
    } catch (error) {
      this.#isFailing = true
      this.#tell(error)
    }
  }

  #fillBatch(): void {
    if (this.#offset < this.#batch.length || this.#lines.length === 0) return
    let count = 0
    let characters = 0
    while (count < this.#lines.length && characters < BATCH_CHARACTERS) {
      characters += this.#lines[count]?.length ?? 0
      count += 1
    }
    this.#batch = Buffer.from(this.#lines.splice(0, count).join(''))
    this.#batchCharacters = characters
    this.#offset = 0
  }

  /** A disk may take a part of a write: the rest follows, at once or when there is room again. */
  async #writeSome(): Promise<void> {
    const { bytesWritten } = await this.#file.handle.write(this.#batch, this.#offset)
    this.#offset += bytesWritten
    if (this.#offset < this.#batch.length) return
    this.#waiting -= this.#batchCharacters
    this.#batchCharacters = 0
    this.#batch = Buffer.alloc(0)
    this.#offset = 0
  }

  /** While the new file cannot be opened, the old one serves on; the next look tries again. */
  async #followPath(): Promise<void> {
    this.#mustReopen = false
    const former = this.#file.handle
    try {
      this.#file = await openForAppending(this.#path, FILE_MODE)
    } catch (error) {
      this.#tell(error)
      return
    }
    // A line of which the old file took a part is written whole to the new one.
    if (this.#offset > 0) this.#offset = this.#batch.lastIndexOf(NEWLINE, this.#offset - 1) + 1
    await former.close().catch((error: unknown) => this.#tell(error))
  }

  async #look(): Promise<void> {
    const { identity } = await lookAt(this.#path)
    if (identity !== undefined && identity !== this.#file.identity) this.reopen()
  }

  #tell(error: unknown): void {
    this.#options.onProblem(error instanceof Error ? error.message : String(error))
  }
}

function countNewlines(bytes: Buffer): number {
  let count = 0
  for (const byte of bytes) if (byte === NEWLINE) count += 1
  return count
}
