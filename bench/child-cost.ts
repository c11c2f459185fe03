/** What another program costs: CPU time over all its threads, and the most memory it held. Linux only: it asks /proc. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, openSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { canPin } from './pinned-process.js'

const POLL_MS = 200
/** A program that follows a file is done when it has done nothing for that many looks. */
const QUIET_LOOKS = 5
const MICROS_A_TICK = 10_000
const CORE = '0'

export interface ChildCost {
  readonly cpuMicros: number
  /** The most that was resident, in bytes; 0 when the program had ended before the first look. */
  readonly maxRssBytes: number
}

/** Whether this can be measured here. */
export const canMeasureChildren = existsSync('/proc/self/stat') && canPin

export interface ChildOptions {
  /** A file to be its standard input. */
  readonly stdin?: string
  /** It does not end by itself: it is interrupted when it has nothing more to do. */
  readonly isFollowing?: boolean
}

/** Run a program on one core, to its end; its output is thrown away. */
export async function costOf(command: readonly string[], options: ChildOptions = {}): Promise<ChildCost> {
  const before = ticksOf('self', 15, 16)
  const stdin = options.stdin === undefined ? 'ignore' : openSync(options.stdin, 'r')
  const child = spawn('taskset', ['-c', CORE, ...command], { stdio: [stdin, 'ignore', 'ignore'] })
  const ended = once(child, 'exit')
  const maxRssBytes = await watch(child, options.isFollowing === true)
  await ended
  return { cpuMicros: (ticksOf('self', 15, 16) - before) * MICROS_A_TICK, maxRssBytes }
}

async function watch(child: ChildProcess, isFollowing: boolean): Promise<number> {
  let maxRss = 0
  let ticks = -1
  let quiet = 0
  while (child.exitCode === null && child.signalCode === null) {
    maxRss = Math.max(maxRss, residentOf(child.pid))
    const now = ticksOf(child.pid, 13, 14)
    quiet = now - ticks <= 1 ? quiet + 1 : 0
    ticks = now
    if (isFollowing && quiet >= QUIET_LOOKS) child.kill('SIGINT')
    await sleep(POLL_MS)
  }
  return maxRss
}

/** Two fields of a process's `stat`, counted from 0, together; 0 when it has gone. */
function ticksOf(pid: number | string | undefined, ...fields: readonly number[]): number {
  const text = readProc(`/proc/${pid}/stat`)
  // The second field is the program's name, which may hold blanks.
  const values = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return fields.reduce((sum, field) => sum + Number(values[field - 2] ?? 0), 0)
}

function residentOf(pid: number | undefined): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readProc(`/proc/${pid}/status`))?.[1] ?? 0) * 1024
}

function readProc(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
