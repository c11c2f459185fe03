/** The port that keeps findings over restarts, together with how far the source was read. An adapter implements it. */

import { KnownError } from '../errors.js'
import type { AgentReading } from './agent-losses.js'
import type { SourcePosition } from './event-source.js'
import type { Finding } from './finding.js'
import type { WatchState } from './watch-clock.js'

/** One finding as it stands. */
export interface KeptFinding {
  readonly finding: Finding
  /** Something about it changed since it was last given out. */
  readonly isChanged: boolean
  /** It has made room in memory: it is not loaded at the start, and can be recalled. */
  readonly isRetired?: boolean
}

/** What the run before left behind. */
export interface ArchivedState {
  /** The longest unseen first. */
  readonly findings: readonly KeptFinding[]
  /** Saved to be given out, and perhaps not given out: the run ended in between. */
  readonly pending: readonly Finding[]
  readonly position: SourcePosition | undefined
  readonly watch: WatchState | undefined
}

export interface ArchiveChanges {
  readonly findings: Iterable<KeptFinding>
  /** Fingerprints of findings that are to be forgotten. */
  readonly forgotten: readonly string[]
  /** What will be given out next: it replaces what was pending. */
  readonly pending: readonly Finding[]
  /** Everything up to here is in the findings, and nothing beyond. Undefined: the source cannot be resumed. */
  readonly position: SourcePosition | undefined
  readonly watch: WatchState
  /** Everything that the agent lost up to here is in the findings. Undefined: what was kept stays. */
  readonly agentReading?: AgentReading | undefined
  /** Retired findings that were last seen before are to be forgotten, in milliseconds since the epoch. */
  readonly forgetBefore?: number | undefined
}

/**
 * It cannot be read or written for now: a full disk, a device that fails, a file that another process holds. Nothing has
 * changed, and the same may work later. Whoever does not wait for that ends as by any archive that cannot be used.
 */
export class ArchiveUnavailable extends KnownError {
  /** Half a sentence. */
  readonly problem: string

  constructor(message: string, problem: string, options?: ErrorOptions) {
    super('STATE_UNUSABLE', message, options)
    this.problem = problem
  }
}

/** How findings come back that are not held in memory. Both throw `ArchiveUnavailable`. */
export interface RetiredFindingReader {
  /** One that is retired; it stays so until it is saved as one that is not. */
  recall(fingerprint: string): KeptFinding | undefined
  /** Some that are retired, not resolved, and were last seen before, in milliseconds since the epoch; oldest first. */
  recallUnseen(since: number): readonly KeptFinding[]
}

/**
 * A run saves, gives out what is pending, and then says so. A crash in between gives the same lines out again, with the
 * same `emission`: so nothing is lost, and a reader can tell a repeated line.
 */
export interface FindingArchive extends RetiredFindingReader {
  load(): ArchivedState
  /** All or nothing. @throws ArchiveUnavailable */
  save(changes: ArchiveChanges): void
  /** What was pending has been given out. @throws ArchiveUnavailable */
  confirm(): void
}
