/** `sallyport replay`: the correlator's pipeline over finished event files. */

import { Command, Option } from 'commander'
import { settleForStream } from '../adapters/engine-flags.js'
import { measureEventFiles, readEventFiles } from '../adapters/event-file.js'
import { loadToolCatalogue } from '../adapters/tool-catalogue-file.js'
import { writeText } from '../adapters/write-text.js'
import type { EventSource } from '../correlator/event-source.js'
import type { Finding } from '../correlator/finding.js'
import { jsonLine } from '../correlator/json-line.js'
import { correlate } from '../correlator/pipeline.js'
import { createStreamStats, type StreamStats } from '../correlator/stream-stats.js'
import { KnownError } from '../errors.js'
import { type CompiledPolicy, escapeForeign } from '../policy/index.js'
import type { CommandIo } from './command-io.js'
import { addClusterOptions, type ClusterOptions, openCluster } from './open-cluster.js'
import { openJournal } from './open-journal.js'
import { addPolicyOption, loadPolicyAloud, parseTime } from './policy-options.js'
import { createProgress, describeStream, isTerminal } from './stream-words.js'

const HELP = `
Example:
  sallyport replay --policy policies/starter.yaml /var/log/tetragon/tetragon*.log*
  zcat events.jsonl.gz | sallyport replay --policy policies/ --journal journal/ -o json -

Files may be gzipped, whatever their names; - is standard input. Each event is judged as of its own time, so that
exceptions hold and end as they did; --as-of judges all of them as of one time. -o splunk prints the rows that the two
Splunk detections would, -o json one finding a line.
What could not be seen (kind coverage) is shown, and is no finding for the exit status.
Exit status: 0 nothing found; 1 open findings (with -o splunk: rows); 64 usage; 78 a bad file or policy.`

interface ReplayOptions extends Pick<ClusterOptions, 'inventory' | 'auditLog' | 'webhookConfiguration'> {
  readonly policy: readonly string[]
  readonly journal?: string
  readonly output: 'table' | 'json' | 'splunk'
  readonly asOf?: number
}

export function replayCommand(io: CommandIo): Command {
  const command = new Command('replay').description('Find in finished event files what correlate would have found.')
  return addClusterOptions(addPolicyOption(command, 'one'))
    .argument('<file...>', 'export files of Tetragon, or - for standard input')
    .option('--journal <dir>', 'the journal of the webhook: findings then say how an image got in')
    .addOption(
      new Option('-o, --output <format>', 'table, json or splunk')
        .choices(['table', 'json', 'splunk'])
        .default('table'),
    )
    .addOption(new Option('--as-of <time>', 'judge as of this time (default: of each event)').argParser(parseTime))
    .addHelpText('after', HELP)
    .action(async (files: readonly string[], options: ReplayOptions) => replay(files, options, io))
}

async function replay(files: readonly string[], options: ReplayOptions, io: CommandIo): Promise<void> {
  const all = [...files, ...(options.inventory || []), ...(options.auditLog ?? [])]
  if (all.filter(file => file === '-').length > 1) throw new KnownError('USAGE', 'name - once')
  const policy = await loadPolicyAloud(options.policy, io)
  const totalBytes = await measureEventFiles(files)
  const progress = createProgress(io.stderr, totalBytes, io.now)
  const { stdin, signal, now: damageClock } = io
  settleForStream()
  const source = readEventFiles(files, { stdin, signal, onRead: progress.onRead, isBufferReused: true, damageClock })
  const stats = createStreamStats()
  const output =
    options.output === 'splunk'
      ? (await import('./replay-splunk.js')).splunkRows(policy, source, stats, options, io)
      : findings(policy, source, stats, options, io)
  const found = await output.finally(progress.finish)
  io.stderr.write(describeStream(stats))
  if (signal.aborted) io.stderr.write('sallyport: interrupted; what follows is what was found until then\n')
  refuseStrangers(stats)
  await writeText(io.stdout, found.text)
  io.setExitCode(found.isAny ? 1 : 0)
}

interface Output {
  readonly text: string
  /** Whether there is anything that wants attention. */
  readonly isAny: boolean
}

async function findings(
  policy: CompiledPolicy,
  source: EventSource,
  stats: StreamStats,
  options: ReplayOptions,
  io: CommandIo,
): Promise<Output> {
  const catalogue = await loadToolCatalogue(policy.runtime)
  const { inventory, audit } = await openCluster(options, 'once', io)
  const journal = await openJournal(options.journal)
  const all: Finding[] = []
  try {
    const { now } = io
    const { policy: policyPaths, asOf } = options
    const emit = { when: 'at-end' } as const
    for await (const finding of correlate(source, {
      policy,
      catalogue,
      journal,
      inventory,
      audit,
      stats,
      now,
      asOf,
      policyPaths,
      emit,
    })) {
      all.push(finding)
    }
  } finally {
    journal?.close()
  }
  const text = options.output === 'json' ? all.map(jsonLine).join('') : await renderTable(all, io)
  // What could not be seen is worth knowing, and is nothing found.
  return { text, isAny: all.some(({ status, kind }) => status === 'open' && kind !== 'coverage') }
}

async function renderTable(findings: readonly Finding[], { stdout }: CommandIo): Promise<string> {
  const { renderFindings } = await import('./finding-table.js')
  return renderFindings(findings, { hasColors: isTerminal(stdout) })
}

/** A file with lines, none of which is an event, was named by mistake: silence would look like good news. */
function refuseStrangers({ strangeSources }: StreamStats): void {
  const [first] = strangeSources
  if (first === undefined) return
  const name = escapeForeign(first, 300)
  throw new KnownError('FILE_UNREADABLE', `${name} is not a Tetragon export: none of its lines is an event`)
}
