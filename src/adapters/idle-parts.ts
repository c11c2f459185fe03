/** A source that may be quiet for long, and says so: else whoever reads it sees no time pass. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { EventSource, SourcePart } from '../correlator/event-source.js'

/**
 * The parts of a source, and an idle one each time that nothing came for `idleMs` milliseconds.
 *
 * @param stop ends a read that has not come back, when the reader leaves before the end.
 */
export async function* withIdleParts(
  source: EventSource,
  idleMs: number,
  stop: () => void,
): AsyncGenerator<SourcePart> {
  const parts = source[Symbol.asyncIterator]()
  let next = parts.next()
  let isOver = false
  try {
    while (true) {
      const step = await within(next, idleMs)
      if (step === undefined) {
        yield { type: 'idle' }
        continue
      }
      isOver = step.done === true
      if (step.done === true) return
      yield step.value
      next = parts.next()
    }
  } finally {
    if (!isOver) stop()
  }
}

async function within<Value>(work: Promise<Value>, ms: number): Promise<Value | undefined> {
  const done = new AbortController()
  try {
    return await Promise.race([work, sleep(ms, undefined, { signal: done.signal })])
  } finally {
    done.abort()
  }
}
