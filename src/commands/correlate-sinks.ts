/** `--sink`: where findings go, put together: a queue each, and whatever takes findings from it to the receiver. */

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createDeadLetterFile, NO_DEAD_LETTERS } from '../adapters/dead-letter-file.js'
import type { Outbox, OutboxSink } from '../adapters/finding-store-outbox.js'
import type { ClusterAccess } from '../adapters/kubernetes-client.js'
import { createDryRun } from '../adapters/sink-dry-run.js'
import { openFileSink } from '../adapters/sink-file.js'
import type { SinkSpec } from '../adapters/sink-spec.js'
import { createStdoutSink } from '../adapters/sink-stdout.js'
import {
  type DeadLetters,
  type DeliveryState,
  type DeliveryTiming,
  type FindingReceiver,
  isWanted,
} from '../correlator/delivery.js'
import { createMemoryQueue } from '../correlator/delivery-queue.js'
import { DeliveryRunner } from '../correlator/delivery-runner.js'
import type { Finding } from '../correlator/finding.js'
import { jsonLine } from '../correlator/json-line.js'
import { KnownError } from '../errors.js'
import { escapeForeign } from '../policy/index.js'
import type { CommandIo } from './command-io.js'

/** Inside the state's folder, unless another file is named. */
const DEAD_LETTERS = 'dead-letters.ndjson'
/** How long the end of a run waits for receivers, and a run that was asked to stop for readers and disks. */
const CLOSE_MS = 5_000
/** People look on, and a line more costs nothing: none waits for others. */
const LOCAL_TIMING: DeliveryTiming = { backoff: { minMs: 1_000, maxMs: 60_000 }, lingerMs: 0 }
/** How often it is looked whether a reader has caught up. */
const LOOK_MS = 20

export interface SinkSettings {
  readonly specs: readonly SinkSpec[]
  /** The folder of `--state`. */
  readonly state: string | undefined
  readonly deadLetters: string | undefined
  readonly access: ClusterAccess | undefined
  /** Whoever writes there waits for us, and may be made to. */
  readonly isStandardInput: boolean
  /** Standard output is the only sink, and nobody reads it any more. */
  readonly onNobodyLeft: () => void
}

export interface Sinks {
  /** Send what waits, and what comes: once the state is claimed, so that nothing is sent by two. */
  start(): void
  /** Resolves at once, unless standard input is read: then reading waits for a reader that is slow, and for nothing else. */
  give(finding: Finding): Promise<void>
  states(): readonly DeliveryState[]
  /**
   * One more try for what waits, within some seconds. When the source has come to its end, readers of standard output and
   * disks are waited for until a signal.
   */
  close(): Promise<void>
  /** At the end of a source. @throws KnownError FILE_UNWRITABLE when something could not be written and is lost. */
  refuseLoss(): void
}

/** The sinks whose findings wait in the state's file. A dry run must not take them from there. */
export function outboxSinksOf(specs: readonly SinkSpec[]): readonly OutboxSink[] {
  const real = specs.filter(({ isDryRun }) => !isDryRun)
  return real.map(({ name, filter }) => ({ name, isWanted: finding => isWanted(filter, finding) }))
}

/** @throws KnownError USAGE, FILE_UNREADABLE, FILE_UNWRITABLE, KUBERNETES_UNUSABLE; nothing stays open then. */
export async function openSinks(settings: SinkSettings, outbox: Outbox | undefined, io: CommandIo): Promise<Sinks> {
  const running: RunningSink[] = []
  let isReaderGone = false
  const onReaderGone = (): void => {
    isReaderGone = true
    if (settings.specs.length === 1) settings.onNobodyLeft()
  }
  const deadLetters = openDeadLetters(settings, io)
  try {
    for (const spec of settings.specs) {
      const receiver = await openReceiver(spec, { ...settings, onReaderGone }, io)
      const { type } = spec
      const isLocal = type === 'stdout' || type === 'file'
      running.push({ type, isLocal, runner: createRunner(spec, isLocal, receiver, outbox, deadLetters, io) })
    }
  } catch (error) {
    await closeAll(running, AbortSignal.abort())
    throw error
  }
  return {
    start() {
      for (const { sink, count } of outbox?.stranded ?? []) {
        io.stderr.write(`sallyport: ${count} findings wait for sink ${escapeForeign(sink, 40)}, which is not given\n`)
      }
      for (const { runner } of running) runner.start()
    },
    async give(finding) {
      for (const { runner } of running) runner.offer(finding)
      if (settings.isStandardInput) await untilRead(running, io.signal)
    },
    states: () => running.map(({ runner }) => runner.state),
    close: () => closeAll(running, io.signal),
    // Who stops reading wants no more.
    refuseLoss: () => refuseLoss(running.filter(({ type }) => !(isReaderGone && type === 'stdout'))),
  }
}

interface RunningSink {
  readonly type: SinkSpec['type']
  /** It is written to a descriptor of this machine. */
  readonly isLocal: boolean
  readonly runner: DeliveryRunner
}

async function untilRead(running: readonly RunningSink[], signal: AbortSignal): Promise<void> {
  const isBehind = () => running.some(({ isLocal, runner }) => isLocal && runner.isBehind)
  while (isBehind() && !signal.aborted) await pause(LOOK_MS, signal)
}

async function closeAll(running: readonly RunningSink[], signal: AbortSignal): Promise<void> {
  const done = new AbortController()
  const late = pause(CLOSE_MS, done.signal)
  const stopped = aborted(signal, done.signal).then(() => pause(CLOSE_MS, done.signal))
  try {
    await Promise.all(running.map(({ isLocal, runner }) => runner.close(isLocal ? stopped : late)))
  } finally {
    done.abort()
  }
}

function refuseLoss(running: readonly RunningSink[]): void {
  for (const { isLocal, runner } of running) {
    const { name, dropped } = runner.state
    if (isLocal && dropped > 0) {
      throw new KnownError('FILE_UNWRITABLE', `sink ${name}: ${dropped} findings could not be written, and are lost`)
    }
  }
}

/** Resolves at either signal. */
async function aborted(one: AbortSignal, other: AbortSignal): Promise<void> {
  if (one.aborted || other.aborted) return
  await new Promise<void>(resolve => {
    for (const signal of [one, other]) signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** Or until the signal. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {})
}

function openDeadLetters({ state, deadLetters }: SinkSettings, io: CommandIo): DeadLetters {
  const path = deadLetters ?? (state === undefined ? undefined : join(state, DEAD_LETTERS))
  if (path === undefined) return NO_DEAD_LETTERS
  return createDeadLetterFile(path, {
    onProblem: problem =>
      io.stderr.write(`sallyport: dead letters cannot be written to ${escapeForeign(path, 300)}: ${problem}\n`),
  })
}

function createRunner(
  { name, filter, isDryRun }: SinkSpec,
  isLocal: boolean,
  receiver: FindingReceiver,
  outbox: Outbox | undefined,
  deadLetters: DeadLetters,
  { stderr, now }: CommandIo,
): DeliveryRunner {
  return new DeliveryRunner({
    name,
    receiver,
    filter,
    deadLetters,
    queue: (isDryRun ? undefined : outbox?.queueOf(name)) ?? createMemoryQueue(),
    now,
    random: Math.random,
    // Aborted or not: the runner looks itself.
    sleep: pause,
    onNews: sentence => stderr.write(`sallyport: sink ${name}: ${sentence}\n`),
    ...(isLocal && { timing: LOCAL_TIMING }),
  })
}

interface ReceiverSettings extends Pick<SinkSettings, 'access'> {
  readonly onReaderGone: () => void
}

/** Each is loaded only when it is wanted. */
async function openReceiver(spec: SinkSpec, settings: ReceiverSettings, io: CommandIo): Promise<FindingReceiver> {
  const show = (line: string): void => {
    io.stderr.write(`sallyport: sink ${spec.name} would send ${line}`)
  }
  switch (spec.type) {
    case 'stdout':
      return spec.isDryRun ? createDryRun(jsonLine, show) : createStdoutSink(io.stdout, settings.onReaderGone)
    case 'file':
      return spec.isDryRun ? createDryRun(jsonLine, show) : await openFileSink(spec.path)
    case 'hec': {
      const { openHecSink } = await import('../adapters/sink-hec.js')
      const { encodeHecEvent } = await import('../adapters/sink-hec-event.js')
      return spec.isDryRun ? createDryRun(finding => encodeHecEvent(finding, spec), show) : await openHecSink(spec)
    }
    case 'webhook': {
      const { encodeWebhook, openWebhookSink } = await import('../adapters/sink-webhook.js')
      return spec.isDryRun ? createDryRun(finding => encodeWebhook(finding, spec), show) : await openWebhookSink(spec)
    }
    case 'kubernetes-events': {
      const { openEventsSink } = await import('../adapters/sink-events.js')
      return openEventsSink(spec, await openCluster(spec.type, settings))
    }
    case 'policy-report': {
      const { openReportSink } = await import('../adapters/sink-report.js')
      return openReportSink(spec, await openCluster(spec.type, settings))
    }
  }
}

async function openCluster(type: string, { access }: Pick<SinkSettings, 'access'>) {
  if (access === undefined) throw new KnownError('USAGE', `--sink ${type} needs --kubeconfig or --in-cluster`)
  const { openKubernetesClient } = await import('../adapters/kubernetes-client.js')
  return openKubernetesClient(access)
}
