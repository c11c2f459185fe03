/**
 * Findings as lines of JSON, to a place that may take a part of what it is given: a pipe whose reader is slow, a disk that is
 * full. Each line gets there whole and once, as far as this process lives to see it.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { deliveryIdOf, type FindingReceiver, type SendOutcome } from '../correlator/delivery.js'
import type { Finding } from '../correlator/finding.js'
import { jsonLine } from '../correlator/json-line.js'
import { reasonOf } from './text-file.js'

/** Of some kilobytes each: a portion is written within milliseconds, unless somebody is slow. */
const MAX_BATCH = 100
const MAX_TORN = 1_000
/** How often a reader is looked after that had no room. */
const MIN_LOOK_MS = 1
const MAX_LOOK_MS = 50
/** Whoever gave this place has to change something: its path, its rights, its reader. */
const REFUSED = new Set([
  'EACCES',
  'EPERM',
  'ENOENT',
  'ENOTDIR',
  'EISDIR',
  'ELOOP',
  'EROFS',
  'ENAMETOOLONG',
  'ENXIO',
  'EFBIG',
])
const GONE = new Set(['EPIPE', 'ECONNRESET', 'ERR_STREAM_DESTROYED', 'ERR_STREAM_WRITE_AFTER_END'])

/**
 * How what is about to be written stands to what was written before.
 *
 * - `same`: behind it.
 * - `other`: in another place, or what was there is gone.
 * - `torn`: in another place, behind a line without its end.
 */
export type LinePlace = 'same' | 'other' | 'torn'

/** Both throw system errors. */
export interface LineTarget {
  /** Before each portion. */
  prepare(): Promise<LinePlace>
  /** @returns how many bytes were taken. @throws EAGAIN: none at this moment. */
  write(bytes: Buffer): Promise<number>
  close(): void
}

export function createLineSink(target: LineTarget): FindingReceiver {
  return new LineSink(target)
}

class LineSink implements FindingReceiver {
  readonly maxBatch = MAX_BATCH
  readonly #target: LineTarget
  /** Goes before all else: the end of a line of which a part was taken. */
  #rest: Buffer = Buffer.alloc(0)
  /** Deliveries that `#rest` belongs to, or did: they are there once it is, though nobody was told. */
  readonly #torn = new Set<string>()

  constructor(target: LineTarget) {
    this.#target = target
  }

  async send(findings: readonly Finding[], signal: AbortSignal): Promise<SendOutcome> {
    try {
      const place = await orAborted(this.#target.prepare(), signal)
      if (place !== 'same') this.#begin(place)
      const before = await this.#write(this.#rest, signal)
      this.#rest = this.#rest.subarray(before.written)
      if (this.#rest.length > 0) return outcomeOf(before.problem)
      const lines = findings.map(finding => Buffer.from(this.#isThere(finding) ? '' : jsonLine(finding)))
      const { written, problem } = await this.#write(Buffer.concat(lines), signal)
      const count = this.#count(findings, lines, written)
      for (const finding of findings.slice(0, count)) this.#forget(finding)
      return count > 0 ? { type: 'delivered', count } : outcomeOf(problem)
    } catch (error) {
      return outcomeOf(error)
    }
  }

  close(): void {
    this.#target.close()
  }

  /** The finding of a torn line still waits, and will be written whole. */
  #begin(place: LinePlace): void {
    this.#rest = Buffer.from(place === 'torn' ? '\n' : '')
    this.#torn.clear()
  }

  #isThere(finding: Finding): boolean {
    return this.#torn.size > 0 && this.#torn.has(deliveryIdOf(finding))
  }

  #forget(finding: Finding): void {
    if (this.#torn.size > 0) this.#torn.delete(deliveryIdOf(finding))
  }

  /** @returns how many of them are there whole. */
  #count(findings: readonly Finding[], lines: readonly Buffer[], written: number): number {
    let end = 0
    for (const [index, line] of lines.entries()) {
      const begin = end
      end += line.length
      if (end <= written) continue
      const finding = findings[index]
      if (written === begin || finding === undefined) return index
      this.#rest = line.subarray(written - begin)
      // Of one that was superseded nobody asks again.
      if (this.#torn.size >= MAX_TORN) this.#torn.clear()
      this.#torn.add(deliveryIdOf(finding))
      return index
    }
    return lines.length
  }

  /** As much as is taken until the signal. */
  async #write(bytes: Buffer, signal: AbortSignal): Promise<{ readonly written: number; readonly problem?: unknown }> {
    let written = 0
    let lookMs = MIN_LOOK_MS
    while (written < bytes.length) {
      try {
        written += await orAborted(this.#target.write(bytes.subarray(written)), signal)
        lookMs = MIN_LOOK_MS
      } catch (problem) {
        if (codeOf(problem) !== 'EAGAIN' || signal.aborted) return { written, problem }
        await sleep(lookMs, undefined, { signal }).catch(() => {})
        lookMs = Math.min(MAX_LOOK_MS, lookMs * 2)
      }
    }
    return { written }
  }
}

/** @throws what is no system error: a bug. */
function outcomeOf(problem: unknown): SendOutcome {
  const code = codeOf(problem)
  if (code === 'EAGAIN') return { type: 'retry', problem: 'its reader is slow' }
  if (isReaderGone(problem)) return { type: 'refused', problem: 'its reader has gone' }
  if (code === undefined) throw problem
  return { type: REFUSED.has(code) ? 'refused' : 'retry', problem: reasonOf(problem) }
}

/** Nobody will read what is written there. */
export function isReaderGone(error: unknown): boolean {
  return GONE.has(codeOf(error) ?? '')
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** At the signal nobody waits any longer, for a disk that hangs say; what comes of the work is then unknown. */
async function orAborted<Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value> {
  let stop = (): void => {}
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(Object.assign(new Error('it took too long'), { code: 'EAGAIN' }))
  })
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
