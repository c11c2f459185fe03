/** The certificate in force when the replicas make their own: kept in a Secret, renewed and followed until closed. */

import { setTimeout as sleep } from 'node:timers/promises'
import { createSecureContext } from 'node:tls'
import { type Backoff, backoffMs } from '../backoff.js'
import type { Logger } from '../logger.js'
import { createBell } from './bell.js'
import type { CertificateStep, KeptCertificates } from './certificate-plan.js'
import type { CertificateRounds, RoundResult } from './certificate-round.js'
import {
  type ClusterCertificateOptions,
  certificatesUnusable,
  describeProblem,
  openCertificateRounds,
} from './cluster-certificates.js'
import { CONFIGURATIONS_PATH, secretsPath } from './kubernetes-certificates.js'
import { type KubernetesClient, openKubernetesClient } from './kubernetes-client.js'
import { reflect } from './kubernetes-reflector.js'
import type { OpenTls, TlsMaterial } from './tls-watch.js'

/** Watches say when to look; this is for what they miss. */
const LOOK_MS = 60_000
/** A configuration may have changed just before: no more often than so. */
const REST_MS = 200
const RETRY: Backoff = { minMs: 500, maxMs: 30_000 }
/** Then the process ends, and is started anew by whoever runs it. */
const START_MS = 60_000
const SENTENCES: Readonly<Record<CertificateStep['type'], string>> = {
  begin: 'A certificate authority and a serving certificate were made',
  'add-authority': 'Another certificate authority was made; it will be trusted before it signs',
  issue: 'Another serving certificate was made',
  forget: 'A former certificate authority is no longer trusted: all that it signed has expired',
  publish: 'The trusted authorities were written into the webhook configuration',
  wait: 'Nothing is to be done',
}

export interface ClusterTlsOptions extends ClusterCertificateOptions {
  readonly log: Pick<Logger, 'info' | 'warn'>
  /** PEM: the CA of clients. */
  readonly clientCa: string | undefined
  /** Another certificate is in force; not called for the first. */
  readonly onReload: (tls: TlsMaterial) => void
  /** For how long the first certificate may take, in milliseconds. Default 60,000. */
  readonly startMs?: number
}

export interface ClusterTls extends OpenTls {
  /** The webhook configuration has trusted what is served, once; or there is none yet, and nobody asks. */
  isTrusted(): boolean
}

/**
 * Make sure that there is a certificate, then keep it so. Needs `get`, `list`, `watch` and `patch` on the Secret and on the
 * webhook configuration.
 *
 * @throws KnownError USAGE, FILE_UNREADABLE; KUBERNETES_UNUSABLE when no certificate could be had within a minute.
 */
export async function openClusterTls(options: ClusterTlsOptions): Promise<ClusterTls> {
  const { log, now, random, clientCa, onReload, startMs = START_MS } = options
  const client = await openKubernetesClient(options.access)
  const stop = new AbortController()
  const rounds = openCertificateRounds(client, options, stop.signal, step =>
    log.info({ step: step.type }, SENTENCES[step.type]),
  )
  const bell = createBell()
  let round: RoundResult
  try {
    round = await firstRound(rounds, { startMs, now, random, log })
  } catch (cause) {
    stop.abort()
    throw certificatesUnusable(options, cause)
  }
  let material = materialOf(round.kept, clientCa)
  let wasTrusted = round.isTrusted
  let lastReloadAt = now()
  let problem: string | undefined

  const accept = (result: RoundResult): void => {
    wasTrusted ||= result.isTrusted
    if (problem !== undefined) log.info({}, 'The certificates in the cluster can be kept up again')
    problem = undefined
    lastReloadAt = now()
    round = result
    if (result.kept.serving?.pem === material.cert) return
    const former = material
    material = materialOf(result.kept, clientCa)
    log.info(
      { expires: isoTime(material.notAfter), formerExpires: isoTime(former.notAfter) },
      'Another certificate is in force',
    )
    onReload(material)
  }
  const reject = (error: unknown): void => {
    const next = describeProblem(error)
    if (next !== problem) log.warn({ problem: next }, 'The certificates in the cluster cannot be kept up: trying again')
    problem = next
  }
  const keep = async (): Promise<void> => {
    let failures = 0
    while (!stop.signal.aborted) {
      const due = Math.min(round.until - now(), LOOK_MS * (0.75 + random() / 2))
      const pause = failures === 0 ? due : backoffMs(RETRY, failures - 1, random())
      await bell.wait(Math.max(REST_MS, pause))
      if (stop.signal.aborted) return
      try {
        accept(await rounds.run())
        failures = 0
      } catch (error) {
        if (stop.signal.aborted) return
        failures += 1
        reject(error)
      }
    }
  }
  watch(client, options, stop.signal, () => bell.ring())
  const kept = keep()
  return {
    current: () => material,
    expiresAt: () => material.notAfter,
    isTrusted: () => wasTrusted,
    state: () => ({ lastReloadAt, isRejected: problem !== undefined }),
    reload: async () => bell.ring(),
    close: async () => {
      stop.abort()
      bell.ring()
      await kept
    },
  }
}

interface Start {
  readonly startMs: number
  readonly now: () => number
  readonly random: () => number
  readonly log: Pick<Logger, 'warn'>
}

/** The API server, the Secret or the rights to it may come a little later. */
async function firstRound(rounds: CertificateRounds, { startMs, now, random, log }: Start): Promise<RoundResult> {
  const begun = now()
  for (let failures = 0; ; failures += 1) {
    try {
      const result = await rounds.run()
      if (result.kept.serving !== undefined && result.kept.servingKey !== undefined) return result
      throw new Error('the Secret holds no certificate that could be served yet')
    } catch (error) {
      const pause = backoffMs(RETRY, failures, random())
      if (now() + pause - begun > startMs) throw error
      log.warn({ problem: describeProblem(error) }, 'No certificate could be had from the cluster yet: trying again')
      await sleep(pause)
    }
  }
}

function watch(client: KubernetesClient, options: ClusterTlsOptions, signal: AbortSignal, onChange: () => void): void {
  const { secret, configuration } = options
  const objects = [
    { path: secretsPath(secret.namespace), name: secret.name },
    { path: CONFIGURATIONS_PATH, name: configuration },
  ]
  for (const { path, name } of objects) {
    void reflect({
      client,
      path,
      query: { fieldSelector: `metadata.name=${name}` },
      decode: () => true,
      onList: onChange,
      onChange,
      onConnected: () => {},
      // A look each minute does without; what fails there is told.
      onDisconnected: () => {},
      signal,
    })
  }
}

function materialOf({ serving, servingKey }: KeptCertificates, ca: string | undefined): TlsMaterial {
  if (serving === undefined || servingKey === undefined) throw new Error('the Secret holds no key for its certificate')
  const material = { cert: serving.pem, key: servingKey, notAfter: serving.notAfter, ca }
  createSecureContext({ cert: material.cert, key: material.key, ca })
  return material
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}
