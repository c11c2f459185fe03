/** Splunk's HTTP Event Collector: gzipped batches, and indexer acknowledgement where it is asked for. */

import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { FindingReceiver, SendOutcome } from '../correlator/delivery.js'
import type { Finding } from '../correlator/finding.js'
import { decodeHecAnswer, isAcknowledged } from './sink-hec-answer.js'
import { encodeHecEvent } from './sink-hec-event.js'
import { type HttpMessage, openHttpTarget, type Posted } from './sink-http.js'
import type { HecSink } from './sink-spec.js'

/** Read from the queue at once, which takes some milliseconds. */
const MAX_EVENTS = 250
/** Of one message, before it is compressed. A single event may be larger. */
const MAX_BYTES = 1_000_000
const SCHEME = 'Splunk'
const DEFAULT_ACK: AckTiming = { firstMs: 250, maxMs: 10_000, deadlineMs: 120_000 }

const compress = promisify(gzip)

/** Milliseconds. */
export interface AckTiming {
  /** Before the first question; doubled with each. */
  readonly firstMs: number
  readonly maxMs: number
  /** What is not indexed by then is sent again, so that it may be there twice. */
  readonly deadlineMs: number
}

type Post = (message: HttpMessage) => Promise<Posted>

/** @throws KnownError FILE_UNREADABLE for the token or the CA. */
export async function openHecSink(sink: HecSink, ack: AckTiming = DEFAULT_ACK): Promise<FindingReceiver> {
  const target = await openHttpTarget(sink)
  /** Acknowledgements are counted for each channel: ours alone, and another one after a restart. */
  let channel = randomUUID()
  return {
    maxBatch: MAX_EVENTS,
    async send(findings, signal) {
      const post: Post = message => target.post(message, SCHEME, signal)
      const { body, count } = batchOf(findings, sink)
      const posted = await post({
        url: urlOf(sink, 'event'),
        body: await compress(body),
        headers: {
          'content-type': 'application/json',
          'content-encoding': 'gzip',
          ...(sink.isAcknowledged && { 'x-splunk-request-channel': channel }),
        },
      })
      if (!posted.ok) return posted.outcome
      const { outcome, ackId, isChannelSpent } = decodeHecAnswer(posted.answer)
      const used = channel
      if (isChannelSpent) channel = randomUUID()
      if (outcome.type !== 'delivered') return outcome
      const indexed = sink.isAcknowledged ? await untilIndexed(post, sink, used, ackId, ack, signal) : outcome
      return indexed.type === 'delivered' ? { ...outcome, count } : indexed
    },
    close: () => target.close(),
  }
}

/** As many as fit, and one at least. */
function batchOf(findings: readonly Finding[], sink: HecSink): { readonly body: string; readonly count: number } {
  const lines: string[] = []
  let bytes = 0
  for (const finding of findings) {
    const line = encodeHecEvent(finding, sink)
    bytes += Buffer.byteLength(line)
    if (bytes > MAX_BYTES && lines.length > 0) break
    lines.push(line)
  }
  return { body: lines.join(''), count: lines.length }
}

/** A path of the sink's URL stands before the collector's own: a proxy's. */
function urlOf({ url }: HecSink, endpoint: 'event' | 'ack'): URL {
  return new URL(`${url.pathname.replace(/\/+$/, '')}/services/collector/${endpoint}`, url)
}

/** The collector took the events; ask until they are indexed. A question that fails is asked again. */
async function untilIndexed(
  post: Post,
  sink: HecSink,
  channel: string,
  ackId: number | undefined,
  { firstMs, maxMs, deadlineMs }: AckTiming,
  signal: AbortSignal,
): Promise<SendOutcome> {
  if (ackId === undefined) return { type: 'refused', problem: 'it acknowledges nothing: leave ack=true out' }
  const url = urlOf(sink, 'ack')
  url.searchParams.set('channel', channel)
  const headers = { 'content-type': 'application/json', 'x-splunk-request-channel': channel }
  const message = { url, headers, body: JSON.stringify({ acks: [ackId] }) }
  const begun = performance.now()
  for (let pauseMs = firstMs; performance.now() - begun < deadlineMs; pauseMs = Math.min(maxMs, pauseMs * 2)) {
    await sleep(pauseMs, undefined, { signal }).catch(() => {})
    if (signal.aborted) break
    const verdict = readAck(await post(message), ackId)
    if (verdict !== undefined) return verdict
  }
  return { type: 'retry', problem: `its indexers acknowledged nothing within ${deadlineMs / 1_000} s` }
}

/** Undefined: ask again. */
function readAck(posted: Posted, ackId: number): SendOutcome | undefined {
  if (!posted.ok) return undefined
  const isIndexed = isAcknowledged(posted.answer.text, ackId)
  if (isIndexed !== undefined) return isIndexed ? { type: 'delivered' } : undefined
  const { outcome } = decodeHecAnswer(posted.answer)
  // What is wrong with the question is nothing that is wrong with the findings.
  return outcome.type === 'rejected' || outcome.type === 'refused' ? { ...outcome, type: 'refused' } : undefined
}
