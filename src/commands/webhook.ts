/** `sallyport webhook`: serve AdmissionReviews over HTTPS until told to stop. */

import { Command, InvalidArgumentError, Option } from 'commander'
import type { ClusterAccess } from '../adapters/kubernetes-client.js'
import type { LogLevel } from '../logger.js'
import { createLogger, LOG_LEVELS } from '../logger.js'
import type { CommandIo } from './command-io.js'
import { type ListenAddress, parseListen } from './listen-address.js'
import { addPolicyOption } from './policy-options.js'
import { serveWebhook } from './serve-webhook.js'
import { addClusterTlsOptions, readServingTls, type ServingTlsFlags } from './serving-tls.js'

const DEFAULT_LISTEN = '0.0.0.0:8443'
const MAX_SECONDS = 3600

const HELP = `
Serves POST /validate, for a ValidatingWebhookConfiguration with admissionReviewVersions ["v1"] and sideEffects None.
Logs go to stderr. With --journal, \`sallyport correlate --journal\` can later say how an image was admitted.
Changed policy and certificate files are in force within two seconds; a bad change keeps the last good one. SIGHUP looks
at once and reopens the audit log. A policy that selects namespaces by labels needs --kubeconfig or --in-cluster. With
--tls-secret the replicas make, renew and rotate their certificates themselves, and keep up the caBundle.

Example:
  sallyport certs --out certs --dns sallyport.sallyport.svc
  sallyport webhook --policy policies/ --tls-cert certs/tls.crt --tls-key certs/tls.key --journal /var/lib/sallyport

Exit status: 0 after a drained stop (SIGTERM, SIGINT); 64 usage; 78 a bad file, policy, certificate or address.`

interface WebhookCommandOptions extends ServingTlsFlags {
  readonly policy: readonly string[]
  readonly listen: ListenAddress
  readonly ops?: ListenAddress
  readonly kubeconfig?: string
  readonly inCluster?: boolean
  readonly shutdownDelay: number
  readonly shutdownTimeout: number
  readonly journal?: string
  readonly auditLog?: string
  readonly cluster?: string
  readonly logLevel: LogLevel
}

export function webhookCommand(io: CommandIo): Command {
  const command = new Command('webhook').description('Serve the admission webhook over HTTPS.')
  addPolicyOption(command, 'many')
    .option('--tls-cert <file>', 'serving certificate, PEM')
    .option('--tls-key <file>', 'its private key, PEM')
    .option('--tls-client-ca <file>', 'serve only clients with a certificate of this CA, PEM')
    .addOption(
      new Option('--listen <host:port>', 'where to listen; port 0 takes a free one')
        .default(parseListen(DEFAULT_LISTEN), DEFAULT_LISTEN)
        .argParser(parseListen),
    )
    .option('--ops <host:port>', 'plain HTTP for /livez, /readyz and /metrics', parseListen)
    .option('--journal <dir>', 'folder of the journal of decisions; made if missing')
    .option('--audit-log <file>', 'append decision records as NDJSON, reopened on SIGHUP; - for standard output')
    .option('--cluster <name>', "the cluster's name, for decision records")
  addClusterTlsOptions(command)
    .option('--kubeconfig <file>', 'how to reach the API server, for namespace labels and --tls-secret')
    .addOption(new Option('--in-cluster', "reach it with the pod's service account").conflicts('kubeconfig'))
    .option('--shutdown-delay <seconds>', 'keep answering so long after SIGTERM, not ready', parseSeconds, 5)
    .option('--shutdown-timeout <seconds>', 'then finish requests in flight for at most so long', parseSeconds, 10)
    .addOption(new Option('--log-level <level>', 'least level to log').choices(LOG_LEVELS).default('info'))
    .addHelpText('after', HELP)
    .action(async (options: WebhookCommandOptions) => serve(options, io))
  return command
}

async function serve(options: WebhookCommandOptions, io: CommandIo): Promise<void> {
  const access = accessOf(options)
  const tls = readServingTls(options, access)
  const log = createLogger({ level: options.logLevel, destination: io.stderr })
  if (options.journal === undefined && options.auditLog === undefined) {
    log.warn({}, 'Decisions are not recorded: neither --journal nor --audit-log is given')
  }
  await serveWebhook(
    {
      policy: options.policy,
      tls,
      listen: options.listen,
      ops: options.ops,
      journal: options.journal,
      auditLog: options.auditLog,
      cluster: options.cluster,
      access,
      stop: { delayMs: options.shutdownDelay * 1000, deadlineMs: options.shutdownTimeout * 1000 },
      version: io.version,
      log,
    },
    io,
  )
  io.setExitCode(0)
}

function accessOf({ kubeconfig, inCluster }: WebhookCommandOptions): ClusterAccess | undefined {
  if (kubeconfig !== undefined) return { kubeconfig }
  return inCluster === true ? { inCluster } : undefined
}

function parseSeconds(written: string): number {
  const seconds = /^\d+(?:\.\d+)?$/.test(written) ? Number(written) : Number.NaN
  if (!(seconds <= MAX_SECONDS)) throw new InvalidArgumentError(`write seconds, at most ${MAX_SECONDS}`)
  return seconds
}
