/** Remembers an answer for each command line, within bounds of entries and of bytes, whatever command lines there are. */

/** The longest of the short ones, in characters. */
const SHORT_LENGTH = 640
/** How many long ones are remembered: the last. */
const MAX_LONG = 32

interface LongAnswer<Answer> {
  readonly binary: string
  readonly args: string
  readonly answer: Answer
}

export class CommandMemory<Answer> {
  /** By arguments, then by binary: two look-ups of strings that exist cost less than making one of both. */
  readonly #short = new Map<string, Map<string, Answer>>()
  readonly #maxShort: number
  readonly #longest: number
  #shortSize = 0
  /** A service with a long class path has the very same one at each start; comparing is far cheaper than hashing. */
  readonly #long: LongAnswer<Answer>[] = []

  /**
   * @param maxShort beyond which all short ones are forgotten; some 1.3 kB each at worst, beside the answer.
   * @param longest characters of the longest one that is remembered.
   */
  constructor(maxShort: number, longest: number) {
    this.#maxShort = maxShort
    this.#longest = longest
  }

  /** Undefined: it is not remembered. */
  recall(binary: string, args: string): Answer | undefined {
    if (binary.length + args.length <= SHORT_LENGTH) return this.#short.get(args)?.get(binary)
    return this.#long.find(each => each.args === args && each.binary === binary)?.answer
  }

  remember(binary: string, args: string, answer: Answer): void {
    const length = binary.length + args.length
    if (length <= SHORT_LENGTH) this.#rememberShort(binary, args, answer)
    else if (length <= this.#longest) {
      this.#long.unshift({ binary, args, answer })
      if (this.#long.length > MAX_LONG) this.#long.pop()
    }
  }

  #rememberShort(binary: string, args: string, answer: Answer): void {
    if (this.#shortSize >= this.#maxShort) {
      this.#short.clear()
      this.#shortSize = 0
    }
    const sameArguments = this.#short.get(args) ?? new Map<string, Answer>()
    this.#short.set(args, sameArguments.set(binary, answer))
    this.#shortSize += 1
  }
}
