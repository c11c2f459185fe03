/**
 * A file that is followed for ever, each complete line once: through rotation by renaming and by copying, several
 * rotations between two looks, compressed backups after a downtime, and restarts.
 *
 * Tetragon closes its file, renames it and creates a new one: the path is absent for a moment. So the open file is read
 * to its end once more after another one was seen under its name. Whatever rotated files lie between the one that was
 * read last and the one that stands there now are read before it. docs/sources.md tells the whole behaviour.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import type { EventSource, SourceGap, SourcePart, SourcePosition } from '../correlator/event-source.js'
import { type FileMark, parseCheckpoint, positionOf } from './checkpoint.js'
import { BackupReader, type BackupStep } from './tail-backup-reader.js'
import { backupKey } from './tail-backups.js'
import type { Cursor } from './tail-cursor.js'
import { LiveFile } from './tail-live-file.js'
import { checkPath, DEFAULT_POLL_MS, type TailOptions } from './tail-options.js'
import { asUnreadable, isSystemError } from './text-file.js'

/** Between two attempts to read what cannot be read at the moment. */
const MAX_TROUBLE_PAUSE_MS = 30_000

/**
 * @throws KnownError FILE_UNREADABLE for a directory, a file that may not be read, or a missing parent directory. What
 *   fails once it was read (a device's error, a right that was taken away) is waited out.
 */
export async function* tailFile(path: string, options: TailOptions): EventSource {
  await checkPath(path, options)
  const tail = new FileTail(path, options)
  try {
    yield* tail.run()
  } finally {
    await tail.close()
  }
}

class FileTail {
  readonly #path: string
  readonly #options: TailOptions
  readonly #backups: BackupReader
  #file: LiveFile | undefined
  /** When everything there was had been read, in milliseconds since the epoch. */
  #readAt: number | undefined
  /** The file's place in the last position that was handed out. */
  #handedOut: FileMark | undefined
  /** Failed attempts in a row. */
  #troubles = 0
  /** The place has to be found again. */
  #isLost = false

  constructor(path: string, options: TailOptions) {
    this.#path = path
    this.#options = options
    this.#backups = new BackupReader(path, { pause: () => this.#pause(), signal: options.signal })
  }

  async *run(): AsyncGenerator<SourcePart> {
    const { signal } = this.#options
    yield* this.#start()
    while (!signal.aborted) {
      try {
        yield* this.#step()
      } catch (cause) {
        if (!isSystemError(cause)) throw cause
        yield* this.#waitOut(cause)
      }
    }
  }

  async close(): Promise<void> {
    await this.#file?.close()
    this.#file = undefined
  }

  /** What fails here ends the source: somebody is there who has just started it. */
  async *#start(): AsyncGenerator<SourcePart> {
    try {
      await this.#findPlace()
    } catch (cause) {
      throw isSystemError(cause) ? asUnreadable(this.#path, cause) : cause
    }
    if (this.#isLost) return
    if (this.#file === undefined) yield { type: 'idle', position: this.#position(undefined) }
    else yield* this.#begin(this.#file)
  }

  async #findPlace(): Promise<void> {
    const { from, fromStart, onBadPosition } = this.#options
    const parsed = from === undefined ? undefined : parseCheckpoint(from)
    if (parsed?.ok === true) {
      const { file, done, at } = parsed.checkpoint
      this.#backups.done = done
      this.#readAt = at
      this.#handedOut = file
      this.#isLost = true
      return
    }
    if (parsed !== undefined) onBadPosition?.(parsed.problem)
    this.#file = await LiveFile.open(this.#path)
    await this.#backups.skipAll(this.#file?.neighbour)
    if (!fromStart) await this.#file?.skipToEnd()
  }

  async *#step(): AsyncGenerator<SourcePart> {
    if (this.#isLost) yield* this.#findAgain()
    else if (this.#file === undefined) yield* this.#awaitFile()
    else yield* this.#follow(this.#file)
  }

  /** Time passes meanwhile, and is seen to pass. */
  async *#waitOut(cause: unknown): AsyncGenerator<SourcePart> {
    if (this.#troubles === 0) this.#options.onTrouble?.(asUnreadable(this.#path, cause).message)
    this.#troubles += 1
    this.#isLost = true
    await this.close().catch(() => {})
    yield { type: 'idle' }
    const { pollMs = DEFAULT_POLL_MS } = this.#options
    await this.#pause(Math.min(pollMs * 2 ** this.#troubles, MAX_TROUBLE_PAUSE_MS))
  }

  /** After trouble as after a restart: behind what was handed out last. */
  async *#findAgain(): AsyncGenerator<SourcePart> {
    this.#file = await LiveFile.open(this.#path)
    yield* this.#takeUp(this.#handedOut)
    this.#isLost = false
    if (this.#file !== undefined) yield* this.#begin(this.#file)
  }

  *#begin(file: LiveFile): Generator<SourcePart> {
    // What was to be read before it may not have been.
    if (this.#options.signal.aborted) return
    yield { type: 'begin', name: this.#path, position: this.#position(file.cursor) }
  }

  async *#awaitFile(): AsyncGenerator<SourcePart> {
    await this.#pause()
    this.#file = await LiveFile.open(this.#path)
    // Also while there is none: it may have come and gone between two looks.
    yield* this.#readBackups(undefined)
    if (this.#file === undefined) yield { type: 'idle' }
    else yield* this.#begin(this.#file)
  }

  async *#follow(file: LiveFile): AsyncGenerator<SourcePart> {
    const fate = (yield* this.#readOn(file)) ?? (await file.fate())
    if (this.#options.signal.aborted) return
    switch (fate) {
      case 'same':
        return yield* this.#rest()
      case 'absent':
        // Files may come and go before the next one stays.
        return yield* (await this.#backups.hasOthers(file.neighbour)) ? this.#leave(file) : this.#rest()
      case 'moved':
        return yield* this.#leave(file)
      case 'truncated':
        return yield* this.#startOver(file)
    }
  }

  async *#rest(): AsyncGenerator<SourcePart> {
    this.#readAt = this.#options.now()
    this.#troubles = 0
    yield { type: 'idle' }
    await this.#pause()
  }

  async *#readOn(file: LiveFile): AsyncGenerator<SourcePart, 'truncated' | undefined> {
    // It may have been copied and emptied before anything was read of it.
    const isNew = file.cursor.head.length === 0 && (await file.head()).length > 0
    if (isNew && (yield* this.#readBackups(undefined))) yield* this.#begin(file)
    while (!this.#options.signal.aborted) {
      const bytes = await file.read()
      if (bytes === 'truncated' || bytes === undefined) return bytes
      yield { type: 'bytes', bytes, position: this.#position(file.cursor) }
    }
    return undefined
  }

  /** Read what was written between the last look and the renaming, then everything up to the file that is there now. */
  async *#leave(file: LiveFile): AsyncGenerator<SourcePart> {
    if ((yield* this.#readOn(file)) === 'truncated') return yield* this.#startOver(file)
    if (this.#options.signal.aborted) return
    const key = backupKey(await file.head())
    this.#backups.skip({ key, identity: file.identity })
    yield { type: 'end', position: this.#position(undefined) }
    await file.close()
    this.#file = await LiveFile.open(this.#path)
    // Rotated files go the oldest first: while this one is there, none that came after it has gone.
    if (!(await this.#backups.has(key, file.identity))) yield this.#gap('rotated-away', this.#path)
    yield* this.#readBackups(undefined)
    if (this.#file !== undefined) yield* this.#begin(this.#file)
  }

  /** The file was emptied: the rest of what it held may stand in a copy. */
  async *#startOver(file: LiveFile): AsyncGenerator<SourcePart> {
    const { mark } = file.cursor
    await file.close()
    this.#file = await LiveFile.open(this.#path)
    yield* this.#takeUp(mark)
    if (this.#file !== undefined) yield* this.#begin(this.#file)
  }

  /** Go on at a mark, in the file under the path or in a rotated one; then all rotated files after that. */
  async *#takeUp(mark: FileMark | undefined): AsyncGenerator<SourcePart> {
    if (mark !== undefined && (await this.#file?.resume(mark)) === true) return
    yield* this.#readBackups(mark)
  }

  /** Read every rotated file that was not read yet and is older than the file under the path; was there any? */
  async *#readBackups(mark: FileMark | undefined): AsyncGenerator<SourcePart, boolean> {
    let isAnyRead = false
    for await (const step of this.#backups.read(mark, this.#file?.neighbour)) {
      isAnyRead = true
      yield this.#partOf(step)
    }
    return isAnyRead
  }

  #partOf(step: BackupStep): SourcePart {
    switch (step.type) {
      case 'begin':
        return { type: 'begin', name: step.path, position: this.#position(step.cursor) }
      case 'bytes':
        return { type: 'bytes', bytes: step.bytes, position: this.#position(step.cursor) }
      case 'end':
        return { type: 'end', position: this.#position(undefined) }
      case 'gap':
        return this.#gap(step.code, step.path, step.detail)
      case 'lost':
        return this.#gap(step.mark.identity === this.#file?.identity ? 'truncated' : 'rotated-away', this.#path)
    }
  }

  #gap(code: SourceGap['code'], source: string, detail?: string): SourcePart {
    const gap = { code, source, from: this.#readAt, to: this.#options.now(), ...(detail !== undefined && { detail }) }
    return { type: 'gap', gap, position: this.#position(undefined) }
  }

  #position(cursor: Cursor | undefined): SourcePosition {
    this.#handedOut = cursor?.mark
    return positionOf({ file: this.#handedOut, done: this.#backups.done, at: this.#options.now() })
  }

  async #pause(forMs: number = this.#options.pollMs ?? DEFAULT_POLL_MS): Promise<void> {
    const { signal } = this.#options
    // The loops look at the signal themselves.
    await sleep(forMs, undefined, { signal }).catch(() => {})
  }
}
