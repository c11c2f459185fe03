/** `--source`: which events a command reads, and how it goes on where the run before ended. */

import { readEventFiles } from '../adapters/event-file.js'
import { tailFile } from '../adapters/file-tail.js'
import { checkPath } from '../adapters/tail-options.js'
import type { TetragonTls } from '../adapters/tetragon-grpc.js'
import type { EventSource, SourcePosition } from '../correlator/event-source.js'
import { KnownError } from '../errors.js'
import { escapeForeign } from '../policy/index.js'
import type { CommandIo } from './command-io.js'

export interface SourceOptions {
  readonly source: string
  readonly fromStart?: boolean
  readonly grpcCa?: string
  readonly grpcCert?: string
  readonly grpcKey?: string
}

/** How often standard input that is quiet lets time be seen to pass. */
const IDLE_MS = 250
const FORMS = '--source takes file:PATH, grpc:HOST:PORT, grpc:unix:///PATH or -'
const GRPC_ADDRESS = /^(?:unix:\/\/\/.+|[^/]+:(\d{1,5}))$/
const LAST_PORT = 65_535

/** @throws KnownError USAGE */
export function checkSource(options: SourceOptions): void {
  const { source } = options
  const { scheme, rest } = partsOf(source)
  const isGrpc = scheme === 'grpc'
  const isValid = source === '-' || (scheme === 'file' && rest !== '') || (isGrpc && isAddress(rest))
  if (!isValid) throw new KnownError('USAGE', FORMS)
  const tls = tlsOf(options)
  if (tls !== undefined && !isGrpc) throw new KnownError('USAGE', '--grpc-ca needs a --source of grpc:')
}

/** Whether it can be read at all. @throws KnownError FILE_UNREADABLE */
export async function probeSource({ source }: SourceOptions): Promise<void> {
  const { scheme, rest } = partsOf(source)
  if (scheme === 'file') await checkPath(rest)
}

/** @param from where the run before ended. */
export function openSource(options: SourceOptions, from: SourcePosition | undefined, io: CommandIo): EventSource {
  const { stdin, stderr, signal, now } = io
  if (options.source === '-')
    return readEventFiles(['-'], { stdin, signal, idleMs: IDLE_MS, isBufferReused: true, damageClock: now })
  const { scheme, rest } = partsOf(options.source)
  if (scheme === 'grpc') return openGrpc(rest, options, from, io)
  return tailFile(rest, {
    fromStart: options.fromStart === true,
    from,
    now,
    signal,
    onBadPosition: problem => stderr.write(`sallyport: the place in the source is not known: ${problem}\n`),
    onTrouble: problem => stderr.write(`sallyport: ${problem}; trying again\n`),
    onWaiting: () => stderr.write(`sallyport: waiting for ${escapeForeign(rest, 300)}, which does not exist yet\n`),
  })
}

/** Loaded only when it is wanted: the gRPC library costs 0.2 s at the start. */
async function* openGrpc(
  address: string,
  options: SourceOptions,
  from: SourcePosition | undefined,
  io: CommandIo,
): EventSource {
  const { now, signal, stderr } = io
  const { watchTetragon } = await import('../adapters/tetragon-grpc.js')
  const onInterruption = (problem: string): void => {
    stderr.write(`sallyport: no events from ${escapeForeign(address, 300)} (${problem}); trying again\n`)
  }
  yield* watchTetragon(address, { tls: tlsOf(options), from, now, random: Math.random, signal, onInterruption })
}

function isAddress(text: string): boolean {
  const [address, port = '1'] = GRPC_ADDRESS.exec(text) ?? []
  return address !== undefined && Number(port) > 0 && Number(port) <= LAST_PORT
}

function tlsOf({ grpcCa: ca, grpcCert: cert, grpcKey: key }: SourceOptions): TetragonTls | undefined {
  if ((cert === undefined) !== (key === undefined)) {
    throw new KnownError('USAGE', '--grpc-cert and --grpc-key go together')
  }
  if (ca === undefined && cert !== undefined) throw new KnownError('USAGE', '--grpc-cert needs --grpc-ca')
  if (ca === undefined) return undefined
  return { ca, certificate: cert === undefined || key === undefined ? undefined : { cert, key } }
}

function partsOf(source: string): { scheme: string; rest: string } {
  const colon = source.indexOf(':')
  return { scheme: source.slice(0, Math.max(0, colon)), rest: source.slice(colon + 1) }
}
