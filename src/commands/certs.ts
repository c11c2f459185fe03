/** `sallyport certs`: a CA and a serving certificate for the webhook, as files. */

import { Command, Option } from 'commander'
import { writeCertificates } from '../adapters/certificate-files.js'
import { CA_DAYS, createCertificates, DEFAULT_DAYS, MAX_DAYS } from '../adapters/certificates.js'
import { KnownError } from '../errors.js'
import type { CommandIo } from './command-io.js'

const EXAMPLE = `
Example:
  $ sallyport certs --out certs --dns sallyport.sallyport.svc sallyport.sallyport.svc.cluster.local
  $ sallyport webhook --policy policy.yaml --tls-cert certs/tls.crt --tls-key certs/tls.key

Files: ca.crt, ca.key, tls.crt, tls.key. None is ever overwritten. The CA is valid for ${CA_DAYS} days; its key is needed
only to sign again, so keep ca.key away from the cluster.`

interface CertsOptions {
  readonly out: string
  readonly dns: readonly string[]
  readonly ip?: readonly string[]
  readonly days: string
}

/** Words go to stderr; stdout stays empty. Fails with USAGE (64), FILE_EXISTS or FILE_UNWRITABLE (78). */
export function certsCommand(io: CommandIo): Command {
  return new Command('certs')
    .description("make a CA and a serving certificate for the webhook's HTTPS")
    .requiredOption('--out <folder>', 'where to write; made with mode 0700 when absent')
    .requiredOption('--dns <name...>', 'DNS names of the server; a first label may be *')
    .option('--ip <address...>', 'IPv4 and IPv6 addresses of the server')
    .addOption(
      new Option('--days <number>', `days that the serving certificate is valid, 1 to ${MAX_DAYS}`).default(
        String(DEFAULT_DAYS),
        String(DEFAULT_DAYS),
      ),
    )
    .addHelpText('after', EXAMPLE)
    .action((options: CertsOptions) => writeSet(io, options))
}

async function writeSet(io: CommandIo, options: CertsOptions): Promise<void> {
  if (options.out === '') throw new KnownError('USAGE', '--out: the folder has no name')
  const days = readDays(options.days)
  const { dns, ip = [] } = options
  const now = io.now()
  const set = await createCertificates({ dnsNames: dns, ipAddresses: ip, days, now })
  const paths = await writeCertificates(options.out, set)
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
