/** Ids of decision records: they sort by time, and no two processes make the same one. */

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
/** 50 bits of milliseconds: until the year 37,000. */
const TIME_DIGITS = 10
const RANDOM_DIGITS = 12
/** Random bytes are drawn in blocks: a call into the system's source costs more than a decision. */
const BLOCK_BYTES = 3072

/** Makes the next id. */
export type RecordIds = (now: number) => string

/**
 * Ids of 22 characters: 10 of time, 12 of randomness (60 bits a millisecond), in Crockford's base 32, lower case.
 * Sorting them as text sorts them by time; within one millisecond their order means nothing.
 *
 * @param randomBytes gives as many unpredictable bytes as asked for.
 */
export function createRecordIds(randomBytes: (count: number) => Uint8Array): RecordIds {
  let block: Uint8Array = new Uint8Array(0)
  let used = 0
  let lastTime = -1
  let timeText = ''
  return now => {
    if (now !== lastTime) {
      lastTime = now
      timeText = formatTime(now)
    }
    if (used + RANDOM_DIGITS > block.length) {
      block = randomBytes(BLOCK_BYTES)
      used = 0
    }
    let id = timeText
    const end = used + RANDOM_DIGITS
    for (; used < end; used += 1) id += ALPHABET.charAt((block[used] ?? 0) & 31)
    return id
  }
}

function formatTime(now: number): string {
  let rest = Math.max(0, Math.floor(now))
  let digits = ''
  for (let place = 0; place < TIME_DIGITS; place += 1) {
    digits = ALPHABET.charAt(rest % 32) + digits
    rest = Math.floor(rest / 32)
  }
  return digits
}
