/** Reads the rotated files of a followed one, each of them once, and knows which ones are done. */

import { beginsWith, type FileMark, HEAD_BYTES } from './checkpoint.js'
import {
  type Backup,
  type BackupFolder,
  createBackupFolder,
  doneOf,
  MAX_BACKUPS,
  parseDone,
  readBackup,
} from './tail-backups.js'
import { Cursor } from './tail-cursor.js'

/** A rotated file that cannot be read may just be on its way from plain to gzipped. */
const MAX_ATTEMPTS = 3
/** Rotated files that have gone are remembered for a while: one may only be out of sight. */
const MAX_GONE = 64
const NEWLINE = 0x0a

export type BackupStep =
  | { readonly type: 'begin'; readonly path: string; readonly cursor: Cursor }
  | { readonly type: 'bytes'; readonly bytes: Buffer; readonly cursor: Cursor }
  | { readonly type: 'end' }
  | {
      readonly type: 'gap'
      readonly code: 'backup-unreadable' | 'backups-passed-over'
      readonly path: string
      readonly detail?: string
    }
  /** The file of the mark is not there any more. */
  | { readonly type: 'lost'; readonly mark: FileMark }

/** The file under the path, as far as it matters to what lies beside it. */
export interface LiveNeighbour {
  readonly identity: string
  /** Its first bytes at this moment. */
  readonly head: () => Promise<Buffer>
}

export interface BackupReaderOptions {
  /** Waits before another attempt. */
  readonly pause: () => Promise<void>
  readonly signal: AbortSignal
}

export class BackupReader {
  /** Rotated files that need not be read (again), the oldest first: keys, of short files with their identity. */
  done: readonly string[] = []
  readonly #path: string
  readonly #folder: BackupFolder
  readonly #options: BackupReaderOptions
  /** The oldest file that is looked at was not read yet, and there may be older ones. */
  #mayPassOver = false
  #isFolderFull = false
  /** That was said. */
  #isPassedOver = false

  /** @param path the followed file. */
  constructor(path: string, options: BackupReaderOptions) {
    this.#path = path
    this.#folder = createBackupFolder(path)
    this.#options = options
  }

  /** None of the files that are older than the given one will be read. */
  async skipAll(live: LiveNeighbour | undefined): Promise<void> {
    for (const backup of await this.#olderThan(live)) this.skip(backup)
  }

  /** This file will not be read (again), whatever becomes of its name. */
  skip(file: Pick<Backup, 'key' | 'identity'>): void {
    this.done = [...this.done, doneOf(file)]
  }

  async has(key: string, identity: string): Promise<boolean> {
    return (await this.#folder.list()).some(backup => backup.key === key || backup.identity === identity)
  }

  /** Is there anything to read besides the file that was the live one? */
  async hasOthers(live: LiveNeighbour): Promise<boolean> {
    const head = await live.head()
    return this.#unread(await this.#folder.list()).some(
      backup => backup.identity !== live.identity && !isCopy(backup, head),
    )
  }

  /**
   * Read all that was not read yet, the oldest first.
   *
   * @param mark where to go on, in whichever file it belongs to; what is older than that file comes after it.
   * @param live the file under the path. It may have been rotated since it was opened: it and what came after it are
   *   not read, nor is a copy of it that is made at this moment.
   */
  async *read(mark: FileMark | undefined, live: LiveNeighbour | undefined): AsyncGenerator<BackupStep> {
    let pending = mark
    let attempts = 0
    this.#isPassedOver = false
    while (!this.#options.signal.aborted) {
      const backup = await this.#next(pending, live)
      yield* this.#passOver(pending)
      if (backup === undefined && pending === undefined) return
      const outcome = backup === undefined ? 'failed' : yield* this.#readOne(backup, pending)
      if (this.#options.signal.aborted) return
      if (outcome === 'done') {
        pending = undefined
        attempts = 0
        continue
      }
      if (outcome !== 'failed') pending = outcome
      attempts += 1
      if (attempts < MAX_ATTEMPTS) {
        await this.#options.pause()
        continue
      }
      yield* this.#giveUp(backup, pending)
      pending = undefined
      attempts = 0
    }
  }

  *#giveUp(backup: Backup | undefined, pending: FileMark | undefined): Generator<BackupStep> {
    if (backup !== undefined) {
      this.skip(backup)
      yield { type: 'gap', code: 'backup-unreadable', path: backup.path }
    } else if (pending !== undefined) yield { type: 'lost', mark: pending }
  }

  /** Say how many files are not looked at, back to the last one that was read. */
  async *#passOver(mark: FileMark | undefined): AsyncGenerator<BackupStep> {
    if (!this.#mayPassOver || this.#isPassedOver) return
    this.#isPassedOver = true
    const isDone = this.#doneTest()
    let files = 0
    let bytes = 0
    for await (const backup of this.#folder.older()) {
      if (isDone(backup)) break
      files += 1
      bytes += backup.bytes
      if (mark !== undefined && backup.head !== undefined && beginsWith(backup.head, mark.head)) break
    }
    if (files === 0) return
    const detail = `${files} files with ${bytes} bytes, as they are stored, are older than the ${MAX_BACKUPS} that are looked at`
    yield { type: 'gap', code: 'backups-passed-over', path: this.#path, detail }
  }

  async #next(pending: FileMark | undefined, live: LiveNeighbour | undefined): Promise<Backup | undefined> {
    const backups = await this.#olderThan(live)
    const unread = this.#unread(backups)
    this.#mayPassOver = this.#isFolderFull && unread.length > 0 && unread[0] === backups[0]
    return pending === undefined ? unread[0] : findMarked(unread, pending)
  }

  async #olderThan(live: LiveNeighbour | undefined): Promise<readonly Backup[]> {
    const backups = await this.#folder.list()
    this.#isFolderFull = backups.length >= MAX_BACKUPS
    if (live === undefined) return backups
    const head = await live.head()
    const own = backups.findIndex(backup => backup.identity === live.identity || isCopy(backup, head))
    return own === -1 ? backups : backups.slice(0, own)
  }

  #unread(backups: readonly Backup[]): readonly Backup[] {
    this.done = this.done.slice(-(backups.length + MAX_GONE))
    const isDone = this.#doneTest()
    return backups.filter(backup => !isDone(backup))
  }

  #doneTest(): (backup: Backup) => boolean {
    const entries = this.done.map(parseDone)
    const keys = new Set(entries.map(({ key }) => key))
    return ({ key, identity, head }) => {
      if (head?.length === 0 || keys.has(key)) return true
      // A short file that was written to after it was done has another key by now, and must not be read again.
      return entries.some(
        done =>
          done.identity === identity && head !== undefined && done.head !== undefined && beginsWith(head, done.head),
      )
    }
  }

  /** @returns where to go on when it could not be read to its end; `failed` when nothing was read. */
  async *#readOne(
    backup: Backup,
    mark: FileMark | undefined,
  ): AsyncGenerator<BackupStep, 'done' | 'failed' | FileMark> {
    if (backup.head === undefined) return 'failed'
    const cursor = new Cursor(backup.identity)
    cursor.moveTo(backup.start, backup.head, mark?.offset ?? backup.start)
    yield { type: 'begin', path: backup.path, cursor }
    try {
      for await (const bytes of readBackup(backup, cursor.offset)) {
        cursor.advance(bytes)
        yield { type: 'bytes', bytes, cursor }
        if (this.#options.signal.aborted) return 'failed'
      }
    } catch (cause) {
      if (!isReadError(cause)) throw cause
      return cursor.mark ?? 'failed'
    }
    this.skip(backup)
    yield { type: 'end' }
    return 'done'
  }
}

/**
 * Does the live file begin as it does? Then it is that file, rotated and compressed in the meantime; or copytruncate,
 * which copies first and empties then, is at it. The live one was looked at later, so that it is never the shorter: the
 * first letters of a line, which all lines have in common, make it no copy.
 */
function isCopy({ head }: Backup, live: Buffer): boolean {
  if (head === undefined || head.length === 0 || head.length > live.length) return false
  const isWhole = head.length === live.length || head.length >= HEAD_BYTES || head.includes(NEWLINE)
  return isWhole && live.subarray(0, head.length).equals(head)
}

/** Several may begin alike only by accident: then the inode decides. */
function findMarked(backups: readonly Backup[], { identity, head }: FileMark): Backup | undefined {
  const alike = backups.filter(backup => backup.head !== undefined && beginsWith(backup.head, head))
  return alike.find(backup => backup.identity === identity) ?? alike[0]
}

function isReadError(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'string'
}
