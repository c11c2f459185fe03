/** The certificate in force, its key and the CA of clients: loaded at the start, replaced when their files are renewed. */

import { X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { KnownError } from '../errors.js'
import type { Logger } from '../logger.js'
import type { FileWatchOptions } from './file-watch.js'
import { type KeptState, keepLoaded } from './kept-value.js'
import { readTextFile } from './text-file.js'
import { loadTlsFiles, type TlsFiles } from './tls-files.js'

/** Key and certificate are two files: one of them is renewed first. */
const DEFAULT_GRACE_MS = 5_000
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

export interface TlsPaths {
  readonly cert: string
  readonly key: string
  /** The CA that signs client certificates; undefined when clients need none. */
  readonly clientCa?: string | undefined
}

/** Ready for `createServer` and `setSecureContext`. PEM. */
export interface TlsMaterial extends TlsFiles {
  readonly ca: string | undefined
}

export interface TlsWatchOptions extends FileWatchOptions {
  readonly log: Pick<Logger, 'info' | 'error'>
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Another certificate, key or CA is in force; not called for the first. */
  readonly onReload?: (tls: TlsMaterial) => void
  /** The files cannot be used, and have been so for the grace; called once for a problem. */
  readonly onReject?: (error: KnownError) => void
  /** How long files that do not fit together are borne without a word, in milliseconds. Default 5,000. */
  readonly graceMs?: number
  /** How often they are then tried again, in milliseconds. Default 1,000. */
  readonly retryMs?: number
}

export interface OpenTls {
  current(): TlsMaterial
  /** When the serving certificate in force ends, in milliseconds since the epoch. */
  expiresAt(): number
  state(): KeptState
  /** Look now. Never rejects. */
  reload(): Promise<void>
  close(): void
}

/**
 * Load certificate, key and client CA, and follow their files. A new set replaces the old one only when it fits together,
 * OpenSSL takes it, and it is valid now (or the old one is not either); until then it is tried again every second.
 *
 * An expired certificate is accepted at the start: it is the command that says so.
 *
 * @throws KnownError FILE_UNREADABLE or TLS_INVALID when there is nothing to begin with.
 */
export async function openTls(paths: TlsPaths, options: TlsWatchOptions): Promise<OpenTls> {
  const { log, onReload, onReject, graceMs = DEFAULT_GRACE_MS, ...rest } = options
  const kept = await keepLoaded<TlsMaterial>({
    ...rest,
    graceMs,
    paths: [paths.cert, paths.key, paths.clientCa].filter(path => path !== undefined),
    load: former => loadMaterial(paths, former, options.now()),
    isSame: (next, former) => next.cert === former.cert && next.key === former.key && next.ca === former.ca,
    mayPass: () => true,
    onReload: (tls, former) => {
      log.info(
        { file: paths.cert, expires: isoTime(tls.notAfter), formerExpires: isoTime(former.notAfter) },
        'Another certificate is in force',
      )
      onReload?.(tls)
    },
    onReject: (error, { notAfter }) => {
      log.error(
        { code: error.code, problem: error.message, expires: isoTime(notAfter) },
        'The certificate files cannot be used: the last good ones stay in force',
      )
      onReject?.(error)
    },
    onMend: () => log.info({ file: paths.cert }, 'The certificate files can be used again'),
    onFault: error => log.error({ err: error }, 'A reload of the certificate failed: the last good one stays in force'),
  })
  return { ...kept, expiresAt: () => kept.current().notAfter }
}

async function loadMaterial(paths: TlsPaths, former: TlsMaterial | undefined, now: number): Promise<TlsMaterial> {
  const files = await loadTlsFiles(paths.cert, paths.key)
  const ca = paths.clientCa === undefined ? undefined : await loadClientCa(paths.clientCa)
  const { cert, key } = files
  try {
    createSecureContext({ cert, key, ca })
  } catch (cause) {
    // OpenSSL has the last word: a short key, a curve or a signature that it does not take.
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new KnownError('TLS_INVALID', `${paths.cert}: OpenSSL does not take the certificate or key (${reason})`, {
      cause,
    })
  }
  if (former !== undefined) refuseWorse(files, former, paths.cert, now)
  return { ...files, ca }
}

/** A renewal that clients would refuse must not replace a certificate that they still accept. */
function refuseWorse({ cert, notAfter }: TlsFiles, former: TlsMaterial, path: string, now: number): void {
  const notBefore = Date.parse(new X509Certificate(cert).validFrom)
  if (former.notAfter <= now || former.cert === cert) return
  if (notAfter <= now) {
    throw new KnownError('TLS_INVALID', `${path}: the certificate expired at ${isoTime(notAfter)}`)
  }
  if (notBefore > now) {
    throw new KnownError('TLS_INVALID', `${path}: the certificate is not valid before ${isoTime(notBefore)}`)
  }
}

/**
 * Each certificate is read: OpenSSL would skip what it does not understand, and a CA that is missing locks clients out.
 * Never an empty text, which Node takes for "none given": every public CA would then vouch for clients.
 *
 * @throws KnownError FILE_UNREADABLE, TLS_INVALID.
 */
export async function loadClientCa(path: string): Promise<string> {
  const pem = await readTextFile(path)
  const certificates = pem.match(CERTIFICATE) ?? []
  try {
    for (const certificate of certificates) new X509Certificate(certificate)
  } catch (cause) {
    throw new KnownError('TLS_INVALID', `${path}: one of its certificates cannot be read`, { cause })
  }
  if (certificates.length === 0) {
    throw new KnownError('TLS_INVALID', `${path}: it holds no certificate in PEM form`)
  }
  return pem
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}
