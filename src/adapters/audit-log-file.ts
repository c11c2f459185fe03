/**
 * What the API server's audit log says of pods: `audit.k8s.io/v1` events, one a line, read once and kept as an index of the
 * requests that created or changed pods. Everything else is passed over by its bytes, without being parsed.
 */

import { readdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { AuditEvidence } from '../correlator/audit-evidence.js'
import { LineSplitter, type SplitLine } from '../correlator/line-splitter.js'
import { KnownError } from '../errors.js'
import { escapeForeign } from '../policy/index.js'
import { AuditIndex } from './audit-index.js'
import { decodeAuditEvent, mayConcernPods } from './audit-event.js'
import { type EventFileOptions, readEventFiles, STDIN_PATH } from './event-file.js'

/** An event with request and response bodies: twice an object, at most. */
const MAX_LINE_BYTES = 8 * 1024 * 1024

export interface AuditLogReport {
  readonly lines: number
  /** Requests that created or changed pods. */
  readonly requests: number
  /** Lines that are no audit event, or longer than 8 MiB. */
  readonly unreadable: number
}

export interface AuditLog extends AuditEvidence {
  readonly report: AuditLogReport
}

export interface AuditLogOptions extends EventFileOptions {
  /** How many requests are kept; the oldest are forgotten. Default 200,000. */
  readonly maxRequests?: number
}

/**
 * Read logs to their ends, each with the rotated files beside it, oldest first; plain or gzipped; `-` is standard input.
 *
 * @throws KnownError FILE_UNREADABLE for a file that cannot be read, or none of whose lines is an audit event.
 */
export async function loadAuditLogs(paths: readonly string[], options: AuditLogOptions): Promise<AuditLog> {
  const index = new AuditIndex(options.maxRequests)
  const counts = { lines: 0, requests: 0, unreadable: 0 }
  const readLine = (line: SplitLine): boolean => {
    if (line.type === 'line' && line.bytes.length === 0) return false
    counts.lines += 1
    const event = line.type === 'line' ? decodeAuditEvent(line.bytes) : undefined
    if (event === undefined) counts.unreadable += 1
    else if (event.request !== undefined && index.add(event.request)) counts.requests += 1
    if (event !== undefined) index.see(event.at)
    return event !== undefined
  }
  for (const path of paths) {
    const splitter = new LineSplitter(MAX_LINE_BYTES)
    let events = 0
    let lines = counts.lines
    const read = (all: readonly SplitLine[]): void => {
      for (const line of all) if (readLine(line)) events += 1
    }
    for await (const part of readEventFiles(await withRotated(path), options)) {
      if (part.type === 'bytes') read(splitter.push(part.bytes))
      else if (part.type === 'end') read(splitter.end())
    }
    lines = counts.lines - lines
    if (lines > 0 && events === 0) throw strangerOf(path)
  }
  return Object.assign(index.evidence(), { report: counts })
}
