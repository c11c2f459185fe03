/** The port through which the agent itself says what it lost: events that no line of its export speaks of. */

/**
 * - `kernel-missed`: the kernel could not hand an event over.
 * - `ring-buffer-lost`: the agent was too slow to take it.
 * - `queue-overflowed`: a reader of the agent's stream was too slow.
 * - `export-rate-limited`: the rate limit of the export dropped it.
 * - `pod-not-found`: the pod of an event could not be named in time.
 */
export type AgentLossCode =
  | 'kernel-missed'
  | 'ring-buffer-lost'
  | 'queue-overflowed'
  | 'export-rate-limited'
  | 'pod-not-found'

export interface AgentLoss {
  readonly code: AgentLossCode
  /** More than 0. */
  readonly count: number
}

/** The agent's counters at one moment, as the adapter wrote them: kept as JSON and handed back, understood by nobody else. */
export type AgentReading = Readonly<Record<string, unknown>>

export interface AgentLosses {
  /** What was lost since the last call. Never throws and never waits. */
  take(): readonly AgentLoss[]
  /**
   * Up to where losses were taken: another object when there is anything new; undefined before the first reading. Kept
   * in the same transaction as what was made of them, it lets the next run go on there.
   */
  readonly reading: AgentReading | undefined
}
