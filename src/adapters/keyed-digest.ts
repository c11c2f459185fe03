/**
 * HalfSipHash-2-4 (https://www.aumasson.jp/siphash/siphash.pdf, appendix A) of a list of texts, with a key that nobody
 * else knows and digests that nobody else sees: so nobody can make two lists with one digest. It takes a third of the
 * time of SHA-256, whose input would have to be joined and encoded first.
 */

export const DIGEST_WORDS = 2
/** Of the algorithm's state: a digest is made in place. */
const STATE_WORDS = 4
const BYTES_PER_WORD = 4
const MIN_WORDS = 1_024
const MAX_NARROW_UNIT = 0xff
/** Beside the length of a text that takes two bytes a unit. Lengths never reach it. */
const IS_WIDE = 0x8000_0000
const TWO_ZEROS = new Int32Array(2)

/** 64 bits, in its first two words. */
export type Digest = Int32Array
/** 64 unpredictable bits, in two words. */
export type DigestKey = Readonly<Int32Array>

export class KeyedDigest {
  readonly #key: DigestKey
  readonly #digest: Digest = new Int32Array(STATE_WORDS)
  #words = new Int32Array(MIN_WORDS)
  #bytes = new Uint8Array(this.#words.buffer)

  constructor(key: DigestKey) {
    this.#key = key
  }

  /**
   * The digest of the texts in their order; what stands in which of them counts, and not only what they are when joined.
   *
   * @returns the same memory each time: it holds until the next call.
   */
  of(texts: readonly string[]): Digest {
    let count = 0
    for (const text of texts) count = this.#put(text, count)
    halfSipHash(this.#key, this.#words, count, this.#digest)
    return this.#digest
  }

  /** Its length, then a byte for each unit, or two if it has units that need them. @returns where the next word goes. */
  #put(text: string, word: number): number {
    this.#reserve(word + Math.ceil(text.length / 2) + 2)
    const start = (word + 1) * BYTES_PER_WORD
    const bytes = this.#bytes
    let all = 0
    let at = start
    for (let one = 0; one < text.length; one += 1) {
      const unit = text.charCodeAt(one)
      all |= unit
      bytes[at++] = unit
    }
    if (all > MAX_NARROW_UNIT) at = putWide(text, bytes, start)
    this.#words[word] = all > MAX_NARROW_UNIT ? text.length | IS_WIDE : text.length
    while (at % BYTES_PER_WORD !== 0) bytes[at++] = 0
    return at / BYTES_PER_WORD
  }

  #reserve(words: number): void {
    if (words <= this.#words.length) return
    const grown = new Int32Array(2 * words)
    grown.set(this.#words)
    this.#words = grown
    this.#bytes = new Uint8Array(grown.buffer)
  }
}

function putWide(text: string, bytes: Uint8Array, start: number): number {
  let at = start
  for (let one = 0; one < text.length; one += 1) {
    const unit = text.charCodeAt(one)
    bytes[at++] = unit
    bytes[at++] = unit >>> 8
  }
  return at
}

/**
 * @param words the message, its bytes from the lowest on; its first `count` words. The word behind them is overwritten.
 * @param into is the digest in its first two words; the other two are overwritten.
 */
export function halfSipHash(key: DigestKey, words: Int32Array, count: number, into: Digest): void {
  const [state, low, high] = [into, key[0] ?? 0, key[1] ?? 0]
  state[0] = low
  state[1] = high ^ 0xee
  state[2] = 0x6c796765 ^ low
  state[3] = 0x74656462 ^ high
  words[count] = count << 26
  absorb(state, words, count + 1)
  state[2] = (state[2] ?? 0) ^ 0xee
  // Words of zero change nothing but by the rounds that go with them.
  absorb(state, TWO_ZEROS, 2)
  const first = (state[1] ?? 0) ^ (state[3] ?? 0)
  state[1] = (state[1] ?? 0) ^ 0xdd
  absorb(state, TWO_ZEROS, 2)
  state[1] = (state[1] ?? 0) ^ (state[3] ?? 0)
  state[0] = first
}

/** Two rounds a word. */
function absorb(state: Int32Array, words: Readonly<Int32Array>, count: number): void {
  let v0 = state[0] ?? 0
  let v1 = state[1] ?? 0
  let v2 = state[2] ?? 0
  let v3 = state[3] ?? 0
  for (let at = 0; at < count; at += 1) {
    const word = words[at] ?? 0
    v3 ^= word
    for (let round = 0; round < 2; round += 1) {
      v0 = (v0 + v1) | 0
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
      v0 = (v0 << 16) | (v0 >>> 16)
      v2 = (v2 + v3) | 0
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
      v0 = (v0 + v3) | 0
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
      v2 = (v2 + v1) | 0
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
      v2 = (v2 << 16) | (v2 >>> 16)
    }
    v0 ^= word
  }
  state[0] = v0
  state[1] = v1
  state[2] = v2
  state[3] = v3
}
