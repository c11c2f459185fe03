/** Findings in memory: one a fingerprint, counted, bounded, resolved, and given out when there is news of them. */

import type { CompiledPolicy } from '../policy/index.js'
import type { ExecEvent } from './exec-event.js'
import { createFinding, type Finding, fingerprintOf, identityOf } from './finding.js'
import type { KeptFinding } from './finding-archive.js'
import { type FindingEntry, openEntry, recordSighting, reviveEntry, snapshot } from './finding-entry.js'
import { fateOf } from './finding-fate.js'
import type { Certainty } from './image-use.js'
import type { Observation } from './observation.js'
import { RiskLedger } from './risk-ledger.js'
import type { WatchClock } from './watch-clock.js'

/** About 75 MB of findings at worst, each with its samples full; some 25 MB in practice. */
export const MAX_FINDINGS = 25_000
/** Identities whose fingerprint is kept, and the longest of them in characters: some 20 MB at worst. */
const MAX_FINGERPRINTS = 20_000
const MAX_IDENTITY = 1_000
/** From the weakest on. */
const CERTAINTIES: readonly Certainty[] = ['unknown', 'likely', 'proved']

export interface FindingStoreOptions {
  readonly maxFindings?: number
  /** Whether `takeUnsaved` and `takeForgotten` are called. */
  readonly isArchived?: boolean
}

export class FindingStore {
  readonly #policy: CompiledPolicy
  readonly #maxFindings: number
  readonly #isArchived: boolean
  /** In the order in which they were last seen, the longest unseen first. */
  readonly #findings = new Map<string, FindingEntry>()
  readonly #risks: RiskLedger
  readonly #fingerprints = new Map<string, string>()
  /** Detections say the same of a container again and again, by the very same object. */
  readonly #lastSeenOf = new WeakMap<
    Observation,
    Pick<ExecEvent, 'pod' | 'clusterName'> & { readonly fingerprint: string }
  >()
  /** Nobody has heard of them, or not of their present status. */
  readonly #news = new Set<FindingEntry>()
  /** Given out before, and changed since. */
  readonly #changed = new Set<FindingEntry>()
  readonly #unsaved = new Set<FindingEntry>()
  #forgotten: string[] = []
  #evicted: Finding[] = []
  #evictions = 0

  constructor(policy: CompiledPolicy, options: FindingStoreOptions = {}) {
    this.#policy = policy
    this.#maxFindings = options.maxFindings ?? MAX_FINDINGS
    this.#isArchived = options.isArchived === true
    this.#risks = new RiskLedger(this.#maxFindings)
  }

  /** Findings that made room for others since the start; each was given out first. */
  get evictions(): number {
    return this.#evictions
  }

  /** Take up what an earlier run kept; before anything is observed. */
  restore(kept: readonly KeptFinding[]): void {
    for (const { finding, isChanged } of kept) {
      const entry = reviveEntry(finding)
      this.#findings.set(finding.fingerprint, entry)
      if (isChanged) this.#changed.add(entry)
      this.#risks.restore(finding)
    }
  }

  /**
   * Note what was seen.
   *
   * A process that the agent found running at its start (`procFS`) is inventory, and no news: an image in use is in
   * use, so that it may open a finding and widen its span of time, but it never counts as an exec.
   *
   * @param times what it counts for; an exec event counts once.
   */
  observe(event: ExecEvent, observation: Observation, times = isInventory(event) ? 0 : 1): void {
    const fingerprint = this.#fingerprintOf(event, observation)
    const known = this.#findings.get(fingerprint)
    if (known === undefined) {
      this.#open(event, observation, fingerprint, times)
      return
    }
    this.#findings.delete(fingerprint)
    this.#findings.set(fingerprint, known)
    recordSighting(known, event, times, observation.suppression !== undefined)
    this.#touch(known)
    if (isInventory(event)) return
    // One exec outside the exception makes an alert; a later one under it does not take the alert back.
    const isLapsed = known.status === 'suppressed' && observation.suppression === undefined
    const isNews = isLapsed || known.status === 'resolved' || isSurer(observation, known.finding)
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
      if (fate === undefined) continue
      if (fate.type === 'forget') {
        this.#drop(fingerprint, entry)
        continue
      }
      entry.status = 'resolved'
      entry.epilogue = fate.epilogue
      this.#touch(entry)
      this.#news.add(entry)
    }
  }

  /**
   * Findings that nobody has heard of, in the order in which they were opened; those that an exception no longer
   * covers, or that more is known about now, or that were resolved; and those that were evicted.
   */
  takeNews(): Finding[] {
    if (!this.hasNews) return []
    const news = [...this.#evicted, ...this.#giveOut(this.#news)]
    for (const entry of this.#news) this.#changed.delete(entry)
    this.#news.clear()
    this.#evicted = []
    return news
  }

  /** Whatever has changed since it was last given out: counts, last seen, samples. */
  takeUpdates(): Finding[] {
    const updates = [...this.takeNews(), ...this.#giveOut(this.#changed)]
    this.#changed.clear()
    return updates
  }

  get hasNews(): boolean {
    return this.#news.size > 0 || this.#evicted.length > 0
  }

  get hasUnsaved(): boolean {
    return this.#unsaved.size > 0
  }

  /** Whatever has changed since it was last saved, as it stands. */
  *takeUnsaved(): Generator<KeptFinding> {
    for (const entry of this.#unsaved) yield { finding: snapshot(entry), isChanged: this.#changed.has(entry) }
    this.#unsaved.clear()
  }

  /** Fingerprints of the findings that are no longer held. */
  takeForgotten(): readonly string[] {
    const forgotten = this.#forgotten
    this.#forgotten = []
    return forgotten
  }

  #open(event: ExecEvent, observation: Observation, fingerprint: string, times: number): void {
    const score = observation.suppression === undefined ? this.#risks.allot(event, observation.risk) : 0
    const finding = createFinding(this.#policy, event, observation, fingerprint, score)
    const entry = openEntry(finding, event, times, observation.suppression)
    this.#findings.set(fingerprint, entry)
    this.#news.add(entry)
    if (this.#isArchived) this.#unsaved.add(entry)
    if (this.#findings.size > this.#maxFindings) this.#evictLongestUnseen()
  }

  /** Say anew what is the matter: more is known, or the status or the policy is another. */
  #renew(known: FindingEntry, event: ExecEvent, observation: Observation): void {
    const { suppression } = observation
    const isCovered = known.status !== 'open' && suppression !== undefined
    const isFirstAlert = !isCovered && known.suppression !== undefined
    const { score } = known.finding.risk
    const risk = isCovered ? 0 : isFirstAlert ? this.#risks.allot(event, observation.risk) : score
    known.finding = createFinding(this.#policy, event, observation, known.finding.fingerprint, risk)
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

  #fingerprintOf(event: ExecEvent, observation: Observation): string {
    const { pod, clusterName } = event
    if (pod === undefined) return this.#digest(event, observation)
    const last = this.#lastSeenOf.get(observation)
    if (last?.pod === pod && last.clusterName === clusterName) return last.fingerprint
    const fingerprint = this.#digest(event, observation)
    this.#lastSeenOf.set(observation, { pod, clusterName, fingerprint })
    return fingerprint
  }

  #digest(event: ExecEvent, observation: Observation): string {
    const identity = identityOf(event, observation)
    const known = this.#fingerprints.get(identity)
    if (known !== undefined) return known
    const fingerprint = fingerprintOf(identity)
    if (identity.length > MAX_IDENTITY) return fingerprint
    if (this.#fingerprints.size >= MAX_FINGERPRINTS) this.#fingerprints.clear()
    this.#fingerprints.set(identity, fingerprint)
    return fingerprint
  }

  #evictLongestUnseen(): void {
    const [fingerprint, entry] = this.#findings.entries().next().value ?? []
    if (fingerprint === undefined || entry === undefined) return
    this.#evictions += 1
    if (this.#news.has(entry) || this.#changed.has(entry)) {
      entry.emissions += 1
      this.#evicted.push(snapshot(entry))
    }
    this.#drop(fingerprint, entry)
  }

  #drop(fingerprint: string, entry: FindingEntry): void {
    this.#findings.delete(fingerprint)
    this.#news.delete(entry)
    this.#changed.delete(entry)
    this.#unsaved.delete(entry)
    if (this.#isArchived) this.#forgotten.push(fingerprint)
  }
}

function isInventory({ flags }: ExecEvent): boolean {
  return flags.includes('procFS')
}

/** A record of the journal may come in after the first exec. */
function isSurer(observation: Observation, finding: Finding): boolean {
  const rank = (of: Observation | Finding): number =>
    CERTAINTIES.indexOf(of.certainty) + CERTAINTIES.indexOf(of.admission?.certainty ?? 'unknown')
  return rank(observation) > rank(finding)
}
