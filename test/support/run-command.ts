/** Runs a command line in this process, with its own streams, and says what came out. */

import { PassThrough, Readable } from 'node:stream'
import { run } from '../../src/cli.js'
import { NOW } from './policies.js'

export interface CommandResult {
  readonly stdout: string
  readonly stderr: string
  readonly exitCode: number
}

export interface RunOptions {
  readonly stdin?: string | Buffer
  /** The clock, or the one time that it shows. */
  readonly now?: number | (() => number)
  readonly signal?: AbortSignal
  /** Told what is written to standard error, while the command runs. */
  readonly onStderr?: (text: string) => void
}

export async function runCommand(argv: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
  const { stdin = '', now = NOW, signal = new AbortController().signal, onStderr } = options
  const stdout = new PassThrough()
  const stderr = new PassThrough()
  const written = [collect(stdout), collect(stderr)] as const
  if (onStderr !== undefined) stderr.on('data', (chunk: Buffer) => onStderr(chunk.toString('utf8')))
  let exitCode = 0
  const setExitCode = (code: number) => {
    exitCode = code
  }
  await run(argv, {
    stdin: Readable.from([Buffer.from(stdin)]),
    stdout,
    stderr,
    setExitCode,
    now: typeof now === 'function' ? now : () => now,
    signal,
    version: '0.0.0-test',
  })
  stdout.end()
  stderr.end()
  const [out, err] = await Promise.all(written)
  return { stdout: out, stderr: err, exitCode }
}

async function collect(stream: PassThrough): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString('utf8')
}
