/** `sallyport report`: what warn and audit mode let through, and what was denied or excepted, summed up. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import { Command, InvalidArgumentError, Option } from 'commander'
import {
  createDecisionFileStats,
  type DecisionFileStats,
  readDecisionFiles,
  type UnreadableLine,
} from '../adapters/decision-files.js'
import { measureEventFiles } from '../adapters/event-file.js'
import { openJournalReader } from '../adapters/journal-reader.js'
import { writeText } from '../adapters/write-text.js'
import { jsonLine } from '../correlator/json-line.js'
import { KnownError } from '../errors.js'
import { compileGlob, countStars, escapeForeign, MAX_STARS } from '../policy/index.js'
import { REPORTED_RESULTS, type ReportedDecision, type ReportedResult } from '../webhook/reported-decision.js'
import { createViolationReporter, type ViolationReport } from '../webhook/violation-report.js'
import type { CommandIo } from './command-io.js'
import { parseTime } from './policy-options.js'
import { renderReport } from './report-text.js'
import { createProgress } from './stream-words.js'

const HELP = `
Reads the webhook's journal, or decision records as --audit-log writes them (files may be gzipped; name the oldest
first; - is standard input). An object is counted once, however often the API server or a controller asked about it.
Dry runs are left out.

Example:
  sallyport report --journal /var/lib/sallyport --since 7d
  kubectl logs -n sallyport deploy/sallyport | sallyport report -n 'team-*' -o json -

Exit status: 0; 64 usage; 78 a bad file or journal.`

const DEFAULT_TOP = 30
const NAMESPACE_PATTERN = /^[a-z0-9*](?:[a-z0-9*-]{0,61}[a-z0-9*])?$/
const DURATION = /^([1-9][0-9]{0,6})(m|h|d|w)$/
const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
  ['w', 604_800_000],
])
/** So often the journal's reader, which waits for nothing, lets a signal come through. */
const TURN_RECORDS = 1_000

interface ReportOptions {
  readonly journal?: string
  /** Milliseconds since the epoch. */
  readonly since?: number
  readonly namespace?: readonly string[]
  readonly result?: readonly ReportedResult[]
  readonly top: number
  readonly output: 'text' | 'json'
}

export function reportCommand(io: CommandIo): Command {
  return new Command('report')
    .description('Sum up what warn mode let through and what was denied.')
    .argument('[file...]', 'audit logs of the webhook, or - for standard input')
    .option('--journal <dir>', 'the journal of the webhook, instead of files')
    .addOption(
      new Option('--since <time>', 'leave out what is older: a time, or 30m, 24h, 7d, 2w').argParser(text =>
        parseSince(text, io.now()),
      ),
    )
    .addOption(
      new Option(
        '-n, --namespace <pattern>',
        'only these namespaces, * stands for anything; repeat it for several',
      ).argParser(collectNamespace),
    )
    .addOption(
      new Option('--result <word>', `only rows of this result (${REPORTED_RESULTS.join(', ')}); repeatable`).argParser(
        collectResult,
      ),
    )
    .addOption(new Option('--top <rows>', 'rows of each table, in text').default(DEFAULT_TOP).argParser(parseTop))
    .addOption(new Option('-o, --output <format>', 'text or json').choices(['text', 'json']).default('text'))
    .addHelpText('after', HELP)
    .action(async (files: readonly string[], options: ReportOptions) => report(files, options, io))
}

async function report(files: readonly string[], options: ReportOptions, io: CommandIo): Promise<void> {
  const stats = createDecisionFileStats()
  const source = await openSource(files, options, stats, io)
  const isWanted = namespaceFilter(options.namespace ?? [])
  const since = options.since ?? Number.NEGATIVE_INFINITY
  const reporter = createViolationReporter()
  for await (const decision of source) {
    if (decision.lastAt >= since && isWanted(decision.record.namespace)) reporter.add(decision)
  }
  tellAboutInput(stats, options, io)
  const { result: results = REPORTED_RESULTS, top, output } = options
  const found = reporter.read()
  const text = output === 'json' ? toJson(found, results, options, stats) : renderReport(found, { results, top })
  await writeText(io.stdout, text)
}

/** Bad paths are told before anything is read. */
async function openSource(
  files: readonly string[],
  options: ReportOptions,
  stats: DecisionFileStats,
  io: CommandIo,
): Promise<AsyncIterable<ReportedDecision>> {
  const { journal } = options
  if (journal !== undefined && files.length === 0) return readJournal(journal, options, io.signal)
  if (journal !== undefined) throw new KnownError('USAGE', 'name files or --journal, not both')
  if (files.length === 0) throw new KnownError('USAGE', 'name audit logs, - or --journal')
  if (files.filter(file => file === '-').length > 1) throw new KnownError('USAGE', 'name - once')
  return readFiles(files, await measureEventFiles(files), stats, io)
}

async function* readFiles(
  files: readonly string[],
  totalBytes: number | undefined,
  stats: DecisionFileStats,
  io: CommandIo,
): AsyncGenerator<ReportedDecision> {
  const { stdin, stderr, signal, now } = io
  const progress = createProgress(stderr, totalBytes, now)
  try {
    yield* readDecisionFiles(files, { stdin, signal, onRead: progress.onRead }, stats)
  } finally {
    progress.finish()
  }
}

async function* readJournal(
  directory: string,
  { since, namespace: [only, ...others] = [] }: ReportOptions,
  signal: AbortSignal,
): AsyncGenerator<ReportedDecision> {
  const journal = openJournalReader(directory)
  const isExact = only !== undefined && others.length === 0 && countStars(only) === 0
  try {
    let read = 0
    for (const decision of journal.records({
      ...(since !== undefined && { since }),
      ...(isExact && { namespace: only }),
    })) {
      yield decision
      read += 1
      if (read % TURN_RECORDS === 0) await nextTurn()
      if (signal.aborted) return
    }
  } finally {
    journal.close()
  }
}

function namespaceFilter(patterns: readonly string[]): (namespace: string) => boolean {
  if (patterns.length === 0) return () => true
  const globs = patterns.map(compileGlob)
  return namespace => globs.some(matches => matches(namespace))
}

/** On stderr: what was read, and what of it could not be. */
function tellAboutInput(stats: DecisionFileStats, { journal }: ReportOptions, io: CommandIo): void {
  if (io.signal.aborted) io.stderr.write('sallyport: interrupted; what follows is what was read until then\n')
  if (journal !== undefined) return
  const { records, lines, unreadable, firstUnreadable, strangeSources } = stats
  const [strange] = strangeSources
  if (strange !== undefined) {
    const name = escapeForeign(strange, 300)
    throw new KnownError('FILE_UNREADABLE', `${name} is no audit log: none of its lines is a decision record`)
  }
  io.stderr.write(`sallyport: read ${number(records)} decision records in ${number(lines)} lines\n`)
  if (firstUnreadable === undefined) return
  const first = describeLine(firstUnreadable)
  io.stderr.write(`sallyport: ${number(unreadable)} lines could not be read; the first is ${first}\n`)
}

function describeLine({ source, line, problem }: UnreadableLine): string {
  return `${escapeForeign(source, 300)}:${line}: ${problem}`
}

function toJson(
  found: ViolationReport,
  results: readonly ReportedResult[],
  { since, namespace = [], journal }: ReportOptions,
  { records, logLines, unreadable, firstUnreadable }: DecisionFileStats,
): string {
  const { schema, rows, others, ...rest } = found
  const isShown = ({ result }: { readonly result: ReportedResult }) => results.includes(result)
  return jsonLine({
    schema,
    since: since === undefined ? null : new Date(since).toISOString(),
    namespacePatterns: namespace,
    ...rest,
    rows: rows.filter(isShown),
    others: others.filter(isShown),
    input: journal === undefined ? { records, logLines, unreadable, firstUnreadable: firstUnreadable ?? null } : null,
  })
}

function parseSince(text: string, now: number): number {
  const [, amount, unit] = DURATION.exec(text) ?? []
  const unitMs = UNIT_MS.get(unit ?? '')
  return unitMs === undefined ? parseTime(text) : now - Number(amount) * unitMs
}

function collectNamespace(text: string, former: unknown): readonly string[] {
  if (!NAMESPACE_PATTERN.test(text) || countStars(text) > MAX_STARS) {
    throw new InvalidArgumentError(`write the name of a namespace, with at most ${MAX_STARS} *`)
  }
  return [...(Array.isArray(former) ? former : []), text]
}

function collectResult(text: string, former: unknown): readonly ReportedResult[] {
  const result = REPORTED_RESULTS.find(word => word === text)
  if (result === undefined) throw new InvalidArgumentError(`write one of ${REPORTED_RESULTS.join(', ')}`)
  return [...(Array.isArray(former) ? former : []), result]
}

function parseTop(text: string): number {
  if (!/^[1-9][0-9]{0,6}$/.test(text)) throw new InvalidArgumentError('write a number from 1')
  return Number(text)
}

function number(value: number): string {
  return value.toLocaleString('en-US')
}
