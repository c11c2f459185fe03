/** What was read and what could not be: the numbers behind the closing words of a run. */

import { escapeForeign } from '../policy/index.js'
import type { SourceGap } from './event-source.js'

/** More names than this are counted under `…`: a hostile file must not grow the table. */
const MAX_TYPE_NAMES = 32
const MAX_SAMPLES = 5

export interface MalformedSample {
  readonly source: string
  /** 1-based line of its source, counted from where reading began. */
  readonly line: number
  readonly problem: string
}

/** Counted while the stream is read; one object for a whole run. */
export interface StreamStats {
  bytes: number
  /** Sources that were opened. */
  sources: number
  /** When the event that was read last took place, in milliseconds since the epoch; 0: none was. */
  lastEventAt: number
  /** Lines that hold anything. */
  lines: number
  execEvents: number
  /** Exec events of the node itself: without a container, and out of scope. */
  hostEvents: number
  /** Exec events of a container that the agent could not name a pod for. */
  podlessEvents: number
  /** Exec events whose arguments were lost: nothing can be said about what they ran. */
  blindEvents: number
  otherEvents: Map<string, number>
  malformed: number
  malformedSamples: MalformedSample[]
  tooLongLines: number
  /** Events that the agent's own rate limit dropped, as it reports. */
  droppedByAgent: number
  /** What is missing of sources, each in a sentence that is safe to print; the first few. */
  gaps: string[]
  /** Sources with lines, none of which is an event. */
  strangeSources: string[]
  /** Findings that were given out and forgotten because there were too many. */
  evictedFindings: number
}

export function createStreamStats(): StreamStats {
  return {
    bytes: 0,
    sources: 0,
    lastEventAt: 0,
    lines: 0,
    execEvents: 0,
    hostEvents: 0,
    podlessEvents: 0,
    blindEvents: 0,
    otherEvents: new Map(),
    malformed: 0,
    malformedSamples: [],
    tooLongLines: 0,
    droppedByAgent: 0,
    gaps: [],
    strangeSources: [],
    evictedFindings: 0,
  }
}

export function countOther(stats: StreamStats, name: string, times = 1): void {
  const isKnown = stats.otherEvents.has(name) || stats.otherEvents.size < MAX_TYPE_NAMES
  const key = isKnown ? name : '…'
  stats.otherEvents.set(key, (stats.otherEvents.get(key) ?? 0) + times)
}

/** Of a gap without details the finding says all. */
export function noteGap(stats: StreamStats, { source, detail }: SourceGap): void {
  if (detail === undefined || stats.gaps.length >= MAX_SAMPLES) return
  stats.gaps.push(`${escapeForeign(source, 300)}: ${detail}`)
}

export function countMalformed(stats: StreamStats, sample: MalformedSample): void {
  stats.malformed += 1
  if (stats.malformedSamples.length < MAX_SAMPLES) stats.malformedSamples.push(sample)
}
