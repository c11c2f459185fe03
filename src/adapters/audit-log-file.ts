/**
 * What the API server's audit log says of pods: `audit.k8s.io/v1` events, one a line. Of finished files everything is read
 * at once; a live one is followed through its rotation. Only the requests that create or change pods are kept.
 */

import type { AuditEvidence } from '../correlator/audit-evidence.js'
import type { EventSource } from '../correlator/event-source.js'
import { bytesOf, LineSplitter, type SplitLine } from '../correlator/line-splitter.js'
import { KnownError } from '../errors.js'
import { escapeForeign } from '../policy/index.js'
import { decodeAuditEvent } from './audit-event.js'
import { AuditIndex } from './audit-index.js'
import { type EventFileOptions, readEventFiles } from './event-file.js'
import { tailFile } from './file-tail.js'

/** An event with the bodies of request and response: two objects. */
const MAX_LINE_BYTES = 8 * 1024 * 1024

/** Counted while the log is read. */
export interface AuditLogStats {
  lines: number
  /** Requests that created or changed pods, each once. */
  requests: number
  /** Lines that are no audit event, or longer than 8 MiB. */
  unreadable: number
}

export interface AuditLog extends AuditEvidence {
  readonly stats: Readonly<AuditLogStats>
}

export interface AuditLogOptions {
  /** How many requests are kept; the oldest are forgotten. Default 50,000. */
  readonly maxRequests?: number
}

/**
 * Read finished logs to their ends, the oldest first; plain or gzipped; `-` is standard input.
 *
 * @throws KnownError FILE_UNREADABLE for a file that cannot be read, or none of whose lines is an audit event.
 */
export async function loadAuditLogs(
  paths: readonly string[],
  options: AuditLogOptions & EventFileOptions,
): Promise<AuditLog> {
  const reader = new AuditLogReader(options)
  for (const path of paths) {
    const { lines, unreadable } = { ...reader.stats }
    // Whether the next file goes on where the last one ended is not known.
    reader.miss()
    await reader.read(readEventFiles([path], options), () => {})
    const read = reader.stats.lines - lines
    if (read > 0 && reader.stats.unreadable - unreadable === read) {
      const sentence = `${escapeForeign(path, 300)} is no audit log of an API server: none of its lines is an audit event`
      throw new KnownError('FILE_UNREADABLE', sentence)
    }
  }
  return reader.log()
}

export interface FollowedAuditLog extends AuditLog {
  /** Resolves when what the file held at the start is read, and at the end. */
  whenCaughtUp(): Promise<void>
  /** Resolves at the signal; rejects with KnownError FILE_UNREADABLE. */
  readonly done: Promise<void>
}

export interface FollowAuditLogOptions extends AuditLogOptions {
  readonly now: () => number
  /** Ends it. */
  readonly signal: AbortSignal
}

/** Read what a live log holds, then follow it. */
export function followAuditLog(path: string, options: FollowAuditLogOptions): FollowedAuditLog {
  const reader = new AuditLogReader(options)
  const { now, signal } = options
  let caughtUp = (): void => {}
  const atEnd = new Promise<void>(resolve => {
    caughtUp = resolve
  })
  const done = reader.read(tailFile(path, { fromStart: true, now, signal }), caughtUp)
  return { ...reader.log(), done, whenCaughtUp: () => Promise.race([atEnd, done]) }
}

class AuditLogReader {
  readonly stats: AuditLogStats = { lines: 0, requests: 0, unreadable: 0 }
  readonly #index: AuditIndex

  constructor({ maxRequests }: AuditLogOptions) {
    this.#index = new AuditIndex(maxRequests)
  }

  log(): AuditLog {
    const index = this.#index
    return {
      requestsOf: pod => index.requestsOf(pod),
      unnamedCreations: (namespace, from, to) => index.unnamedCreations(namespace, from, to),
      requestOfRecord: recordId => index.requestOfRecord(recordId),
      coverage: () => index.coverage(),
      stats: this.stats,
    }
  }

  miss(): void {
    this.#index.miss()
  }

  async read(source: EventSource, onIdle: () => void): Promise<void> {
    const splitter = new LineSplitter(MAX_LINE_BYTES)
    for await (const part of source) {
      switch (part.type) {
        case 'begin':
          splitter.reset()
          break
        case 'bytes':
          this.#take(splitter.push(part.bytes))
          break
        case 'end':
          this.#take(splitter.end())
          break
        case 'idle':
          onIdle()
          break
        case 'gap':
          this.#index.miss()
          break
      }
    }
  }

  #take(lines: readonly SplitLine[]): void {
    for (const line of lines) {
      if (line.type === 'line' && line.end === line.start) continue
      this.stats.lines += 1
      const decoded = line.type === 'line' ? decodeAuditEvent(bytesOf(line)) : ({ type: 'malformed' } as const)
      switch (decoded.type) {
        case 'request':
          this.#index.see(decoded.writtenAt)
          if (this.#index.add(decoded.request)) this.stats.requests += 1
          break
        case 'other':
          if (decoded.writtenAt !== undefined) this.#index.see(decoded.writtenAt)
          break
        case 'malformed':
          this.#index.miss()
          this.stats.unreadable += 1
          break
      }
    }
  }
}
