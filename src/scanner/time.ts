/** The agent's time stamps: RFC 3339 in UTC. */

import { reserve } from './memory'
import { isDigit, isSame } from './text'

const MINUTE_LENGTH: usize = 17 // '2026-11-21T23:08:'
/** Where the fraction begins, if there is one. */
const POINT_AT: usize = 19 // behind '2026-11-21T23:08:09'
const MIN_LENGTH: usize = 20
const MAX_LENGTH: usize = 30 // '2026-11-21T23:08:09.123456789Z'
const ZERO: u8 = 0x30
const DASH: u8 = 0x2d
const COLON: u8 = 0x3a
const POINT: u8 = 0x2e
const LETTER_T: u8 = 0x54
const LETTER_Z: u8 = 0x5a
const MS_A_MINUTE: f64 = 60000
const MINUTES_A_DAY: f64 = 1440

/** The last one, as written, and when it began. */
const minute: usize = reserve(MINUTE_LENGTH)
let minuteStart: f64 = 0

/** What was read last: milliseconds since the epoch, cut and not rounded. */
export let time: f64 = 0

/** @returns false for anything else than such a stamp, and for a day that there is not. */
export function readTime(from: usize, to: usize): bool {
  const length = to - from
  if (length < MIN_LENGTH || length > MAX_LENGTH || load<u8>(to - 1) !== LETTER_Z) return false
  if (!isSame(minute, from, MINUTE_LENGTH) && !readMinute(from)) return false
  const seconds = twoDigits(from + MINUTE_LENGTH)
  const millis = length === MIN_LENGTH ? 0 : readFraction(from + POINT_AT, to - 1)
  time = minuteStart + <f64>(seconds * 1000 + millis)
  return seconds >= 0 && seconds <= 59 && millis >= 0
}

/** A point and one to nine digits, in milliseconds; -1 when it is of another form. */
function readFraction(start: usize, end: usize): i32 {
  if (load<u8>(start) !== POINT || end - start < 2) return -1
  let millis: i32 = 0
  let unit: i32 = 100
  for (let at = start + 1; at < end; at += 1) {
    const digit = load<u8>(at)
    if (!isDigit(digit)) return -1
    millis += <i32>(digit - ZERO) * unit
    unit /= 10
  }
  return millis
}

function readMinute(from: usize): bool {
  if (load<u8>(from + 4) !== DASH || load<u8>(from + 7) !== DASH || load<u8>(from + 10) !== LETTER_T) return false
  if (load<u8>(from + 13) !== COLON || load<u8>(from + 16) !== COLON) return false
  const century = twoDigits(from)
  const yearOfCentury = twoDigits(from + 2)
  const month = twoDigits(from + 5)
  const day = twoDigits(from + 8)
  const hour = twoDigits(from + 11)
  const minutes = twoDigits(from + 14)
  if (century < 0 || yearOfCentury < 0 || hour < 0 || hour > 23 || minutes < 0 || minutes > 59) return false
  const year = century * 100 + yearOfCentury
  if (month < 1 || month > 12 || day < 1 || day > daysOf(month, year)) return false
  minuteStart = (<f64>daysSinceEpoch(year, month, day) * MINUTES_A_DAY + <f64>(hour * 60 + minutes)) * MS_A_MINUTE
  memory.copy(minute, from, MINUTE_LENGTH)
  return true
}

/** -1 when they are none. */
function twoDigits(at: usize): i32 {
  const tens = load<u8>(at)
  const ones = load<u8>(at + 1)
  return isDigit(tens) && isDigit(ones) ? <i32>(tens - ZERO) * 10 + <i32>(ones - ZERO) : -1
}

function daysOf(month: i32, year: i32): i32 {
  if (month === 2) return isLeap(year) ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}

function isLeap(year: i32): bool {
  return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
}

/** Of the Gregorian calendar; below zero before 1970. */
function daysSinceEpoch(year: i32, month: i32, day: i32): i32 {
  const before = year - 1
  const leapDays = year === 0 ? 0 : before / 4 - before / 100 + before / 400 + 1 // year 0 is one too
  let days = year * 365 + leapDays - 719528
  for (let each = 1; each < month; each += 1) days += daysOf(each, year)
  return days + day - 1
}
