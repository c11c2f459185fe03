/** Bytes that may be gzipped, told by their first two: rotated files are renamed, and standard input has no name. */

import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'

const CHUNK_BYTES = 256 * 1024
export const GZIP_MAGIC = Buffer.from([0x1f, 0x8b])

/** The plain bytes of a stream. Its errors, and zlib's, come out as they are. */
export async function* decompress(stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const chunks = stream[Symbol.asyncIterator]()
  let head = Buffer.alloc(0)
  try {
    while (head.length < GZIP_MAGIC.length) {
      const next = await chunks.next()
      if (next.done === true) break
      head = Buffer.concat([head, next.value])
    }
    const whole = prepend(head, chunks)
    if (head.subarray(0, GZIP_MAGIC.length).equals(GZIP_MAGIC)) yield* gunzip(whole)
    else yield* whole
  } finally {
    // Whoever stops half-way closes the file.
    await chunks.return?.()
  }
}

export function isZlibError(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'string' && cause.code.startsWith('Z_')
}

async function* prepend(head: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  if (head.length > 0) yield head
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value
}

async function* gunzip(chunks: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  const stream = createGunzip({ chunkSize: CHUNK_BYTES })
  const feeding = pipeline(chunks, stream)
  // Whatever goes wrong reaches the reader through the stream itself.
  feeding.catch(() => {})
  for await (const bytes of stream) yield bytes
}
