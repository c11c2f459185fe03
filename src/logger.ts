/** The operational log and the destination of NDJSON files: the only owner of pino. */

import type { DestinationStream } from 'pino'
import { destination, pino, stdSerializers, stdTimeFunctions } from 'pino'

/** From everything to nothing. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** How many bytes of lines may wait for a slow disk before new ones are dropped. */
const MAX_BUFFERED_BYTES = 16 * 1024 * 1024
/** Lines are joined to blocks of so many characters, or until the flush is due: pino's sink measures each write. */
const BLOCK_LENGTH = 64 * 1024
const FLUSH_INTERVAL_MS = 100
const CLOSE_DEADLINE_MS = 2_000

/**
 * A constant sentence and variable fields. Foreign data goes below the key `foreign`, never to the top level, where a
 * `level` or `msg` from outside would forge the line. An error goes below `err`.
 */
export interface Logger {
  debug(fields: object, sentence: string): void
  info(fields: object, sentence: string): void
  warn(fields: object, sentence: string): void
  error(fields: object, sentence: string): void
}

export interface LoggerOptions {
  readonly level: LogLevel
  /** The command's stderr. */
  readonly destination: NodeJS.WritableStream
}

/** One JSON object a line: `{"level":"info","time":"…Z",<fields>,"msg":"…"}`. */
export function createLogger({ level, destination: stream }: LoggerOptions): Logger {
  const options = {
    level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: stdSerializers.err },
  }
  return pino(options, stream satisfies DestinationStream)
}

/** Lines that were not written, because too much waited or because they came after the end. */
export interface DroppedLines {
  readonly droppedLines: number
}

/** Lines to an open file, buffered and written off the caller's path. */
export interface LineWriter {
  /** @param line ends with its newline. Neither throws nor blocks. */
  write(line: string): void
  /** Write what is buffered and close the file. */
  close(): Promise<void>
}

/**
 * @param fd an open file descriptor; the writer owns it, except for the standard streams, which stay open.
 * @param onProblem told of each failed write, and of lines that were dropped.
 */
export function createLineWriter(fd: number, onProblem: (problem: Error | DroppedLines) => void): LineWriter {
  const sink = destination({ fd, sync: false, maxLength: MAX_BUFFERED_BYTES })
  let block: string[] = []
  let length = 0
  let timer: NodeJS.Timeout | undefined
  let isClosed = false
  sink.on('error', (error: Error) => onProblem(error))
  sink.on('drop', (lines: string) => onProblem({ droppedLines: lines.split('\n').length - 1 }))
  const flush = (): void => {
    clearTimeout(timer)
    timer = undefined
    if (block.length > 0) sink.write(block.join(''))
    block = []
    length = 0
  }
  return {
    write(line) {
      // The sink throws once it is destroyed; a line that comes after the end is one more that was not written.
      if (isClosed) return onProblem({ droppedLines: 1 })
      block.push(line)
      length += line.length
      if (length >= BLOCK_LENGTH) flush()
      else timer ??= setTimeout(flush, FLUSH_INTERVAL_MS)
    },
    close() {
      flush()
      isClosed = true
      return new Promise(resolve => {
        // A sink that cannot write never closes.
        const deadline = setTimeout(resolve, CLOSE_DEADLINE_MS)
        sink.once('close', () => {
          clearTimeout(deadline)
          resolve()
        })
        sink.end()
      })
    },
  }
}
