/** `sallyport certs`: a CA and a serving certificate for the webhook, as files or in a cluster. */

import { Command, Option } from 'commander'
import { writeCertificates } from '../adapters/certificate-files.js'
import { CA_DAYS, createCertificates, DEFAULT_DAYS, MAX_DAYS } from '../adapters/certificates.js'
import { renewClusterCertificates } from '../adapters/cluster-certificates.js'
import type { CertificateObjects } from '../adapters/kubernetes-certificates.js'
import { KnownError } from '../errors.js'
import type { CommandIo } from './command-io.js'
import { parseDuration } from './duration.js'
import { DEFAULT_LIFETIME, parseSecret, readClusterTls } from './serving-tls.js'

const EXAMPLE = `
Example:
  $ sallyport certs --out certs --dns sallyport.sallyport.svc sallyport.sallyport.svc.cluster.local
  $ sallyport webhook --policy policy.yaml --tls-cert certs/tls.crt --tls-key certs/tls.key

  $ sallyport certs --secret sallyport/sallyport-tls --webhook-configuration sallyport --dns sallyport.sallyport.svc --in-cluster

With --secret the certificates of a cluster are made, renewed or rotated, as far as that can be done now: what the webhook
does by itself with --tls-secret.

Files: ca.crt, ca.key, tls.crt, tls.key. None is ever overwritten. The CA is valid for ${CA_DAYS} days; its key is needed
only to sign again, so keep ca.key away from the cluster.`

interface CertsOptions {
  readonly out?: string
  readonly dns: readonly string[]
  readonly ip?: readonly string[]
  readonly days: string
  readonly secret?: CertificateObjects['secret']
  readonly webhookConfiguration?: string
  /** Milliseconds. */
  readonly lifetime: number
  readonly kubeconfig?: string
  readonly inCluster?: boolean
}

/** Words go to stderr; stdout stays empty. Fails with USAGE (64); FILE_EXISTS, FILE_UNWRITABLE, KUBERNETES_UNUSABLE (78). */
export function certsCommand(io: CommandIo): Command {
  return new Command('certs')
    .description("make a CA and a serving certificate for the webhook's HTTPS")
    .option('--out <folder>', 'where to write; made with mode 0700 when absent')
    .requiredOption('--dns <name...>', 'DNS names of the server; a first label may be *')
    .option('--ip <address...>', 'IPv4 and IPv6 addresses of the server')
    .addOption(
      new Option('--days <number>', `days that the serving certificate is valid, 1 to ${MAX_DAYS}`).default(
        String(DEFAULT_DAYS),
        String(DEFAULT_DAYS),
      ),
    )
    .addOption(new Option('--secret <namespace/name>', 'keep them in that Secret instead').argParser(parseSecret))
    .option('--webhook-configuration <name>', 'with --secret: whose caBundle is kept up')
    .addOption(
      new Option('--lifetime <time>', 'with --secret: how long a certificate is valid')
        .argParser(parseDuration)
        .default(parseDuration(DEFAULT_LIFETIME), DEFAULT_LIFETIME),
    )
    .option('--kubeconfig <file>', 'with --secret: how to reach the API server')
    .addOption(new Option('--in-cluster', "reach it with the pod's service account").conflicts('kubeconfig'))
    .addHelpText('after', EXAMPLE)
    .action((options: CertsOptions) => makeCertificates(io, options))
}

async function makeCertificates(io: CommandIo, options: CertsOptions): Promise<void> {
  const { out, secret } = options
  if (secret !== undefined && out !== undefined) throw new KnownError('USAGE', 'give --out or --secret, not both')
  if (secret !== undefined) return renewInCluster(io, options)
  if (out === undefined) throw new KnownError('USAGE', 'say where: --out FOLDER, or --secret NAMESPACE/NAME')
  if (out === '') throw new KnownError('USAGE', '--out: the folder has no name')
  await writeSet(io, out, options)
}

async function renewInCluster(io: CommandIo, options: CertsOptions): Promise<void> {
  const { kubeconfig, inCluster, dns, ip = [], secret, webhookConfiguration, lifetime } = options
  const access = kubeconfig !== undefined ? { kubeconfig } : inCluster === true ? { inCluster } : undefined
  const flags = { tlsSecret: secret, tlsDns: dns, tlsIp: ip, webhookConfiguration, tlsLifetime: lifetime }
  const settings = readClusterTls(flags, access, { secret: '--secret', dns: '--dns', lifetime: '--lifetime' })
  const context = { now: () => io.now(), random: Math.random }
  const { kept, isTrusted, until, steps } = await renewClusterCertificates({ ...settings, ...context }, io.signal)
  const expires = kept.serving === undefined ? 'never made' : new Date(kept.serving.notAfter).toISOString()
  io.stderr.write(
    [
      steps.length === 0 ? 'Nothing was to be done.' : `Done: ${steps.map(({ type }) => type).join(', ')}.`,
      `The serving certificate ends at ${expires}; the API server ${isTrusted ? 'trusts it' : 'does not trust it yet'}.`,
      `Next: nothing before ${new Date(until).toISOString()}.`,
      '',
    ].join('\n'),
  )
}

async function writeSet(io: CommandIo, out: string, options: CertsOptions): Promise<void> {
  const days = readDays(options.days)
  const { dns, ip = [] } = options
  const now = io.now()
  const set = await createCertificates({ dnsNames: dns, ipAddresses: ip, days, now })
  const paths = await writeCertificates(out, set)
  const until = new Date(now + days * 86_400_000).toISOString().slice(0, 10)
  io.stderr.write(
    [
      `Wrote ${Object.values(paths).join(', ')}.`,
      `The serving certificate is valid until ${until}, for ${[...dns, ...ip].join(', ')}.`,
      'Next:',
      `- give the webhook --tls-cert ${paths.certificate} --tls-key ${paths.key}`,
      `- put the CA into the webhook configuration's caBundle: base64 -w0 ${paths.caCertificate}`,
      `- keep ${paths.caKey} in a safe place, away from the cluster and from version control`,
      '',
    ].join('\n'),
  )
}

function readDays(written: string): number {
  if (/^[0-9]{1,5}$/.test(written)) return Number(written)
  throw new KnownError('USAGE', `--days: ${JSON.stringify(written.slice(0, 100))} is no whole number of days`)
}
