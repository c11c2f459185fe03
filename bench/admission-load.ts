/**
 * Child process of group `admission`: sends AdmissionReviews over kept-alive connections, each as soon as its former
 * answer is in, and counts.
 *
 * HTTP/1.1 is written by hand on TLS sockets: a whole client does about as much a request as the server that is measured,
 * and the load should not be what limits the rate.
 */

import { connect, type TLSSocket } from 'node:tls'
import { quantile } from './measure.js'

export interface LoadOrder {
  readonly port: number
  readonly ca: string
  readonly millis: number
  /** Reviews as JSON; where one holds `UID`, each request puts another id of the same length. */
  readonly reviews: readonly string[]
}

export interface LoadReport {
  readonly requests: number
  readonly seconds: number
  readonly p99Millis: number
}

/** Stands in the reviews for the ids that differ from request to request, or retries would be all that is recorded. */
export const UID = '00000000-0000-4000-8000-############'

const CONNECTIONS = 16
const HEAD_END = '\r\n\r\n'
const CONTENT_LENGTH = /\r\ncontent-length: (\d+)/i

/** Kept from one slice to the next, as the API server keeps its own. */
const sockets = new Map<number, readonly TLSSocket[]>()
let made = 0

process.on('message', async (order: LoadOrder) => {
  process.send?.(await run(order))
})
process.on('disconnect', () => {
  for (const socket of [...sockets.values()].flat()) socket.destroy()
})

async function run(order: LoadOrder): Promise<LoadReport> {
  const connected = sockets.get(order.port) ?? (await connectAll(order))
  sockets.set(order.port, connected)
  const templates = order.reviews.map(toTemplate)
  const start = performance.now()
  const perSocket = await Promise.all(connected.map(socket => keepBusy(socket, templates, start + order.millis)))
  const latencies = perSocket.flat()
  const seconds = (performance.now() - start) / 1_000
  return { requests: latencies.length, seconds, p99Millis: quantile(latencies, 0.99) }
}

function connectAll({ port, ca }: LoadOrder): Promise<readonly TLSSocket[]> {
  return Promise.all(
    Array.from(
      { length: CONNECTIONS },
      () =>
        new Promise<TLSSocket>((resolve, reject) => {
          const socket = connect({ host: '127.0.0.1', port, ca, servername: 'localhost' }, () => resolve(socket))
          socket.setNoDelay(true)
          socket.on('error', reject)
        }),
    ),
  )
}

interface Template {
  readonly bytes: Buffer
  /** Where the ids' last twelve digits stand. */
  readonly places: readonly number[]
}

function toTemplate(review: string): Template {
  const head = `POST /validate?timeout=10s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(review)}${HEAD_END}`
  const bytes = Buffer.from(head + review)
  const places: number[] = []
  for (let at = bytes.indexOf('############'); at !== -1; at = bytes.indexOf('############', at + 12)) places.push(at)
  return { bytes, places }
}

function nextRequest(templates: readonly Template[]): Buffer {
  const template = templates[made % templates.length]
  if (template === undefined) throw new Error('there is no review to send')
  made += 1
  const request = Buffer.from(template.bytes)
  const digits = String(made).padStart(12, '0')
  for (const place of template.places) request.write(digits, place, 'latin1')
  return request
}

/** One request after the other until the time is over. @returns how long each took, in milliseconds. */
function keepBusy(socket: TLSSocket, templates: readonly Template[], end: number): Promise<readonly number[]> {
  return new Promise((resolve, reject) => {
    const latencies: number[] = []
    let received = ''
    let sentAt = performance.now()
    const send = (): void => {
      sentAt = performance.now()
      socket.write(nextRequest(templates))
    }
    const onData = (chunk: Buffer): void => {
      received += chunk.toString('latin1')
      const length = answerLength(received)
      if (length === undefined || received.length < length) return
      if (!received.startsWith('HTTP/1.1 200')) reject(new Error(`not answered: ${received.slice(0, 200)}`))
      received = ''
      const now = performance.now()
      latencies.push(now - sentAt)
      if (now < end) {
        send()
        return
      }
      socket.off('data', onData)
      resolve(latencies)
    }
    socket.on('data', onData)
    socket.once('close', () => reject(new Error('the server closed a connection')))
    send()
  })
}

/** Head and body of the answer that begins the text; undefined until its head is complete. */
function answerLength(text: string): number | undefined {
  const headEnd = text.indexOf(HEAD_END)
  if (headEnd === -1) return undefined
  const length = CONTENT_LENGTH.exec(text.slice(0, headEnd))?.[1]
  return headEnd + HEAD_END.length + Number(length ?? 0)
}
