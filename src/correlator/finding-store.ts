/** Findings in memory: one a fingerprint, counted, bounded, and given out when there is news of them. */

import type { CompiledPolicy } from '../policy/index.js'
import type { ExecEvent } from './exec-event.js'
import { createFinding, type Finding, fingerprintOf, riskObjectOf, sampleOf } from './finding.js'
import type { Certainty } from './image-use.js'
import type { Observation } from './observation.js'

/** About 300 MB of findings at worst, each with its samples full; some 100 MB in practice. */
export const MAX_FINDINGS = 100_000
/** All findings about one object together never weigh more. */
export const MAX_RISK_PER_OBJECT = 100
const MAX_SAMPLES = 5
/** From the weakest on. */
const CERTAINTIES: readonly Certainty[] = ['unknown', 'likely', 'proved']

export interface FindingStoreOptions {
  readonly maxFindings?: number
}

export class FindingStore {
  readonly #policy: CompiledPolicy
  readonly #maxFindings: number
  /** In the order in which they were last seen, the longest unseen first. */
  readonly #findings = new Map<string, Entry>()
  readonly #riskByObject = new Map<string, number>()
  /** Nobody has heard of them, or not of their present status. */
  readonly #news = new Set<Entry>()
  /** Given out before, and changed since. */
  readonly #changed = new Set<Entry>()
  #evicted: Finding[] = []
  #evictions = 0

  constructor(policy: CompiledPolicy, options: FindingStoreOptions = {}) {
    this.#policy = policy
    this.#maxFindings = options.maxFindings ?? MAX_FINDINGS
  }

  /** Findings that made room for others since the start; each was given out first. */
  get evictions(): number {
    return this.#evictions
  }

  /**
   * Note what was seen.
   *
   * A process that the agent found running at its start (`procFS`) is inventory, and no news: an image in use is in
   * use, so that it may open a finding and widen its span of time, but it never counts as an exec.
   */
  observe(event: ExecEvent, observation: Observation): void {
    const fingerprint = fingerprintOf(event, observation)
    const known = this.#findings.get(fingerprint)
    if (known === undefined) {
      this.#open(event, observation, fingerprint)
      return
    }
    this.#findings.delete(fingerprint)
    this.#findings.set(fingerprint, known)
    repeat(known, event)
    this.#changed.add(known)
    // One exec outside the exception makes an alert; a later one under it does not take the alert back.
    const isOpened = known.suppression !== undefined && observation.suppression === undefined
    if (!isOpened && !isSurer(observation, known.finding)) return
    const score = isOpened ? this.#allotRisk(event, observation) : known.finding.risk.score
    known.finding = createFinding(this.#policy, event, observation, fingerprint, score)
    if (isOpened) known.suppression = undefined
    this.#news.add(known)
  }

  /**
   * Findings that nobody has heard of, in the order in which they were opened; those that an exception no longer
   * covers, or that more is known about now; and those that were evicted.
   */
  takeNews(): Finding[] {
    if (this.#news.size === 0 && this.#evicted.length === 0) return []
    const news = [...this.#evicted, ...[...this.#news].map(snapshot)]
    for (const entry of this.#news) this.#changed.delete(entry)
    this.#news.clear()
    this.#evicted = []
    return news
  }

  /** Whatever has changed since it was last given out: counts, last seen, samples. */
  takeUpdates(): Finding[] {
    const updates = [...this.takeNews(), ...[...this.#changed].map(snapshot)]
    this.#changed.clear()
    return updates
  }

  #open(event: ExecEvent, observation: Observation, fingerprint: string): void {
    const score = this.#allotRisk(event, observation)
    const finding = createFinding(this.#policy, event, observation, fingerprint, score)
    const entry: Entry = {
      finding,
      count: execsIn(event),
      firstSeen: event.time,
      lastSeen: event.time,
      suppression: observation.suppression,
      processes: new Set(),
      pods: new Set(),
    }
    this.#findings.set(fingerprint, entry)
    this.#news.add(entry)
    keepSamples(entry, event)
    if (this.#findings.size > this.#maxFindings) this.#evictLongestUnseen()
  }

  #allotRisk(event: ExecEvent, { risk, suppression }: Observation): number {
    if (suppression !== undefined) return 0
    const { field, name } = riskObjectOf(event)
    const object = `${field} ${event.clusterName ?? ''} ${event.pod?.namespace ?? ''}/${name}`
    const given = this.#riskByObject.get(object) ?? 0
    const score = Math.min(risk, MAX_RISK_PER_OBJECT - given)
    if (this.#riskByObject.size >= this.#maxFindings) this.#riskByObject.clear()
    this.#riskByObject.set(object, given + score)
    return score
  }

  #evictLongestUnseen(): void {
    const [fingerprint, entry] = this.#findings.entries().next().value ?? []
    if (fingerprint === undefined || entry === undefined) return
    this.#findings.delete(fingerprint)
    this.#evictions += 1
    const wasNews = this.#news.delete(entry)
    const wasChanged = this.#changed.delete(entry)
    if (wasNews || wasChanged) this.#evicted.push(snapshot(entry))
  }
}

interface Entry {
  finding: Finding
  count: number
  /** Milliseconds since the epoch. */
  firstSeen: number
  lastSeen: number
  suppression: Observation['suppression']
  readonly processes: Set<string>
  readonly pods: Set<string>
}

function repeat(entry: Entry, event: ExecEvent): void {
  entry.count += execsIn(event)
  // Events may be late and out of order.
  entry.firstSeen = Math.min(entry.firstSeen, event.time)
  entry.lastSeen = Math.max(entry.lastSeen, event.time)
  keepSamples(entry, event)
}

function execsIn({ flags }: ExecEvent): number {
  return flags.includes('procFS') ? 0 : 1
}

/** A record of the journal may come in after the first exec. */
function isSurer(observation: Observation, finding: Finding): boolean {
  const rank = (of: Observation | Finding): number =>
    CERTAINTIES.indexOf(of.certainty) + CERTAINTIES.indexOf(of.admission?.certainty ?? 'unknown')
  return rank(observation) > rank(finding)
}

function keepSamples({ processes, pods }: Entry, event: ExecEvent): void {
  if (processes.size < MAX_SAMPLES) processes.add(sampleOf(event))
  if (pods.size < MAX_SAMPLES && event.pod !== undefined) pods.add(event.pod.name)
}

function snapshot(entry: Entry): Finding {
  const { finding, suppression } = entry
  return {
    ...finding,
    status: suppression === undefined ? 'open' : 'suppressed',
    count: entry.count,
    firstSeen: new Date(entry.firstSeen).toISOString(),
    lastSeen: new Date(entry.lastSeen).toISOString(),
    samples: { processes: [...entry.processes], pods: [...entry.pods] },
    suppression,
  }
}
