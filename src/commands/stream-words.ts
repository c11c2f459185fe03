/** What a run says on standard error: how far it is, and at its end what was read and what could not be. */

import { MAX_LINE_BYTES } from '../correlator/line-splitter.js'
import type { StreamStats } from '../correlator/stream-stats.js'
import { escapeForeign } from '../policy/index.js'

const REFRESH_MS = 200
const CLEAR_LINE = '\r\u001b[K'

export interface Progress {
  /** @param bytes read since the last call. */
  onRead(bytes: number): void
  /** Take the line away again. */
  finish(): void
}

/** A line that is written over and over; silent unless it goes to a terminal. */
export function createProgress(
  stderr: NodeJS.WritableStream,
  totalBytes: number | undefined,
  now: () => number,
): Progress {
  if (!isTerminal(stderr)) return { onRead() {}, finish() {} }
  let bytes = 0
  let shownAt = now()
  return {
    onRead(more) {
      bytes += more
      if (now() - shownAt < REFRESH_MS) return
      shownAt = now()
      const share =
        totalBytes === undefined || totalBytes === 0
          ? ''
          : ` of ${megabytes(totalBytes)} (${percent(bytes, totalBytes)})`
      stderr.write(`${CLEAR_LINE}reading: ${megabytes(bytes)}${share}`)
    },
    finish() {
      stderr.write(CLEAR_LINE)
    },
  }
}

export function isTerminal(stream: object): boolean {
  return 'isTTY' in stream && stream.isTTY === true
}

/** One line for what was read, and one for each thing that was missed. */
export function describeStream(stats: StreamStats): string {
  const others = [...stats.otherEvents.values()].reduce((sum, count) => sum + count, 0)
  const read = `read ${number(stats.execEvents)} exec events and ${number(others)} others in ${number(stats.lines)} lines (${megabytes(stats.bytes)})`
  const missed: [number, string][] = [
    [stats.malformed, `could not be read${sampleOf(stats)}`],
    [stats.tooLongLines, `longer than ${MAX_LINE_BYTES / 1024 / 1024} MiB and skipped`],
    [stats.droppedByAgent, 'dropped by the rate limit of the agent, as it reports: what they were is not known'],
    [stats.podlessEvents, 'of containers whose pod the agent could not name'],
    [stats.blindEvents, 'lost their arguments: what they ran is not known'],
    [stats.evictedFindings, 'moved out of memory to make room for others'],
  ]
  const nouns = ['lines', 'lines', 'events', 'exec events', 'exec events', 'findings']
  const lines = missed.flatMap(([count, words], index) =>
    count === 0 ? [] : [`${number(count)} ${nouns[index]} ${words}`],
  )
  return [read, ...lines, ...stats.gaps].map(text => `sallyport: ${text}\n`).join('')
}

function sampleOf({ malformedSamples }: StreamStats): string {
  const [first] = malformedSamples
  return first === undefined ? '' : `; the first is ${escapeForeign(first.source, 300)}:${first.line}: ${first.problem}`
}

function number(count: number): string {
  // By hand: the first use of a locale takes longer than reading a small file.
  return String(count).replace(/\B(?=(?:\d{3})+$)/g, ',')
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`
}

function percent(part: number, whole: number): string {
  return `${Math.min(100, Math.floor((100 * part) / whole))} %`
}
