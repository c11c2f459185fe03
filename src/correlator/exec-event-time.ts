/** The agent's time stamps: `Date.parse` once a minute, for it costs a tenth of a whole event. */

const STAMP = /^\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):\d\d:[0-5]\d(?:\.\d{1,9})?Z$/
const MINUTE_LENGTH = '2026-11-21T23:08:'.length
/** Where the fraction begins, if there is one. */
const POINT_AT = '2026-11-21T23:08:09'.length
const MAX_LENGTH = '2026-11-21T23:08:09.123456789Z'.length
const ZERO = 0x30
const POINT = 0x2e
const LETTER_Z = 0x5a

export class MinuteClock {
  readonly #minute = Buffer.alloc(MINUTE_LENGTH)
  #start = Number.NaN

  /**
   * Read the stamp that stands from `start` to `end`.
   *
   * @returns milliseconds since the epoch, cut and not rounded; NaN for anything but RFC 3339 in UTC that exists.
   */
  parse(bytes: Buffer, start: number, end: number): number {
    if (!this.#isSameMinute(bytes, start) || !isSecondAt(bytes, start + MINUTE_LENGTH, end)) {
      const stamp = bytes.toString('latin1', start, Math.min(end, start + MAX_LENGTH + 1))
      if (!STAMP.test(stamp)) return Number.NaN
      bytes.copy(this.#minute, 0, start, start + MINUTE_LENGTH)
      this.#start = Date.parse(`${stamp.slice(0, MINUTE_LENGTH)}00Z`)
    }
    const digit = (index: number): number => digitAt(bytes, start + index)
    const seconds = digit(17) * 10 + digit(18)
    const millis = start + 20 < end ? millisAt(bytes, start + POINT_AT + 1) : 0
    return this.#start + seconds * 1000 + millis
  }

  #isSameMinute(bytes: Buffer, start: number): boolean {
    // The last characters differ the soonest.
    for (let index = MINUTE_LENGTH - 1; index >= 0; index -= 1) {
      if (bytes[start + index] !== this.#minute[index]) return false
    }
    return true
  }
}

/** Seconds, perhaps a fraction of up to nine digits, and `Z` at the very end. */
function isSecondAt(bytes: Buffer, start: number, end: number): boolean {
  const length = end - start
  if (bytes[end - 1] !== LETTER_Z || !isDigit(bytes[start + 1])) return false
  const tens = (bytes[start] ?? 0) - ZERO
  if (tens < 0 || tens > 5) return false
  if (length === 3) return true
  if (length < 5 || length > 13 || bytes[start + 2] !== POINT) return false
  for (let index = start + 3; index < end - 1; index += 1) if (!isDigit(bytes[index])) return false
  return true
}

function millisAt(bytes: Buffer, start: number): number {
  let millis = 0
  let unit = 100
  for (let index = start; unit >= 1 && isDigit(bytes[index]); index += 1) {
    millis += digitAt(bytes, index) * unit
    unit /= 10
  }
  return millis
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= ZERO + 9
}

function digitAt(bytes: Buffer, index: number): number {
  return (bytes[index] ?? ZERO) - ZERO
}
