/**
 * The Secret in which the replicas of a webhook keep their certificates: what its data mean.
 *
 * | key | holds (PEM) |
 * | --- | --- |
 * | `ca.crt` | the trusted authorities, the signing one first: what the webhook configuration's caBundle must hold |
 * | `ca.key` | the key of the first |
 * | `tls.crt`, `tls.key` | the serving certificate and its key |
 * | `former.crt` | serving certificates before it that have not expired: while one has not, its authority stays trusted |
 */

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { KeptCertificates, KnownCertificate, ServingCertificate } from './certificate-plan.js'
import { CLOCK_SKEW_MS } from './certificates.js'

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g
/** In one entry; a Secret holds 1 MiB, of which nobody needs so much. */
const MAX_CERTIFICATES = 50

/** `data` of a Secret: base64. */
export type SecretData = Readonly<Record<string, string>>

/** Whatever cannot be read counts as missing. Never throws. */
export function decodeCertificateSecret(data: SecretData): KeptCertificates {
  const authorities = readCertificates(textOf(data, 'ca.crt'))
  const servings = readCertificates(textOf(data, 'tls.crt'))
  const [signing] = authorities
  const [serving] = servings
  return {
    trusted: authorities.map(knownOf),
    signingKey: keyOf(textOf(data, 'ca.key'), signing),
    serving: serving === undefined ? undefined : servingOf(serving, authorities),
    servingKey: keyOf(textOf(data, 'tls.key'), serving),
    former: readCertificates(textOf(data, 'former.crt')).map(one => servingOf(one, authorities)),
  }
}

export function encodeCertificateSecret(kept: KeptCertificates): SecretData {
  const pems = (certificates: readonly KnownCertificate[]): string => certificates.map(({ pem }) => `${pem}\n`).join('')
  const texts: Readonly<Record<string, string>> = {
    'ca.crt': pems(kept.trusted),
    'ca.key': kept.signingKey ?? '',
    'tls.crt': kept.serving === undefined ? '' : pems([kept.serving]),
    'tls.key': kept.servingKey ?? '',
    'former.crt': pems(kept.former),
  }
  return Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, Buffer.from(text).toString('base64')]))
}

/** @param caBundle base64 of PEM, as a webhook configuration has it. @returns the ids of its certificates. */
export function decodeTrust(caBundle: string): readonly string[] {
  return readCertificates(Buffer.from(caBundle, 'base64').toString('latin1')).map(
    ({ fingerprint256 }) => fingerprint256,
  )
}

/** The counterpart of `decodeTrust`. */
export function encodeTrust(authorities: readonly KnownCertificate[]): string {
  return Buffer.from(authorities.map(({ pem }) => `${pem}\n`).join('')).toString('base64')
}

/** A certificate that was made just now. @param pem one certificate. */
export function knownAuthority(pem: string): KnownCertificate {
  return knownOf(new X509Certificate(pem))
}

/** The same for a serving certificate. @param issuer the authority that signed it. */
export function knownServing(pem: string, issuer: KnownCertificate): ServingCertificate {
  return servingOf(new X509Certificate(pem), [new X509Certificate(issuer.pem)])
}

function textOf(data: SecretData, key: string): string {
  return Buffer.from(data[key] ?? '', 'base64').toString('latin1')
}

function readCertificates(text: string): readonly X509Certificate[] {
  return (text.match(CERTIFICATE) ?? []).slice(0, MAX_CERTIFICATES).flatMap(pem => {
    try {
      return [new X509Certificate(pem)]
    } catch {
      return []
    }
  })
}

function knownOf(certificate: X509Certificate): KnownCertificate {
  const notAfter = Date.parse(certificate.validTo)
  return {
    id: certificate.fingerprint256,
    pem: certificate.toString().trimEnd(),
    // Ours are valid from a little before they are made.
    madeAt: Math.min(Date.parse(certificate.validFrom) + CLOCK_SKEW_MS, notAfter),
    notAfter,
  }
}

function servingOf(certificate: X509Certificate, authorities: readonly X509Certificate[]): ServingCertificate {
  const issuer = authorities.find(authority => certificate.verify(authority.publicKey))
  return { ...knownOf(certificate), issuer: issuer?.fingerprint256, names: namesOf(certificate.subjectAltName ?? '') }
}

/** `DNS:one.example, IP Address:127.0.0.1`; what is quoted or of another kind is none of ours. */
function namesOf(alternatives: string): readonly string[] {
  return (
    alternatives
      .split(', ')
      .flatMap(one => /^(?:DNS|IP Address):([A-Za-z0-9.*:-]{1,253})$/.exec(one)?.[1] ?? [])
      // Node writes IPv6 addresses out in full.
      .map(name => (isIP(name) === 6 ? new URL(`https://[${name}]`).hostname.slice(1, -1) : name.toLowerCase()))
  )
}

function keyOf(pem: string, certificate: X509Certificate | undefined): string | undefined {
  if (certificate === undefined || pem === '') return undefined
  try {
    return certificate.checkPrivateKey(createPrivateKey(pem)) ? pem : undefined
  } catch {
    return undefined
  }
}
