/** How the journal finds the records of an object: by hashes, which the record itself then confirms. */

const TWO_TO_21 = 2 ** 21
/** Batches whose keys lie together; a power of two. Part of the file's format. */
const BATCHES_PER_GENERATION = 4_096

/** The key of an object's uid. */
export function keyOfUid(uid: string): number {
  return hashOf(`u${uid}`)
}

/** The key of an object's name in its namespace. */
export function keyOfName(namespace: string, name: string): number {
  return hashOf(`n${namespace}/${name}`)
}

export function generationOf(batch: number): number {
  return Math.floor(batch / BATCHES_PER_GENERATION)
}

/**
 * Two multiplicative hashes of 32 bits side by side, as one whole number below 2^53. Part of the file's format.
 * Collisions can be made on purpose: a reader takes no record for an object's before it has looked into it.
 */
function hashOf(key: string): number {
  let high = 0x811c9dc5
  let low = 0x9e3779b9
  for (let at = 0; at < key.length; at += 1) {
    const unit = key.charCodeAt(at)
    high = Math.imul(high ^ unit, 0x01000193)
    low = Math.imul(low ^ unit, 0x5bd1e995)
    low ^= low >>> 15
  }
  high ^= high >>> 13
  return (high >>> 0) * TWO_TO_21 + ((low ^ high) >>> 11)
}
