/**
 * Reads one process of an event. Agents write a process again and again: when it starts, when it ends, and with each of
 * its children, the same but for its reference count.
 */

import { COMMAND, COMMAND_PLACES, FLAGS, FLAGS_PLACES, PROCESS, PROCESS_PLACES } from '../correlator/scan-records'
import { container, dockerFrom, dockerTo, readContainer } from './container'
import { skipCredentials } from './credentials'
import { NOWHERE, Pieces } from './pieces'
import { hasRoomForProcess, record, setNumber, setOffset, setWide } from './records'
import {
  byte,
  from,
  hashOf,
  isEscaped,
  key,
  literal,
  member,
  numberField,
  plain,
  plainField,
  textField,
  to,
  value,
  word,
} from './text'

/** By exec id: all before the reference count, and all behind it. */
export const processes = new Pieces(2000000, PROCESS_PLACES)
export const commands = new Pieces(1500000, COMMAND_PLACES)
/** Many are the same. */
export const flagSets = new Pieces(16384, FLAGS_PLACES)

/** Of an id: its last characters differ the most. */
const HASHED_OF_ID: usize = 24
const BRACE_END: u8 = 0x7d
const PID = key('pid')
const UID = key('uid')
const CWD = key('cwd')
const BINARY = key('binary')
const ARGUMENTS = key('arguments')
const FLAGS_KEY = key('flags')
const START_TIME = key('start_time')
const AUID = key('auid')
const PARENT_EXEC_ID = key('parent_exec_id')
const REFCNT = key('refcnt')
const TID = key('tid')
const IN_INIT_TREE = key('in_init_tree')
const TRUE = word('true')
const FALSE = word('false')

/** Where the process that was read last is kept. */
export let process: i32 = NOWHERE
let command: i32 = NOWHERE
let flags: i32 = NOWHERE
let isInInitTree: i32 = -1

/**
 * @param at behind `"exec_id":`.
 * @returns behind its brace.
 */
export function readProcess(at: usize): usize {
  const behindId = plain(at)
  if (behindId === 0 || !hasRoomForProcess()) return 0
  const idEnd = to
  const hash = hashOf(max(at, idEnd - HASHED_OF_ID), idEnd)
  for (let place = processes.find(hash); place !== NOWHERE; place = processes.find(hash, place)) {
    const head = processes.head(place, at)
    const count = numberField(head, REFCNT)
    const end = count === 0 ? <usize>0 : processes.tail(place, count)
    if (end === 0) continue
    process = place
    return end
  }
  return readNew(hash, at, behindId)
}

function readNew(hash: u32, start: usize, behindId: usize): usize {
  let at = numberField(behindId, PID)
  const pid = value()
  at = readCommand(at)
  at = readFlags(at)
  at = plainField(at, START_TIME)
  at = numberField(at, AUID)
  at = readContainer(at)
  const headEnd = plainField(at, PARENT_EXEC_ID)
  const tailStart = numberField(headEnd, REFCNT)
  const end = readEnd(tailStart)
  if (end === 0) return 0
  process = processes.add(hash, start, headEnd, tailStart, end)
  const numbers = record(PROCESS)
  setNumber(numbers, 0, process)
  setNumber(numbers, 1, command)
  setNumber(numbers, 2, flags)
  setNumber(numbers, 3, container)
  setOffset(numbers, 4, dockerFrom)
  setOffset(numbers, 5, dockerTo)
  setNumber(numbers, 6, isInInitTree)
  setWide(numbers, pid)
  return end
}

/** Owner, folder, program and arguments. */
function readCommand(start: usize): usize {
  const begin = textField(numberField(start, UID), CWD)
  let at = textField(begin, BINARY)
  const binaryFrom = from
  const binaryTo = to
  const isBinaryEscaped = isEscaped
  at = textField(at, ARGUMENTS)
  if (at === 0) return 0
  const hash = hashOf(begin, at)
  for (command = commands.find(hash); command !== NOWHERE; command = commands.find(hash, command)) {
    if (commands.head(command, begin) === at) return at
  }
  const argumentsFrom = from
  const argumentsTo = to
  command = commands.add(hash, begin, at, at, at)
  const numbers = record(COMMAND)
  setNumber(numbers, 0, command)
  setOffset(numbers, 1, binaryFrom)
  setOffset(numbers, 2, binaryTo)
  setNumber(numbers, 3, isBinaryEscaped ? 1 : 0)
  setOffset(numbers, 4, argumentsFrom)
  setOffset(numbers, 5, argumentsTo)
  setNumber(numbers, 6, isEscaped ? 1 : 0)
  return at
}

function readFlags(start: usize): usize {
  flags = NOWHERE
  const at = plainField(start, FLAGS_KEY)
  if (at === 0 || from === to) return at
  const begin = from
  const end = to
  const hash = hashOf(begin, end)
  for (flags = flagSets.find(hash); flags !== NOWHERE; flags = flagSets.find(hash, flags)) {
    if (flagSets.head(flags, begin) === end) return at
  }
  flags = flagSets.add(hash, begin, end, end, end)
  const numbers = record(FLAGS)
  setNumber(numbers, 0, flags)
  setOffset(numbers, 1, begin)
  setOffset(numbers, 2, end)
  return at
}

/** What stands behind the reference count. */
function readEnd(start: usize): usize {
  let at = numberField(skipCredentials(start), TID)
  isInInitTree = -1
  const said = member(at, IN_INIT_TREE)
  if (said !== 0) {
    const yes = literal(said, TRUE)
    at = yes === 0 ? literal(said, FALSE) : yes
    isInInitTree = yes === 0 ? 0 : 1
  }
  return byte(at, BRACE_END)
}
