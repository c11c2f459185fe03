/** Certificates that live in a cluster: one look at them and all that can be done about them now. */

import { KnownError } from '../errors.js'
import { escapeForeign } from '../policy/index.js'
import { readSubjectNames } from './certificate-names.js'
import type { CertificateStep, PlanSettings } from './certificate-plan.js'
import { type CertificateRounds, createCertificateRounds, type RoundResult } from './certificate-round.js'
import { CLOCK_SKEW_MS } from './certificates.js'
import { type CertificateObjects, createCertificateCluster, createCertificateMaker } from './kubernetes-certificates.js'
import { type ClusterAccess, type KubernetesClient, openKubernetesClient } from './kubernetes-client.js'

/** API servers hear of a changed configuration by a watch: within a second, if all is well. */
const PROPAGATION_MS = 30_000
/** … and at most so much of a certificate's life. */
const PROPAGATION_SHARE = 1 / 20

export interface ClusterCertificateOptions extends CertificateObjects {
  readonly access: ClusterAccess
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
  /** How long a serving certificate is valid, in milliseconds. */
  readonly lifetimeMs: number
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** From 0 to 1. */
  readonly random: () => number
}

/** Do all that can be done now, once. @throws KnownError USAGE, FILE_UNREADABLE, KUBERNETES_UNUSABLE. */
export async function renewClusterCertificates(
  options: ClusterCertificateOptions,
  signal: AbortSignal,
): Promise<RoundResult & { readonly steps: readonly CertificateStep[] }> {
  const client = await openKubernetesClient(options.access)
  const steps: CertificateStep[] = []
  const rounds = openCertificateRounds(client, options, signal, step => steps.push(step))
  try {
    return { ...(await rounds.run()), steps }
  } catch (cause) {
    throw certificatesUnusable(options, cause)
  }
}

/** @param onStep a step was carried out. */
export function openCertificateRounds(
  client: KubernetesClient,
  options: ClusterCertificateOptions,
  signal: AbortSignal,
  onStep: (step: CertificateStep) => void,
): CertificateRounds {
  const { dnsNames, ipAddresses } = readSubjectNames(options.dnsNames, options.ipAddresses)
  const settings: PlanSettings = {
    names: [...dnsNames, ...ipAddresses],
    lifetimeMs: options.lifetimeMs,
    propagationMs: Math.min(PROPAGATION_MS, options.lifetimeMs * PROPAGATION_SHARE),
    jitter: options.random(),
    clockSkewMs: CLOCK_SKEW_MS,
  }
  const cluster = createCertificateCluster(client, options, signal)
  return createCertificateRounds({
    cluster,
    maker: createCertificateMaker(options.now),
    settings,
    now: options.now,
    onStep,
  })
}

export function certificatesUnusable({ secret, configuration }: CertificateObjects, cause: unknown): KnownError {
  if (cause instanceof KnownError) return cause
  const objects = `Secret ${secret.namespace}/${secret.name}, ValidatingWebhookConfiguration ${configuration}`
  return new KnownError(
    'KUBERNETES_UNUSABLE',
    `no certificate could be had from the cluster (${objects}): ${describeProblem(cause)}`,
    {
      cause,
    },
  )
}

export function describeProblem(error: unknown): string {
  return escapeForeign(error instanceof Error ? error.message : String(error), 300)
}
