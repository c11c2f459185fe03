/** A receiver that takes everything and sends nothing: what would be sent is shown instead. */

import type { FindingReceiver } from '../correlator/delivery.js'
import type { Finding } from '../correlator/finding.js'

/** @param show given one line that ends with its newline. */
export function createDryRun(encode: (finding: Finding) => string, show: (line: string) => void): FindingReceiver {
  return {
    maxBatch: 1,
    send: async findings => {
      for (const finding of findings) show(encode(finding))
      return { type: 'delivered' }
    },
    close() {},
  }
}
