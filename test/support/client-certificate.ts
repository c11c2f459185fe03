/** A certificate with which a client shows who it is: Sallyport itself makes only serving ones. */

import { generateKeyPairSync } from 'node:crypto'
import forge from 'node-forge'
import type { CertificateSet } from '../../src/adapters/certificates.js'

const HOUR_MS = 3_600_000

/** Signed by the CA of the set. PEM. */
export function createClientCertificate({ caCertificate, caKey }: CertificateSet): { cert: string; key: string } {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  const certificate = forge.pki.createCertificate()
  certificate.publicKey = forge.pki.publicKeyFromPem(publicKey)
  certificate.serialNumber = '01'
  certificate.validity.notBefore = new Date(Date.now() - HOUR_MS)
  certificate.validity.notAfter = new Date(Date.now() + HOUR_MS)
  certificate.setSubject([{ name: 'commonName', value: 'api-server' }])
  certificate.setIssuer(forge.pki.certificateFromPem(caCertificate).subject.attributes)
  certificate.setExtensions([{ name: 'extKeyUsage', clientAuth: true }])
  certificate.sign(forge.pki.privateKeyFromPem(caKey), forge.md.sha256.create())
  return { cert: forge.pki.certificateToPem(certificate), key: privateKey }
}
