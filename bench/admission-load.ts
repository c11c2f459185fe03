/**
 * Child process of group `admission`: sends AdmissionReviews over kept-alive connections and counts. Either each
 * connection sends as soon as its former answer is in, or reviews come at a fixed rate, whether or not answers do.
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
  /** Reviews a second; undefined: as many as the server takes. */
  readonly rate: number | undefined
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
  const end = start + order.millis
  const latencies =
    order.rate === undefined
      ? (await Promise.all(connected.map(socket => keepBusy(socket, templates, end)))).flat()
      : await sendAtRate(connected, templates, order.rate, end)
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
async function keepBusy(socket: TLSSocket, templates: readonly Template[], end: number): Promise<readonly number[]> {
  const latencies: number[] = []
  for (let sentAt = performance.now(); sentAt < end; sentAt = performance.now()) {
    await exchange(socket, nextRequest(templates))
    latencies.push(performance.now() - sentAt)
  }
  return latencies
}

/**
 * Requests at even distances until the time is over. One that finds no free connection waits for one, and that is part
 * of how long it took: a server that falls behind does not get fewer requests for it.
 */
async function sendAtRate(
  connected: readonly TLSSocket[],
  templates: readonly Template[],
  rate: number,
  end: number,
): Promise<readonly number[]> {
  const start = performance.now()
  const latencies: number[] = []
  const free = [...connected]
  const under: Promise<void>[] = []
  let due = start
  while (performance.now() < end) {
    while (due <= performance.now()) {
      const socket = free.shift()
      if (socket === undefined) break
      const dueAt = due
      under.push(
        exchange(socket, nextRequest(templates)).then(() => {
          latencies.push(performance.now() - dueAt)
          free.push(socket)
        }),
      )
      due += 1_000 / rate
    }
    // Timers are a millisecond apart: this core has nothing else to do.
    await new Promise(resolve => setImmediate(resolve))
  }
  await Promise.all(under)
  return latencies
}

/** Send a request and take its answer in. */
function exchange(socket: TLSSocket, request: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    let received = ''
    const onData = (chunk: Buffer): void => {
      received += chunk.toString('latin1')
      const length = answerLength(received)
      if (length === undefined || received.length < length) return
      settle()
      if (received.startsWith('HTTP/1.1 200')) resolve()
      else reject(new Error(`not answered: ${received.slice(0, 200)}`))
    }
    const onClose = (): void => {
      settle()
      reject(new Error('the server closed a connection'))
    }
    const settle = (): void => {
      socket.off('data', onData)
      socket.off('close', onClose)
    }
    socket.on('data', onData)
    socket.on('close', onClose)
    socket.write(request)
  })
}

/** Head and body of the answer that begins the text; undefined until its head is complete. */
function answerLength(text: string): number | undefined {
  const headEnd = text.indexOf(HEAD_END)
  if (headEnd === -1) return undefined
  const length = CONTENT_LENGTH.exec(text.slice(0, headEnd))?.[1]
  return headEnd + HEAD_END.length + Number(length ?? 0)
}
