/** The totals of a report, and the same for each namespace: how many objects were judged, and what became of them. */

import type { Mode } from '../policy/index.js'
import { RecentKeys } from './recent-keys.js'
import type { ReportCount, ReportedDecision, ReportedResult } from './reported-decision.js'

export interface NamespaceRow {
  /** Null for all those that came after the limit was reached. */
  readonly namespace: string | null
  /** Objects that were judged, also those with nothing wrong. */
  readonly objects: number
  /** How many of them had at least one image of that result. */
  readonly results: Readonly<Record<ReportedResult, number>>
  /** RFC 3339, UTC. */
  readonly firstSeen: string
  readonly lastSeen: string
  /** Of the last decision. */
  readonly mode: Mode
  readonly policy: string
  readonly revision: string
}

export interface ReportTotals extends ReportCount {
  /** Of the first and the last decision; null without any. */
  readonly firstSeen: string | null
  readonly lastSeen: string | null
  readonly totals: Readonly<Record<ReportedResult, ReportCount>>
  /** Those in which the most objects would have been denied first. */
  readonly namespaces: readonly NamespaceRow[]
}

interface OpenNamespace {
  readonly id: number
  readonly name: string | null
  objects: number
  readonly results: Record<ReportedResult, number>
  firstAt: number
  lastAt: number
  mode: Mode
  policy: string
  revision: string
}

export class NamespaceTable {
  readonly #maxNamespaces: number
  readonly #seen: RecentKeys
  readonly #namespaces = new Map<string, OpenNamespace>()
  #rest: OpenNamespace | undefined
  #objects = 0
  #reviews = 0
  readonly #totals = byResult(() => ({ objects: 0, reviews: 0 }))

  constructor(limits: { readonly namespaces: number; readonly rememberedObjects: number }) {
    this.#maxNamespaces = limits.namespaces
    this.#seen = new RecentKeys(limits.rememberedObjects)
  }

  add({ record, count, firstAt, lastAt }: ReportedDecision, objectKey: string, results: ReadonlySet<ReportedResult>) {
    const namespace = this.#namespaceFor(record.namespace)
    const isSeenFirst = (about: string) => this.#seen.isNew(`${about} ${record.namespace} ${objectKey}`)
    namespace.firstAt = Math.min(namespace.firstAt, firstAt)
    if (lastAt >= namespace.lastAt) {
      const { mode, policy, revision } = record
      Object.assign(namespace, { lastAt, mode, policy, revision })
    }
    this.#reviews += count
    if (isSeenFirst('any')) {
      this.#objects += 1
      namespace.objects += 1
    }
    for (const result of results) {
      this.#totals[result].reviews += count
      if (!isSeenFirst(result)) continue
      this.#totals[result].objects += 1
      namespace.results[result] += 1
    }
  }

  read(): ReportTotals {
    const all = [...this.#namespaces.values(), ...(this.#rest === undefined ? [] : [this.#rest])]
    const first = all.reduce((least, { firstAt }) => Math.min(least, firstAt), Number.POSITIVE_INFINITY)
    const last = all.reduce((most, { lastAt }) => Math.max(most, lastAt), Number.NEGATIVE_INFINITY)
    return {
      firstSeen: all.length === 0 ? null : timeOf(first),
      lastSeen: all.length === 0 ? null : timeOf(last),
      objects: this.#objects,
      reviews: this.#reviews,
      totals: byResult(result => ({ ...this.#totals[result] })),
      namespaces: all.toSorted(compareUrgency).map(toNamespaceRow),
    }
  }

  #namespaceFor(name: string): OpenNamespace {
    const known = this.#namespaces.get(name)
    if (known !== undefined) return known
    if (this.#namespaces.size >= this.#maxNamespaces) {
      this.#rest ??= openNamespace(null, 0)
      return this.#rest
    }
    const namespace = openNamespace(name, this.#namespaces.size + 1)
    this.#namespaces.set(name, namespace)
    return namespace
  }
}

function openNamespace(name: string | null, id: number): OpenNamespace {
  return {
    id,
    name,
    objects: 0,
    results: byResult(() => 0),
    firstAt: Number.POSITIVE_INFINITY,
    lastAt: Number.NEGATIVE_INFINITY,
    mode: 'audit',
    policy: '',
    revision: '',
  }
}

function byResult<T>(make: (result: ReportedResult) => T): Record<ReportedResult, T> {
  return {
    'would-deny': make('would-deny'),
    denied: make('denied'),
    excepted: make('excepted'),
    carried: make('carried'),
    waived: make('waived'),
  }
}

function compareUrgency(one: OpenNamespace, other: OpenNamespace): number {
  return (
    other.results['would-deny'] - one.results['would-deny'] ||
    other.results.denied - one.results.denied ||
    other.objects - one.objects ||
    one.id - other.id
  )
}

function toNamespaceRow({
  name,
  objects,
  results,
  firstAt,
  lastAt,
  mode,
  policy,
  revision,
}: OpenNamespace): NamespaceRow {
  return {
    namespace: name,
    objects,
    results: { ...results },
    firstSeen: timeOf(firstAt),
    lastSeen: timeOf(lastAt),
    mode,
    policy,
    revision,
  }
}

function timeOf(at: number): string {
  return new Date(at).toISOString()
}
