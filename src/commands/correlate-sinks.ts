/** `--sink`: where findings go, put together: those that are written at once, and those with a queue each. */

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createDeadLetterFile, NO_DEAD_LETTERS } from '../adapters/dead-letter-file.js'
import { type FindingSink, openFindingSink } from '../adapters/finding-sink.js'
import type { Outbox, OutboxSink } from '../adapters/finding-store-outbox.js'
import type { ClusterAccess } from '../adapters/kubernetes-client.js'
import { createDryRun } from '../adapters/sink-dry-run.js'
import type { QueuedSinkSpec, SinkSpec } from '../adapters/sink-spec.js'
import { type DeadLetters, type DeliveryState, type FindingReceiver, isWanted } from '../correlator/delivery.js'
import { createMemoryQueue } from '../correlator/delivery-queue.js'
import { DeliveryRunner } from '../correlator/delivery-runner.js'
import type { Finding } from '../correlator/finding.js'
import { KnownError } from '../errors.js'
import { escapeForeign } from '../policy/index.js'
import type { CommandIo } from './command-io.js'

/** Inside the state's folder, unless another file is named. */
const DEAD_LETTERS = 'dead-letters.ndjson'
/** How long the end of a run waits for receivers. */
const CLOSE_MS = 5_000

export interface SinkSettings {
  readonly specs: readonly SinkSpec[]
  /** The folder of `--state`. */
  readonly state: string | undefined
  readonly deadLetters: string | undefined
  readonly access: ClusterAccess | undefined
}

export interface Sinks {
  /** Waits for standard output and files alone. */
  give(finding: Finding): Promise<void>
  states(): readonly DeliveryState[]
  /** One more try for what waits, within some seconds. */
  close(): Promise<void>
}

/** The sinks whose findings wait in the state's file. */
export function outboxSinksOf(specs: readonly SinkSpec[]): readonly OutboxSink[] {
  return specs.flatMap(spec =>
    'name' in spec ? [{ name: spec.name, isWanted: (finding: Finding) => isWanted(spec.filter, finding) }] : [],
  )
}

/** @throws KnownError USAGE, FILE_UNREADABLE, KUBERNETES_UNUSABLE; nothing stays open then. */
export async function openSinks(settings: SinkSettings, outbox: Outbox | undefined, io: CommandIo): Promise<Sinks> {
  const written: FindingSink[] = []
  const runners: DeliveryRunner[] = []
  const close = async (): Promise<void> => {
    await Promise.all([...runners.map(runner => runner.close(CLOSE_MS)), ...written.map(sink => sink.close())])
  }
  const deadLetters = openDeadLetters(settings, io)
  try {
    for (const spec of settings.specs) {
      if (spec.type === 'stdout') written.push(await openFindingSink('stdout', io.stdout))
      else if (spec.type === 'file') written.push(await openFindingSink(`file:${spec.path}`, io.stdout))
      else runners.push(startRunner(spec, await openReceiver(spec, settings, io), outbox, deadLetters, io))
    }
  } catch (error) {
    await close()
    throw error
  }
  for (const { sink, count } of outbox?.stranded ?? []) {
    io.stderr.write(`sallyport: ${count} findings wait for sink ${escapeForeign(sink, 40)}, which is not given\n`)
  }
  return {
    async give(finding) {
      for (const runner of runners) runner.offer(finding)
      await Promise.all(written.map(sink => sink.write(finding)))
    },
    states: () => runners.map(({ state }) => state),
    close,
  }
}

function openDeadLetters({ state, deadLetters }: SinkSettings, io: CommandIo): DeadLetters {
  const path = deadLetters ?? (state === undefined ? undefined : join(state, DEAD_LETTERS))
  if (path === undefined) return NO_DEAD_LETTERS
  return createDeadLetterFile(path, {
    onProblem: problem =>
      io.stderr.write(`sallyport: dead letters cannot be written to ${escapeForeign(path, 300)}: ${problem}\n`),
  })
}

function startRunner(
  { name, filter }: QueuedSinkSpec,
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
    queue: outbox?.queueOf(name) ?? createMemoryQueue(),
    now,
    random: Math.random,
    // Aborted or not: the runner looks itself.
    sleep: (ms, signal) => sleep(ms, undefined, { signal }).catch(() => {}),
    onNews: sentence => stderr.write(`sallyport: sink ${name}: ${sentence}\n`),
  })
}

/** Each is loaded only when it is wanted. */
async function openReceiver(spec: QueuedSinkSpec, settings: SinkSettings, io: CommandIo): Promise<FindingReceiver> {
  const show = (line: string): void => {
    io.stderr.write(`sallyport: sink ${spec.name} would send ${line}`)
  }
  switch (spec.type) {
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

async function openCluster(type: string, { access }: SinkSettings) {
  if (access === undefined) throw new KnownError('USAGE', `--sink ${type} needs --kubeconfig or --in-cluster`)
  const { openKubernetesClient } = await import('../adapters/kubernetes-client.js')
  return openKubernetesClient(access)
}
