/** Requests of the audit log by what they are asked for by: bounded, the oldest go first. */

import type { PodIdentity } from '../correlator/admission-journal.js'
import type { AuditCoverage, AuditEvidence, AuditedRequest } from '../correlator/audit-evidence.js'

/** Some 1 kB each. */
const DEFAULT_MAX_REQUESTS = 50_000
/** The first HTTP status that is no success. */
const REFUSED = 300
const NONE: readonly AuditedRequest[] = []

export class AuditIndex implements AuditEvidence {
  readonly #maxRequests: number
  /** By audit id, in the order of reading. */
  readonly #requests = new Map<string, AuditedRequest>()
  /** By `keysOf`, the same order. */
  readonly #byKey = new Map<string, AuditedRequest[]>()
  #from = Number.POSITIVE_INFINITY
  #to = Number.NEGATIVE_INFINITY
  #forgotten = 0

  constructor(maxRequests: number = DEFAULT_MAX_REQUESTS) {
    this.#maxRequests = maxRequests
  }

  requestsOf({ uid, namespace, name }: PodIdentity): readonly AuditedRequest[] {
    const byUid = uid === undefined ? NONE : this.#find(`uid ${uid}`)
    // A pod of that name that is known to be another one has nothing to do with it.
    const byName = this.#find(`name ${namespace}/${name}`).filter(
      request => uid === undefined || request.uid === undefined || request.uid === uid,
    )
    return [...new Set([...byUid, ...byName])].toSorted((one, other) => one.at - other.at)
  }

  unnamedCreations(namespace: string, from: number, to: number): readonly AuditedRequest[] {
    const inSpan = this.#find(`unnamed ${namespace}`).filter(({ at }) => from <= at && at <= to)
    return inSpan.toSorted((one, other) => one.at - other.at)
  }

  requestOfRecord(recordId: string): AuditedRequest | undefined {
    return this.#find(`record ${recordId}`)[0]
  }

  coverage(): AuditCoverage | undefined {
    if (this.#from > this.#to) return undefined
    return { from: this.#from, to: this.#to, forgotten: this.#forgotten }
  }

  /** The log reaches as far as this time. */
  see(at: number): void {
    this.#from = Math.min(this.#from, at)
    this.#to = Math.max(this.#to, at)
  }

  /** @returns whether it was new: the same log may be read twice. */
  add(request: AuditedRequest): boolean {
    if (this.#requests.has(request.auditId)) return false
    this.#requests.set(request.auditId, request)
    for (const key of keysOf(request)) {
      const others = this.#byKey.get(key)
      if (others === undefined) this.#byKey.set(key, [request])
      else others.push(request)
    }
    if (this.#requests.size > this.#maxRequests) this.#forgetOldest()
    return true
  }

  #find(key: string): readonly AuditedRequest[] {
    return this.#byKey.get(key) ?? NONE
  }

  #forgetOldest(): void {
    const [oldest] = this.#requests.values()
    if (oldest === undefined) return
    this.#requests.delete(oldest.auditId)
    this.#forgotten += 1
    for (const key of keysOf(oldest)) {
      const all = this.#byKey.get(key)
      // It is the first wherever it stands.
      all?.shift()
      if (all?.length === 0) this.#byKey.delete(key)
    }
  }
}

function keysOf(request: AuditedRequest): readonly string[] {
  const { uid, namespace, name, decisions } = request
  const records = decisions.flatMap(({ recordId }) => (recordId === undefined ? [] : [`record ${recordId}`]))
  const named = name === undefined ? [] : [`name ${namespace}/${name}`]
  const unnamed = isUnnamedCreation(request) ? [`unnamed ${namespace}`] : []
  return [...new Set([...(uid === undefined ? [] : [`uid ${uid}`]), ...named, ...unnamed, ...records])]
}

function isUnnamedCreation({ verb, name, dryRun, responseCode }: AuditedRequest): boolean {
  const isDone = responseCode === undefined || responseCode < REFUSED
  return verb === 'create' && name === undefined && !dryRun && isDone
}
