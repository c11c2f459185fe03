/** The rows of a report: one for each result, namespace, top owner, image and reason; the rarest are summed up. */

import type { OwnerName } from './owner-names.js'
import { RecentKeys } from './recent-keys.js'
import type { ReportCount, ReportedDecision, ReportedImage, ReportedResult } from './reported-decision.js'
import { REPORTED_RESULTS } from './reported-decision.js'

const MAX_USERS = 5

export interface ReportRow extends ReportedImage, ReportCount {
  readonly namespace: string
  readonly owner: OwnerName
  /** RFC 3339, UTC. */
  readonly firstSeen: string
  readonly lastSeen: string
  /** The first five who asked. */
  readonly users: readonly string[]
  readonly moreUsers: number
  /** Of the last one seen: a later policy may judge otherwise. */
  readonly policy: string
  readonly revision: string
}

/** The rows of one result that were too rare to be kept; a row that came back after that is summed up once more. */
export interface OtherRows extends ReportCount {
  readonly result: ReportedResult
  readonly rows: number
}

interface OpenRow {
  readonly id: number
  readonly image: ReportedImage
  readonly namespace: string
  readonly owner: OwnerName
  readonly users: string[]
  moreUsers: number
  objects: number
  reviews: number
  firstAt: number
  lastAt: number
  policy: string
  revision: string
}

export class RowTable {
  readonly #maxRows: number
  readonly #objects: RecentKeys
  readonly #users: RecentKeys
  #rows = new Map<string, OpenRow>()
  #lastId = 0
  readonly #others = new Map<ReportedResult, { rows: number; objects: number; reviews: number }>()

  constructor(limits: { readonly rows: number; readonly rememberedObjects: number }) {
    this.#maxRows = limits.rows
    this.#objects = new RecentKeys(limits.rememberedObjects)
    this.#users = new RecentKeys(limits.rememberedObjects / 4)
  }

  add({ record, count, firstAt, lastAt }: ReportedDecision, objectKey: string, owner: OwnerName, image: ReportedImage) {
    const row = this.#rowFor(record.namespace, owner, image, firstAt)
    if (this.#objects.isNew(`${row.id} ${objectKey}`)) row.objects += 1
    row.reviews += count
    row.firstAt = Math.min(row.firstAt, firstAt)
    if (lastAt >= row.lastAt) {
      row.lastAt = lastAt
      row.policy = record.policy
      row.revision = record.revision
    }
    this.#addUser(row, record.user)
  }

  read(): { readonly rows: readonly ReportRow[]; readonly others: readonly OtherRows[] } {
    const rows = [...this.#rows.values()].toSorted(
      (one, other) =>
        REPORTED_RESULTS.indexOf(one.image.result) - REPORTED_RESULTS.indexOf(other.image.result) ||
        compareFrequency(other, one),
    )
    const others = REPORTED_RESULTS.flatMap(result => {
      const sum = this.#others.get(result)
      return sum === undefined ? [] : [{ result, ...sum }]
    })
    return { rows: rows.map(toReportRow), others }
  }

  #rowFor(namespace: string, owner: OwnerName, image: ReportedImage, at: number): OpenRow {
    const { result, image: name, reason, exception } = image
    const key = JSON.stringify([result, namespace, owner.kind, owner.name, name, reason, exception])
    const known = this.#rows.get(key)
    if (known !== undefined) return known
    if (this.#rows.size >= this.#maxRows) this.#foldRarest()
    this.#lastId += 1
    const row: OpenRow = {
      id: this.#lastId,
      image,
      namespace,
      owner,
      users: [],
      moreUsers: 0,
      objects: 0,
      reviews: 0,
      firstAt: at,
      lastAt: Number.NEGATIVE_INFINITY,
      policy: '',
      revision: '',
    }
    this.#rows.set(key, row)
    return row
  }

  /** Half of them at once: sorting then costs little per record, also when every record is a row of its own. */
  #foldRarest(): void {
    const sorted = [...this.#rows].toSorted(([, one], [, other]) => compareFrequency(one, other))
    const folded = Math.ceil(sorted.length / 2)
    for (const [, { image, objects, reviews }] of sorted.slice(0, folded)) {
      const sum = this.#others.get(image.result) ?? { rows: 0, objects: 0, reviews: 0 }
      this.#others.set(image.result, {
        rows: sum.rows + 1,
        objects: sum.objects + objects,
        reviews: sum.reviews + reviews,
      })
    }
    this.#rows = new Map(sorted.slice(folded))
  }

  #addUser(row: OpenRow, user: string): void {
    if (user === '' || row.users.includes(user)) return
    if (row.users.length < MAX_USERS) row.users.push(user)
    else if (this.#users.isNew(`${row.id} ${user}`)) row.moreUsers += 1
  }
}

/** The rarer first; of two alike, the one that was unseen for longer. */
function compareFrequency(one: OpenRow, other: OpenRow): number {
  return one.objects - other.objects || one.reviews - other.reviews || one.lastAt - other.lastAt || one.id - other.id
}

function toReportRow({ id: _id, image, firstAt, lastAt, ...row }: OpenRow): ReportRow {
  const { namespace, owner, objects, reviews, users, moreUsers, policy, revision } = row
  return {
    ...image,
    namespace,
    owner,
    objects,
    reviews,
    firstSeen: new Date(firstAt).toISOString(),
    lastSeen: new Date(lastAt).toISOString(),
    users,
    moreUsers,
    policy,
    revision,
  }
}
