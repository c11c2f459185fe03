/** Requests of the audit log by what they are asked for by: bounded, the oldest go first. */

import type { CoverageSpan, PodIdentity } from '../correlator/admission-journal.js'
import type { AuditCoverage, AuditEvidence, AuditedRequest } from '../correlator/audit-evidence.js'

const DEFAULT_MAX_REQUESTS = 50_000
/** The first HTTP status that is no success. */
const REFUSED = 300
/** Each gap makes one more; the oldest go first. */
const MAX_SPANS = 1_000
const NONE: readonly AuditedRequest[] = []

export class AuditIndex implements AuditEvidence {
  readonly #maxRequests: number
  /** By audit id, in the order of reading. */
  readonly #requests = new Map<string, AuditedRequest>()
  /** By `keysOf`, the same order. */
  readonly #byKey = new Map<string, AuditedRequest[]>()
  /** In the order of reading; the last one grows, unless it was ended. */
  readonly #spans: { readonly from: number; to: number }[] = []
  #isEnded = true
  /** Of what was received until then, something was forgotten. */
  #forgottenUntil = Number.NEGATIVE_INFINITY
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

  coverage(): AuditCoverage {
    // Times are whole milliseconds: the next one is whole again.
    const begin = this.#forgottenUntil + 1
    const spans = this.#spans.flatMap(({ from, to }): readonly CoverageSpan[] =>
      begin > to ? [] : [{ from: Math.max(from, begin), to }],
    )
    return { spans: spans.toSorted((one, other) => one.from - other.from), forgotten: this.#forgotten }
  }

  /** An event was written at this time: since the one before it, nothing is missing. */
  see(writtenAt: number): void {
    const last = this.#spans.at(-1)
    if (!this.#isEnded && last !== undefined) {
      last.to = Math.max(last.to, writtenAt)
      return
    }
    this.#isEnded = false
    this.#spans.push({ from: writtenAt, to: writtenAt })
    if (this.#spans.length > MAX_SPANS) this.#spans.shift()
  }

  /** Before the next event something may be missing. */
  miss(): void {
    this.#isEnded = true
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
    this.#forgottenUntil = Math.max(this.#forgottenUntil, oldest.at)
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
