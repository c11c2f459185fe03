/**
 * The file that stands under the followed path, open: read on, and watched for another file under its name and for
 * truncation. Truncation shows in its size, or, when it has grown past the old offset again, in its first bytes.
 */

import { constants, readSync } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { beginsWith, type FileMark, HEAD_BYTES } from './checkpoint.js'
import { createLoopTurns } from './loop-turn.js'
import type { LiveNeighbour } from './tail-backup-reader.js'
import { Cursor, countLeadingNuls } from './tail-cursor.js'
import { NO_FILE } from './tail-options.js'
import { asUnreadable, isMissing, reasonOf, unreadable } from './text-file.js'

const READ_BYTES = 512 * 1024
const NEWLINE = 0x0a
/** A pipe without a writer would else be waited for by a thread that nothing can stop. */
const NEVER_WAITING = constants.O_RDONLY | constants.O_NONBLOCK

/** `moved`: another file stands under the path. `absent`: none does; its successor may be on its way. */
export type Fate = 'same' | 'truncated' | 'moved' | 'absent'

export class LiveFile {
  readonly cursor: Cursor
  readonly #path: string
  readonly #handle: FileHandle
  /** For all reads: the memory of a new one is cleared by the system each time, and given back late. */
  readonly #buffer = Buffer.allocUnsafeSlow(READ_BYTES)
  readonly #turns = createLoopTurns()
  readonly #beginning = Buffer.allocUnsafeSlow(HEAD_BYTES)

  private constructor(path: string, handle: FileHandle, identity: string) {
    this.#path = path
    this.#handle = handle
    this.cursor = new Cursor(identity)
  }

  /**
   * @returns the file, to be read from its start; undefined while there is none.
   * @throws KnownError FILE_UNREADABLE when it may not be read.
   */
  static async open(path: string): Promise<LiveFile | undefined> {
    let handle: FileHandle | undefined
    try {
      handle = await open(path, NEVER_WAITING)
      const stats = await handle.stat({ bigint: true })
      if (!stats.isFile()) throw unreadable(path, NO_FILE)
      return new LiveFile(path, handle, `${stats.dev}:${stats.ino}`)
    } catch (cause) {
      await handle?.close()
      if (isMissing(cause)) return undefined
      throw asUnreadable(path, cause)
    }
  }

  /** Go on behind its last complete line: an unfinished one will be read whole. */
  async skipToEnd(): Promise<void> {
    const { size } = await this.#handle.stat()
    const { start, head } = await this.#begin()
    this.cursor.moveTo(start, head, Math.max(start, await this.#endOfLastLine(size)))
  }

  /** Go on where an earlier reader stood. @returns false, and stays at the start, if this is another file. */
  async resume(mark: FileMark): Promise<boolean> {
    const { size } = await this.#handle.stat()
    if (size < mark.offset) return false
    const { start, head } = await this.#begin()
    if (!beginsWith(head, mark.head)) return false
    this.cursor.moveTo(start, head, mark.offset)
    return true
  }

  /**
   * Not by a thread: to hand it over costs more than the read. So the rest of the process gets its turns here.
   *
   * @returns the next bytes, undefined at the end for now, or `truncated`. They are overwritten by the next read.
   */
  async read(): Promise<Buffer | 'truncated' | undefined> {
    await this.#turns()
    const { cursor } = this
    const bytesRead = readSync(this.#handle.fd, this.#buffer, 0, READ_BYTES, cursor.offset)
    const bytes = this.#buffer.subarray(0, bytesRead)
    // Only what was there before the file was truncated may follow what was read before.
    if (!this.#isUnchanged()) return 'truncated'
    if (bytesRead === 0) return undefined
    cursor.advance(bytes)
    return bytes
  }

  async fate(): Promise<Fate> {
    const { size } = await this.#handle.stat()
    if (size < this.cursor.offset) return 'truncated'
    const current = await stat(this.#path, { bigint: true }).catch((cause: unknown) => {
      if (isMissing(cause)) return undefined
      throw unreadable(this.#path, reasonOf(cause), cause)
    })
    if (current === undefined) return 'absent'
    return `${current.dev}:${current.ino}` === this.cursor.identity ? 'same' : 'moved'
  }

  get identity(): string {
    return this.cursor.identity
  }

  get neighbour(): LiveNeighbour {
    return { identity: this.identity, head: () => this.head() }
  }

  /** Its first bytes at this moment, as a rotated file is known by them. */
  async head(): Promise<Buffer> {
    return (await this.#begin()).head
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }

  /** Whether the file still begins as it did. */
  #isUnchanged(): boolean {
    const { head, start } = this.cursor
    const bytesRead = readSync(this.#handle.fd, this.#beginning, 0, head.length, start)
    return bytesRead === head.length && this.#beginning.compare(head, 0, bytesRead, 0, bytesRead) === 0
  }

  async #begin(): Promise<{ start: number; head: Buffer }> {
    let start = 0
    while (true) {
      const { bytesRead, buffer } = await this.#handle.read(Buffer.alloc(READ_BYTES), 0, READ_BYTES, start)
      const nuls = countLeadingNuls(buffer.subarray(0, bytesRead))
      start += nuls
      if (nuls < READ_BYTES) break
    }
    const { bytesRead, buffer } = await this.#handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, start)
    return { start, head: buffer.subarray(0, bytesRead) }
  }

  async #endOfLastLine(size: number): Promise<number> {
    const buffer = Buffer.alloc(READ_BYTES)
    let end = size
    while (end > 0) {
      const start = Math.max(0, end - READ_BYTES)
      const { bytesRead } = await this.#handle.read(buffer, 0, end - start, start)
      const newline = buffer.subarray(0, bytesRead).lastIndexOf(NEWLINE)
      if (newline !== -1) return start + newline + 1
      end = start
    }
    return 0
  }
}
