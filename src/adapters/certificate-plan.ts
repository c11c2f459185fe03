/**
 * What is to be done next about the certificates that the replicas of a webhook make themselves: a pure function.
 *
 * The one promise: at any moment, whatever any replica serves is signed by an authority that the webhook configuration
 * trusts. So a new authority is trusted before it signs anything, and a former one is trusted until the last certificate
 * that it signed has expired: nobody has to know which replica serves what, nor whether it still lives.
 */

import { MAX_NAMES } from './certificate-names.js'

/** The share of its life after which a certificate is replaced. */
const RENEW_AFTER = 2 / 3
/** Replicas do not all begin at the same moment: each waits for its own part of this share of a life. */
const JITTER_SHARE = 1 / 30
/** An authority lives for so many lives of the certificates that it signs. */
const AUTHORITY_LIVES = 4

/** Times are milliseconds since the epoch. */
export interface KnownCertificate {
  /** SHA-256 of the certificate. */
  readonly id: string
  readonly pem: string
  readonly madeAt: number
  readonly notAfter: number
}

export interface ServingCertificate extends KnownCertificate {
  /** The id of the trusted authority that signed it; undefined: none of them did. */
  readonly issuer: string | undefined
  /** DNS names and addresses. */
  readonly names: readonly string[]
}

/** What the Secret holds, as far as it can be read. */
export interface KeptCertificates {
  /** The first one signs; the others signed before. */
  readonly trusted: readonly KnownCertificate[]
  /** PEM; undefined: missing, or not the first one's. */
  readonly signingKey: string | undefined
  readonly serving: ServingCertificate | undefined
  /** PEM; undefined: missing, or not the serving certificate's. */
  readonly servingKey: string | undefined
  /** Served before, and perhaps still served by a replica that does not hear of changes. */
  readonly former: readonly ServingCertificate[]
}

/** What the webhook configuration trusts. */
export interface PublishedTrust {
  /** Ids, in the order in which they stand. */
  readonly authorities: readonly string[]
  /** Since when an authority has been seen there. */
  readonly since: (id: string) => number | undefined
}

export interface PlanSettings {
  /** DNS names and addresses that the serving certificate must have. */
  readonly names: readonly string[]
  /** How long a serving certificate is valid, in milliseconds. */
  readonly lifetimeMs: number
  /** How long until every API server has heard of a changed webhook configuration, in milliseconds. */
  readonly propagationMs: number
  /** This replica's own part of the jitter, from 0 to 1. */
  readonly jitter: number
  /** How far the clocks of the replicas may lie apart, in milliseconds. */
  readonly clockSkewMs: number
}

export type CertificateStep =
  /** Nothing that anybody could serve is there: an authority and a serving certificate, at once. */
  | { readonly type: 'begin' }
  /** Another authority, that signs from now on; what is served stays. */
  | { readonly type: 'add-authority' }
  /** Another serving certificate, with these names. */
  | { readonly type: 'issue'; readonly names: readonly string[] }
  /** Keep only these: the others have no living certificate any more. */
  | {
      readonly type: 'forget'
      readonly trusted: readonly KnownCertificate[]
      readonly former: readonly ServingCertificate[]
    }
  /** Put all trusted authorities into the webhook configuration. */
  | { readonly type: 'publish' }
  /** Nothing before that time. */
  | { readonly type: 'wait'; readonly until: number }

/** How long an authority is valid. */
export function authorityLifetime({ lifetimeMs }: Pick<PlanSettings, 'lifetimeMs'>): number {
  return AUTHORITY_LIVES * lifetimeMs
}

/** @param published undefined: there is no such webhook configuration, so that nobody asks the webhook anything. */
export function planCertificates(
  kept: KeptCertificates,
  published: PublishedTrust | undefined,
  settings: PlanSettings,
  now: number,
): CertificateStep {
  const { trusted, serving, former } = kept
  const [signing] = trusted
  const isAnythingAlive = [serving, ...former].some(one => one?.issuer !== undefined && one.notAfter > now)
  if (!isAnythingAlive) return beginning(kept, settings, now)

  const living = livingOf(kept, settings, now)
  if (living.trusted.length < trusted.length || living.former.length < former.length) {
    return { type: 'forget', ...living }
  }
  if (
    published !== undefined &&
    !isSame(
      published.authorities,
      trusted.map(({ id }) => id),
    )
  )
    return { type: 'publish' }
  if (signing === undefined || kept.signingKey === undefined || now >= signingEnd(signing, settings)) {
    return { type: 'add-authority' }
  }
  if (isReplacementDue(kept, signing, settings, now)) {
    // Trusted long enough, before anybody serves what it signed.
    const since = published === undefined ? now - settings.propagationMs : (published.since(signing.id) ?? now)
    const readyAt = since + settings.propagationMs
    return readyAt > now ? { type: 'wait', until: readyAt } : { type: 'issue', names: namesFor(kept, settings, now) }
  }
  return { type: 'wait', until: nextDue(kept, signing, settings) }
}

/** There is nothing to lose: whatever is served is refused already. */
function beginning(kept: KeptCertificates, settings: PlanSettings, now: number): CertificateStep {
  const [signing] = kept.trusted
  const canSign = signing !== undefined && kept.signingKey !== undefined && now < signingEnd(signing, settings)
  return canSign ? { type: 'issue', names: settings.names } : { type: 'begin' }
}

/** An authority must outlive whatever it signs. */
function signingEnd(signing: KnownCertificate, settings: PlanSettings): number {
  return Math.min(renewalOf(signing, settings), signing.notAfter - settings.lifetimeMs)
}

function isReplacementDue(
  { serving, servingKey }: KeptCertificates,
  signing: KnownCertificate,
  settings: PlanSettings,
  now: number,
): boolean {
  if (serving === undefined || servingKey === undefined) return true
  if (serving.issuer !== signing.id || now >= renewalOf(serving, settings)) return true
  return !settings.names.every(name => serving.names.includes(name))
}

/**
 * In a rollout replicas with other names run side by side: a certificate that lacks names gets them beside those that it
 * has, or the replicas would replace each other's for ever.
 */
function namesFor({ serving }: KeptCertificates, settings: PlanSettings, now: number): readonly string[] {
  if (serving === undefined || now >= renewalOf(serving, settings)) return settings.names
  const all = [...new Set([...settings.names, ...serving.names])]
  return all.length > MAX_NAMES ? settings.names : all
}

function livingOf(
  { trusted, serving, former }: KeptCertificates,
  { clockSkewMs }: PlanSettings,
  now: number,
): Pick<KeptCertificates, 'trusted' | 'former'> {
  const living = former.filter(({ notAfter }) => notAfter + clockSkewMs > now)
  const issuers = new Set([serving, ...living].map(one => one?.issuer))
  return { trusted: trusted.filter(({ id }, index) => index === 0 || issuers.has(id)), former: living }
}

function renewalOf({ madeAt, notAfter }: KnownCertificate, { jitter }: PlanSettings): number {
  return madeAt + (notAfter - madeAt) * (RENEW_AFTER + jitter * JITTER_SHARE)
}

function nextDue({ serving, former }: KeptCertificates, signing: KnownCertificate, settings: PlanSettings): number {
  const renewal = serving === undefined ? signing.notAfter : renewalOf(serving, settings)
  const ends = former.map(({ notAfter }) => notAfter + settings.clockSkewMs)
  return Math.min(renewal, signingEnd(signing, settings), ...ends)
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((id, index) => id === other[index])
}
