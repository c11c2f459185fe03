/** From the bytes of one source after another to exec events, with everything that could not be read counted. */

import type { EventSource, SourcePart } from './event-source.js'
import { decodeEvent, type ExecEvent, findGluedEvent } from './exec-event.js'
import { LineSplitter, type SplitLine } from './line-splitter.js'
import { countMalformed, countOther, type StreamStats } from './stream-stats.js'

/** Where in which source the reader stands. */
interface Position {
  source: string
  line: number
  /** Lines of this source that were events of any type. */
  events: number
}

/**
 * Read a source to its end. Each batch holds the exec events of one part in their order; an idle part gives an empty
 * batch, so that the consumer can see time pass. Bad lines are counted in `stats` and never fatal; errors of the
 * source itself pass through.
 */
export async function* readExecEvents(
  source: EventSource,
  stats: StreamStats,
  maxLineBytes?: number,
): AsyncGenerator<readonly ExecEvent[]> {
  const splitter = new LineSplitter(maxLineBytes)
  const position: Position = { source: '', line: 0, events: 0 }
  for await (const part of source) {
    const events: ExecEvent[] = []
    for (const line of linesOf(part, splitter, position, stats)) {
      position.line += 1
      const event = readLine(line, position, stats)
      if (event !== undefined) events.push(event)
    }
    if (part.type === 'end' && position.line > 0 && position.events === 0) stats.strangeSources.push(position.source)
    yield events
  }
}

function linesOf(
  part: SourcePart,
  splitter: LineSplitter,
  position: Position,
  stats: StreamStats,
): readonly SplitLine[] {
  switch (part.type) {
    case 'begin':
      splitter.reset()
      Object.assign(position, { source: part.name, line: 0, events: 0 })
      return []
    case 'bytes':
      stats.bytes += part.bytes.length
      return splitter.push(part.bytes)
    case 'end':
      return splitter.end()
    case 'idle':
      return []
  }
}

function readLine(line: SplitLine, position: Position, stats: StreamStats): ExecEvent | undefined {
  if (line.type === 'too-long') {
    stats.lines += 1
    stats.tooLongLines += 1
    return undefined
  }
  if (isBlank(line.bytes)) return undefined
  stats.lines += 1
  return readEvent(line.bytes, position, stats)
}

function readEvent(bytes: Buffer, position: Position, stats: StreamStats): ExecEvent | undefined {
  const decoded = decodeEvent(bytes)
  if (decoded.type !== 'malformed') position.events += 1
  switch (decoded.type) {
    case 'exec':
      countExec(decoded.event, stats)
      return decoded.event
    case 'other':
      countOther(stats, decoded.name)
      return undefined
    case 'rate-limit':
      countOther(stats, 'rate_limit_info')
      stats.droppedByAgent += decoded.dropped
      return undefined
    case 'malformed': {
      countMalformed(stats, { source: position.source, line: position.line, problem: decoded.problem })
      const glued = findGluedEvent(bytes)
      return glued === undefined ? undefined : readEvent(glued, position, stats)
    }
  }
}

/** Looks no further than the first byte that is no white space. */
function isBlank(bytes: Buffer): boolean {
  return !bytes.some(byte => byte !== 0x20 && byte !== 0x09 && byte !== 0x0d)
}

function countExec(event: ExecEvent, stats: StreamStats): void {
  stats.execEvents += 1
  if (event.pod === undefined && event.docker === undefined) stats.hostEvents += 1
  if (event.pod === undefined && event.docker !== undefined) stats.podlessEvents += 1
  if (event.flags.includes('dataArgs') && event.arguments === undefined) stats.blindEvents += 1
}
