/** Who is at the top of an object's chain of owners, as far as the records themselves tell. */

import type { DecisionRecord } from './decision-record.js'

export interface OwnerName {
  readonly kind: string
  /** Of an owner whose name is yet to be generated: the prefix and `*`. */
  readonly name: string
}

/** Pod, ReplicaSet, Deployment is two steps; a forged circle must end. */
const MAX_STEPS = 4

/**
 * A pod's record names its ReplicaSet, the ReplicaSet's own record its Deployment: what one says is remembered for the
 * other. A ReplicaSet without a record of its own (the webhook was not asked about it, or long ago) stays the top.
 */
export class OwnerNames {
  readonly #generationSize: number
  #younger = new Map<string, OwnerName>()
  #older = new Map<string, OwnerName>()

  /** @param limit how many owned owners are remembered at most, at least half as many are. */
  constructor(limit: number) {
    this.#generationSize = Math.max(1, Math.floor(limit / 2))
  }

  topOwnerOf(record: DecisionRecord): OwnerName {
    const { namespace, kind, name, topOwner } = record
    let owner = topOwner === null ? selfOf(record) : { kind: topOwner.kind, name: topOwner.name }
    for (let step = 0; step < MAX_STEPS && owner.kind !== 'Node'; step += 1) {
      const next = this.#find(keyOf(namespace, owner))
      if (next === undefined) break
      owner = next
    }
    // Nothing is owned by a pod.
    if (topOwner !== null && name !== null && kind !== 'Pod') this.#remember(keyOf(namespace, { kind, name }), owner)
    return owner
  }

  #find(key: string): OwnerName | undefined {
    return this.#younger.get(key) ?? this.#older.get(key)
  }

  #remember(key: string, owner: OwnerName): void {
    if (this.#younger.size >= this.#generationSize) {
      this.#older = this.#younger
      this.#younger = new Map()
    }
    this.#younger.set(key, owner)
  }
}

function selfOf({ kind, name, generateName }: DecisionRecord): OwnerName {
  return { kind, name: generateName === null ? (name ?? '') : `${generateName}*` }
}

function keyOf(namespace: string, { kind, name }: OwnerName): string {
  return `${namespace} ${kind} ${name}`
}
