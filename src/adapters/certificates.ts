/**
 * A private CA and one serving certificate signed by it, for the webhook's HTTPS. The only owner of node-forge.
 *
 * Keys are made by node:crypto in its own threads: forge's RSA would block the process for seconds. Keys are RSA because
 * forge can sign with nothing else.
 */

import { generateKeyPair as generateKeyPairWithCallback, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import forge from 'node-forge'
import { KnownError } from '../errors.js'
import { readSubjectNames, type SubjectNames } from './certificate-names.js'

/** The CA signs for ten years, so its key has the strength that is asked for beyond 2030 (NIST SP 800-57). */
const CA_KEY_BITS = 3072
/** A handshake costs about 1.1 ms of CPU with it. */
const SERVING_KEY_BITS = 2048

export const CA_DAYS = 3650
export const DEFAULT_DAYS = 365
/** No serving certificate outlives its CA. */
export const MAX_DAYS = CA_DAYS

const DAY_MS = 86_400_000
/** Clients whose clock is behind must accept a certificate that was made just now: it is valid from so long ago. */
export const CLOCK_SKEW_MS = 5 * 60_000
const SERIAL_BYTES = 16

/** forge's numbers for the kinds of an alternative name (RFC 5280, GeneralName). */
const DNS_NAME = 2
const IP_ADDRESS = 7

const CA_SUBJECT = [{ name: 'commonName', value: 'Sallyport CA' }]
/** Clients verify the alternative names alone; a common name holds 64 characters, fewer than a Service's name may. */
const SERVING_SUBJECT = [{ name: 'commonName', value: 'Sallyport webhook' }]

export interface CertificateOptions {
  /** At least one; the first label may be `*`. */
  readonly dnsNames: readonly string[]
  /** IPv4 and IPv6. Default none. */
  readonly ipAddresses?: readonly string[]
  /** How long the serving certificate is valid: whole days, 1 to 3,650. Default 365. */
  readonly days?: number
  /** Milliseconds since the epoch. */
  readonly now: number
}

/** PEM texts. The keys are PKCS#8 and not encrypted. */
export interface CertificateSet {
  /** What the webhook configuration's caBundle holds, in base64. */
  readonly caCertificate: string
  readonly caKey: string
  readonly certificate: string
  readonly key: string
}

interface KeyPair {
  readonly publicKey: forge.pki.rsa.PublicKey
  readonly privateKey: forge.pki.rsa.PrivateKey
  readonly privatePem: string
}

interface Validity {
  readonly from: Date
  readonly to: Date
}

/** A certificate and its private key, PEM. The key is PKCS#8 and not encrypted. */
export interface CertifiedKey {
  readonly certificate: string
  readonly key: string
}

/**
 * Make a CA and a serving certificate for the names. Nothing is written anywhere. Takes about a second; the
 * two signatures block for 0.2 s each.
 *
 * @throws KnownError USAGE when a name, an address or the days cannot be used.
 */
export async function createCertificates(options: CertificateOptions): Promise<CertificateSet> {
  const { days = DEFAULT_DAYS, now } = options
  const names = readSubjectNames(options.dnsNames, options.ipAddresses ?? [])
  if (!Number.isInteger(days) || days < 1 || days > MAX_DAYS) {
    throw new KnownError('USAGE', `--days: must be a whole number from 1 to ${MAX_DAYS}`)
  }
  const [caKeys, servingKeys] = await Promise.all([generateKeyPair(CA_KEY_BITS), generateKeyPair(SERVING_KEY_BITS)])
  const ca = createCa(caKeys, validityOf(now, CA_DAYS * DAY_MS))
  const serving = createServing(servingKeys, names, validityOf(now, days * DAY_MS), ca, caKeys.privateKey)
  return {
    caCertificate: toPem(ca),
    caKey: caKeys.privatePem,
    certificate: toPem(serving),
    key: servingKeys.privatePem,
  }
}

/** Make a CA alone. Takes about a second. @param lifetimeMs from `now` on, in milliseconds. */
export async function createAuthority({ now, lifetimeMs }: { now: number; lifetimeMs: number }): Promise<CertifiedKey> {
  const keys = await generateKeyPair(CA_KEY_BITS)
  return { certificate: toPem(createCa(keys, validityOf(now, lifetimeMs))), key: keys.privatePem }
}

/**
 * Make a serving certificate that a CA of `createAuthority` signs.
 *
 * @param lifetimeMs from `now` on, in milliseconds; it should end before the CA does.
 */
export async function issueCertificate(
  authority: CertifiedKey,
  names: SubjectNames,
  { now, lifetimeMs }: { now: number; lifetimeMs: number },
): Promise<CertifiedKey> {
  const keys = await generateKeyPair(SERVING_KEY_BITS)
  const ca = forge.pki.certificateFromPem(authority.certificate)
  const caKey = forge.pki.privateKeyFromPem(authority.key)
  const serving = createServing(keys, names, validityOf(now, lifetimeMs), ca, caKey)
  return { certificate: toPem(serving), key: keys.privatePem }
}

async function generateKeyPair(modulusLength: number): Promise<KeyPair> {
  const pair = await promisify(generateKeyPairWithCallback)('rsa', {
    modulusLength,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  return {
    publicKey: forge.pki.publicKeyFromPem(pair.publicKey),
    privateKey: forge.pki.privateKeyFromPem(pair.privateKey),
    privatePem: pair.privateKey,
  }
}

function validityOf(now: number, lifetimeMs: number): Validity {
  return { from: new Date(now - CLOCK_SKEW_MS), to: new Date(now + lifetimeMs) }
}

function createCa(keys: KeyPair, validity: Validity): forge.pki.Certificate {
  const ca = newCertificate(keys.publicKey, validity)
  ca.setSubject(CA_SUBJECT)
  ca.setIssuer(CA_SUBJECT)
  ca.setExtensions([
    // Path length 0: it signs serving certificates, never another CA.
    { name: 'basicConstraints', critical: true, cA: true, pathLenConstraint: 0 },
    { name: 'keyUsage', critical: true, keyCertSign: true, cRLSign: true },
    { name: 'subjectKeyIdentifier' },
  ])
  ca.sign(keys.privateKey, forge.md.sha256.create())
  return ca
}

function createServing(
  keys: KeyPair,
  names: SubjectNames,
  validity: Validity,
  ca: forge.pki.Certificate,
  caKey: forge.pki.rsa.PrivateKey,
): forge.pki.Certificate {
  const serving = newCertificate(keys.publicKey, validity)
  serving.setSubject(SERVING_SUBJECT)
  serving.setIssuer(ca.subject.attributes)
  serving.setExtensions([
    { name: 'basicConstraints', critical: true, cA: false },
    { name: 'keyUsage', critical: true, digitalSignature: true, keyEncipherment: true },
    { name: 'extKeyUsage', serverAuth: true },
    {
      name: 'subjectAltName',
      altNames: [
        ...names.dnsNames.map(value => ({ type: DNS_NAME, value })),
        ...names.ipAddresses.map(ip => ({ type: IP_ADDRESS, ip })),
      ],
    },
    { name: 'subjectKeyIdentifier' },
    { name: 'authorityKeyIdentifier', keyIdentifier: ca.generateSubjectKeyIdentifier().getBytes() },
  ])
  serving.sign(caKey, forge.md.sha256.create())
  return serving
}

function newCertificate(publicKey: forge.pki.rsa.PublicKey, validity: Validity): forge.pki.Certificate {
  const certificate = forge.pki.createCertificate()
  certificate.publicKey = publicKey
  certificate.serialNumber = randomSerial()
  certificate.validity.notBefore = validity.from
  certificate.validity.notAfter = validity.to
  return certificate
}

/**
 * 126 random bits in hexadecimal. forge writes the bytes as they are: the first one lies from 0x40 to 0x7f, so that the
 * number is positive and needs no leading zero (X.690, 8.3.2).
 */
function randomSerial(): string {
  const bytes = randomBytes(SERIAL_BYTES)
  bytes.writeUInt8((bytes.readUInt8(0) & 0x3f) | 0x40, 0)
  return bytes.toString('hex')
}

/** forge ends lines as Windows does; every other PEM file of a cluster ends them with a newline alone. */
function toPem(certificate: forge.pki.Certificate): string {
  return forge.pki.certificateToPem(certificate).replaceAll('\r\n', '\n')
}
