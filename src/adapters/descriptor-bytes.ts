/**
 * What an open descriptor gives, in one memory that is filled anew for each piece. A stream would take new memory for
 * every piece of 64 KB: to clear that away cost more than all work on the events in it.
 */

import { fstatSync, readSync } from 'node:fs'
import { Socket } from 'node:net'
import { createLoopTurns } from './loop-turn.js'

const READ_BYTES = 512 * 1024

/** Each piece holds until the next is asked for. */
export interface DescriptorBytes extends AsyncIterable<Buffer> {
  /** Ends it, also while it waits. */
  stop(): void
}

/** Undefined for a terminal or another device: read those as a stream. */
export function openDescriptor(fd: number): DescriptorBytes | undefined {
  const stats = fstatSync(fd)
  if (stats.isFile()) return readFile(fd)
  return stats.isFIFO() || stats.isSocket() ? readPipe(fd) : undefined
}

/** From where the descriptor stands. */
function readFile(fd: number): DescriptorBytes {
  let isStopped = false
  async function* read(): AsyncGenerator<Buffer> {
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES)
    const turns = createLoopTurns()
    while (!isStopped) {
      const length = readSync(fd, buffer, 0, READ_BYTES, null)
      if (length === 0) return
      yield buffer.subarray(0, length)
      await turns()
    }
  }
  return {
    [Symbol.asyncIterator]: read,
    stop: () => {
      isStopped = true
    },
  }
}

function readPipe(fd: number): DescriptorBytes {
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES)
  let filled = 0
  let isOver = false
  let failure: Error | undefined
  let wake = (): void => {}
  const callback = (length: number): boolean => {
    filled = length
    wake()
    // Nothing more until this was taken.
    return false
  }
  // Node's types know `onread` for connections alone.
  const options = { fd, readable: true, writable: false, onread: { buffer, callback } }
  const socket = new Socket(options)
  const end = (): void => {
    isOver = true
    wake()
  }
  socket.on('end', end).on('close', end)
  socket.on('error', cause => {
    failure = cause
    end()
  })
  async function* read(): AsyncGenerator<Buffer> {
    try {
      while (!isOver) {
        socket.resume()
        if (filled === 0)
          await new Promise<void>(resolve => {
            wake = resolve
          })
        const length = filled
        filled = 0
        if (length > 0) yield buffer.subarray(0, length)
      }
      if (failure !== undefined) throw failure
    } finally {
      socket.destroy()
    }
  }
  return { [Symbol.asyncIterator]: read, stop: () => socket.destroy() }
}
