/** Finished event files and standard input as an event source: plain or gzipped, whatever their names say. */

import { createReadStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import type { EventSource, SourcePart } from '../correlator/event-source.js'
import { type DescriptorBytes, openDescriptor } from './descriptor-bytes.js'
import { GzipDamage } from './gzip-members.js'
import { decompress, GZIP_MAGIC } from './gzip-stream.js'
import { withIdleParts } from './idle-parts.js'
import { asUnreadable, reasonOf, unreadable } from './text-file.js'

/** What stands for standard input on a command line. */
export const STDIN_PATH = '-'

const STDIN_NAME = 'standard input'
const READ_BYTES = 512 * 1024

export interface EventFileOptions {
  readonly stdin: NodeJS.ReadableStream
  /** Stops reading; the source then stops without its `end`. */
  readonly signal: AbortSignal
  /** Called after each read, with the bytes as they are stored. */
  readonly onRead?: (bytes: number) => void
  /**
   * One buffer for all reads of a plain file or standard input, because the system has to clear the memory of each new
   * one: only for a reader that keeps none of a part's bytes when it asks for the next. Default false.
   */
  readonly isBufferReused?: boolean
  /** Standard input is followed: an idle part comes each time that it was quiet for so many milliseconds. Default: none. */
  readonly idleMs?: number
  /**
   * A file whose gzip data is damaged is read up to there, and what follows is a gap, dated by this clock of the machine, in
   * milliseconds since the epoch. Default: it is an error.
   */
  readonly damageClock?: () => number
}

/**
 * The stored bytes of all files together, or undefined when standard input is among them.
 *
 * @throws KnownError FILE_UNREADABLE for the first path that is missing, unreadable or a directory: before any is read.
 */
export async function measureEventFiles(paths: readonly string[]): Promise<number | undefined> {
  let total = 0
  for (const path of paths.filter(each => each !== STDIN_PATH)) {
    try {
      const stats = await stat(path)
      if (stats.isDirectory()) throw unreadable(path, 'it is a directory; name the files in it')
      // A named pipe must not be opened twice.
      if (stats.isFile()) await (await open(path, 'r')).close()
      total += stats.size
    } catch (cause) {
      throw asUnreadable(path, cause)
    }
  }
  return paths.includes(STDIN_PATH) ? undefined : total
}

/**
 * Read files to their ends, one after the other; `-` is standard input.
 *
 * @throws KnownError FILE_UNREADABLE for a file that cannot be read, or whose gzip data is damaged: with a `damageClock` only
 *   when nothing can be read before the damage.
 */
export async function* readEventFiles(paths: readonly string[], options: EventFileOptions): EventSource {
  for (const path of paths) {
    const isStdin = path === STDIN_PATH
    yield { type: 'begin', name: isStdin ? STDIN_NAME : path }
    yield* isStdin ? readStdin(options) : readFile(path, options)
    if (options.signal.aborted) return
    yield { type: 'end' }
  }
}

async function* readFile(path: string, options: EventFileOptions): AsyncGenerator<SourcePart> {
  const { signal } = options
  if (options.isBufferReused === true && (await isPlain(path))) {
    yield* readPlain(path, options)
    return
  }
  const stream = createReadStream(path, { highWaterMark: READ_BYTES, signal })
  yield* readStream(stream, path, options)
}

/** Whether it may be opened more than once, and is not gzipped. */
async function isPlain(path: string): Promise<boolean> {
  return orUnreadable(path, async () => {
    if (!(await stat(path)).isFile()) return false
    const file = await open(path, 'r')
    try {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(GZIP_MAGIC.length), 0, GZIP_MAGIC.length, 0)
      return bytesRead < GZIP_MAGIC.length || !buffer.equals(GZIP_MAGIC)
    } finally {
      await file.close()
    }
  })
}

async function* readPlain(path: string, { signal, onRead }: EventFileOptions): AsyncGenerator<SourcePart> {
  const file = await orUnreadable(path, () => open(path, 'r'))
  try {
    const pieces = openDescriptor(file.fd)?.[Symbol.asyncIterator]()
    if (pieces === undefined) throw unreadable(path, 'it was replaced by a device')
    while (!signal.aborted) {
      const piece = await orUnreadable(path, () => pieces.next())
      if (piece.done === true) return
      onRead?.(piece.value.length)
      yield { type: 'bytes', bytes: piece.value }
    }
  } finally {
    await file.close()
  }
}

async function orUnreadable<Value>(path: string, work: () => Promise<Value>): Promise<Value> {
  try {
    return await work()
  } catch (cause) {
    throw unreadable(path, reasonOf(cause), cause)
  }
}

async function* readStdin(options: EventFileOptions): AsyncGenerator<SourcePart> {
  const { stdin, signal, idleMs } = options
  if (signal.aborted) return
  const descriptor = openPlainly(options)
  const stop = (): void => {
    descriptor?.stop()
    if ('destroy' in stdin && typeof stdin.destroy === 'function') stdin.destroy()
  }
  signal.addEventListener('abort', stop, { once: true })
  try {
    const bytes = descriptor === undefined ? stdin : withoutSharing(descriptor)
    const parts = readStream(bytes, STDIN_NAME, options)
    yield* idleMs === undefined ? parts : withIdleParts(parts, idleMs, stop)
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** The process's own standard input, past its stream. */
function openPlainly({ stdin, isBufferReused }: EventFileOptions): DescriptorBytes | undefined {
  return isBufferReused === true && 'fd' in stdin && typeof stdin.fd === 'number' ? openDescriptor(stdin.fd) : undefined
}

/** What is gzipped waits in a queue before it is read. */
async function* withoutSharing(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let isPlain: boolean | undefined
  for await (const piece of bytes) {
    isPlain ??= piece.length >= GZIP_MAGIC.length && !piece.subarray(0, GZIP_MAGIC.length).equals(GZIP_MAGIC)
    yield isPlain ? piece : Buffer.from(piece)
  }
}

async function* readStream(
  stream: AsyncIterable<Buffer | string>,
  name: string,
  { signal, onRead, damageClock }: EventFileOptions,
): AsyncGenerator<SourcePart> {
  try {
    for await (const bytes of decompress(counted(stream, onRead))) yield { type: 'bytes', bytes }
  } catch (cause) {
    if (signal.aborted) return
    if (!(cause instanceof GzipDamage)) throw unreadable(name, reasonOf(cause), cause)
    const detail = `its gzip data is damaged: ${cause.message}`
    if (!cause.isReadableBefore || damageClock === undefined) throw unreadable(name, detail, cause)
    yield { type: 'gap', gap: { code: 'file-damaged', source: name, from: undefined, to: damageClock(), detail } }
  }
}

async function* counted(
  stream: AsyncIterable<Buffer | string>,
  onRead: EventFileOptions['onRead'],
): AsyncGenerator<Buffer> {
  for await (const chunk of stream) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
    onRead?.(bytes.length)
    yield bytes
  }
}
