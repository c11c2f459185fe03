/** Decision records from the audit log: files, plain or gzipped, and standard input. */

import { bytesOf, LineSplitter, type SplitLine } from '../correlator/line-splitter.js'
import { decodeDecisionRecord } from '../webhook/decode-decision-record.js'
import type { ReportedDecision } from '../webhook/reported-decision.js'
import { type EventFileOptions, readEventFiles } from './event-file.js'

/** A record stays below 400 KiB. */
const MAX_LINE_BYTES = 1024 * 1024

/** Counted while the files are read; one object for a whole run. */
export interface DecisionFileStats {
  /** Lines that hold anything. */
  lines: number
  records: number
  /** Lines of the webhook's own log, which `kubectl logs` prints among the records. */
  logLines: number
  /** Torn, foreign or too new. */
  unreadable: number
  firstUnreadable: UnreadableLine | undefined
  /** Sources with lines, none of which is a record or a line of the webhook's log. */
  strangeSources: string[]
}

export interface UnreadableLine {
  readonly source: string
  /** 1-based. */
  readonly line: number
  /** Half a sentence. */
  readonly problem: string
}

export function createDecisionFileStats(): DecisionFileStats {
  return { lines: 0, records: 0, logLines: 0, unreadable: 0, firstUnreadable: undefined, strangeSources: [] }
}

/**
 * In the order of the files and of their lines.
 *
 * @throws KnownError FILE_UNREADABLE, see `readEventFiles`; a line that cannot be read is counted in `stats`.
 */
export async function* readDecisionFiles(
  paths: readonly string[],
  options: EventFileOptions,
  stats: DecisionFileStats,
): AsyncGenerator<ReportedDecision> {
  const splitter = new LineSplitter(MAX_LINE_BYTES)
  const position = { source: '', line: 0, known: 0, strange: 0 }
  const read = (lines: readonly SplitLine[]) => lines.flatMap(line => readLine(line, position, stats) ?? [])
  for await (const part of readEventFiles(paths, options)) {
    switch (part.type) {
      case 'begin':
        splitter.reset()
        Object.assign(position, { source: part.name, line: 0, known: 0, strange: 0 })
        break
      case 'bytes':
        yield* read(splitter.push(part.bytes))
        break
      case 'end':
        yield* read(splitter.end())
        if (position.known === 0 && position.strange > 0) stats.strangeSources.push(position.source)
        break
      case 'idle':
        break
    }
  }
}

interface Position {
  readonly source: string
  line: number
  known: number
  strange: number
}

function readLine(line: SplitLine, position: Position, stats: DecisionFileStats): ReportedDecision | undefined {
  position.line += 1
  const decoded = decodeLine(line)
  if (decoded === undefined) return undefined
  stats.lines += 1
  switch (decoded.type) {
    case 'decision':
      position.known += 1
      stats.records += 1
      return decoded.decision
    case 'log':
      position.known += 1
      stats.logLines += 1
      return undefined
    case 'unreadable':
      position.strange += 1
      stats.unreadable += 1
      stats.firstUnreadable ??= { source: position.source, line: position.line, problem: decoded.problem }
      return undefined
  }
}

type DecodedLine =
  | { readonly type: 'decision'; readonly decision: ReportedDecision }
  | { readonly type: 'log' }
  | { readonly type: 'unreadable'; readonly problem: string }

/** Undefined for a blank line. */
function decodeLine(line: SplitLine): DecodedLine | undefined {
  if (line.type === 'too-long') return { type: 'unreadable', problem: 'it is too long for a decision record' }
  const text = bytesOf(line).toString('utf8').trim()
  if (text === '') return undefined
  const value = parseJson(text)
  if (value === undefined) return { type: 'unreadable', problem: 'it is no JSON' }
  if (isLogLine(value)) return { type: 'log' }
  const decoded = decodeDecisionRecord(value)
  if (!decoded.ok) return { type: 'unreadable', problem: decoded.problem }
  const at = Date.parse(decoded.record.time)
  return { type: 'decision', decision: { record: decoded.record, count: 1, firstAt: at, lastAt: at } }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Nothing foreign stands at the top level of either, so neither can pass for the other. */
function isLogLine(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'level' in value && 'msg' in value && !('schema' in value)
}
