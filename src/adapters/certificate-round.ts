/**
 * Carries out what `planCertificates` says, step by step, against a Secret and a webhook configuration that other
 * replicas change at the same time.
 *
 * Nobody is elected: each write names the version that it was planned on, and only one replica's write can succeed. The
 * order of the reads is what keeps the promise of the plan. The configuration is read *before* the Secret: a write to it
 * succeeds only if it has not changed since, and what the Secret says then is at least as new as what the configuration
 * was made of. So no replica can put back a list of authorities that is older than the one that stands there.
 */

import {
  authorityLifetime,
  type CertificateStep,
  type KeptCertificates,
  type KnownCertificate,
  type PlanSettings,
  planCertificates,
  type ServingCertificate,
} from './certificate-plan.js'

/** Each one is a write; more in a row would be two replicas that never agree. */
const MAX_STEPS = 20

export interface Versioned<T> {
  readonly value: T
  /** What the API server calls resourceVersion. */
  readonly version: string
}

/** `conflict`: somebody else was faster; read again. */
export type WriteResult = 'done' | 'conflict'

/** Where the certificates are kept and published. Each read is of what holds now, never from a cache. */
export interface CertificateCluster {
  /** Ids of the trusted authorities; undefined: there is no such configuration. */
  readTrust(): Promise<Versioned<readonly string[]> | undefined>
  /** Undefined: there is no such Secret. */
  readKept(): Promise<Versioned<KeptCertificates> | undefined>
  /** @param version that it replaces; undefined makes a new Secret. */
  writeKept(kept: KeptCertificates, version: string | undefined): Promise<WriteResult>
  writeTrust(authorities: readonly KnownCertificate[], version: string): Promise<WriteResult>
}

/** Makes keys and certificates. */
export interface CertificateMaker {
  authority(lifetimeMs: number): Promise<{ certificate: KnownCertificate; key: string }>
  serving(
    issuer: KnownCertificate,
    issuerKey: string,
    names: readonly string[],
    lifetimeMs: number,
  ): Promise<{ certificate: ServingCertificate; key: string }>
}

export interface RoundOptions {
  readonly cluster: CertificateCluster
  readonly maker: CertificateMaker
  readonly settings: PlanSettings
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** A step was carried out. */
  readonly onStep?: (step: CertificateStep) => void
}

export interface RoundResult {
  readonly kept: KeptCertificates
  /** Whether the webhook configuration trusts what is served; true where there is no configuration. */
  readonly isTrusted: boolean
  /** When the next round is due, in milliseconds since the epoch, if nothing changes before. */
  readonly until: number
}

export interface CertificateRounds {
  /** Do all that can be done now. @throws whatever the cluster throws. */
  run(): Promise<RoundResult>
}

/** Remembers, between rounds, since when each authority has been trusted, and what was kept last. */
export function createCertificateRounds(options: RoundOptions): CertificateRounds {
  const { cluster, settings, now } = options
  const since = new Map<string, number>()
  let remembered: KeptCertificates = NOTHING

  const look = async (): Promise<Sight> => {
    const trust = await cluster.readTrust()
    const secret = await cluster.readKept()
    noteTrust(since, trust?.value ?? [], now())
    return { trust, secret }
  }
  const advance = async ({ trust, secret }: Sight): Promise<RoundResult | undefined> => {
    const kept = secret?.value ?? NOTHING
    // Deleted or emptied under running replicas: what they serve is still good, and still trusted.
    if (isEmpty(kept) && !isEmpty(remembered)) {
      await cluster.writeKept(remembered, secret?.version)
      return undefined
    }
    remembered = kept
    const published = trust && { authorities: trust.value, since: (id: string) => since.get(id) }
    const step = planCertificates(kept, published, settings, now())
    if (step.type === 'wait') return { kept, isTrusted: isServingTrusted(kept, trust?.value), until: step.until }
    const result =
      step.type === 'publish'
        ? await cluster.writeTrust(kept.trusted, trust?.version ?? '')
        : await cluster.writeKept(await carryOut(step, kept, options), secret?.version)
    if (result === 'done') options.onStep?.(step)
    return undefined
  }
  return {
    async run() {
      for (let steps = 0; steps < MAX_STEPS; steps += 1) {
        const result = await advance(await look())
        if (result !== undefined) return result
      }
      throw new Error('the Secret or the webhook configuration is changed by somebody else all the time')
    },
  }
}

/** What stands in the cluster, the configuration looked at first. */
interface Sight {
  readonly trust: Versioned<readonly string[]> | undefined
  readonly secret: Versioned<KeptCertificates> | undefined
}

const NOTHING: KeptCertificates = {
  trusted: [],
  signingKey: undefined,
  serving: undefined,
  servingKey: undefined,
  former: [],
}

function isServingTrusted({ serving }: KeptCertificates, trust: readonly string[] | undefined): boolean {
  return trust === undefined || (serving?.issuer !== undefined && trust.includes(serving.issuer))
}

function isEmpty({ trusted, serving, former }: KeptCertificates): boolean {
  return trusted.length === 0 && serving === undefined && former.length === 0
}

function noteTrust(since: Map<string, number>, authorities: readonly string[], now: number): void {
  for (const id of since.keys()) if (!authorities.includes(id)) since.delete(id)
  for (const id of authorities) if (!since.has(id)) since.set(id, now)
}

type KeepingStep = Exclude<CertificateStep, { type: 'wait' | 'publish' }>

async function carryOut(step: KeepingStep, kept: KeptCertificates, options: RoundOptions): Promise<KeptCertificates> {
  switch (step.type) {
    case 'begin': {
      const begun = await addAuthority(kept, options)
      return issue(begun, options.settings.names, options)
    }
    case 'add-authority':
      return addAuthority(kept, options)
    case 'issue':
      return issue(kept, step.names, options)
    case 'forget':
      return { ...kept, trusted: step.trusted, former: step.former }
  }
}

async function addAuthority(kept: KeptCertificates, { maker, settings }: RoundOptions): Promise<KeptCertificates> {
  const { certificate, key } = await maker.authority(authorityLifetime(settings))
  return { ...kept, trusted: [certificate, ...kept.trusted], signingKey: key }
}

async function issue(
  kept: KeptCertificates,
  names: readonly string[],
  { maker, settings }: RoundOptions,
): Promise<KeptCertificates> {
  const [signing] = kept.trusted
  const { signingKey, serving, former } = kept
  if (signing === undefined || signingKey === undefined) throw new Error('a certificate needs an authority')
  const { certificate, key } = await maker.serving(signing, signingKey, names, settings.lifetimeMs)
  return {
    ...kept,
    serving: certificate,
    servingKey: key,
    former: serving === undefined ? former : [serving, ...former],
  }
}
