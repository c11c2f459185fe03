/** Bytes that may be gzipped, told by their first two: rotated files are renamed, and standard input has no name. */

import { gunzip } from './gzip-members.js'

export const GZIP_MAGIC = Buffer.from([0x1f, 0x8b])

/**
 * The plain bytes of a stream. Its errors come out as they are.
 *
 * @throws GzipDamage, once everything before the damage was given out.
 */
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
    if (head.subarray(0, GZIP_MAGIC.length).equals(GZIP_MAGIC)) yield* oneAhead(gunzip(whole))
    else yield* whole
  } finally {
    // Whoever stops half-way closes the file.
    await chunks.return?.()
  }
}

async function* prepend(head: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  if (head.length > 0) yield head
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value
}

/** While some bytes are read, the next ones are decompressed, in a thread of zlib's. */
async function* oneAhead(source: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  try {
    for (let coming = source.next(); ; ) {
      const step = await coming
      if (step.done === true) return
      coming = source.next()
      // Whatever goes wrong is thrown when its turn comes.
      coming.catch(() => {})
      yield step.value
    }
  } finally {
    await source.return(undefined)
  }
}
