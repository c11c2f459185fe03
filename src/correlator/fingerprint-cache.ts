/** Fingerprints that were worked out lately: most observations repeat, and a hash costs more than a look-up. */

import type { ExecEvent } from './exec-event.js'
import { fingerprintOf, identityOf } from './finding.js'
import type { Observation } from './observation.js'

/** Identities whose fingerprint is kept, and the longest of them in characters: some 20 MB at worst. */
const MAX_FINGERPRINTS = 20_000
const MAX_IDENTITY = 1_000

type Last = Pick<ExecEvent, 'pod' | 'clusterName'> & { readonly fingerprint: string }

export class FingerprintCache {
  readonly #fingerprints = new Map<string, string>()
  /** Detections say the same of a container again and again, by the very same object. */
  readonly #lastOf = new WeakMap<Observation, Last>()

  fingerprintOf(event: ExecEvent, observation: Observation): string {
    const { pod, clusterName } = event
    if (pod === undefined) return this.#digest(event, observation)
    const last = this.#lastOf.get(observation)
    if (last?.pod === pod && last.clusterName === clusterName) return last.fingerprint
    const fingerprint = this.#digest(event, observation)
    this.#lastOf.set(observation, { pod, clusterName, fingerprint })
    return fingerprint
  }

  #digest(event: ExecEvent, observation: Observation): string {
    const identity = identityOf(event, observation)
    const known = this.#fingerprints.get(identity)
    if (known !== undefined) return known
    const fingerprint = fingerprintOf(identity)
    if (identity.length > MAX_IDENTITY) return fingerprint
    if (this.#fingerprints.size >= MAX_FINGERPRINTS) this.#fingerprints.clear()
    this.#fingerprints.set(identity, fingerprint)
    return fingerprint
  }
}
