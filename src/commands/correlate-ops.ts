/** `correlate --ops`: liveness, readiness and metrics of a correlator. */

import { type CorrelatorState, createCorrelatorMetrics } from '../adapters/metrics-correlator.js'
import type { Finding } from '../correlator/finding.js'
import { createOpsServer, type ReadinessCheck } from '../webhook/ops-server.js'
import type { CommandIo } from './command-io.js'
import type { ListenAddress } from './listen-address.js'
import { addressOf, listen } from './start-webhook.js'

export interface OpsPort {
  /** Each time that a finding is given out. */
  found(finding: Finding): void
  close(): Promise<void>
}

/** @throws KnownError LISTEN_FAILED */
export async function openOpsPort(address: ListenAddress, state: CorrelatorState, io: CommandIo): Promise<OpsPort> {
  const metrics = createCorrelatorMetrics(state, io.version)
  const server = createOpsServer({ readiness: () => readinessOf(state, io.signal), metrics: () => metrics.page() })
  await listen(server, address, '--ops')
  const { address: host, port } = addressOf(server.server)
  io.stderr.write(`sallyport: the ops port listens on ${host.includes(':') ? `[${host}]` : host}:${port}\n`)
  return {
    found: finding => metrics.found(finding),
    close: async () => {
      await server.close()
    },
  }
}

function readinessOf(
  { stats, archive }: CorrelatorState,
  { aborted: isStopping }: AbortSignal,
): readonly ReadinessCheck[] {
  const isReading = stats.sources > 0
  const trouble = archive?.trouble
  const since = trouble && new Date(trouble.since).toISOString()
  return [
    { name: 'source', isReady: isReading, problem: isReading ? undefined : 'it has not been opened yet' },
    { name: 'state', isReady: !trouble, problem: trouble && `it cannot be written since ${since}: ${trouble.problem}` },
    { name: 'stopping', isReady: !isStopping, problem: isStopping ? 'asked to stop' : undefined },
  ]
}
