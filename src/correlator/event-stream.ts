/** From the bytes of one source after another to exec events, with everything that could not be read counted. */

import type { EventSource, SourceGap, SourcePart, SourcePosition } from './event-source.js'
import { type ExecEvent, findGluedEvent } from './exec-event.js'
import { createEventDecoder, type EventDecoder } from './exec-event-decoder.js'
import { LineSplitter, type SplitLine } from './line-splitter.js'
import { countMalformed, countOther, type StreamStats } from './stream-stats.js'

/** What one part of a source held. */
export interface EventBatch {
  /** In their order; often none. */
  readonly events: readonly ExecEvent[]
  /** How far the source was read with these events; undefined: no further than before, or it cannot be said. */
  readonly position: SourcePosition | undefined
  /** What is missing before the next events. */
  readonly gap: SourceGap | undefined
}

/** The line that is being read, for messages. */
interface Place {
  source: string
  line: number
  /** Lines of this source that were events of any type. */
  events: number
  readonly decode: EventDecoder
}

/**
 * Read a source to its end, one batch a part; an idle part gives an empty batch, so that the consumer can see time pass.
 * Bad lines are counted in `stats` and never fatal; errors of the source itself pass through.
 */
export async function* readExecEvents(
  source: EventSource,
  stats: StreamStats,
  maxLineBytes?: number,
): AsyncGenerator<EventBatch> {
  const splitter = new LineSplitter(maxLineBytes)
  const place: Place = { source: '', line: 0, events: 0, decode: createEventDecoder() }
  for await (const part of source) {
    const events: ExecEvent[] = []
    for (const line of linesOf(part, splitter, place, stats)) {
      place.line += 1
      const event = readLine(line, place, stats)
      if (event !== undefined) events.push(event)
    }
    if (part.type === 'end' && place.line > 0 && place.events === 0) stats.strangeSources.push(place.source)
    yield { events, position: part.position, gap: part.type === 'gap' ? part.gap : undefined }
  }
}

function linesOf(part: SourcePart, splitter: LineSplitter, place: Place, stats: StreamStats): readonly SplitLine[] {
  switch (part.type) {
    case 'begin':
      splitter.reset()
      stats.sources += 1
      Object.assign(place, { source: part.name, line: 0, events: 0 })
      return []
    case 'bytes':
      stats.bytes += part.bytes.length
      return splitter.push(part.bytes)
    case 'end':
      return splitter.end()
    case 'idle':
    case 'gap':
      return []
  }
}

function readLine(line: SplitLine, place: Place, stats: StreamStats): ExecEvent | undefined {
  if (line.type === 'too-long') {
    stats.lines += 1
    stats.tooLongLines += 1
    return undefined
  }
  const { chunk: bytes, start, end } = line
  if (isBlank(bytes, start, end)) return undefined
  stats.lines += 1
  return readEvent(bytes, start, end, place, stats)
}

function readEvent(bytes: Buffer, start: number, end: number, place: Place, stats: StreamStats): ExecEvent | undefined {
  const decoded = place.decode(bytes, start, end)
  if (decoded.type !== 'malformed') place.events += 1
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
      countMalformed(stats, { source: place.source, line: place.line, problem: decoded.problem })
      const glued = findGluedEvent(bytes.subarray(start, end))
      return glued === undefined ? undefined : readEvent(glued, 0, glued.length, place, stats)
    }
  }
}

/** Looks no further than the first byte that is no white space. */
function isBlank(bytes: Buffer, start: number, end: number): boolean {
  for (let index = start; index < end; index += 1) {
    const byte = bytes[index]
    if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d) return false
  }
  return true
}

function countExec(event: ExecEvent, stats: StreamStats): void {
  stats.execEvents += 1
  if (event.pod === undefined && event.docker === undefined) stats.hostEvents += 1
  if (event.pod === undefined && event.docker !== undefined) stats.podlessEvents += 1
  if (event.flags.includes('dataArgs') && event.arguments === undefined) stats.blindEvents += 1
}
