/**
 * Tetragon's gRPC stream of events as an event source that reconnects. The agent keeps nothing for a listener that is
 * away: what happened meanwhile is a gap, and said to be one.
 */

import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type ChannelCredentials,
  Client,
  type ClientReadableStream,
  connectivityState,
  credentials,
} from '@grpc/grpc-js'
import { type Backoff, backoffMs } from '../backoff.js'
import type { EventSource, SourceGap, SourcePart, SourcePosition } from '../correlator/event-source.js'
import { MAX_LINE_BYTES } from '../correlator/line-splitter.js'
import { escapeForeign } from '../policy/index.js'
import { type EventMessage, exportLine } from './tetragon-message.js'
import { describeGetEvents, PROCESS_EXEC } from './tetragon-proto.js'
import { whyRefused } from './tetragon-refusal.js'
import { reasonOf, unreadable } from './text-file.js'

const IDLE_MS = 250
/** A part costs as much as some events. */
const GATHER_MS = 10
const BACKOFF: Backoff = { minMs: 500, maxMs: 30_000 }
const CONNECT_TIMEOUT_MS = 10_000
/** The library's wait cannot be ended before its time, and the process stays until then. */
const CONNECT_LOOK_MS = 250
/** Messages that wait to be taken; the agent waits, and in the end drops events, when there are more. */
const MAX_WAITING = 1024
/**
 * How often an agent that sends nothing is asked whether it is there. gRPC servers in Go, as the agent is one, end a
 * connection that asks more often than every five minutes unless they were told otherwise.
 */
const KEEPALIVE_MS = 330_000
const KEEPALIVE_TIMEOUT_MS = 20_000
/** How often a quiet stream says until when it was watched. */
const POSITION_MS = 10_000
/** Raised when an older version could misread a position. */
const POSITION_VERSION = 1

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
  /** The position that came with the last part that was kept: the time since then is a gap. */
  readonly from?: SourcePosition | undefined
  /** How long an agent may be silent before it is asked whether it is there, in milliseconds. Default 330,000. */
  readonly keepaliveMs?: number
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
  const { keepaliveMs = KEEPALIVE_MS } = options
  const client = new Client(address, channel, {
    'grpc.max_receive_message_length': MAX_LINE_BYTES,
    // An agent is never behind the proxy of the environment.
    'grpc.enable_http_proxy': 0,
    'grpc.initial_reconnect_backoff_ms': BACKOFF.minMs,
    'grpc.max_reconnect_backoff_ms': BACKOFF.maxMs,
    'grpc.keepalive_time_ms': keepaliveMs,
    'grpc.keepalive_timeout_ms': Math.min(keepaliveMs, KEEPALIVE_TIMEOUT_MS),
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
  let lostAt = watchedUntil(options.from, address)
  let isTold = false
  let failures = 0
  while (!signal.aborted) {
    let problem = await connect(client, signal)
    if (problem === undefined) {
      const gap: SourceGap | undefined =
        lostAt === undefined ? undefined : { code: 'disconnected', source: address, from: lostAt, to: now() }
      const end = yield* readStream(openStream(client), address, gap, options)
      problem = end.problem
      if (end.isAccepted) {
        failures = 0
        lostAt = now()
        isTold = false
      }
    }
    if (signal.aborted) return
    if (!isTold) onInterruption?.(problem)
    isTold = true
    yield { type: 'idle' }
    await sleep(backoffMs(BACKOFF, failures, options.random()), undefined, { signal }).catch(() => {})
    failures += 1
  }
}

/** @returns why there is no connection. */
async function connect(client: Client, signal: AbortSignal): Promise<string | undefined> {
  for (let waited = 0; waited < CONNECT_TIMEOUT_MS && !signal.aborted; waited += CONNECT_LOOK_MS) {
    const ready = deferred<boolean>()
    client.waitForReady(Date.now() + CONNECT_LOOK_MS, error => ready.resolve(!error))
    if (await ready.promise) return undefined
    // It was refused, or there is no such host: the library tries again in its own time, and so does the caller.
    const state = client.getChannel().getConnectivityState(false)
    if (state === connectivityState.TRANSIENT_FAILURE) return await whyRefused(openStream(client))
  }
  return signal.aborted ? 'stopped' : 'no connection'
}

interface StreamEnd {
  /** Half a sentence. */
  readonly problem: string
  /** It brought events, or stayed open: the agent did not refuse it. */
  readonly isAccepted: boolean
}

/** @param gap what lies before this stream, once it turns out to be one. */
async function* readStream(
  call: ClientReadableStream<EventMessage>,
  address: string,
  gap: SourceGap | undefined,
  { signal, now }: TetragonOptions,
): AsyncGenerator<SourcePart, StreamEnd> {
  const inbox = new Inbox(call)
  const positionNow = positionsOf(address)
  let isAccepted = false
  const stop = () => call.cancel()
  signal.addEventListener('abort', stop, { once: true })
  try {
    while (!signal.aborted) {
      const lines = await inbox.take()
      if (lines.length === 0 && inbox.problem !== undefined) break
      if (!isAccepted && gap !== undefined) yield { type: 'gap', gap }
      isAccepted = true
      if (lines.length > 0) yield { type: 'bytes', bytes: Buffer.from(lines.join('')), ...positionNow(now(), true) }
      else yield { type: 'idle', ...positionNow(now(), false) }
    }
  } finally {
    signal.removeEventListener('abort', stop)
    call.cancel()
  }
  return { problem: inbox.problem ?? 'stopped', isAccepted }
}

/** Until when the agent was watched: with every event, and now and then without. */
function positionsOf(address: string): (at: number, isNews: boolean) => Pick<SourcePart, 'position'> {
  let saidAt = Number.NEGATIVE_INFINITY
  return (at, isNews) => {
    if (!isNews && at - saidAt < POSITION_MS) return {}
    saidAt = at
    return { position: { type: 'stream', version: POSITION_VERSION, address, at } }
  }
}

/** Messages that have come in, each as a line. */
class Inbox {
  /** Why no more will come, as half a sentence. */
  problem: string | undefined
  readonly #call: ClientReadableStream<EventMessage>
  #lines: string[] = []
  #wake = deferred<void>()

  constructor(call: ClientReadableStream<EventMessage>) {
    this.#call = call
    call.on('data', (message: EventMessage) => {
      this.#lines.push(exportLine(message))
      if (this.#lines.length >= MAX_WAITING) call.pause()
      this.#wake.resolve()
    })
    call.on('error', error => this.#end(escapeForeign(error.message, 200)))
    call.on('end', () => this.#end('the agent ended the stream'))
  }

  /** All that has come by now; nothing after a quarter of a second of silence, or at the end. */
  async take(): Promise<readonly string[]> {
    if (this.#lines.length === 0 && this.problem === undefined) {
      await Promise.race([this.#wake.promise, sleep(IDLE_MS, undefined, { ref: false })])
    }
    // Messages are handed over one by one: let some come, for one part.
    if (this.#lines.length > 0 && this.problem === undefined) await sleep(GATHER_MS)
    const lines = this.#lines
    this.#lines = []
    this.#wake = deferred()
    if (this.#call.isPaused()) this.#call.resume()
    return lines
  }

  #end(problem: string): void {
    this.problem ??= problem
    this.#wake.resolve()
  }
}

/** Until when the run before watched this agent, in milliseconds since the epoch; undefined: not known. */
function watchedUntil(from: SourcePosition | undefined, address: string): number | undefined {
  if (from?.['type'] !== 'stream' || from['version'] !== POSITION_VERSION || from['address'] !== address)
    return undefined
  const { at } = from
  return typeof at === 'number' && Number.isSafeInteger(at) ? at : undefined
}

function openStream(client: Client): ClientReadableStream<EventMessage> {
  const { path, requestSerialize, responseDeserialize } = describeGetEvents()
  // The loader knows the shape only when the program runs.
  const decode = (bytes: Buffer) => responseDeserialize(bytes) as EventMessage
  return client.makeServerStreamRequest(path, requestSerialize, decode, { allow_list: [{ event_set: [PROCESS_EXEC] }] })
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
