/** From the bytes of one source after another to exec events, with everything that could not be read counted. */

import { EventScanner, type LineTaker } from './event-scanner.js'
import type { EventSource, SourceGap, SourcePart, SourcePosition } from './event-source.js'
import { decodeEvent, type ExecEvent, findGluedEvent } from './exec-event.js'
import { LineSplitter, MAX_LINE_BYTES, type SplitLine } from './line-splitter.js'
import { MAX_SCANNED_LINE } from './scan-records.js'
import { countMalformed, countOther, noteGap, type StreamStats } from './stream-stats.js'

const NEWLINE = 0x0a
const NEWLINE_BYTE = Buffer.of(NEWLINE)

/** What one part of a source held. */
export interface EventBatch {
  /** In their order; often none. */
  readonly events: readonly ExecEvent[]
  /** How far the source was read with these events; undefined: no further than before, or it cannot be said. */
  readonly position: SourcePosition | undefined
  /** What is missing before the next events. */
  readonly gap: SourceGap | undefined
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
  const reader = new LineReader(stats, maxLineBytes)
  for await (const part of source) {
    const events = reader.read(part)
    yield { events, position: part.position, gap: part.type === 'gap' ? part.gap : undefined }
  }
}

class LineReader implements LineTaker {
  readonly #stats: StreamStats
  readonly #splitter: LineSplitter
  readonly #scanner: EventScanner
  /** For messages. */
  #source = ''
  /** Lines of this source before the chunk that is being read, and how many lines of it were events of any type. */
  #line = 0
  #known = 0
  #events: ExecEvent[] = []
  /** Lines of the chunk that the scanner left to the full parser. */
  #unread = 0

  constructor(stats: StreamStats, maxLineBytes: number = MAX_LINE_BYTES) {
    this.#stats = stats
    this.#splitter = new LineSplitter(maxLineBytes)
    this.#scanner = new EventScanner(maxLineBytes)
  }

  /** The events whose lines end in this part. */
  read(part: SourcePart): readonly ExecEvent[] {
    this.#events = []
    switch (part.type) {
      case 'begin':
        this.#begin(part.name)
        break
      case 'bytes':
        this.#stats.bytes += part.bytes.length
        this.#readBytes(part.bytes)
        break
      case 'end':
        this.#readJoined(this.#splitter.end())
        if (this.#line > 0 && this.#known === 0) this.#stats.strangeSources.push(this.#source)
        break
      case 'gap':
        noteGap(this.#stats, part.gap)
        break
      case 'idle':
        break
    }
    return this.#events
  }

  #begin(source: string): void {
    this.#splitter.reset()
    this.#stats.sources += 1
    this.#source = source
    this.#line = 0
    this.#known = 0
  }

  #readBytes(chunk: Buffer): void {
    const start = this.#splitter.isInLine ? chunk.indexOf(NEWLINE) + 1 || chunk.length : 0
    if (start > 0) this.#readJoined(this.#splitter.push(chunk.subarray(0, start)))
    const end = this.#scan(chunk, start)
    if (end < chunk.length) this.#splitter.push(chunk.subarray(end))
  }

  /** Lines that came in more than one chunk. */
  #readJoined(lines: readonly SplitLine[]): void {
    for (const line of lines) {
      if (line.type === 'line' && line.end <= MAX_SCANNED_LINE) {
        this.#scan(Buffer.concat([line.chunk, NEWLINE_BYTE]), 0)
      } else {
        this.#line += 1
        this.#readLine(line, this.#line)
      }
    }
  }

  #scan(chunk: Buffer, start: number): number {
    this.#unread = 0
    const end = this.#scanner.scan(chunk, start, this)
    const { lines, exits } = this.#scanner
    this.#line += lines
    this.#stats.lines += lines - this.#unread
    this.#known += lines - this.#unread
    if (exits > 0) countOther(this.#stats, 'process_exit', exits)
    return end
  }

  takeEvent(event: ExecEvent): void {
    countExec(event, this.#stats)
    this.#events.push(event)
  }

  takeLine(chunk: Buffer, start: number, end: number, before: number): void {
    this.#unread += 1
    this.#readLine(this.#splitter.whole(chunk, start, end), this.#line + before + 1)
  }

  /** @param number which one of its source it is, for messages. */
  #readLine(line: SplitLine, number: number): void {
    if (line.type === 'too-long') {
      this.#stats.lines += 1
      this.#stats.tooLongLines += 1
      return
    }
    const { chunk, start, end } = line
    if (isBlank(chunk, start, end)) return
    this.#stats.lines += 1
    this.#readEvent(chunk.subarray(start, end), number)
  }

  #readEvent(bytes: Buffer, number: number): void {
    const stats = this.#stats
    const decoded = decodeEvent(bytes)
    if (decoded.type !== 'malformed') this.#known += 1
    switch (decoded.type) {
      case 'exec':
        this.takeEvent(decoded.event)
        break
      case 'other':
        countOther(stats, decoded.name)
        break
      case 'rate-limit':
        countOther(stats, 'rate_limit_info')
        stats.droppedByAgent += decoded.dropped
        break
      case 'malformed': {
        countMalformed(stats, { source: this.#source, line: number, problem: decoded.problem })
        const glued = findGluedEvent(bytes)
        if (glued !== undefined) this.#readEvent(glued, number)
      }
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
