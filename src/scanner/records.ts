/** Writes what was found to where the reader looks for it; see `../correlator/scan-records`. */

import { RECORD_NUMBERS, WIDE_AT } from '../correlator/scan-records'
import { INPUT, reserve } from './memory'

const NUMBER_BYTES: usize = 4
const RECORD_BYTES: usize = <usize>RECORD_NUMBERS * NUMBER_BYTES
const MAX_RECORDS: usize = 4096
/** A line that needs more is not read here. */
const MAX_RECORDS_A_LINE: usize = 128
/** For itself, its container, its command and its flags. */
const RECORDS_A_PROCESS: usize = 4
/** The line, and how it ends; one more each for the memories. */
const RECORDS_AT_THE_END: usize = 5

export const RECORDS: usize = reserve(MAX_RECORDS * RECORD_BYTES)
let next: usize = RECORDS
let lineLimit: usize = RECORDS

export function clearRecords(): void {
  next = RECORDS
}

export function countRecords(): i32 {
  return <i32>((next - RECORDS) / RECORD_BYTES)
}

/** Whether there is room for another line. */
export function beginLine(): bool {
  lineLimit = next + MAX_RECORDS_A_LINE * RECORD_BYTES
  return lineLimit <= RECORDS + MAX_RECORDS * RECORD_BYTES
}

/** Whether there is room for another process. */
export function hasRoomForProcess(): bool {
  return next + (RECORDS_A_PROCESS + RECORDS_AT_THE_END) * RECORD_BYTES <= lineLimit
}

/** @returns where the numbers of the record stand. */
export function record(type: i32): usize {
  const made = next
  store<i32>(made, type)
  next += RECORD_BYTES
  return made + NUMBER_BYTES
}

export function setNumber(numbers: usize, index: usize, value: i32): void {
  store<i32>(numbers + index * NUMBER_BYTES, value)
}

/** A place in the input; 0 stands for a field that is missing. */
export function setOffset(numbers: usize, index: usize, at: usize): void {
  setNumber(numbers, index, at === 0 ? -1 : <i32>(at - INPUT))
}

export function setWide(numbers: usize, value: f64): void {
  store<f64>(numbers + <usize>(WIDE_AT - 1) * NUMBER_BYTES, value)
}
