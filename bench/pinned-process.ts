/** A child process, on a core of its own if need be, asked and answered over IPC, one question at a time. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'

export interface PinnedProcess {
  /** Send a message and wait for the answer. Rejects when the child ends instead. */
  ask(message: object): Promise<unknown>
  stop(): Promise<void>
}

/** Whether processes can be tied to cores here: `taskset` is Linux's, and one core leaves nothing to choose. */
export const canPin = cpus().length > 1 && spawnSync('taskset', ['-c', '0', 'true']).status === 0

/** Start a script of this folder, on one core or on any. It answers each message by exactly one, and ends when its channel is closed. */
export function startPinned(script: string, core?: number): PinnedProcess {
  const [loader = '', main = ''] = ['./typescript-loader.mjs', script].map(file => new URL(file, import.meta.url).href)
  const node = [process.execPath, '--import', loader, fileURLToPath(main)]
  const [command = '', ...args] = canPin && core !== undefined ? ['taskset', '-c', String(core), ...node] : node
  const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  return {
    ask: message => ask(child, message),
    stop: async () => {
      if (child.exitCode !== null) return
      const exited = once(child, 'exit')
      child.disconnect()
      await exited
    },
  }
}

async function ask(child: ChildProcess, message: object): Promise<unknown> {
  const answered = new AbortController()
  const { signal } = answered
  child.send(message)
  try {
    return await Promise.race([
      once(child, 'message', { signal }).then(([answer]: unknown[]) => answer),
      once(child, 'exit', { signal }).then(() => Promise.reject(new Error('a child process ended unexpectedly'))),
    ])
  } finally {
    answered.abort()
  }
}
