/**
 * Finds in a chunk of Tetragon's export the lines that matter, and reads them: what agents usually write is matched
 * against a strict grammar, or equals bytes that were. A line of any other form is left to a full parser.
 *
 * Most of a line has been seen before (its pod, its parent, its command line, its node's labels), and is compared, not
 * read. An exit of a process whose exec was seen is counted, and that is all.
 */

import { EXEC, LINE, OF_COMMANDS, OF_CONTAINERS, OF_PROCESSES, TURN } from '../correlator/scan-records'
import { containers } from './container'
import { readLineEnd } from './line-end'
import { INPUT } from './memory'
import { NOWHERE, Pieces } from './pieces'
import { commands, process, processes, readProcess } from './process'
import { beginLine, clearRecords, countRecords, record, setNumber, setOffset, setWide } from './records'
import { byte, key, literal, member, newlineFrom, numberField, plainField, word } from './text'
import { time } from './time'

export { INPUT, INPUT_BYTES } from './memory'
export { RECORDS } from './records'

const EXEC_START = word('{"process_exec":{"process":{')
const EXIT_START = word('{"process_exit":{"process":{')
const ID = key('exec_id')
const PARENT = word('"parent":{"exec_id":')
const ANCESTORS = word('"ancestors":[{"exec_id":')
const ANCESTOR = word('{"exec_id":')
const BRACKET_END: u8 = 0x5d
const NEWLINE: u8 = 0x0a
const SIGNAL = key('signal')
const STATUS = key('status')
const TIME = key('time')

/** Of the last chunk: complete lines, and those of them that were exits and are not among the records. */
export let lines: i32 = 0
export let exits: i32 = 0
/** How many records there are. */
export let records: i32 = 0
/** Whether there was no room for more of them, so that lines may be left. */
export let isFull: bool = false

let parent: i32 = NOWHERE

/**
 * Read the complete lines of the input, as far as there is room for what is found.
 *
 * @param start where the input goes on, from its beginning; `length` behind it.
 * @param maxLine longer lines are left to the full parser.
 * @returns behind the last newline that was reached, from the input's beginning.
 */
export function scan(start: i32, length: i32, maxLine: i32): i32 {
  const end = INPUT + <usize>length
  store<u8>(end, NEWLINE)
  clearRecords()
  lines = 0
  exits = 0
  let at = INPUT + <usize>start
  isFull = false
  while (at < end) {
    if (!beginLine()) {
      isFull = true
      break
    }
    const isExit = literal(at, EXIT_START) !== 0
    let lineEnd = isExit ? readExit(at) : readExec(at)
    const isRead = lineEnd !== 0 && load<u8>(lineEnd) === NEWLINE && lineEnd - at <= <usize>maxLine
    if (!isRead) lineEnd = newlineFrom(at)
    // The one behind the input ends no line.
    if (lineEnd === end) break
    if (!isRead) addLine(at, lineEnd)
    else if (isExit) exits += 1
    else addExec()
    lines += 1
    at = lineEnd + 1
  }
  noteTurn(processes, OF_PROCESSES)
  noteTurn(commands, OF_COMMANDS)
  noteTurn(containers, OF_CONTAINERS)
  records = countRecords()
  return <i32>(at - INPUT)
}

function readExit(start: usize): usize {
  let at = readSubject(literal(literal(start, EXIT_START), ID))
  at = plainField(at, SIGNAL)
  at = numberField(at, STATUS)
  return readLineEnd(plainField(at, TIME))
}

function readExec(start: usize): usize {
  const at = readSubject(literal(literal(start, EXEC_START), ID))
  const ancestors = member(at, ANCESTORS)
  return readLineEnd(ancestors === 0 ? at : readAncestors(ancestors))
}

/** The process of an event, and its parent, which may be missing. */
function readSubject(start: usize): usize {
  processes.held = NOWHERE
  processes.alsoHeld = NOWHERE
  parent = NOWHERE
  const at = readProcess(start)
  if (at === 0) return 0
  // What is read from here on must not take its place before the reader was told of the line.
  processes.held = process
  const inside = member(at, PARENT)
  if (inside === 0) return at
  const end = readProcess(inside)
  parent = process
  processes.alsoHeld = process
  return end
}

/** They are checked, and remembered. */
function readAncestors(start: usize): usize {
  let at = start
  while (at !== 0) {
    at = readProcess(at)
    const another = member(at, ANCESTOR)
    if (another === 0) break
    at = another
  }
  return byte(at, BRACKET_END)
}

function addLine(at: usize, end: usize): void {
  const numbers = record(LINE)
  setOffset(numbers, 0, at)
  setOffset(numbers, 1, end)
  setNumber(numbers, 2, lines)
}

function addExec(): void {
  const numbers = record(EXEC)
  setNumber(numbers, 0, processes.held)
  setNumber(numbers, 1, parent)
  setWide(numbers, time)
}

function noteTurn(pieces: Pieces, which: i32): void {
  if (!pieces.hasTurned) return
  pieces.hasTurned = false
  setNumber(record(TURN), 0, which)
}

/** The next place, from one on, whose piece is gone for good and was not told of before; -1: there is none. */
export function nextGone(which: i32, place: i32): i32 {
  return (which === OF_PROCESSES ? processes : which === OF_COMMANDS ? commands : containers).nextGone(place)
}
