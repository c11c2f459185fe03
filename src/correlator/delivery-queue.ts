/** What waits for one receiver, in memory: gone with the process. */

import type { Delivery, DeliveryQueue } from './delivery.js'
import type { Finding } from './finding.js'

export function createMemoryQueue(): DeliveryQueue {
  /** By fingerprint, in the order of the ids. */
  const waiting = new Map<string, Delivery>()
  let lastId = 0
  const put = (finding: Finding): void => {
    waiting.delete(finding.fingerprint)
    lastId += 1
    waiting.set(finding.fingerprint, { id: lastId, finding })
  }
  return {
    get size() {
      return waiting.size
    },
    isDurable: false,
    put,
    take(count) {
      const taken: Delivery[] = []
      for (const delivery of waiting.values()) {
        if (taken.length >= count) break
        taken.push(delivery)
      }
      return taken
    },
    settle(deliveries) {
      for (const { id, finding } of deliveries) {
        // A later update of it may wait by now.
        if (waiting.get(finding.fingerprint)?.id === id) waiting.delete(finding.fingerprint)
      }
    },
    postpone({ id, finding }) {
      if (waiting.get(finding.fingerprint)?.id === id) put(finding)
    },
  }
}
