/** Text to a stream whose reader may be slow, or gone. */

import { once } from 'node:events'

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
