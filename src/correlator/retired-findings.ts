/**
 * Findings that made room for others in memory, and how they come back: whatever is counted goes on where it stood.
 *
 * One that retires waits until it has been given out and saved. Then the archive alone holds it; without an archive its
 * count, its first sighting and the number of its lines are remembered, and nothing else.
 */

import type { Finding } from './finding.js'
import type { KeptFinding, RetiredFindingReader } from './finding-archive.js'
import { type FindingEntry, reviveEntry, snapshot } from './finding-entry.js'

/** So many wait at most before they are to be saved. */
const MAX_WAITING = 2_000
/** Some 150 bytes each. */
export const MAX_REMEMBERED = 100_000

/** What a finding goes on with when nothing else of it is left. */
export type Remembered = Pick<FindingEntry, 'status' | 'count' | 'suppressedCount' | 'firstSeen' | 'emissions'> & {
  readonly score: number
}

export class RetiredFindings {
  readonly #archive: RetiredFindingReader | undefined
  readonly #waiting = new Map<string, FindingEntry>()
  /** Of those that wait, the ones that are to be given out first. */
  readonly #news = new Set<FindingEntry>()
  readonly #remembered = new Map<string, Remembered>()

  constructor(archive: RetiredFindingReader | undefined) {
    this.#archive = archive
  }

  get hasNews(): boolean {
    return this.#news.size > 0
  }

  get hasUnsaved(): boolean {
    return this.#archive !== undefined && this.#waiting.size > 0
  }

  get isFull(): boolean {
    return this.#waiting.size >= MAX_WAITING
  }

  /** @param isNews it changed since it was last given out. */
  retire(fingerprint: string, entry: FindingEntry, isNews: boolean): void {
    this.#waiting.set(fingerprint, entry)
    if (isNews) this.#news.add(entry)
  }

  /** Take one back. `isChanged`: since it was last given out. */
  revive(fingerprint: string): { readonly entry: FindingEntry; readonly isChanged: boolean } | undefined {
    const entry = this.#waiting.get(fingerprint)
    if (entry !== undefined) {
      this.#waiting.delete(fingerprint)
      return { entry, isChanged: this.#news.delete(entry) }
    }
    const kept = this.#archive?.recall(fingerprint)
    return kept === undefined ? undefined : { entry: reviveEntry(kept.finding), isChanged: kept.isChanged }
  }

  /** What is left of one that cannot be taken back whole. */
  recollect(fingerprint: string): Remembered | undefined {
    const remembered = this.#remembered.get(fingerprint)
    this.#remembered.delete(fingerprint)
    return remembered
  }

  /** Unresolved ones of the archive that were not seen since then, in milliseconds; not those that wait. */
  *unseenSince(time: number): Generator<[string, FindingEntry]> {
    for (const { finding } of this.#archive?.recallUnseen(time) ?? []) {
      if (!this.#waiting.has(finding.fingerprint)) yield [finding.fingerprint, reviveEntry(finding)]
    }
  }

  takeNews(): Finding[] {
    const news: Finding[] = []
    for (const entry of this.#news) {
      entry.emissions += 1
      news.push(snapshot(entry))
    }
    this.#news.clear()
    if (this.#archive === undefined) this.#forgetWaiting()
    return news
  }

  /** After `takeNews`. */
  *unsaved(): Generator<KeptFinding> {
    for (const entry of this.#waiting.values()) {
      yield { finding: snapshot(entry), isChanged: this.#news.has(entry), isRetired: true }
    }
  }

  /** What `unsaved` yielded is kept. */
  noteSaved(): void {
    this.#waiting.clear()
  }

  #forgetWaiting(): void {
    for (const [fingerprint, { status, count, suppressedCount, firstSeen, emissions, finding }] of this.#waiting) {
      const { score } = finding.risk
      this.#remembered.set(fingerprint, { status, count, suppressedCount, firstSeen, emissions, score })
    }
    this.#waiting.clear()
    for (const fingerprint of this.#remembered.keys()) {
      if (this.#remembered.size <= MAX_REMEMBERED) return
      this.#remembered.delete(fingerprint)
    }
  }
}
