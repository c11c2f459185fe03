/**
 * How the lines of one agent end: behind the event itself stand the node's name, the time, the cluster and the node's
 * labels, the same in each line but for the time.
 */

import { END } from './exec-event-grammar.js'
import { isSame, textOf } from './exec-event-texts.js'
import { MinuteClock } from './exec-event-time.js'
import type { LineCursor } from './line-cursor.js'

const MAX_STAMP = 40
const QUOTE = 0x22

export class LineEnd {
  readonly #clock = new MinuteClock()
  #before = new DataView(new ArrayBuffer(0))
  #after = new DataView(new ArrayBuffer(0))
  #stampLength = 0
  nodeName: string | undefined
  clusterName: string | undefined
  /** Of the line that was looked at last, in milliseconds since the epoch. */
  time = Number.NaN

  /** Where the end begins, at the brace that closes the event; -1 when it is of another shape. */
  find({ bytes: line, view, at: start, end }: LineCursor): number {
    const known = this.#findKnown(line, view, start, end)
    if (known !== -1) return known
    const found = END.exec(line.toString('latin1', start, end))
    if (found === null) return -1
    const [whole, before = '', nodeName = '', stamp = '', after = '', clusterName = ''] = found
    this.#before = new DataView(new TextEncoder().encode(before).buffer)
    this.#after = new DataView(new TextEncoder().encode(after).buffer)
    this.nodeName = textOf(nodeName)
    this.clusterName = textOf(clusterName)
    const at = end - whole.length
    const stampAt = at + before.length
    this.time = this.#clock.parse(line, stampAt, stampAt + stamp.length)
    return Number.isNaN(this.time) ? -1 : at
  }

  #findKnown(line: Buffer, view: DataView, start: number, end: number): number {
    const before = this.#before
    const after = this.#after
    const stampEnd = end - after.byteLength
    if (after.byteLength === 0 || stampEnd <= start) return -1
    if (!isSame(after, 0, view, stampEnd, after.byteLength)) return -1
    // Most stamps are of one length.
    const isUsual = line[stampEnd - this.#stampLength - 1] === QUOTE
    const stampAt = isUsual ? stampEnd - this.#stampLength : startOfString(line, start, stampEnd)
    const at = stampAt - before.byteLength
    if (at <= start || !isSame(before, 0, view, at, before.byteLength)) return -1
    this.#stampLength = stampEnd - stampAt
    this.time = this.#clock.parse(line, stampAt, stampEnd)
    return Number.isNaN(this.time) ? -1 : at
  }
}

function startOfString(line: Buffer, start: number, end: number): number {
  let at = end
  while (at > start && end - at < MAX_STAMP && line[at - 1] !== QUOTE) at -= 1
  return at
}
