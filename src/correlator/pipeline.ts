/** Events in, findings out: decode, detect, gather, give out. */

import type { CompiledPolicy, ToolCatalogue } from '../policy/index.js'
import type { AdmissionJournal } from './admission-journal.js'
import { createAdmissionLookup } from './admission-lookup.js'
import { detectCoverage } from './coverage-detection.js'
import { createDetectionContext, type DetectionContext, type DetectionTools } from './detection-context.js'
import { detectDrift } from './drift-detection.js'
import type { EventSource } from './event-source.js'
import { readExecEvents } from './event-stream.js'
import type { ExecEvent } from './exec-event.js'
import type { Finding } from './finding.js'
import { FindingStore } from './finding-store.js'
import { detectImage } from './image-detection.js'
import type { Observation } from './observation.js'
import type { StreamStats } from './stream-stats.js'
import { detectTool } from './tool-detection.js'

export interface CorrelatorOptions {
  readonly policy: CompiledPolicy
  readonly catalogue: ToolCatalogue
  /** What the webhook recorded; undefined: nothing can be explained. */
  readonly journal: AdmissionJournal | undefined
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
   *   that is followed must send idle parts for time to pass), and once more at the end.
   * - `at-end`: everything comes out when the source has ended.
   */
  readonly emit: { readonly when: 'at-once'; readonly updateMs: number } | { readonly when: 'at-end' }
  readonly maxFindings?: number
}

const DETECTIONS: readonly ((event: ExecEvent, context: DetectionContext) => readonly Observation[])[] = [
  detectTool,
  detectImage,
  detectDrift,
  detectCoverage,
]

/**
 * Run the correlator over a source. The same events give the same findings and counts, however they are cut into
 * parts. What cannot be read is counted in `stats`; only errors of the source itself are thrown.
 */
export async function* correlate(source: EventSource, options: CorrelatorOptions): AsyncGenerator<Finding> {
  const { policy, stats, now, emit } = options
  const tools = detectionTools(options)
  const store = new FindingStore(policy, options.maxFindings === undefined ? {} : { maxFindings: options.maxFindings })
  let updatedAt = now()
  for await (const events of readExecEvents(source, stats)) {
    for (const event of events) observe(event, tools, store)
    stats.evictedFindings = store.evictions
    if (emit.when === 'at-end') continue
    yield* store.takeNews()
    if (now() - updatedAt < emit.updateMs) continue
    updatedAt = now()
    yield* store.takeUpdates()
  }
  yield* store.takeUpdates()
}

function detectionTools({ policy, catalogue, journal, now, asOf, policyPaths }: CorrelatorOptions): DetectionTools {
  const admissions = createAdmissionLookup(journal, now)
  return { policy, catalogue, admissions, asOf, policyPaths: policyPaths ?? [] }
}

function observe(event: ExecEvent, tools: DetectionTools, store: FindingStore): void {
  const context = createDetectionContext(tools, event)
  for (const detect of DETECTIONS) {
    for (const observation of detect(event, context)) store.observe(event, observation)
  }
}
