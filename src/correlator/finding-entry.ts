/** One finding while it is in memory: what changes with each sighting, beside what was said when it was raised. */

import type { ExecEvent } from './exec-event.js'
import type { Finding } from './finding.js'
import { podSampleOf, sampleOf } from './finding-text.js'
import type { Certainty } from './image-use.js'
import type { Observation, Suppression } from './observation.js'

const MAX_SAMPLES = 5
/** Characters of a command line that is kept to be known again. */
const MAX_REPEATED = 512
/** From the weakest on. */
const CERTAINTIES: readonly Certainty[] = ['unknown', 'likely', 'proved']

export interface FindingEntry {
  finding: Finding
  status: Finding['status']
  count: number
  /** Of `count`, those that an exception covered. */
  suppressedCount: number
  /** Milliseconds since the epoch. */
  firstSeen: number
  lastSeen: number
  /** How often it was given out. */
  emissions: number
  suppression: Suppression | undefined
  /** Of what `finding` says: see `surenessOf`. */
  sureness: number
  /** What became of it beside sightings, as a whole sentence. */
  epilogue: string | undefined
  readonly processes: Set<string>
  readonly pods: Set<string>
  /** The command line that was looked at last: most are repeated. */
  binary: string | undefined
  arguments: string | undefined
}

export function openEntry(
  finding: Finding,
  event: ExecEvent,
  times: number,
  suppression: Suppression | undefined,
): FindingEntry {
  const entry: FindingEntry = {
    finding,
    status: suppression === undefined ? 'open' : 'suppressed',
    count: 0,
    suppressedCount: 0,
    firstSeen: event.time,
    lastSeen: event.time,
    emissions: 0,
    suppression,
    sureness: surenessOf(finding),
    epilogue: undefined,
    processes: new Set(),
    pods: new Set(),
    binary: undefined,
    arguments: undefined,
  }
  recordSighting(entry, event, times, suppression !== undefined)
  return entry
}

/** Go on counting where an entry of the same finding stood. */
export function continueEntry(
  entry: FindingEntry,
  former: Pick<FindingEntry, 'count' | 'suppressedCount' | 'firstSeen' | 'emissions'>,
): void {
  entry.count += former.count
  entry.suppressedCount += former.suppressedCount
  entry.firstSeen = Math.min(entry.firstSeen, former.firstSeen)
  entry.emissions = former.emissions
}

/** @param times what the sighting counts for; 0 for mere inventory. */
export function recordSighting(entry: FindingEntry, event: ExecEvent, times: number, isSuppressed: boolean): void {
  entry.count += times
  if (isSuppressed) entry.suppressedCount += times
  // Events may be late and out of order.
  entry.firstSeen = Math.min(entry.firstSeen, event.time)
  entry.lastSeen = Math.max(entry.lastSeen, event.time)
  const { processes, pods } = entry
  if (processes.size < MAX_SAMPLES && event.binary !== '' && lookAt(event, entry)) processes.add(sampleOf(event))
  if (pods.size < MAX_SAMPLES && event.pod !== undefined) pods.add(podSampleOf(event.pod))
}

/** Note the command line. @returns false for the one that was looked at last. */
function lookAt({ binary, arguments: args }: ExecEvent, entry: FindingEntry): boolean {
  if (binary === entry.binary && args === entry.arguments) return false
  const isShort = binary.length + (args?.length ?? 0) <= MAX_REPEATED
  entry.binary = isShort ? binary : undefined
  entry.arguments = isShort ? args : undefined
  return true
}

/** @param epilogue why, as a whole sentence. */
export function resolveEntry(entry: FindingEntry, epilogue: string): void {
  entry.status = 'resolved'
  entry.epilogue = epilogue
}

/** The finding as it stands now. */
export function snapshot(entry: FindingEntry): Finding {
  const { finding, status, suppression, epilogue } = entry
  return {
    ...finding,
    status,
    emission: entry.emissions,
    count: entry.count,
    suppressedCount: entry.suppressedCount,
    firstSeen: new Date(entry.firstSeen).toISOString(),
    lastSeen: new Date(entry.lastSeen).toISOString(),
    samples: { processes: [...entry.processes], pods: [...entry.pods] },
    suppression,
    remarks: epilogue === undefined ? finding.remarks : [...finding.remarks, epilogue],
  }
}

/** The entry that a kept finding came from. */
export function reviveEntry(finding: Finding): FindingEntry {
  const { status, count, suppressedCount, emission, suppression, samples } = finding
  return {
    finding,
    status,
    count,
    suppressedCount,
    firstSeen: Date.parse(finding.firstSeen),
    lastSeen: Date.parse(finding.lastSeen),
    emissions: emission,
    suppression,
    sureness: surenessOf(finding),
    // It is one of the remarks already.
    epilogue: undefined,
    processes: new Set(samples.processes),
    pods: new Set(samples.pods),
    binary: undefined,
    arguments: undefined,
  }
}

/** The agent found the process running at its start. */
export function isInventory({ flags }: ExecEvent): boolean {
  return flags.includes('procFS')
}

/** How much is known, as a number: a record of the journal may come in after the first exec, and make it more. */
export function surenessOf({ certainty, admission }: Pick<Observation, 'certainty' | 'admission'>): number {
  return CERTAINTIES.indexOf(certainty) + CERTAINTIES.indexOf(admission?.certainty ?? 'unknown')
}
