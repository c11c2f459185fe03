/** A source that may be quiet for long, and says so: else whoever reads it sees no time pass. */

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
  const patience = new Patience(idleMs)
  let next = parts.next()
  let isOver = false
  try {
    while (true) {
      const step = await patience.within(next)
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
    patience.end()
    if (!isOver) stop()
  }
}

/** One timer for all waiting: a new one for each part would cost more than the part. */
class Patience {
  #giveUp = (): void => {}
  readonly #timer: NodeJS.Timeout

  constructor(ms: number) {
    this.#timer = setTimeout(() => this.#giveUp(), ms)
  }

  /** Undefined when it has lasted too long. */
  async within<Value>(work: Promise<Value>): Promise<Value | undefined> {
    const lost = new Promise<undefined>(resolve => {
      this.#giveUp = () => resolve(undefined)
    })
    this.#timer.refresh()
    return Promise.race([work, lost])
  }

  end(): void {
    clearTimeout(this.#timer)
  }
}
