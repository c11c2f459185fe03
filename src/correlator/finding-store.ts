/** Findings in memory: one a fingerprint, counted, bounded, resolved, and given out when there is news of them. */

import type { CompiledPolicy } from '../policy/index.js'
import type { ExecEvent } from './exec-event.js'
import { createFinding, type Finding } from './finding.js'
import type { KeptFinding, RetiredFindingReader } from './finding-archive.js'
import {
  continueEntry,
  type FindingEntry,
  isInventory,
  openEntry,
  recordSighting,
  resolveEntry,
  reviveEntry,
  snapshot,
  surenessOf,
} from './finding-entry.js'
import { fateOf } from './finding-fate.js'
import { KnownObservations } from './known-observations.js'
import type { Observation } from './observation.js'
import { RetiredFindings } from './retired-findings.js'
import { RiskLedger } from './risk-ledger.js'
import type { WatchClock } from './watch-clock.js'

/** About 75 MB of findings at worst, each with its samples full; some 25 MB in practice. */
export const MAX_FINDINGS = 25_000

export interface FindingStoreOptions {
  readonly maxFindings?: number
  /** What `unsaved` and `forgotten` are saved to; without one they are not asked for. */
  readonly archive?: RetiredFindingReader | undefined
}

export class FindingStore {
  readonly #policy: CompiledPolicy
  readonly #maxFindings: number
  readonly #isArchived: boolean
  /** The longest unseen first, as far as it matters: see `#moveBack`. */
  readonly #findings = new Map<string, FindingEntry>()
  readonly #risks: RiskLedger
  readonly #observations = new KnownObservations()
  readonly #retired: RetiredFindings
  /** Nobody has heard of them, or not of their present status. */
  readonly #news = new Set<FindingEntry>()
  /** Given out before, and changed since. */
  readonly #changed = new Set<FindingEntry>()
  readonly #unsaved = new Set<FindingEntry>()
  /** Fingerprints of findings that are no longer held. Cleared by `noteSaved`. */
  readonly forgotten: string[] = []
  #evictions = 0

  constructor(policy: CompiledPolicy, options: FindingStoreOptions = {}) {
    this.#policy = policy
    this.#maxFindings = options.maxFindings ?? MAX_FINDINGS
    this.#isArchived = options.archive !== undefined
    this.#retired = new RetiredFindings(options.archive)
    this.#risks = new RiskLedger(this.#maxFindings)
  }

  /** Findings that made room for others since the start; each is given out first. */
  get evictions(): number {
    return this.#evictions
  }

  /** Take up what an earlier run kept; before anything is observed. */
  restore(kept: readonly KeptFinding[]): void {
    for (const { finding, isChanged } of kept) {
      const entry = reviveEntry(finding)
      this.#hold(finding.fingerprint, entry)
      if (isChanged) this.#changed.add(entry)
      this.#risks.restore(finding)
    }
  }

  /**
   * Note what was seen. A process that the agent found running at its start (`procFS`) is inventory, and no news: an
   * image in use is in use, so that it may open a finding and widen its span of time, but it never counts as an exec.
   *
   * @param times what it counts for; an exec event counts once.
   */
  observe(event: ExecEvent, observation: Observation, times = isInventory(event) ? 0 : 1): void {
    const { fingerprint, sureness } = this.#observations.recall(event, observation)
    const known = this.#findings.get(fingerprint) ?? this.#revive(fingerprint)
    if (known === undefined) {
      this.#open(event, observation, fingerprint, times)
      return
    }
    this.#moveBack(fingerprint, known)
    recordSighting(known, event, times, observation.suppression !== undefined)
    this.#touch(known)
    if (isInventory(event)) return
    // One exec outside the exception makes an alert; a later one under it does not take the alert back.
    const isLapsed = known.status === 'suppressed' && observation.suppression === undefined
    const isNews = isLapsed || known.status === 'resolved' || sureness > known.sureness
    if (isNews) this.#news.add(known)
    else if (known.finding.policy.revision === this.#policy.revision) return
    this.#renew(known, event, observation)
  }

  /**
   * Resolve what has not been seen for that long, and what an exception covered until it ended; forget what has been
   * resolved for long.
   */
  resolve(watch: WatchClock, resolveAfterMs: number): void {
    for (const [fingerprint, entry] of this.#findings) {
      const fate = fateOf(entry, watch, resolveAfterMs)
      if (fate?.type === 'forget') this.#drop(fingerprint, entry)
      if (fate?.type !== 'resolve') continue
      resolveEntry(entry, fate.epilogue)
      this.#touch(entry)
      this.#news.add(entry)
    }
    const since = watch.unseenSince(resolveAfterMs)
    if (since === undefined) return
    for (const [fingerprint, entry] of this.#retired.unseenSince(since)) {
      const fate = this.#findings.has(fingerprint) ? undefined : fateOf(entry, watch, resolveAfterMs)
      if (fate?.type !== 'resolve') continue
      resolveEntry(entry, fate.epilogue)
      this.#retired.retire(fingerprint, entry, true)
    }
  }

  /**
   * Findings that nobody has heard of, in the order in which they were opened; those that an exception no longer
   * covers, or that more is known about now, or that were resolved; and those that were evicted.
   */
  takeNews(): Finding[] {
    if (!this.hasNews) return []
    const news = [...this.#retired.takeNews(), ...this.#giveOut(this.#news)]
    for (const entry of this.#news) this.#changed.delete(entry)
    this.#news.clear()
    return news
  }

  /** Whatever has changed since it was last given out: counts, last seen, samples. */
  takeUpdates(): Finding[] {
    const updates = [...this.takeNews(), ...this.#giveOut(this.#changed)]
    this.#changed.clear()
    return updates
  }

  get hasNews(): boolean {
    return this.#news.size > 0 || this.#retired.hasNews
  }

  get hasUnsaved(): boolean {
    return this.#unsaved.size > 0 || this.#retired.hasUnsaved
  }

  /** So much waits to be saved that it should not wait any longer. */
  get isFull(): boolean {
    return this.#retired.isFull
  }

  /** Whatever has changed since it was last saved, as it stands. */
  *unsaved(): Generator<KeptFinding> {
    for (const entry of this.#unsaved) yield { finding: snapshot(entry), isChanged: this.#changed.has(entry) }
    yield* this.#retired.unsaved()
  }

  /** All that is `unsaved` and `forgotten` was saved; nothing was observed meanwhile. */
  noteSaved(): void {
    this.#unsaved.clear()
    this.forgotten.length = 0
    this.#retired.noteSaved()
  }

  #open(event: ExecEvent, observation: Observation, fingerprint: string, times: number): void {
    const { suppression, risk } = observation
    const former = this.#retired.recollect(fingerprint)
    const score = suppression === undefined ? (former?.score ?? this.#risks.allot(event, risk)) : 0
    const finding = createFinding(this.#policy, event, observation, fingerprint, score)
    const entry = openEntry(finding, event, times, suppression)
    if (former !== undefined) continueEntry(entry, former)
    this.#hold(fingerprint, entry)
    if (former?.status === entry.status) this.#changed.add(entry)
    else this.#news.add(entry)
    if (this.#isArchived) this.#unsaved.add(entry)
  }

  #revive(fingerprint: string): FindingEntry | undefined {
    const revived = this.#retired.revive(fingerprint)
    if (revived === undefined) return undefined
    // It was about to be given out.
    if (revived.isChanged) this.#news.add(revived.entry)
    this.#hold(fingerprint, revived.entry)
    return revived.entry
  }

  #hold(fingerprint: string, entry: FindingEntry): void {
    this.#findings.set(fingerprint, entry)
    if (this.#findings.size > this.#maxFindings) this.#evictLongestUnseen()
  }

  /** While nothing will have to go for long, the order is not worth its price. */
  #moveBack(fingerprint: string, entry: FindingEntry): void {
    if (this.#findings.size < this.#maxFindings / 2) return
    this.#findings.delete(fingerprint)
    this.#findings.set(fingerprint, entry)
  }

  /** Say anew what is the matter: more is known, or the status or the policy is another. */
  #renew(known: FindingEntry, event: ExecEvent, observation: Observation): void {
    const { suppression } = observation
    const isCovered = known.status !== 'open' && suppression !== undefined
    const isFirstAlert = !isCovered && known.suppression !== undefined
    const { score } = known.finding.risk
    const risk = isCovered ? 0 : isFirstAlert ? this.#risks.allot(event, observation.risk) : score
    known.finding = createFinding(this.#policy, event, observation, known.finding.fingerprint, risk)
    known.sureness = surenessOf(known.finding)
    known.status = isCovered ? 'suppressed' : 'open'
    known.suppression = isCovered ? suppression : undefined
    known.epilogue = undefined
  }

  #giveOut(entries: Iterable<FindingEntry>): Finding[] {
    const given: Finding[] = []
    for (const entry of entries) {
      entry.emissions += 1
      if (this.#isArchived) this.#unsaved.add(entry)
      given.push(snapshot(entry))
    }
    return given
  }

  #touch(entry: FindingEntry): void {
    this.#changed.add(entry)
    if (this.#isArchived) this.#unsaved.add(entry)
  }

  #evictLongestUnseen(): void {
    const [fingerprint, entry] = this.#findings.entries().next().value ?? []
    if (fingerprint === undefined || entry === undefined) return
    this.#evictions += 1
    const isNews = this.#news.delete(entry) || this.#changed.has(entry)
    this.#changed.delete(entry)
    this.#unsaved.delete(entry)
    this.#findings.delete(fingerprint)
    this.#retired.retire(fingerprint, entry, isNews)
  }

  #drop(fingerprint: string, entry: FindingEntry): void {
    this.#findings.delete(fingerprint)
    this.#news.delete(entry)
    this.#changed.delete(entry)
    this.#unsaved.delete(entry)
    if (this.#isArchived) this.forgotten.push(fingerprint)
  }
}
