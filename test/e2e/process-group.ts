/** Processes and a folder that never outlive the test, however the test ends. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * A shell that reads its standard input until the test process closes it, be it by stopping or by dying of any signal,
 * then kills every process that has a file in `pids` and removes the folder. A file's name is the process id.
 */
const WATCHDOG = `
trap '' HUP INT TERM
while read -r _; do :; done
for file in "$1"/pids/*; do [ -e "$file" ] && kill -KILL "\${file##*/}" 2>/dev/null; done
tries=0
until rm -rf "$1" 2>/dev/null || [ "$tries" -ge 50 ]; do tries=$((tries + 1)); sleep 0.1; done
`
const LOG_TAIL_CHARACTERS = 3000
const POLL_INTERVAL_MS = 100

export interface RunningProcess {
  readonly pid: number
  readonly isRunning: boolean
  /** All that it wrote to stdout and stderr so far. */
  log(): string
  /** Send a signal and wait for the end. @returns the exit status, or null after a signal that ended it. */
  end(signal: NodeJS.Signals): Promise<number | null>
}

export interface WaitOptions {
  /** Default 30,000. */
  readonly timeoutMs?: number
  /** What the error's text ends with: a log, the last answer. */
  readonly evidence?: () => string
}

export interface ProcessGroup {
  /** Absolute; everything in it is removed by `stop`. */
  readonly folder: string
  start(name: string, command: string, args: readonly string[]): Promise<RunningProcess>
  /** Kill what still runs, remove the folder. */
  stop(): Promise<void>
}

export function createProcessGroup(): ProcessGroup {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-e2e-'))
  mkdirSync(join(folder, 'pids'))
  mkdirSync(join(folder, 'logs'))
  // In a session of its own: a Ctrl-C in the terminal must not end it before its work is done.
  const watchdog = spawn('sh', ['-c', WATCHDOG, 'sh', folder], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  const watchdogEnd = once(watchdog, 'exit')
  const children: ChildProcess[] = []
  return {
    folder,
    start: async (name, command, args) => {
      const logFile = join(folder, 'logs', `${name}-${children.length}.log`)
      const log = openSync(logFile, 'w')
      const child = spawn(command, args, { stdio: ['ignore', log, log], cwd: process.cwd() })
      closeSync(log)
      children.push(child)
      return track(child, folder, logFile)
    },
    stop: async () => {
      const ends = children.map(untilEnded)
      watchdog.stdin.end()
      await Promise.all([watchdogEnd, ...ends])
    },
  }
}

/** A TCP port of loopback that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('a TCP server has no port')
  return address.port
}

/**
 * Ask again and again until there is an answer.
 *
 * @param what ends the error's sentence: "waited 10 s for …".
 * @throws after `timeoutMs`, with whatever `evidence` says.
 */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined> | T | undefined,
  options: WaitOptions = {},
): Promise<T> {
  const { timeoutMs = 60_000, evidence = () => '' } = options
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs / 1000} s for ${what}\n${evidence()}`)
    await pause(POLL_INTERVAL_MS)
  }
}

export function pause(durationMs: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, durationMs))
}

/** The end of a log, for an error's text. */
export function tailOf(log: string): string {
  return log.slice(-LOG_TAIL_CHARACTERS)
}

async function track(child: ChildProcess, folder: string, logFile: string): Promise<RunningProcess> {
  await once(child, 'spawn')
  const { pid } = child
  if (pid === undefined) throw new Error('a spawned process has no id')
  const pidFile = join(folder, 'pids', String(pid))
  writeFileSync(pidFile, '')
  // The id may be another's from now on.
  child.once('exit', () => rmSync(pidFile, { force: true }))
  return {
    pid,
    get isRunning() {
      return !hasEnded(child)
    },
    log: () => readFileSync(logFile, 'utf8'),
    end: async signal => {
      const end = untilEnded(child)
      child.kill(signal)
      await end
      return child.exitCode
    },
  }
}

async function untilEnded(child: ChildProcess): Promise<void> {
  if (!hasEnded(child)) await once(child, 'exit')
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}
