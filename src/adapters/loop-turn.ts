/** Gives signals, timers and sockets their turn where a long piece of work never waits. */

import { setImmediate as nextTurn } from 'node:timers/promises'

/** Nobody notices that the rest of the process waits for so long. */
const TURN_MS = 10

/** To be awaited between two pieces of work: mostly nothing, and now and then one turn of the event loop. */
export function createLoopTurns(turnMs: number = TURN_MS): () => Promise<void> | undefined {
  let turnedAt = performance.now()
  const turn = async (): Promise<void> => {
    await nextTurn()
    turnedAt = performance.now()
  }
  return () => (performance.now() - turnedAt < turnMs ? undefined : turn())
}
