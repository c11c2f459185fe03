/** Standard output as a sink: one finding a line, JSON. */

import { fstatSync, write } from 'node:fs'
import { promisify } from 'node:util'
import type { FindingReceiver } from '../correlator/delivery.js'
import { endsTorn } from './line-end.js'
import { createLineSink, isReaderGone, type LineTarget } from './sink-lines.js'

const writeTo = promisify(write)

/**
 * A reader that is slow holds up nothing else, and nothing is left in a buffer of this process when it ends.
 *
 * @param onReaderGone called at each write that nobody will ever read.
 */
export function createStdoutSink(stream: NodeJS.WritableStream, onReaderGone: () => void): FindingReceiver {
  // The stream itself would keep what a slow reader leaves, and the process with it; after an error it takes nothing more.
  const fd = 'fd' in stream && typeof stream.fd === 'number' ? stream.fd : undefined
  const target = fd === undefined ? streamTarget(stream) : descriptorTarget(fd)
  return createLineSink({
    ...target,
    async write(bytes) {
      try {
        return await target.write(bytes)
      } catch (error) {
        if (isReaderGone(error)) onReaderGone()
        throw error
      }
    },
  })
}

/** Node makes a pipe and a socket of standard output non-blocking when it opens its stream. */
function descriptorTarget(fd: number): LineTarget {
  let isFirst = true
  return {
    async prepare() {
      const isTorn = isFirst && fstatSync(fd).isFile() && endsTorn(`/dev/fd/${fd}`)
      isFirst = false
      return isTorn ? 'torn' : 'same'
    },
    async write(bytes) {
      const { bytesWritten } = await writeTo(fd, bytes)
      return bytesWritten
    },
    close() {},
  }
}

/** Of whoever runs a command inside of another program. */
function streamTarget(stream: NodeJS.WritableStream): LineTarget {
  return {
    prepare: async () => 'same',
    write: bytes =>
      new Promise((resolve, reject) => {
        const gone = (): void => reject(Object.assign(new Error('the stream was closed'), { code: 'EPIPE' }))
        if (!stream.writable) return gone()
        stream.once('close', gone)
        stream.write(bytes, error => {
          stream.off('close', gone)
          if (error) reject(error)
          else resolve(bytes.length)
        })
      }),
    close() {},
  }
}
