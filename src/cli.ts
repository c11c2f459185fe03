#!/usr/bin/env node
/** The executable: from the command line to a subcommand, and from whatever happens there to an exit status. */

import { readFileSync, realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Command, CommanderError } from 'commander'
import type { CommandIo } from './commands/command-io.js'
import { EXIT_USAGE, KnownError } from './errors.js'
import { ownFile } from './own-files.js'
import { escapeForeign } from './policy/escape-foreign.js'

/** sysexits: a bug of ours. */
const EXIT_SOFTWARE = 70

interface Subcommand {
  readonly summary: string
  /** Loaded only when it is asked for: a check must not wait for the webhook's packages. */
  load(io: CommandIo): Promise<Command>
}

const SUBCOMMANDS: ReadonlyMap<string, Subcommand> = new Map([
  [
    'webhook',
    {
      summary: 'serve the validating admission webhook over HTTPS',
      load: async io => (await import('./commands/webhook.js')).webhookCommand(io),
    },
  ],
  [
    'correlate',
    {
      summary: 'follow Tetragon exec events and write findings',
      load: async io => (await import('./commands/correlate.js')).correlateCommand(io),
    },
  ],
  [
    'replay',
    {
      summary: 'find in finished event files what correlate would have found',
      load: async io => (await import('./commands/replay.js')).replayCommand(io),
    },
  ],
  [
    'check',
    {
      summary: 'judge manifests offline, as the webhook would',
      load: async io => (await import('./commands/check.js')).checkCommand(io),
    },
  ],
  [
    'explain',
    {
      summary: 'show how an image is read and judged, and by which entry',
      load: async io => (await import('./commands/explain.js')).explainCommand(io),
    },
  ],
  [
    'certs',
    {
      summary: 'make a CA and a serving certificate for the webhook',
      load: async io => (await import('./commands/certs.js')).certsCommand(io),
    },
  ],
  [
    'report',
    {
      summary: 'sum up what warn mode let through and what was denied',
      load: async io => (await import('./commands/report.js')).reportCommand(io),
    },
  ],
  [
    'trace',
    {
      summary: "show one pod's images: who let them in, what ran, what was found",
      load: async io => (await import('./commands/trace.js')).traceCommand(io),
    },
  ],
  [
    'demo',
    {
      summary: 'see both gates at work on recorded input, without a cluster',
      load: async io => (await import('./commands/demo.js')).demoCommand(io),
    },
  ],
])

const EPILOGUE = `
Example:
  sallyport explain --policy policies/starter.yaml nginx:1.27

Exit status: 0 nothing wrong; 1 something denied or found; 64 usage; 78 bad configuration or policy.
Each command has its own --help.`

/** Run one command line; the returned exit status is 0 when nothing set another. */
export async function run(argv: readonly string[], io: CommandIo): Promise<void> {
  const program = createProgram(io)
  const name = argv.find(argument => !argument.startsWith('-'))
  const subcommand = name === undefined ? undefined : SUBCOMMANDS.get(name)
  try {
    if (subcommand !== undefined) program.addCommand(settle(await subcommand.load(io), io))
    await program.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    io.setExitCode(report(error, io))
  }
}

function createProgram(io: CommandIo): Command {
  const program = settle(new Command('sallyport'), io)
    .description('Two gates for the container images of a Kubernetes cluster, and one policy for both.')
    .version(io.version, '-V, --version', 'print the version')
    .usage('COMMAND [options]')
    .addHelpText('after', EPILOGUE)
  program.helpCommand(false)
  const width = Math.max(...[...SUBCOMMANDS.keys()].map(name => name.length))
  const list = [...SUBCOMMANDS].map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`)
  program.addHelpText('after', `\nCommands:\n${list.join('\n')}`)
  program.argument('[command]').action((unknown: string | undefined) => {
    const said =
      unknown === undefined ? 'name a command' : `there is no command ${JSON.stringify(escapeForeign(unknown, 40))}`
    throw new KnownError('USAGE', `${said}; one of: ${[...SUBCOMMANDS.keys()].join(', ')}`)
  })
  return program
}

function settle(command: Command, io: CommandIo): Command {
  return command
    .exitOverride()
    .showHelpAfterError(`(sallyport ${command.name() === 'sallyport' ? '' : `${command.name()} `}--help says more)`)
    .configureOutput({
      writeOut: text => io.stdout.write(text),
      writeErr: text => io.stderr.write(text),
    })
}

function report(error: unknown, io: CommandIo): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE
  if (error instanceof KnownError) {
    io.stderr.write(`sallyport: ${error.message}\n`)
    return error.exitCode
  }
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error)
  io.stderr.write(`sallyport: this is a bug of Sallyport; please report it with these lines\n${stack}\n`)
  return EXIT_SOFTWARE
}

function readVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(ownFile('package.json'), 'utf8'))
  const version =
    typeof manifest === 'object' && manifest !== null && 'version' in manifest ? manifest.version : undefined
  return String(version)
}

/** The process as a command sees it. Signals are caught only once a command asks for them. */
function createProcessIo(): CommandIo {
  const controller = new AbortController()
  let isListening = false
  // A reader that has gone (`| head`) is no error: stop what runs, quietly.
  process.stdout.on('error', error => {
    if ('code' in error && error.code === 'EPIPE') controller.abort()
    else throw error
  })
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    setExitCode: code => {
      process.exitCode = code
    },
    version: readVersion(),
    now: () => Date.now(),
    get signal() {
      if (!isListening) for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort())
      isListening = true
      return controller.signal
    },
    onHangup: listener => {
      process.on('SIGHUP', listener)
    },
  }
}

/** Whether this file was started, and not imported by a test. */
function isMain(): boolean {
  const started = process.argv[1]
  return started !== undefined && realpathSync(started) === fileURLToPath(import.meta.url)
}

if (isMain()) await run(process.argv.slice(2), createProcessIo())
