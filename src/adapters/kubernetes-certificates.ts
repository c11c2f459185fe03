/** The Secret and the webhook configuration that `certificate-round.ts` works on, through the Kubernetes API. */

import { isIP } from 'node:net'
import type { KeptCertificates, KnownCertificate } from './certificate-plan.js'
import type { CertificateCluster, CertificateMaker, Versioned, WriteResult } from './certificate-round.js'
import {
  decodeCertificateSecret,
  decodeTrust,
  encodeCertificateSecret,
  encodeTrust,
  knownAuthority,
  knownServing,
} from './certificate-secret.js'
import { createAuthority, issueCertificate } from './certificates.js'
import { type KubernetesClient, KubernetesStatusError } from './kubernetes-client.js'
import { recordOf, textsOf } from './kubernetes-metadata.js'

const NOT_FOUND = 404
const CONFLICT = 409
const JSON_PATCH = 'application/json-patch+json'
const MERGE_PATCH = 'application/merge-patch+json'

/** Which objects of a cluster hold the certificates and the trust in them. */
export interface CertificateObjects {
  readonly secret: { readonly namespace: string; readonly name: string }
  /** A ValidatingWebhookConfiguration; all of its webhooks are ours. */
  readonly configuration: string
}

export function secretPath({ secret }: CertificateObjects): string {
  return `${secretsPath(secret.namespace)}/${encodeURIComponent(secret.name)}`
}

export function secretsPath(namespace: string): string {
  return `/api/v1/namespaces/${encodeURIComponent(namespace)}/secrets`
}

export const CONFIGURATIONS_PATH = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations'

/**
 * Needs `get` and `patch` on the two objects; `create` on Secrets only where the Secret does not exist.
 *
 * A write names the version that it changes: the API server answers 409 when that is no longer the present one.
 */
export function createCertificateCluster(
  client: KubernetesClient,
  objects: CertificateObjects,
  signal: AbortSignal,
): CertificateCluster {
  const configurationPath = `${CONFIGURATIONS_PATH}/${encodeURIComponent(objects.configuration)}`
  const path = secretPath(objects)
  let webhooks = 0
  return {
    async readTrust() {
      const found = await existing(client.read(configurationPath, {}, signal))
      const bundles = found === undefined ? [] : bundlesOf(found)
      webhooks = bundles.length
      if (found === undefined || webhooks === 0) return undefined
      const [first = ''] = bundles
      // Entries that differ are written anew, all of them.
      const isUniform = bundles.every(bundle => bundle === first)
      return { value: isUniform ? decodeTrust(first) : [], version: versionOf(found) }
    },
    async readKept(): Promise<Versioned<KeptCertificates> | undefined> {
      const found = await existing(client.read(path, {}, signal))
      if (found === undefined) return undefined
      return { value: decodeCertificateSecret(textsOf(recordOf(found)['data'])), version: versionOf(found) }
    },
    writeKept(kept, version) {
      const data = encodeCertificateSecret(kept)
      if (version !== undefined) {
        const body = { metadata: { resourceVersion: version }, data }
        return written(client.send('PATCH', path, { body, contentType: MERGE_PATCH }, signal))
      }
      const body = { apiVersion: 'v1', kind: 'Secret', metadata: { name: objects.secret.name }, type: 'Opaque', data }
      return written(client.send('POST', secretsPath(objects.secret.namespace), { body }, signal))
    },
    writeTrust(authorities, version) {
      const caBundle = encodeTrust(authorities)
      const body = [
        { op: 'replace', path: '/metadata/resourceVersion', value: version },
        ...Array.from({ length: webhooks }, (_, index) => ({
          op: 'add',
          path: `/webhooks/${index}/clientConfig/caBundle`,
          value: caBundle,
        })),
      ]
      return written(client.send('PATCH', configurationPath, { body, contentType: JSON_PATCH }, signal))
    },
  }
}

/** @param now milliseconds since the epoch. */
export function createCertificateMaker(now: () => number): CertificateMaker {
  return {
    async authority(lifetimeMs) {
      const { certificate, key } = await createAuthority({ now: now(), lifetimeMs })
      return { certificate: knownAuthority(certificate), key }
    },
    async serving(issuer: KnownCertificate, issuerKey, names, lifetimeMs) {
      const subject = {
        dnsNames: names.filter(name => isIP(name) === 0),
        ipAddresses: names.filter(name => isIP(name) !== 0),
      }
      const authority = { certificate: issuer.pem, key: issuerKey }
      const { certificate, key } = await issueCertificate(authority, subject, { now: now(), lifetimeMs })
      return { certificate: knownServing(certificate, issuer), key }
    },
  }
}

async function existing(reading: Promise<unknown>): Promise<unknown> {
  try {
    return await reading
  } catch (error) {
    if (error instanceof KubernetesStatusError && error.status === NOT_FOUND) return undefined
    throw error
  }
}

/** Changed, made or deleted by somebody else in the meantime: all of it is a reason to read again. */
async function written(writing: Promise<unknown>): Promise<WriteResult> {
  try {
    await writing
    return 'done'
  } catch (error) {
    const status = error instanceof KubernetesStatusError ? error.status : 0
    if (status === CONFLICT || status === NOT_FOUND) return 'conflict'
    throw error
  }
}

function bundlesOf(configuration: unknown): readonly string[] {
  const { webhooks } = recordOf(configuration)
  if (!Array.isArray(webhooks)) return []
  return webhooks.map(webhook => {
    const { caBundle } = recordOf(recordOf(webhook)['clientConfig'])
    return typeof caBundle === 'string' ? caBundle : ''
  })
}

function versionOf(object: unknown): string {
  const { resourceVersion } = recordOf(recordOf(object)['metadata'])
  if (typeof resourceVersion !== 'string') throw new Error('the API server sent an object without a version')
  return resourceVersion
}
