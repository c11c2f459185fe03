/** How much risk each object bears already: all findings about one object together never weigh more than the cap. */

import type { ExecEvent } from './exec-event.js'
import { type Finding, riskObjectOf } from './finding.js'

export const MAX_RISK_PER_OBJECT = 100

export class RiskLedger {
  readonly #maxObjects: number
  readonly #given = new Map<string, number>()

  /** @param maxObjects beyond which all are forgotten, and may bear the whole cap again. */
  constructor(maxObjects: number) {
    this.#maxObjects = maxObjects
  }

  /** What is left of a risk for the object of an event. */
  allot(event: ExecEvent, risk: number): number {
    const { field, name } = riskObjectOf(event)
    const object = keyOf(field, event.clusterName, event.pod?.namespace, name)
    const given = this.#given.get(object) ?? 0
    const score = Math.min(risk, MAX_RISK_PER_OBJECT - given)
    if (this.#given.size >= this.#maxObjects) this.#given.clear()
    this.#given.set(object, given + score)
    return score
  }

  /** A finding of an earlier run bears its risk still. */
  restore({ risk, cluster_name: cluster, pod_namespace: namespace }: Finding): void {
    for (const { field, name, score } of risk.objects) {
      const object = keyOf(field, cluster, namespace, name)
      this.#given.set(object, Math.min(MAX_RISK_PER_OBJECT, (this.#given.get(object) ?? 0) + score))
    }
  }
}

function keyOf(field: string, cluster: string | undefined, namespace: string | undefined, name: string): string {
  return `${field} ${cluster ?? ''} ${namespace ?? ''}/${name}`
}
