/** The agent's time stamps: `Date.parse` once a minute, for it costs a tenth of a whole event. */

const STAMP = /^\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):\d\d:[0-5]\d(?:\.\d{1,9})?Z$/
const MINUTE_LENGTH = '2026-11-21T23:08:'.length
const ZERO = 0x30

export class MinuteClock {
  #minute = ''
  #start = Number.NaN

  /** Milliseconds since the epoch, cut and not rounded; NaN for anything but RFC 3339 in UTC that exists. */
  parse(stamp: string): number {
    if (!STAMP.test(stamp)) return Number.NaN
    if (stamp.slice(0, MINUTE_LENGTH) !== this.#minute) {
      this.#minute = ` ${stamp.slice(0, MINUTE_LENGTH)}`.slice(1)
      this.#start = Date.parse(`${this.#minute}00Z`)
    }
    const seconds = digitAt(stamp, 17) * 10 + digitAt(stamp, 18)
    return this.#start + seconds * 1000 + digitAt(stamp, 20) * 100 + digitAt(stamp, 21) * 10 + digitAt(stamp, 22)
  }
}

/** 0 where there is no digit: past the end, or the final `Z`. */
function digitAt(stamp: string, index: number): number {
  const digit = stamp.charCodeAt(index) - ZERO
  return digit >= 0 && digit <= 9 ? digit : 0
}
