/** `sallyport webhook`: serve AdmissionReviews over HTTPS until told to stop. */

import { once } from 'node:events'
import { Command, InvalidArgumentError, Option } from 'commander'
import { loadTlsFiles } from '../adapters/tls-files.js'
import type { LogLevel } from '../logger.js'
import { createLogger, LOG_LEVELS } from '../logger.js'
import type { CommandIo } from './command-io.js'
import { addPolicyOption, loadPolicyAloud } from './policy-options.js'
import { startWebhook } from './start-webhook.js'

const DEFAULT_LISTEN = '0.0.0.0:8443'
/** `HOST:PORT`, an IPv6 host in brackets. */
const LISTEN = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})$/
const MAX_PORT = 65_535

const HELP = `
Serves POST /validate, for a ValidatingWebhookConfiguration with admissionReviewVersions ["v1"] and sideEffects None.
Logs go to stderr. With --journal, \`sallyport correlate --journal\` can later say how an image was admitted.

Example:
  sallyport certs --out certs --dns sallyport.sallyport.svc
  sallyport webhook --policy policies/ --tls-cert certs/tls.crt --tls-key certs/tls.key --journal /var/lib/sallyport

Exit status: 0 after a drained stop (SIGTERM, SIGINT); 64 usage; 78 a bad file, policy, certificate or address.`

interface ListenAddress {
  readonly host: string
  readonly port: number
}

interface WebhookCommandOptions {
  readonly policy: readonly string[]
  readonly tlsCert: string
  readonly tlsKey: string
  readonly listen: ListenAddress
  readonly journal?: string
  readonly auditLog?: string
  readonly cluster?: string
  readonly logLevel: LogLevel
}

export function webhookCommand(io: CommandIo): Command {
  const command = new Command('webhook').description('Serve the admission webhook over HTTPS.')
  return addPolicyOption(command, 'many')
    .requiredOption('--tls-cert <file>', 'serving certificate, PEM')
    .requiredOption('--tls-key <file>', 'its private key, PEM')
    .addOption(
      new Option('--listen <host:port>', 'where to listen; port 0 takes a free one')
        .default(parseListen(DEFAULT_LISTEN), DEFAULT_LISTEN)
        .argParser(parseListen),
    )
    .option('--journal <dir>', 'folder of the journal of decisions; made if missing')
    .option('--audit-log <file>', 'append decision records as NDJSON; - for standard output')
    .option('--cluster <name>', "the cluster's name, for decision records")
    .addOption(new Option('--log-level <level>', 'least level to log').choices(LOG_LEVELS).default('info'))
    .addHelpText('after', HELP)
    .action(async (options: WebhookCommandOptions) => serve(options, io))
}

async function serve(options: WebhookCommandOptions, io: CommandIo): Promise<void> {
  const log = createLogger({ level: options.logLevel, destination: io.stderr })
  const policy = await loadPolicyAloud(options.policy, io)
  const tls = await loadTlsFiles(options.tlsCert, options.tlsKey)
  if (tls.notAfter <= io.now()) {
    log.warn({ file: options.tlsCert }, 'The certificate has expired: API servers will refuse it')
  }
  const webhook = await startWebhook({
    policy: () => policy,
    tls,
    listen: options.listen,
    journal: options.journal,
    auditLog: options.auditLog === '-' ? io.stdout : options.auditLog,
    cluster: options.cluster,
    log,
    now: () => io.now(),
  })
  if (options.journal === undefined && options.auditLog === undefined) {
    log.warn({}, 'Decisions are not recorded: neither --journal nor --audit-log is given')
  }
  log.info({ url: webhook.url, policy: policy.name, revision: policy.revision }, 'Listening')

  if (!io.signal.aborted) await once(io.signal, 'abort')
  log.info({}, 'Stopping: requests in flight are finished')
  const { droppedRecords } = await webhook.close()
  log.info({ tally: webhook.tally(), droppedRecords }, 'Stopped')
  io.setExitCode(0)
}

function parseListen(written: string): ListenAddress {
  const match = LISTEN.exec(written)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (host === undefined || port > MAX_PORT) {
    throw new InvalidArgumentError('write HOST:PORT, such as 0.0.0.0:8443 or [::]:8443')
  }
  return { host, port }
}
