/**
 * Findings on their way to one receiver that may be slow, away or choosy: the ports, and what can become of a finding.
 *
 * A finding that was accepted is delivered at least once, or stands in the dead letters, whatever fails in between. It is
 * state and no stream: an update that waits is superseded by the next one of the same fingerprint.
 */

import { createHash } from 'node:crypto'
import type { Backoff } from '../backoff.js'
import type { Finding } from './finding.js'
import type { FindingKind, Severity } from './observation.js'

/** One finding that waits. A later number is a later update. */
export interface Delivery {
  readonly id: number
  readonly finding: Finding
}

/**
 * What became of the findings of one message.
 *
 * - `delivered`: the receiver has them, or the first `count` of them; then give it `restMs` of rest.
 * - `skipped`: what they are about is gone, so that there is nobody to tell.
 * - `retry`: it may work later: the network, an overload, a fault of the receiver.
 * - `refused`: it cannot work until an operator changes something (credentials, an index, a role): nothing is wrong with
 *   the findings.
 * - `rejected`: the receiver will never take this message.
 */
export type SendOutcome =
  | { readonly type: 'delivered'; readonly count?: number; readonly restMs?: number }
  | { readonly type: 'skipped'; readonly problem: string }
  | { readonly type: 'retry'; readonly problem: string; readonly retryAfterMs?: number | undefined }
  | { readonly type: 'refused'; readonly problem: string }
  | { readonly type: 'rejected'; readonly problem: string }

/** The far side. `problem` of an outcome is half a sentence, safe to print. */
export interface FindingReceiver {
  /** How many findings it takes at once. */
  readonly maxBatch: number
  /** At least one finding, the oldest first. Expected failures are outcomes; whatever is thrown is a bug. */
  send(findings: readonly Finding[], signal: AbortSignal): Promise<SendOutcome>
  close(): void
}

/**
 * What waits for one receiver, the oldest first; at most one update a fingerprint. Of one that is durable `take`, `settle` and
 * `postpone` throw ArchiveUnavailable while its file cannot be used.
 */
export interface DeliveryQueue {
  readonly size: number
  /** Whether what waits outlives this process. */
  readonly isDurable: boolean
  /** Supersedes what waits of the same fingerprint. */
  put(finding: Finding): void
  /** They stay until they are settled. */
  take(count: number): readonly Delivery[]
  settle(deliveries: readonly Delivery[]): void
  /** Behind all others, unless a later update has taken its place. */
  postpone(delivery: Delivery): void
}

/**
 * Why a finding was given up.
 *
 * - `rejected`: the receiver will never take it.
 * - `overflow`: too many waited, and this was the oldest.
 * - `stopped`: the program ended, and nothing keeps what waits.
 */
export type DeadReason = 'rejected' | 'overflow' | 'stopped'

export interface DeadLetter {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly sink: string
  readonly reason: DeadReason
  /** Half a sentence. */
  readonly problem: string
  readonly finding: Finding
}

export interface DeadLetters {
  /** False: they could not be kept. */
  write(letters: readonly DeadLetter[]): boolean
}

/** Which findings one receiver wants. */
export interface DeliveryFilter {
  readonly minSeverity: Severity
  /** Undefined: all. */
  readonly kinds: ReadonlySet<FindingKind> | undefined
}

export interface DeliveryTiming {
  /** After a failure; after a refusal its longest pause. */
  readonly backoff: Backoff
  /** How long the first finding waits for others, where the receiver takes several at once, in milliseconds. */
  readonly lingerMs: number
}

/** What a runner is made of. */
export interface DeliveryOptions {
  /** The sink's name. */
  readonly name: string
  readonly receiver: FindingReceiver
  readonly queue: DeliveryQueue
  readonly filter: DeliveryFilter
  readonly deadLetters: DeadLetters
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** From 0 to 1. */
  readonly random: () => number
  /** Resolves after so many milliseconds, or at the signal; never rejects. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
  /** Called when the state of affairs changes: a sentence to print. */
  readonly onNews: (sentence: string) => void
  readonly timing?: DeliveryTiming
  readonly maxQueued?: number
}

/** For metrics: counts since the start, and how things stand. */
export interface DeliveryState {
  readonly name: string
  readonly queued: number
  readonly sent: number
  readonly skipped: number
  /** Messages, by what became of them. */
  readonly failures: Readonly<Record<'retry' | 'refused' | 'rejected', number>>
  readonly deadLetters: Readonly<Record<DeadReason, number>>
  /** Those of the dead letters that could not be kept. */
  readonly dropped: number
  /** An operator has to change something before anything is taken. */
  readonly isPaused: boolean
  /** Milliseconds since the epoch; 0: never yet. */
  readonly lastSuccessAt: number
}

const SEVERITIES: readonly Severity[] = ['info', 'low', 'medium', 'high']

export function isWanted({ minSeverity, kinds }: DeliveryFilter, { severity, kind }: Finding): boolean {
  return SEVERITIES.indexOf(severity) >= SEVERITIES.indexOf(minSeverity) && (kinds === undefined || kinds.has(kind))
}

/**
 * Tells a repeated delivery: the same update of the same finding has the same, 32 hexadecimal characters. The node is in
 * it because correlators on several nodes may each have a finding of the same fingerprint.
 */
export function deliveryIdOf({ fingerprint, emission, node_name: node = '' }: Finding): string {
  return createHash('sha256').update(`${fingerprint} ${emission} ${node}`).digest('hex').slice(0, 32)
}
