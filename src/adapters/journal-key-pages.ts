/**
 * Keys of the journal's index in bulk: under load thousands come at once, and a row for each would cost more than all
 * the rest of a record. Hashes are spread evenly, so their highest bits say on which page of a generation they stand; a
 * page is looked through whole. The pages of one bucket lie beside each other, whatever their generation.
 */

import { readNumber, type SqliteDatabase } from './sqlite-file.js'

/** Some 256 keys a page when as many are entered as wait at most. */
const BUCKETS = 64
/** Hashes are whole numbers below 2^53. */
const BUCKET_WIDTH = 2 ** 53 / BUCKETS
const HASH_BYTES = 8
const BATCH_BYTES = 4
const KEY_BYTES = HASH_BYTES + BATCH_BYTES

/** Whole numbers below 2^53. */
export type Keys = readonly number[] | Float64Array

/** A batch and the keys of its records. */
export interface KeyedBatch {
  readonly batch: number
  readonly keys: Keys
}

/** In a transaction of the caller's. */
export function enterKeyPages(database: SqliteDatabase, generation: number, keyed: readonly KeyedBatch[]): void {
  const insert = database.prepare('INSERT INTO key_pages (bucket, generation, keys) VALUES (?, ?, ?)')
  for (const [bucket, page] of fillPages(keyed).entries()) {
    if (page.length > 0) insert.run([bucket, generation, page])
  }
}

/** A function that finds the batches to which a hash leads. */
export function createKeyPageFinder(database: SqliteDatabase): (hash: number) => readonly number[] {
  let pages: ReturnType<typeof preparePages>
  return hash => {
    // A journal of version 1 gets its pages when the next webhook opens it, perhaps while it is read here.
    pages ??= preparePages(database)
    if (pages === undefined) return []
    return (pages.all([bucketOf(hash)]) as [Uint8Array][]).flatMap(([page]) => findInPage(page, hash))
  }
}

function preparePages(database: SqliteDatabase) {
  const isThere = readNumber(database, "SELECT count(*) FROM sqlite_schema WHERE name = 'key_pages'") > 0
  return isThere ? database.prepare('SELECT keys FROM key_pages WHERE bucket = ?').raw(true) : undefined
}

/** Each page is all of its hashes, then the number of the batch that each leads to. */
function fillPages(keyed: readonly KeyedBatch[]): readonly Buffer[] {
  const pages = countBuckets(keyed).map(count => ({ bytes: Buffer.allocUnsafe(count * KEY_BYTES), count, filled: 0 }))
  for (const { batch, keys } of keyed) {
    for (const hash of keys) {
      const page = pages[bucketOf(hash)]
      if (page === undefined) continue
      page.bytes.writeDoubleLE(hash, page.filled * HASH_BYTES)
      page.bytes.writeUInt32LE(batch, page.count * HASH_BYTES + page.filled * BATCH_BYTES)
      page.filled += 1
    }
  }
  return pages.map(({ bytes }) => bytes)
}

function countBuckets(keyed: readonly KeyedBatch[]): readonly number[] {
  const counts = new Array<number>(BUCKETS).fill(0)
  for (const { keys } of keyed) {
    for (const hash of keys) counts[bucketOf(hash)] = (counts[bucketOf(hash)] ?? 0) + 1
  }
  return counts
}

function bucketOf(hash: number): number {
  return Math.floor(hash / BUCKET_WIDTH)
}

function findInPage(page: Uint8Array, hash: number): readonly number[] {
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength)
  const batchesAt = (page.byteLength / KEY_BYTES) * HASH_BYTES
  const found: number[] = []
  for (let at = 0; at < batchesAt; at += HASH_BYTES) {
    if (view.getFloat64(at, true) === hash) {
      found.push(view.getUint32(batchesAt + (at / HASH_BYTES) * BATCH_BYTES, true))
    }
  }
  return found
}
