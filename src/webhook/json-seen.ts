/**
 * JSON values that were checked before: most of what the API server sends, it has sent before, byte by byte. Comparing is
 * one machine instruction for many bytes, checking is many for one.
 */

import { CLOSE_LIST, CLOSE_OBJECT, endOfValue, OPEN_LIST, OPEN_OBJECT } from './json-scan.js'

/** Values that are remembered, each in the place that some of its bytes say; the latest one stays. */
const PLACES = 4096
/** Shorter ones are checked as fast as they are compared. */
const MIN_LENGTH = 24
const MAX_LENGTH = 8192
/** Of all values together: whoever makes values up makes it forget, and gets nothing of it. */
const MAX_CHARACTERS = 4 * 1024 * 1024
/** Distances from a value's start, in bytes: where values that begin alike differ. */
const SAMPLES: readonly [number, number, number] = [8, 28, 120]
const MULTIPLIER = 0x9e3779b1
const SHIFT = 20

export class SeenValues {
  #places: (string | undefined)[] = new Array(PLACES)
  #characters = 0

  /**
   * Where the value ends that begins at a place, as `endOfValue` says it.
   *
   * @param view the text's bytes, and behind them anything.
   * @param text a character for each of its bytes.
   */
  endOf(view: DataView, text: string, start: number): number {
    if (!opensContainer(view, start)) return endOfValue(view, start)
    const place = placeOf(view, start)
    const seen = this.#places[place]
    // A container ends where its closing stands, whatever follows: the same bytes are the same value.
    if (seen !== undefined && text.slice(start, start + seen.length) === seen) return start + seen.length
    const end = endOfValue(view, start)
    if (end - start >= MIN_LENGTH && end - start <= MAX_LENGTH) this.#remember(place, text.slice(start, end))
    return end
  }

  #remember(place: number, value: string): void {
    this.#characters += value.length - (this.#places[place]?.length ?? 0)
    if (this.#characters > MAX_CHARACTERS) {
      this.#places = new Array(PLACES)
      this.#characters = value.length
    }
    // A slice would hold on to the whole text.
    this.#places[place] = Buffer.from(value, 'latin1').toString('latin1')
  }
}

function opensContainer(view: DataView, at: number): boolean {
  const byte = view.getUint8(at)
  if (byte !== OPEN_OBJECT && byte !== OPEN_LIST) return false
  const next = view.getUint8(at + 1)
  return next !== CLOSE_OBJECT && next !== CLOSE_LIST
}

function placeOf(view: DataView, start: number): number {
  const last = view.byteLength - 4
  let hash = 0
  for (const distance of SAMPLES) hash = Math.imul(hash ^ view.getInt32(Math.min(start + distance, last)), MULTIPLIER)
  return hash >>> SHIFT
}
