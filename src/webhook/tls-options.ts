/** TLS as the webhook speaks it: versions, cipher suites, client certificates. */

import type { SecureContextOptions, TlsOptions } from 'node:tls'

/** Forward secrecy and authenticated encryption only: the suites of TLS 1.3, and those of 1.2 that have both. */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':')

/** PEM. */
export interface ServingTls {
  readonly cert: string
  readonly key: string
  /** The CA of client certificates: with it, only clients that it signed are served. */
  readonly ca?: string | undefined
}

type SecureOptions = SecureContextOptions & Pick<TlsOptions, 'requestCert' | 'rejectUnauthorized'>

/** For `createServer`, and for `setSecureContext` when the certificate is renewed: both need all of it. */
export function secureOptions({ cert, key, ca }: ServingTls): SecureOptions {
  const client = ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: true }
  return { cert, key, ...client, minVersion: 'TLSv1.2', ciphers: CIPHERS, honorCipherOrder: true }
}
