/** `sallyport correlate`: follow exec events and write findings as they come up. */

import { Command } from 'commander'
import { readEventFiles } from '../adapters/event-file.js'
import { tailFile } from '../adapters/file-tail.js'
import { type FindingSink, openFindingSink } from '../adapters/finding-sink.js'
import { openJournalReader } from '../adapters/journal-reader.js'
import { loadToolCatalogue } from '../adapters/tool-catalogue-file.js'
import type { EventSource } from '../correlator/event-source.js'
import { correlate } from '../correlator/pipeline.js'
import { createStreamStats } from '../correlator/stream-stats.js'
import { KnownError } from '../errors.js'
import { escapeForeign } from '../policy/index.js'
import type { CommandIo } from './command-io.js'
import { addPolicyOption, loadPolicyAloud } from './policy-options.js'
import { describeStream } from './stream-words.js'

/** How often a finding that keeps growing is written again. */
const UPDATE_MS = 60_000

const HELP = `
Example:
  sallyport correlate --policy policies/starter.yaml --source file:/var/log/tetragon/tetragon.log --journal journal/
  tail -F tetragon.log | sallyport correlate --policy policies/ --source - --sink file:findings.jsonl

A followed file is read from its end, unless --from-start is given, and through its rotation. A finding is written when
it is first seen, at most once a minute while it grows, and once more at the end: the last line of a fingerprint holds.
Exit status: 0 after a signal or the end of standard input; 64 usage; 78 a bad file or policy.`

interface CorrelateCommandOptions {
  readonly policy: readonly string[]
  readonly source: string
  readonly fromStart?: boolean
  readonly journal?: string
  readonly sink?: readonly string[]
}

export function correlateCommand(io: CommandIo): Command {
  const command = new Command('correlate').description('Follow Tetragon exec events and write findings.')
  return addPolicyOption(command, 'many')
    .requiredOption('--source <spec>', 'file:PATH (followed), or - for standard input')
    .option('--from-start', 'read what the file holds already')
    .option('--journal <dir>', 'the journal of the webhook: findings then say how an image got in')
    .option('--sink <spec...>', 'stdout, or file:PATH (appended to); several may be given (default: stdout)')
    .addHelpText('after', HELP)
    .action(async (options: CorrelateCommandOptions) => follow(options, io))
}

async function follow(options: CorrelateCommandOptions, io: CommandIo): Promise<void> {
  const source = openSource(options, io)
  const policy = await loadPolicyAloud(options.policy, io)
  const catalogue = await loadToolCatalogue(policy.runtime)
  const journal = options.journal === undefined ? undefined : openJournalReader(options.journal)
  const sinks: FindingSink[] = []
  const stats = createStreamStats()
  try {
    for (const spec of options.sink ?? ['stdout']) sinks.push(await openFindingSink(spec, io.stdout))
    const emit = { when: 'at-once', updateMs: UPDATE_MS } as const
    const pipeline = { policy, catalogue, journal, stats, now: io.now, policyPaths: options.policy, emit }
    for await (const finding of correlate(source, pipeline)) {
      await Promise.all(sinks.map(sink => sink.write(finding)))
    }
  } finally {
    journal?.close()
    await Promise.all(sinks.map(sink => sink.close()))
  }
  io.stderr.write(describeStream(stats))
}

function openSource({ source, fromStart }: CorrelateCommandOptions, io: CommandIo): EventSource {
  const { stdin, stderr, signal } = io
  if (source === '-') return readEventFiles(['-'], { stdin, signal })
  if (source.startsWith('grpc:')) {
    throw new KnownError('USAGE', 'this version reads files and standard input, not gRPC: use file:PATH or -')
  }
  const path = source.startsWith('file:') ? source.slice('file:'.length) : ''
  if (path === '') throw new KnownError('USAGE', '--source takes file:PATH or -')
  return tailFile(path, {
    fromStart: fromStart === true,
    signal,
    onWaiting: () => stderr.write(`sallyport: waiting for ${escapeForeign(path, 300)}, which does not exist yet\n`),
  })
}
