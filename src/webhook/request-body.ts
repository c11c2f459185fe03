/** The bytes of a request's body, read from Node's own stream: the one case that all API servers make. */

import type { IncomingMessage } from 'node:http'

export type BodyRead = (error: Error | undefined, body: Buffer) => void

const NOTHING = Buffer.alloc(0)

/** How long a body is to be, by its header; undefined when it is sent in chunks, or the header is no number. */
export function declaredLength(headers: IncomingMessage['headers']): number | undefined {
  if (headers['transfer-encoding'] !== undefined) return undefined
  const length = Number(headers['content-length'])
  return Number.isSafeInteger(length) && length >= 0 ? length : undefined
}

/**
 * Read the whole body. Node ends it after the declared length, or fails with ECONNRESET when the client goes away before.
 *
 * @param done called once; the body may be a part of a larger buffer, so copy what shall stay.
 */
export function readBody(message: IncomingMessage, done: BodyRead): void {
  // A small body comes with its head, and is there as soon as the parser is done with both: it takes no listeners, and
  // with them two more turns of the queue.
  process.nextTick(readAtOnce, message, done)
}

function readAtOnce(message: IncomingMessage, done: BodyRead): void {
  const body: Buffer | null = message.read()
  if (body !== null && message.complete) done(undefined, body)
  else readOn(message, body, done)
}

function readOn(message: IncomingMessage, first: Buffer | null, done: BodyRead): void {
  const chunks: Buffer[] = first === null ? [] : [first]
  message.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
  })
  const fail = (error: Error): void => done(error, NOTHING)
  message.once('end', () => {
    // Who goes away now has sent all: that is no error of the body.
    message.off('error', fail)
    done(undefined, chunks.length === 1 ? (chunks[0] ?? NOTHING) : Buffer.concat(chunks))
  })
  message.once('error', fail)
}
