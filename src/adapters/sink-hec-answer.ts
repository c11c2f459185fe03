/** What Splunk's HTTP Event Collector answers, code by code (its manual: "Troubleshoot HTTP Event Collector"). */

import type { SendOutcome } from '../correlator/delivery.js'
import { escapeForeign } from '../policy/index.js'
import { type HttpAnswer, outcomeOfStatus } from './sink-http.js'

/** How long to leave a collector alone that says it is nearly full. */
const REST_MS = 5_000

/** A `hint` says what to change; `new-channel` asks for another data channel. */
interface Meaning {
  readonly class: 'delivered' | 'nearly-full' | 'retry' | 'refused' | 'rejected'
  readonly hint?: string
  readonly isChannelSpent?: true
}

/** Each documented code. 5, 6, 12, 13 and 15 are about what we sent; the runner finds out which finding it was. */
const MEANINGS: ReadonlyMap<number, Meaning> = new Map([
  [0, { class: 'delivered' }],
  [1, { class: 'refused', hint: 'the token is disabled' }],
  [2, { class: 'refused', hint: 'a token is required: add token-file=' }],
  [3, { class: 'refused', hint: 'the authorization is not understood' }],
  [4, { class: 'refused', hint: 'the token is not known' }],
  [5, { class: 'rejected' }],
  [6, { class: 'rejected' }],
  [7, { class: 'refused', hint: 'the token may not write to this index' }],
  [8, { class: 'retry' }],
  [9, { class: 'retry' }],
  [10, { class: 'refused', hint: 'the token has indexer acknowledgement switched on: add ack=true' }],
  [11, { class: 'retry', isChannelSpent: true }],
  [12, { class: 'rejected' }],
  [13, { class: 'rejected' }],
  [14, { class: 'refused', hint: 'the token has no indexer acknowledgement: leave ack=true out' }],
  [15, { class: 'rejected' }],
  [16, { class: 'refused' }],
  // The answer of the health endpoint: it says nothing of what was sent.
  [17, { class: 'refused', hint: 'this is the address of the health check' }],
  [18, { class: 'retry' }],
  [19, { class: 'retry' }],
  [20, { class: 'retry' }],
  [21, { class: 'refused', hint: 'the token is not known' }],
  [22, { class: 'refused', hint: 'the token is disabled' }],
  [23, { class: 'retry' }],
  [24, { class: 'nearly-full' }],
  [25, { class: 'nearly-full' }],
  [26, { class: 'retry' }],
  [27, { class: 'retry', isChannelSpent: true }],
])

export interface HecAnswer {
  readonly outcome: SendOutcome
  /** Under which the collector will say whether the events are indexed; only with acknowledgement. */
  readonly ackId: number | undefined
  /** Go on with another data channel. */
  readonly isChannelSpent: boolean
}

/** Never throws. What is no answer of a collector (a proxy's page) is judged by its status, and never as a success. */
export function decodeHecAnswer(answer: HttpAnswer): HecAnswer {
  const { code, text, ackId } = fieldsOf(answer.text)
  const meaning = typeof code === 'number' ? MEANINGS.get(code) : undefined
  const words = typeof text === 'string' ? escapeForeign(text, 200) : undefined
  const isChannelSpent = meaning?.isChannelSpent === true
  if (meaning === undefined) return { outcome: byStatus(answer, words), ackId: undefined, isChannelSpent }
  const hint = meaning.hint === undefined ? '' : ` (${meaning.hint})`
  const problem = `it answered code ${String(code)}: ${words ?? ''}${hint}`
  const id = typeof ackId === 'number' && Number.isSafeInteger(ackId) ? ackId : undefined
  return { outcome: outcomeOf(meaning, problem, answer), ackId: id, isChannelSpent }
}

/** Whether the events of an id are indexed; undefined: the answer is none. `{"acks":{"0":true}}` */
export function isAcknowledged(text: string, ackId: number): boolean | undefined {
  const { acks } = fieldsOf(text)
  if (typeof acks !== 'object' || acks === null) return undefined
  const value: unknown = Object.getOwnPropertyDescriptor(acks, String(ackId))?.value
  return typeof value === 'boolean' ? value : undefined
}

function outcomeOf(meaning: Meaning, problem: string, { status, retryAfterMs }: HttpAnswer): SendOutcome {
  switch (meaning.class) {
    case 'delivered':
    case 'nearly-full':
      // A code of success under another status is no success.
      if (status !== 200) return { type: 'retry', problem, retryAfterMs }
      return meaning.class === 'delivered' ? { type: 'delivered' } : { type: 'delivered', restMs: REST_MS }
    case 'retry':
      return { type: 'retry', problem, retryAfterMs }
    case 'refused':
    case 'rejected':
      return { type: meaning.class, problem }
  }
}

function byStatus(answer: HttpAnswer, words: string | undefined): SendOutcome {
  const outcome = outcomeOfStatus(answer, words)
  if (outcome.type !== 'delivered') return outcome
  return { type: 'refused', problem: `it answered ${answer.status}, and not as an HTTP Event Collector does` }
}

function fieldsOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}
