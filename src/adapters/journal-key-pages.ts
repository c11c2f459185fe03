/**
 * Keys of the journal's index in bulk: under load thousands come at once, and a row for each would cost more than all
 * the rest of a record. Hashes are spread evenly, so their highest bits say on which page of a generation they stand; a
 * page is looked through whole. The pages of one bucket lie beside each other, whatever their generation.
 */

import { type JournalDatabase, readNumber } from './journal-schema.js'

/** Some 256 keys a page when as many are entered as wait at most. */
const BUCKETS = 64
/** Hashes are whole numbers below 2^53. */
const BUCKET_WIDTH = 2 ** 53 / BUCKETS
const HASH_BYTES = 8
const BATCH_BYTES = 4

/** A batch and the keys of its records. */
export interface KeyedBatch {
  readonly batch: number
  readonly keys: readonly number[]
}

/** All of a page's hashes, then the number of the batch that each leads to. */
interface Page {
  readonly hashes: number[]
  readonly batches: number[]
}

/** In a transaction of the caller's. */
export function enterKeyPages(database: JournalDatabase, generation: number, keyed: readonly KeyedBatch[]): void {
  const insert = database.prepare('INSERT INTO key_pages (bucket, generation, keys) VALUES (?, ?, ?)')
  for (const [bucket, page] of fillPages(keyed).entries()) {
    if (page.hashes.length > 0) insert.run([bucket, generation, encodePage(page)])
  }
}

/** A function that finds the batches to which a hash leads. */
export function createKeyPageFinder(database: JournalDatabase): (hash: number) => readonly number[] {
  let pages: ReturnType<typeof preparePages>
  return hash => {
    // A journal of version 1 gets its pages when the next webhook opens it, perhaps while it is read here.
    pages ??= preparePages(database)
    if (pages === undefined) return []
    return (pages.all([bucketOf(hash)]) as [Uint8Array][]).flatMap(([page]) => findInPage(page, hash))
  }
}

function preparePages(database: JournalDatabase) {
  const isThere = readNumber(database, "SELECT count(*) FROM sqlite_schema WHERE name = 'key_pages'") > 0
  return isThere ? database.prepare('SELECT keys FROM key_pages WHERE bucket = ?').raw(true) : undefined
}

function fillPages(keyed: readonly KeyedBatch[]): readonly Page[] {
  const pages = Array.from({ length: BUCKETS }, (): Page => ({ hashes: [], batches: [] }))
  for (const { batch, keys } of keyed) {
    for (const key of keys) {
      const page = pages[bucketOf(key)]
      page?.hashes.push(key)
      page?.batches.push(batch)
    }
  }
  return pages
}

function bucketOf(hash: number): number {
  return Math.floor(hash / BUCKET_WIDTH)
}

function encodePage({ hashes, batches }: Page): Buffer {
  const page = Buffer.allocUnsafe(hashes.length * (HASH_BYTES + BATCH_BYTES))
  let at = 0
  for (const hash of hashes) at = page.writeDoubleLE(hash, at)
  for (const batch of batches) at = page.writeUInt32LE(batch, at)
  return page
}

function findInPage(page: Uint8Array, hash: number): readonly number[] {
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength)
  const batchesAt = (page.byteLength / (HASH_BYTES + BATCH_BYTES)) * HASH_BYTES
  const found: number[] = []
  for (let at = 0; at < batchesAt; at += HASH_BYTES) {
    if (view.getFloat64(at, true) === hash) {
      found.push(view.getUint32(batchesAt + (at / HASH_BYTES) * BATCH_BYTES, true))
    }
  }
  return found
}
