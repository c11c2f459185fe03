/** Events in, findings out: decode, detect, gather, give out. */

import type { CompiledPolicy, ToolCatalogue } from '../policy/index.js'
import type { AdmissionJournal } from './admission-journal.js'
import { createAdmissionLookup } from './admission-lookup.js'
import type { AgentLosses } from './agent-losses.js'
import { ArchivePatience, type Waiting } from './archive-patience.js'
import type { AuditEvidence } from './audit-evidence.js'
import { createClusterLookup } from './cluster-lookup.js'
import type { DetectionTools } from './detection-context.js'
import { createDetector } from './detector.js'
import type { EventSource } from './event-source.js'
import { readExecEvents } from './event-stream.js'
import type { ExecEvent } from './exec-event.js'
import type { Finding } from './finding.js'
import { ArchiveUnavailable, type FindingArchive } from './finding-archive.js'
import { FindingOutlet } from './finding-outlet.js'
import { FindingStore } from './finding-store.js'
import type { Inventory } from './inventory.js'
import { StreamCoverage } from './stream-coverage.js'
import type { StreamStats } from './stream-stats.js'
import { WatchClock } from './watch-clock.js'

/** A longer silence of the stream is a gap: what was not seen then may have gone on. */
export const DEFAULT_STALE_MS = 3_600_000

export interface CorrelatorOptions {
  readonly policy: CompiledPolicy
  readonly catalogue: ToolCatalogue
  /** What the webhook recorded; undefined: nothing can be explained. */
  readonly journal: AdmissionJournal | undefined
  /** What is known of pods, namespaces and the webhook's registration. */
  readonly inventory?: Inventory | undefined
  /** What the API server logged. */
  readonly audit?: AuditEvidence | undefined
  /** Filled while the stream is read. */
  readonly stats: StreamStats
  /** The clock of this machine, in milliseconds since the epoch. */
  readonly now: () => number
  /** Judge as of this time instead of each event's own. */
  readonly asOf?: number | undefined
  /** The `--policy` arguments, for the commands that findings suggest. */
  readonly policyPaths?: readonly string[]
  /**
   * - `at-once`: a finding comes out when it is first seen, and again, when it has changed, every `updateMs` (a source
   *   that is followed must send idle parts for time to pass), and once more at the end. It is resolved when it has not
   *   been seen for `resolveAfterMs`; without that, never.
   * - `at-end`: everything comes out when the source has ended.
   */
  readonly emit:
    | { readonly when: 'at-once'; readonly updateMs: number; readonly resolveAfterMs?: number }
    | { readonly when: 'at-end' }
  /** Keeps the findings over restarts; it stays the caller's to close. Only with `at-once`. */
  readonly archive?: FindingArchive | undefined
  /** How an archive is waited for that cannot be used for now. Default: it ends the run. */
  readonly waiting?: Waiting
  /** What the agent says that it lost. */
  readonly agentLosses?: AgentLosses | undefined
  /** A stream without a line for that long is reported. Default: one hour. */
  readonly staleMs?: number
  /** So many are held in memory. */
  readonly maxFindings?: number
}

/**
 * Run the correlator over a source. The same events give the same findings and counts, however they are cut into
 * parts. What cannot be read is counted in `stats`; only errors of the source itself and of the archive are thrown.
 */
export async function* correlate(source: EventSource, options: CorrelatorOptions): AsyncGenerator<Finding> {
  const { stats, now, emit, staleMs = DEFAULT_STALE_MS, agentLosses, inventory } = options
  const detect = createDetector(detectionTools(options))
  const patience = new ArchivePatience(options.waiting)
  const { store, watch, outlet, pending } = openState(options, patience)
  yield* outlet.resume(pending)
  const coverage = new StreamCoverage(stats, { staleMs, now, agentLosses, inventory })
  const observeAll = async (events: readonly ExecEvent[]): Promise<void> => {
    const readAt = now()
    for (const event of events) {
      for (const observation of detect(event)) {
        try {
          store.observe(event, observation)
        } catch (error) {
          if (!(error instanceof ArchiveUnavailable)) throw error
          await patience.until(() => store.observe(event, observation))
        }
      }
      watch.see(event.time, readAt)
      coverage.see(event)
    }
  }
  for await (const { events, position, gap } of readExecEvents(source, stats)) {
    await observeAll(events)
    coverage.note(gap)
    if (emit.when === 'at-once') {
      coverage.noteOutage(outlet.takeOutage())
      coverage.noteLosses()
    }
    await patience.until(() => coverage.tell(store))
    stats.evictedFindings = store.evictions
    stats.lastEventAt = events.at(-1)?.time ?? stats.lastEventAt
    if (emit.when === 'at-once') yield* outlet.next(position, events.length === 0)
  }
  coverage.noteLosses()
  await patience.until(() => coverage.tell(store))
  yield* outlet.last()
}

interface CorrelatorState {
  readonly store: FindingStore
  readonly watch: WatchClock
  readonly outlet: FindingOutlet
  /** What the run before may not have given out. */
  readonly pending: readonly Finding[]
}

function openState(options: CorrelatorOptions, patience: ArchivePatience): CorrelatorState {
  const { policy, archive, agentLosses, emit, now, maxFindings, staleMs = DEFAULT_STALE_MS } = options
  const store = new FindingStore(policy, maxFindings === undefined ? { archive } : { archive, maxFindings })
  const kept = archive?.load()
  if (kept !== undefined) store.restore(kept.findings)
  const watch = new WatchClock(staleMs, kept?.watch)
  const updateMs = emit.when === 'at-once' ? emit.updateMs : 0
  const resolveAfterMs = emit.when === 'at-once' ? emit.resolveAfterMs : undefined
  const outlet = new FindingOutlet({ store, watch, archive, patience, agentLosses, updateMs, resolveAfterMs, now })
  return { store, watch, outlet, pending: kept?.pending ?? [] }
}

function detectionTools(options: CorrelatorOptions): DetectionTools {
  const { policy, catalogue, journal, inventory, audit, now, asOf, policyPaths = [] } = options
  const admissions = createAdmissionLookup(journal, now)
  const cluster = createClusterLookup(inventory, audit, now)
  return { policy, catalogue, admissions, cluster, asOf, policyPaths }
}
