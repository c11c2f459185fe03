/** The names and addresses that a serving certificate is asked for: read, judged and brought into one spelling. */

import { isIP } from 'node:net'
import { KnownError } from '../errors.js'

/** RFC 1123: letters, digits and inner hyphens, 63 at most in a label. */
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const MAX_DNS_NAME_LENGTH = 253
/** Enough for the four names of a Service in several clusters; more would be somebody's mistake. */
export const MAX_NAMES = 100

export interface SubjectNames {
  /** Lower case; the first label may be `*`. */
  readonly dnsNames: readonly string[]
  /** IPv4 in dots, IPv6 in its shortest form (RFC 5952). */
  readonly ipAddresses: readonly string[]
}

/**
 * Judge what the command line asked for; duplicates are dropped.
 *
 * @throws KnownError USAGE that quotes the bad name.
 */
export function readSubjectNames(dnsNames: readonly string[], ipAddresses: readonly string[]): SubjectNames {
  if (dnsNames.length === 0) throw usage('--dns: at least one name is needed, such as sallyport.sallyport.svc')
  if (dnsNames.length + ipAddresses.length > MAX_NAMES) throw usage(`at most ${MAX_NAMES} names and addresses`)
  return {
    dnsNames: [...new Set(dnsNames.map(readDnsName))],
    ipAddresses: [...new Set(ipAddresses.map(readAddress))],
  }
}

function readDnsName(written: string): string {
  const name = written.toLowerCase()
  if (isIP(name) !== 0) throw badName('--dns', written, 'is an address; give it with --ip')
  if (name.endsWith('.')) throw badName('--dns', written, 'ends in a dot; clients compare names without it')
  if (name.length > MAX_DNS_NAME_LENGTH) throw badName('--dns', written, 'is longer than 253 characters')
  const labels = name.split('.')
  if (labels[0] === '*' && labels.length > 1) labels.shift()
  if (!labels.every(label => LABEL.test(label))) {
    throw badName('--dns', written, 'is no DNS name (RFC 1123: letters, digits, hyphens and dots; one leading "*.")')
  }
  return name
}

function readAddress(written: string): string {
  // A zone (fe80::1%eth0) means something on one machine only, and a certificate has no place for it.
  const version = written.includes('%') ? 0 : isIP(written)
  if (version === 0) throw badName('--ip', written, 'is no IPv4 or IPv6 address')
  if (version === 4) return written
  return new URL(`https://[${written}]`).hostname.slice(1, -1)
}

function badName(option: string, written: string, problem: string): KnownError {
  return usage(`${option}: ${JSON.stringify(written.slice(0, 300))} ${problem}`)
}

function usage(message: string): KnownError {
  return new KnownError('USAGE', message)
}
