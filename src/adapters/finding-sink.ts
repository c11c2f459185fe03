/** Where findings go: standard output or a file, one JSON object a line. */

import { once } from 'node:events'
import { type FileHandle, open } from 'node:fs/promises'
import type { Finding } from '../correlator/finding.js'
import { jsonLine } from '../correlator/json-line.js'
import { KnownError } from '../errors.js'
import { escapeForeign } from '../policy/index.js'
import { reasonOf } from './text-file.js'

export interface FindingSink {
  /** Waits while the reader is slow. What a reader that has gone would have read is dropped. */
  write(finding: Finding): Promise<void>
  /** After everything was written. */
  close(): Promise<void>
}

/**
 * @param spec `stdout`, or `file:PATH` (appended to, readable by the owner alone).
 * @throws KnownError USAGE for another spec, FILE_UNREADABLE for a file that cannot be written.
 */
export async function openFindingSink(spec: string, stdout: NodeJS.WritableStream): Promise<FindingSink> {
  if (spec === 'stdout') return { write: async finding => writeText(stdout, jsonLine(finding)), close: async () => {} }
  const path = spec.startsWith('file:') ? spec.slice('file:'.length) : ''
  if (path === '') throw new KnownError('USAGE', '--sink takes stdout or file:PATH')
  try {
    return fileSink(path, await open(path, 'a', 0o600))
  } catch (cause) {
    throw unwritable(path, cause)
  }
}

/** Write, and wait while the other side is slow; returns at once when it has gone. */
export async function writeText(stream: NodeJS.WritableStream, text: string): Promise<void> {
  if (!stream.writable || stream.write(text)) return
  const settled = new AbortController()
  const { signal } = settled
  try {
    await Promise.race([once(stream, 'drain', { signal }), once(stream, 'close', { signal })])
  } catch {
    // An error of the stream (EPIPE): whoever owns the stream deals with it; here there is nobody left to write for.
  } finally {
    settled.abort()
  }
}

/** A finding counts as given out once it is in the file: a program that is killed then has lost none in a buffer. */
function fileSink(path: string, handle: FileHandle): FindingSink {
  return {
    async write(finding) {
      try {
        await handle.appendFile(jsonLine(finding))
      } catch (cause) {
        throw unwritable(path, cause)
      }
    },
    async close() {
      await handle.close()
    },
  }
}

function unwritable(path: string, cause: unknown): KnownError {
  return new KnownError('FILE_UNREADABLE', `cannot write ${escapeForeign(path, 300)}: ${reasonOf(cause)}`, { cause })
}
