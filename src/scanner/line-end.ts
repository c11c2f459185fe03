/**
 * How the lines of one agent end: behind the event itself stand the node's name, the time, the cluster and the node's
 * labels, the same in each line but for the time.
 */

import { LINE_END } from '../correlator/scan-records'
import { mapField } from './container'
import { reserve } from './memory'
import { record, setOffset } from './records'
import { byte, from, isSame, key, member, plain, plainField, to } from './text'
import { readTime } from './time'

const BRACE_END: u8 = 0x7d
const CARRIAGE_RETURN: u8 = 0x0d
const NODE_NAME = key('node_name')
const TIME = key('time')
const CLUSTER_NAME = key('cluster_name')
const NODE_LABELS = key('node_labels')
/** Longer ends are read anew each time. */
const MAX_KEPT: usize = 4096

/** The last end, before its time and behind it. */
const before: usize = reserve(MAX_KEPT)
const after: usize = reserve(MAX_KEPT)
let beforeLength: usize = 0
let afterLength: usize = 0

/** From the brace that closes the event to behind the one that closes the line. */
export function readLineEnd(at: usize): usize {
  if (afterLength !== 0 && isSame(before, at, beforeLength)) {
    const stampEnd = readStamp(at + beforeLength)
    if (stampEnd === 0) return 0
    if (isSame(after, stampEnd, afterLength)) return stampEnd + afterLength
  }
  return readNew(at)
}

function readNew(start: usize): usize {
  let at = plainField(byte(start, BRACE_END), NODE_NAME)
  const nodeFrom = from
  const nodeTo = to
  const stampStart = member(at, TIME)
  const stampEnd = readStamp(stampStart)
  at = plainField(stampEnd, CLUSTER_NAME)
  const clusterFrom = from
  const clusterTo = to
  at = byte(mapField(at, NODE_LABELS), BRACE_END)
  if (at === 0) return 0
  if (load<u8>(at) === CARRIAGE_RETURN) at += 1
  keep(start, stampStart, stampEnd, at)
  const numbers = record(LINE_END)
  setOffset(numbers, 0, nodeFrom)
  setOffset(numbers, 1, nodeTo)
  setOffset(numbers, 2, clusterFrom)
  setOffset(numbers, 3, clusterTo)
  return at
}

/** The time, with its quotes. */
function readStamp(start: usize): usize {
  const end = plain(start)
  if (end === 0) return 0
  return readTime(from, to) ? end : 0
}

function keep(start: usize, stampStart: usize, stampEnd: usize, end: usize): void {
  afterLength = 0
  if (stampStart - start > MAX_KEPT || end - stampEnd > MAX_KEPT) return
  beforeLength = stampStart - start
  afterLength = end - stampEnd
  memory.copy(before, start, beforeLength)
  memory.copy(after, stampEnd, afterLength)
}
