/** What was worked out of observations lately: most repeat, and a fingerprint costs more than a look-up. */

import type { ExecEvent } from './exec-event.js'
import { fingerprintOf, identityOf } from './finding.js'
import { surenessOf } from './finding-entry.js'
import type { Observation } from './observation.js'

/** Identities whose fingerprint is kept, and the longest of them in characters: some 8 MB at worst. */
const MAX_FINGERPRINTS = 8_000
const MAX_IDENTITY = 1_000

/** An observation together with what the event adds to its identity. */
export interface KnownObservation extends Pick<ExecEvent, 'pod' | 'clusterName'> {
  readonly fingerprint: string
  readonly sureness: number
}

export class KnownObservations {
  readonly #fingerprints = new Map<string, string>()
  /** Detections say the same of a container again and again, by the very same object. */
  readonly #lastOf = new WeakMap<Observation, KnownObservation>()

  recall(event: ExecEvent, observation: Observation): KnownObservation {
    const last = this.#lastOf.get(observation)
    const isSame = last !== undefined && last.pod === event.pod && last.clusterName === event.clusterName
    // Without a pod the container's id is part of it, and the node's name without a container.
    return isSame && event.pod !== undefined ? last : this.#remember(event, observation)
  }

  #remember(event: ExecEvent, observation: Observation): KnownObservation {
    const { pod, clusterName } = event
    const known = {
      pod,
      clusterName,
      fingerprint: this.#digest(event, observation),
      sureness: surenessOf(observation),
    }
    if (pod !== undefined) this.#lastOf.set(observation, known)
    return known
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
