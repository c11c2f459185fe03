/** `sallyport correlate`: follow exec events and write findings as they come up. */

import { setTimeout as sleep } from 'node:timers/promises'
import { Command, Option } from 'commander'
import { readMetricsUrl, watchAgentMetrics } from '../adapters/agent-metrics.js'
import { settleForStream } from '../adapters/engine-flags.js'
import type { CorrelatorState } from '../adapters/metrics-correlator.js'
import { compileSinks, type SinkSpec } from '../adapters/sink-spec.js'
import { loadToolCatalogue } from '../adapters/tool-catalogue-file.js'
import type { AgentLosses, AgentReading } from '../correlator/agent-losses.js'
import type { Waiting } from '../correlator/archive-patience.js'
import { correlate } from '../correlator/pipeline.js'
import { createStreamStats } from '../correlator/stream-stats.js'
import { escapeForeign } from '../policy/index.js'
import type { CommandIo } from './command-io.js'
import type { OpsPort } from './correlate-ops.js'
import { openSinks, outboxSinksOf, type Sinks } from './correlate-sinks.js'
import { describeDuration, parseDuration } from './duration.js'
import { type ListenAddress, parseListen } from './listen-address.js'
import { accessOf, addClusterOptions, type ClusterOptions, type ClusterSources, openCluster } from './open-cluster.js'
import { openJournal } from './open-journal.js'
import { checkSource, openSource, probeSource, type SourceOptions } from './open-source.js'
import { addPolicyOption, loadPolicyAloud } from './policy-options.js'
import { describeStream } from './stream-words.js'

/** How often a finding that keeps growing is written again. */
const UPDATE_MS = 60_000
const RESOLVE_AFTER = '24h'
const STALE_AFTER = '1h'

const HELP = `
Example:
  sallyport correlate --policy policies/starter.yaml --source file:/var/log/tetragon/tetragon.log --journal journal/
  tail -F tetragon.log | sallyport correlate --policy policies/ --source - --sink file:findings.jsonl
  sallyport correlate --policy policies/ --source file:/var/log/tetragon/tetragon.log --state state/ \\
    --sink 'hec:https://splunk.corp.example:8088?index=security&token-file=/etc/sallyport/hec-token'

A followed file is read from its end, unless --from-start is given, and through its rotation. With --state a restart,
after a kill too, goes on where the run before ended: no event is lost, no finding is repeated. A finding is written when
it is first seen, at most once a minute while it grows, when it is resolved, and once more at the end: the last line of
a fingerprint holds. Neither a slow reader nor a full disk holds up the rest: findings wait in a queue for each sink. While
the state cannot be written, nothing is given out, and the source is read on as far as memory allows.
With --kubeconfig, --in-cluster or --inventory the image of the pod's spec is judged, and a finding says how it got in.
Exit status: 0 after a signal or the end of standard input; 64 usage; 78 a bad file or policy.`

interface CorrelateCommandOptions extends SourceOptions, ClusterOptions {
  readonly policy: readonly string[]
  readonly state?: string
  readonly journal?: string
  readonly sink?: readonly string[]
  readonly deadLetters?: string
  readonly ops?: ListenAddress
  readonly tetragonMetrics?: string
  /** Milliseconds. */
  readonly resolveAfter: number
  readonly staleAfter: number
}

export function correlateCommand(io: CommandIo): Command {
  const command = new Command('correlate').description('Follow Tetragon exec events and write findings.')
  return addClusterOptions(addPolicyOption(command, 'many'))
    .requiredOption(
      '--source <spec>',
      'file:PATH (followed), grpc:HOST:PORT, grpc:unix:///PATH, or - for standard input',
    )
    .option('--grpc-ca <file>', 'the CA of the agent, in PEM; without it the connection is plain text')
    .option('--grpc-cert <file>', 'a certificate for the agent, in PEM, with --grpc-key')
    .option('--grpc-key <file>', 'its key, in PEM')
    .option('--from-start', 'read what the file holds already')
    .option('--state <dir>', 'keep the findings and the place in the source there, for the next run')
    .option('--journal <dir>', 'the journal of the webhook: findings then say how an image got in')
    .option(
      '--sink <spec...>',
      'stdout, file:PATH (appended to), hec:URL, webhook:URL, kubernetes-events or policy-report; several may be given (default: stdout)',
    )
    .option('--dead-letters <file>', 'findings that no sink would take (default: dead-letters.ndjson in --state)')
    .option('--ops <host:port>', 'plain HTTP for /livez, /readyz and /metrics', parseListen)
    .option('--kubeconfig <file>', 'how to reach the API server: for what is known of pods, and for sinks')
    .addOption(new Option('--in-cluster', "reach it with the pod's service account").conflicts('kubeconfig'))
    .option('--no-inventory', 'use that access for sinks alone: list and watch nothing')
    .option('--node <name>', 'of the cluster, know the pods of this node only')
    .addOption(
      new Option('--resolve-after <time>', 'a finding that was not seen for that long is resolved')
        .argParser(parseDuration)
        .default(parseDuration(RESOLVE_AFTER), RESOLVE_AFTER),
    )
    .addOption(
      new Option('--stale-after <time>', 'report a source that brought nothing for that long')
        .argParser(parseDuration)
        .default(parseDuration(STALE_AFTER), STALE_AFTER),
    )
    .option('--tetragon-metrics <url>', "the agent's metrics page: what it lost is reported too")
    .addHelpText('after', HELP)
    .action(async (options: CorrelateCommandOptions) => follow(options, io))
}

async function follow(options: CorrelateCommandOptions, processIo: CommandIo): Promise<void> {
  checkSource(options)
  const metricsUrl = options.tetragonMetrics === undefined ? undefined : readMetricsUrl(options.tetragonMetrics)
  const specs = compileSinks(options.sink ?? ['stdout'])
  // A reader that has gone ends the run as a signal does, where there is no other.
  const nobodyLeft = new AbortController()
  const io = { ...processIo, signal: AbortSignal.any([processIo.signal, nobodyLeft.signal]) }
  // Log rotation sends it, and the files are looked at anyway: it must not end the run.
  if (specs.some(({ type }) => type === 'file')) io.onHangup?.(() => {})
  const policy = await loadPolicyAloud(options.policy, io)
  const catalogue = await loadToolCatalogue(policy.runtime)
  const journal = await openJournal(options.journal)
  const archive = await openArchive(options.state, specs, io)
  let sinks: Sinks | undefined
  let ops: OpsPort | undefined
  let cluster: ClusterSources | undefined
  const watching = new AbortController()
  const stats = createStreamStats()
  try {
    const { state, deadLetters } = options
    const isStandardInput = options.source === '-'
    const onNobodyLeft = (): void => nobodyLeft.abort()
    const settings = { specs, state, deadLetters, access: accessOf(options), isStandardInput, onNobodyLeft }
    sinks = await openSinks(settings, archive?.outbox, io)
    cluster = await openCluster(options, 'follow', io)
    const { inventory, audit } = cluster
    const { now } = io
    ops = await openOps(options.ops, { policy, stats, sinks: sinks.states, archive, now }, io)
    await probeSource(options)
    // Only now: a start that fails must not end the correlator that has the state, nor send what waits there.
    archive?.claim()
    sinks.start()
    const source = openSource(options, archive?.position, io)
    const { policy: policyPaths, resolveAfter: resolveAfterMs, staleAfter: staleMs } = options
    const emit = { when: 'at-once', updateMs: UPDATE_MS, resolveAfterMs } as const
    const agentLosses = watchMetrics(metricsUrl, archive?.agentReading, watching.signal, io)
    const known = { policy, catalogue, journal, inventory, audit, agentLosses }
    const pipeline = { ...known, stats, now, policyPaths, emit, archive, waiting: waitingOf(io), staleMs }
    // What the start leaves behind is not worth a collection.
    settleForStream()
    for await (const finding of correlate(source, pipeline)) {
      ops?.found(finding)
      await sinks.give(finding)
    }
  } finally {
    watching.abort()
    // What waits for them is in the archive.
    try {
      await Promise.all([sinks?.close(), ops?.close(), cluster?.close()])
    } finally {
      archive?.close()
      journal?.close()
    }
  }
  io.stderr.write(describeStream(stats))
  if (!io.signal.aborted) sinks.refuseLoss()
}

/** Loaded only when it is wanted: the database takes time and memory. */
async function openArchive(state: string | undefined, specs: readonly SinkSpec[], { stderr, now }: CommandIo) {
  if (state === undefined) return undefined
  const { openFindingStore } = await import('../adapters/finding-store-file.js')
  const name = escapeForeign(state, 300)
  return openFindingStore(state, outboxSinksOf(specs), {
    now,
    onTrouble: problem => stderr.write(`sallyport: the state in ${name} cannot be written: ${problem}; trying again\n`),
    onOver: ms => stderr.write(`sallyport: the state can be written again, after ${describeDuration(ms)}\n`),
  })
}

function waitingOf({ signal }: CommandIo): Waiting {
  const pause = async (ms: number, until: AbortSignal): Promise<void> => {
    await sleep(ms, undefined, { signal: until }).catch(() => {})
  }
  return { random: Math.random, sleep: pause, signal }
}

/** Loaded only when it is wanted: the server costs time at the start. */
async function openOps(address: ListenAddress | undefined, state: CorrelatorState, io: CommandIo) {
  if (address === undefined) return undefined
  const { openOpsPort } = await import('./correlate-ops.js')
  return openOpsPort(address, state, io)
}

/** @param from the reading that the run before kept. */
function watchMetrics(
  url: URL | undefined,
  from: AgentReading | undefined,
  signal: AbortSignal,
  { stderr }: CommandIo,
): AgentLosses | undefined {
  if (url === undefined) return undefined
  const onProblem = (problem: string): void => {
    stderr.write(`sallyport: the metrics of the agent cannot be read: ${escapeForeign(problem, 300)}\n`)
  }
  return watchAgentMetrics(url, { from, signal, onProblem })
}
