/**
 * A file that is followed for ever, through rotation by renaming and through truncation.
 *
 * Tetragon closes its file, renames it and creates a new one: the path is absent for a moment. So the open file is read
 * to its end once more after another one was seen under its name, and only then left. What this cannot see yet: files
 * that came and went between two polls, and a file that was truncated and grew past the old offset in the meantime.
 */

import { type FileHandle, open, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { EventSource, SourcePart } from '../correlator/event-source.js'
import { KnownError } from '../errors.js'
import { reasonOf, unreadable } from './text-file.js'

const READ_BYTES = 256 * 1024
const DEFAULT_POLL_MS = 250
const NEWLINE = 0x0a

export interface TailOptions {
  /** Read what the file holds already; default: begin after its last complete line. */
  readonly fromStart: boolean
  /** How often an unchanged file is looked at, in milliseconds. Default 250. */
  readonly pollMs?: number
  /** Ends the source. */
  readonly signal: AbortSignal
  /** Called once when the path does not exist at the start; it is then waited for. */
  readonly onWaiting?: () => void
}

/** @throws KnownError FILE_UNREADABLE for a directory, a file that may not be read, or a missing parent directory. */
export async function* tailFile(path: string, options: TailOptions): EventSource {
  const { signal, pollMs = DEFAULT_POLL_MS } = options
  await checkPath(path, options)
  let file = await openFile(path, options.fromStart ? 'start' : 'end')
  let isFirst = true
  try {
    while (!signal.aborted) {
      if (file === undefined) {
        yield { type: 'idle' }
        await pause(pollMs, signal)
        file = await openFile(path, 'start')
        continue
      }
      if (isFirst) yield { type: 'begin', name: path }
      isFirst = false
      yield* readToEnd(file)
      const fate = await fateOf(file, path)
      if (fate === 'same') {
        yield { type: 'idle' }
        await pause(pollMs, signal)
      } else if (fate === 'truncated') {
        file.offset = 0
        isFirst = true
      } else {
        // What was written between the last read and the renaming.
        yield* readToEnd(file)
        yield { type: 'end' }
        await file.handle.close()
        file = await openFile(path, 'start')
        isFirst = true
      }
    }
  } finally {
    await file?.handle.close()
  }
}

interface OpenFile {
  readonly handle: FileHandle
  readonly identity: string
  offset: number
}

async function checkPath(path: string, { onWaiting }: TailOptions): Promise<void> {
  try {
    if ((await stat(path)).isDirectory()) throw unreadable(path, 'it is a directory; name the file in it')
  } catch (cause) {
    if (cause instanceof KnownError) throw cause
    const hasParent = isMissing(cause) && (await stat(dirname(path)).catch(() => undefined))?.isDirectory() === true
    if (!hasParent) throw unreadable(path, reasonOf(cause), cause)
    onWaiting?.()
  }
}

/** Undefined while there is no such file. */
async function openFile(path: string, from: 'start' | 'end'): Promise<OpenFile | undefined> {
  let handle: FileHandle
  try {
    handle = await open(path, 'r')
  } catch (cause) {
    if (isMissing(cause)) return undefined
    throw unreadable(path, reasonOf(cause), cause)
  }
  const { dev, ino, size } = await handle.stat()
  const offset = from === 'start' ? 0 : await endOfLastLine(handle, size)
  return { handle, identity: `${dev}:${ino}`, offset }
}

/** Where the last complete line ends: an unfinished one will be read whole. */
async function endOfLastLine(handle: FileHandle, size: number): Promise<number> {
  const buffer = Buffer.alloc(READ_BYTES)
  let end = size
  while (end > 0) {
    const start = Math.max(0, end - READ_BYTES)
    const { bytesRead } = await handle.read(buffer, 0, end - start, start)
    const newline = buffer.subarray(0, bytesRead).lastIndexOf(NEWLINE)
    if (newline !== -1) return start + newline + 1
    end = start
  }
  return 0
}

async function* readToEnd(file: OpenFile): AsyncGenerator<SourcePart> {
  while (true) {
    // A buffer of its own for each read: the last line's beginning is kept until its end has come.
    const { bytesRead, buffer } = await file.handle.read(Buffer.allocUnsafe(READ_BYTES), 0, READ_BYTES, file.offset)
    if (bytesRead === 0) return
    file.offset += bytesRead
    yield { type: 'bytes', bytes: buffer.subarray(0, bytesRead) }
  }
}

/** `rotated`: another file stands under the path. An absent path says nothing yet: its successor is on its way. */
async function fateOf(file: OpenFile, path: string): Promise<'same' | 'truncated' | 'rotated'> {
  const { size } = await file.handle.stat()
  if (size < file.offset) return 'truncated'
  const successor = await stat(path).catch((cause: unknown) => {
    if (isMissing(cause)) return undefined
    throw unreadable(path, reasonOf(cause), cause)
  })
  if (successor === undefined) return 'same'
  return `${successor.dev}:${successor.ino}` === file.identity ? 'same' : 'rotated'
}

function isMissing(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  // The loop looks at the signal itself.
  await sleep(ms, undefined, { signal }).catch(() => {})
}
