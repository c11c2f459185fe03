/** The webhook's certificate and key from PEM files, checked before anything listens. */

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { KnownError } from '../errors.js'
import { readTextFile } from './text-file.js'

export interface TlsFiles {
  /** PEM: the serving certificate, followed by any intermediate ones. */
  readonly cert: string
  /** PEM. */
  readonly key: string
  /** When the serving certificate ends, in milliseconds since the epoch. */
  readonly notAfter: number
}

/**
 * Read a certificate and the key that belongs to it.
 *
 * @throws KnownError FILE_UNREADABLE; TLS_INVALID when either is not PEM, or the key is not the certificate's.
 */
export async function loadTlsFiles(certPath: string, keyPath: string): Promise<TlsFiles> {
  const cert = await readTextFile(certPath)
  const key = await readTextFile(keyPath)
  const certificate = readCertificate(cert, certPath)
  if (!certificate.checkPrivateKey(readKey(key, keyPath))) {
    throw new KnownError('TLS_INVALID', `${keyPath}: the key does not belong to the certificate in ${certPath}`)
  }
  return { cert, key, notAfter: Date.parse(certificate.validTo) }
}

function readCertificate(pem: string, path: string): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch (cause) {
    throw new KnownError('TLS_INVALID', `${path}: it holds no certificate in PEM form`, { cause })
  }
}

function readKey(pem: string, path: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch (cause) {
    throw new KnownError('TLS_INVALID', `${path}: it holds no unencrypted private key in PEM form`, { cause })
  }
}
