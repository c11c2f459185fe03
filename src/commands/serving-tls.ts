/** Where the webhook's certificate comes from: files that somebody else renews, or a Secret that the replicas keep. */

import { type Command, InvalidArgumentError, Option } from 'commander'
import { openClusterTls } from '../adapters/cluster-tls.js'
import type { CertificateObjects } from '../adapters/kubernetes-certificates.js'
import type { ClusterAccess } from '../adapters/kubernetes-client.js'
import { loadClientCa, type OpenTls, openTls, type TlsMaterial, type TlsPaths } from '../adapters/tls-watch.js'
import { KnownError } from '../errors.js'
import type { Logger } from '../logger.js'
import { parseDuration } from './duration.js'

export const DEFAULT_LIFETIME = '90d'
const MIN_LIFETIME_MS = 60_000
/** RFC 1123, as Kubernetes names objects. */
const OBJECT_NAME = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/

/** The options of a command that keeps certificates in a cluster, as commander gives them. */
export interface ClusterTlsFlags {
  readonly tlsSecret?: CertificateObjects['secret'] | undefined
  readonly tlsDns?: readonly string[]
  readonly tlsIp?: readonly string[]
  readonly tlsLifetime: number
  readonly webhookConfiguration?: string | undefined
}

export interface ServingTlsFlags extends ClusterTlsFlags {
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly tlsClientCa?: string
}

export type ServingTlsSettings =
  | { readonly from: 'files'; readonly paths: TlsPaths }
  | { readonly from: 'cluster'; readonly clientCa: string | undefined; readonly certificates: ClusterTlsSettings }

export interface ClusterTlsSettings extends CertificateObjects {
  readonly access: ClusterAccess
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
  readonly lifetimeMs: number
}

export interface ServedTls extends OpenTls {
  /** Whether the API server trusts what is served, as far as that can be known. */
  isTrusted(): boolean
}

export function addClusterTlsOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--tls-secret <namespace/name>', 'make certificates and keep them in that Secret').argParser(
        parseSecret,
      ),
    )
    .option('--tls-dns <name...>', 'with --tls-secret: the DNS names of the Service')
    .option('--tls-ip <address...>', 'with --tls-secret: addresses of the server')
    .option('--webhook-configuration <name>', 'with --tls-secret: whose caBundle is kept up')
    .addOption(
      new Option('--tls-lifetime <time>', 'with --tls-secret: how long a certificate is valid; renewed at two thirds')
        .argParser(parseDuration)
        .default(parseDuration(DEFAULT_LIFETIME), DEFAULT_LIFETIME),
    )
}

/** @throws KnownError USAGE when the options do not say one thing. */
export function readServingTls(flags: ServingTlsFlags, access: ClusterAccess | undefined): ServingTlsSettings {
  const { tlsCert: cert, tlsKey: key, tlsClientCa: clientCa, tlsSecret } = flags
  if (tlsSecret !== undefined) {
    if (cert !== undefined || key !== undefined) {
      throw usage('--tls-secret takes the place of --tls-cert and --tls-key: give one or the other')
    }
    return { from: 'cluster', clientCa, certificates: readClusterTls(flags, access) }
  }
  if (cert === undefined || key === undefined) {
    throw usage('a certificate is needed: --tls-cert with --tls-key, or --tls-secret')
  }
  if (flags.tlsDns !== undefined || flags.tlsIp !== undefined || flags.webhookConfiguration !== undefined) {
    throw usage('--tls-dns, --tls-ip and --webhook-configuration need --tls-secret')
  }
  return { from: 'files', paths: { cert, key, clientCa } }
}

/** @param words what the command calls its options. @throws KnownError USAGE */
export function readClusterTls(
  flags: ClusterTlsFlags,
  access: ClusterAccess | undefined,
  words = { secret: '--tls-secret', dns: '--tls-dns', lifetime: '--tls-lifetime' },
): ClusterTlsSettings {
  const { tlsSecret: secret, tlsDns: dnsNames, tlsIp: ipAddresses = [], webhookConfiguration: configuration } = flags
  if (secret === undefined) throw usage(`${words.secret} is needed: NAMESPACE/NAME`)
  if (access === undefined) throw usage(`${words.secret} needs --in-cluster or --kubeconfig`)
  if (dnsNames === undefined) throw usage(`${words.secret} needs ${words.dns}, such as sallyport.sallyport.svc`)
  if (configuration === undefined) {
    throw usage(`${words.secret} needs --webhook-configuration, whose caBundle is kept up`)
  }
  if (!OBJECT_NAME.test(configuration)) throw usage('--webhook-configuration: that is no name of an object')
  if (flags.tlsLifetime < MIN_LIFETIME_MS) throw usage(`${words.lifetime}: at least one minute`)
  return { secret, configuration, access, dnsNames, ipAddresses, lifetimeMs: flags.tlsLifetime }
}

export interface ServingTlsContext {
  readonly log: Logger
  readonly now: () => number
  readonly onReload: (tls: TlsMaterial) => void
}

/** @throws KnownError FILE_UNREADABLE, TLS_INVALID, KUBERNETES_UNUSABLE. */
export async function openServingTls(settings: ServingTlsSettings, context: ServingTlsContext): Promise<ServedTls> {
  if (settings.from === 'files') {
    // Who renews the files tells the API server.
    return { ...(await openTls(settings.paths, context)), isTrusted: () => true }
  }
  const clientCa = settings.clientCa === undefined ? undefined : await loadClientCa(settings.clientCa)
  return openClusterTls({ ...settings.certificates, ...context, clientCa, random: Math.random })
}

/** @throws InvalidArgumentError */
export function parseSecret(written: string): CertificateObjects['secret'] {
  const [namespace = '', name = '', ...rest] = written.split('/')
  if (rest.length > 0 || !OBJECT_NAME.test(namespace) || !OBJECT_NAME.test(name)) {
    throw new InvalidArgumentError('write NAMESPACE/NAME')
  }
  return { namespace, name }
}

function usage(message: string): KnownError {
  return new KnownError('USAGE', message)
}
