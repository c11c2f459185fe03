/**
 * Tetragon's gRPC stream of events as an event source that reconnects. The agent keeps nothing for a listener that is
 * away: what happened meanwhile is a gap, and said to be one.
 */

import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ChannelCredentials, Client, type ClientReadableStream, credentials } from '@grpc/grpc-js'
import type { EventSource, SourcePart } from '../correlator/event-source.js'
import { MAX_LINE_BYTES } from '../correlator/line-splitter.js'
import { escapeForeign } from '../policy/index.js'
import { type EventMessage, exportLine } from './tetragon-message.js'
import { describeGetEvents, PROCESS_EXEC } from './tetragon-proto.js'
import { reasonOf, unreadable } from './text-file.js'

const IDLE_MS = 250
const MIN_BACKOFF_MS = 500
const MAX_BACKOFF_MS = 30_000
const CONNECT_TIMEOUT_MS = 10_000
/** Lines of one part; a part is not held back to be filled. */
const MAX_BATCH = 256

export interface TetragonTls {
  readonly ca: string
  /** For an agent that asks its clients for a certificate. */
  readonly certificate?: { readonly cert: string; readonly key: string } | undefined
}

export interface TetragonOptions {
  /** Files in PEM; undefined: plain text. */
  readonly tls?: TetragonTls | undefined
  /** The clock of this machine, in milliseconds since the epoch: it dates gaps. */
  readonly now: () => number
  /** 0 to 1, for the back-off: many clients of a restarted agent must not come all at once. */
  readonly random: () => number
  /** Ends the source. */
  readonly signal: AbortSignal
  /** Called once per interruption, with half a sentence. */
  readonly onInterruption?: (problem: string) => void
}

/**
 * @param address `host:port`, or `unix:///path`.
 * @throws KnownError FILE_UNREADABLE for a certificate that cannot be read; nothing for an agent that is not there.
 */
export async function* watchTetragon(address: string, options: TetragonOptions): EventSource {
  const channel = await credentialsOf(options.tls)
  const client = new Client(address, channel, {
    'grpc.max_receive_message_length': MAX_LINE_BYTES,
    // An agent is never behind the proxy of the environment.
    'grpc.enable_http_proxy': 0,
    'grpc.initial_reconnect_backoff_ms': MIN_BACKOFF_MS,
    'grpc.max_reconnect_backoff_ms': MAX_BACKOFF_MS,
  })
  try {
    yield { type: 'begin', name: address }
    yield* watchForEver(client, address, options)
  } finally {
    client.close()
  }
}

async function* watchForEver(client: Client, address: string, options: TetragonOptions): AsyncGenerator<SourcePart> {
  const { signal, now, onInterruption } = options
  let lostAt: number | undefined
  let isTold = false
  let failures = 0
  while (!signal.aborted) {
    let problem = await connect(client, signal)
    if (problem === undefined) {
      if (lostAt !== undefined) {
        yield { type: 'gap', gap: { code: 'disconnected', source: address, from: lostAt, to: now() } }
      }
      const end = yield* readStream(openStream(client), signal)
      if (end.hasRead) failures = 0
      problem = end.problem
      lostAt = now()
      isTold = false
    }
    if (signal.aborted) return
    if (!isTold) onInterruption?.(problem)
    isTold = true
    yield { type: 'idle' }
    await backOff(failures, options)
    failures += 1
  }
}

/** @returns why there is no connection. */
async function connect(client: Client, signal: AbortSignal): Promise<string | undefined> {
  const { promise, resolve } = deferred<string | undefined>()
  const stop = () => resolve('stopped')
  signal.addEventListener('abort', stop, { once: true })
  client.waitForReady(Date.now() + CONNECT_TIMEOUT_MS, error => resolve(error && 'no connection'))
  const problem = await promise
  signal.removeEventListener('abort', stop)
  return problem
}

interface StreamEnd {
  /** Half a sentence. */
  readonly problem: string
  readonly hasRead: boolean
}

async function* readStream(
  call: ClientReadableStream<EventMessage>,
  signal: AbortSignal,
): AsyncGenerator<SourcePart, StreamEnd> {
  let wake = deferred<void>()
  let problem: string | undefined
  let hasRead = false
  const onEnd = (words: string) => {
    problem ??= words
    wake.resolve()
  }
  const stop = () => call.cancel()
  call.on('readable', () => wake.resolve())
  call.on('error', error => onEnd(escapeForeign(error.message, 200)))
  call.on('end', () => onEnd('the agent ended the stream'))
  signal.addEventListener('abort', stop, { once: true })
  try {
    while (!signal.aborted) {
      const lines = takeLines(call)
      if (lines.length > 0) {
        hasRead = true
        yield { type: 'bytes', bytes: Buffer.from(lines.join('')) }
        continue
      }
      if (problem !== undefined) break
      const isQuiet = await Promise.race([wake.promise, sleep(IDLE_MS, 'quiet' as const, { ref: false })])
      wake = deferred()
      if (isQuiet === 'quiet') yield { type: 'idle' }
    }
  } finally {
    signal.removeEventListener('abort', stop)
    call.cancel()
  }
  return { problem: problem ?? 'stopped', hasRead }
}

function takeLines(call: ClientReadableStream<EventMessage>): readonly string[] {
  const lines: string[] = []
  while (lines.length < MAX_BATCH) {
    const message: EventMessage | null = call.read()
    if (message === null) break
    lines.push(exportLine(message))
  }
  return lines
}

function openStream(client: Client): ClientReadableStream<EventMessage> {
  const { path, requestSerialize, responseDeserialize } = describeGetEvents()
  // The loader knows the shape only when the program runs.
  const decode = (bytes: Buffer) => responseDeserialize(bytes) as EventMessage
  return client.makeServerStreamRequest(path, requestSerialize, decode, { allow_list: [{ event_set: [PROCESS_EXEC] }] })
}

async function backOff(failures: number, { random, signal }: TetragonOptions): Promise<void> {
  const limit = Math.min(MAX_BACKOFF_MS, MIN_BACKOFF_MS * 2 ** failures)
  await sleep(limit * (0.5 + random() / 2), undefined, { signal }).catch(() => {})
}

async function credentialsOf(tls: TetragonTls | undefined): Promise<ChannelCredentials> {
  if (tls === undefined) return credentials.createInsecure()
  const ca = await readPem(tls.ca)
  if (tls.certificate === undefined) return credentials.createSsl(ca)
  return credentials.createSsl(ca, await readPem(tls.certificate.key), await readPem(tls.certificate.cert))
}

async function readPem(file: string): Promise<Buffer> {
  return await readFile(file).catch((cause: unknown) => {
    throw unreadable(file, reasonOf(cause), cause)
  })
}

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {}
  const promise = new Promise<T>(done => {
    resolve = done
  })
  return { promise, resolve }
}
