/** Evidence about one unwanted image, of which a test changes what it is about: a pod of team-a, nothing recorded. */

import type { AuditedRequest } from '../../src/correlator/audit-evidence.js'
import type { ClusterEvidence, DriftEvidence, Gate, ImagePeer } from '../../src/correlator/drift-evidence.js'
import type { KnownContainer, KnownNamespace, KnownPod, KnownWebhook } from '../../src/correlator/inventory.js'
import { evaluate } from '../../src/policy/index.js'
import { imageRecord, recordOf } from './events.js'
import { policyOf } from './policies.js'

/** When the pod was created, in milliseconds since the epoch. */
export const CREATED = Date.parse('2026-11-21T23:21:55Z')
export const HOUR = 3_600_000
/** When everything else began. */
export const LONG_AGO = CREATED - 100 * HOUR
export const DIGEST_A = `sha256:${'a'.repeat(64)}`
export const DIGEST_B = `sha256:${'b'.repeat(64)}`

const POLICY = policyOf({ allow: ['registry.corp.example/*'] })
const SEEN_AT = CREATED + HOUR

export function knownContainerOf(changes: Partial<KnownContainer> = {}): KnownContainer {
  return {
    list: 'containers',
    name: 'app',
    image: 'redis:7',
    imageWriter: { manager: 'kubectl-create', operation: 'Update', subresource: undefined, at: CREATED },
    status: undefined,
    ...changes,
  }
}

export function knownPodOf(changes: Partial<KnownPod> = {}): KnownPod {
  return {
    namespace: 'team-a',
    name: 'web-1',
    uid: 'uid-1',
    nodeName: 'node-1',
    createdAt: CREATED,
    deletedAt: undefined,
    labels: {},
    mirror: undefined,
    controller: undefined,
    topOwner: { kind: 'Deployment', name: 'web' },
    containers: [knownContainerOf()],
    volumeImages: [],
    seenAt: SEEN_AT,
    ...changes,
  }
}

export function knownNamespaceOf(changes: Partial<KnownNamespace> = {}): KnownNamespace {
  return { name: 'team-a', labels: {}, createdAt: LONG_AGO, labelsChangedAt: LONG_AGO, seenAt: SEEN_AT, ...changes }
}

export function knownWebhookOf(changes: Partial<KnownWebhook> = {}): KnownWebhook {
  const resources = ['pods', 'pods/ephemeralcontainers']
  return {
    configuration: 'sallyport',
    name: 'images.sallyport.dev',
    createdAt: LONG_AGO,
    generation: 1,
    changedAt: undefined,
    failurePolicy: 'Fail',
    matchPolicy: 'Equivalent',
    rules: [{ apiGroups: [''], apiVersions: ['*'], resources, operations: ['CREATE', 'UPDATE'], scope: '*' }],
    namespaceSelector: undefined,
    objectSelector: undefined,
    matchConditions: 0,
    timeoutSeconds: 5,
    seenAt: SEEN_AT,
    ...changes,
  }
}

/** A webhook that is called for the request. */
export function gateOf(webhook: Partial<KnownWebhook> = {}, changes: Partial<Gate> = {}): Gate {
  return { webhook: knownWebhookOf(webhook), match: { called: 'yes' }, isFirm: false, ...changes }
}

export function peerOf(changes: Partial<ImagePeer> = {}): ImagePeer {
  return {
    pod: knownPodOf({
      name: 'other-1',
      uid: 'uid-2',
      namespace: 'team-b',
      topOwner: { kind: 'Deployment', name: 'other' },
    }),
    container: knownContainerOf(),
    digest: DIGEST_B,
    isReplica: false,
    isComparable: true,
    ...changes,
  }
}

export function requestOf(changes: Partial<AuditedRequest> = {}): AuditedRequest {
  return {
    auditId: 'audit-1',
    at: CREATED,
    verb: 'create',
    subresource: undefined,
    namespace: 'team-a',
    name: 'web-1',
    uid: 'uid-1',
    user: 'jane',
    userAgent: undefined,
    dryRun: false,
    responseCode: 201,
    decisions: [],
    failedOpen: [],
    ...changes,
  }
}

/** Everything is known; a webhook that fails closed was recording all the time, and is called. */
export function clusterOf(changes: Partial<ClusterEvidence> = {}): ClusterEvidence {
  const pod = knownPodOf()
  return {
    state: { status: 'synced' },
    pod,
    container: pod.containers[0],
    namespace: knownNamespaceOf(),
    gates: [gateOf()],
    peers: [],
    ...changes,
  }
}

export function evidenceOf(changes: Partial<DriftEvidence> = {}): DriftEvidence {
  return {
    image: 'redis:7',
    verdict: evaluate(POLICY, 'redis:7', { namespace: { name: 'team-a', labels: {} }, now: CREATED }),
    policy: { name: 'test', revision: POLICY.revision },
    subject: {
      namespace: 'team-a',
      pod: 'web-1',
      uid: 'uid-1',
      container: 'app',
      workloadKind: 'Deployment',
      nodeName: 'node-1',
    },
    running: {
      imageName: 'docker.io/library/redis:7',
      imageId: `docker.io/library/redis@${DIGEST_A}`,
      containerId: `containerd://${'c'.repeat(64)}`,
      startedAt: CREATED + 3_000,
    },
    program: undefined,
    journal: RECORDING,
    records: [],
    governing: undefined,
    exception: undefined,
    cluster: clusterOf(),
    requests: { named: [], unnamed: [] },
    ...changes,
  }
}

type RecordingJournal = Extract<DriftEvidence['journal'], { readonly status: 'recording' }>

export const RECORDING: RecordingJournal = {
  status: 'recording',
  spans: [{ from: LONG_AGO, to: CREATED + HOUR }],
  lossySpans: [],
}

/** A webhook recorded before and after, and not when the pod was created. */
export const WITH_GAP: RecordingJournal = {
  status: 'recording',
  spans: [
    { from: LONG_AGO, to: CREATED - 60_000 },
    { from: CREATED + 60_000, to: CREATED + HOUR },
  ],
  lossySpans: [],
}

/** The record that let the image in. */
export function governedBy(record: Parameters<typeof recordOf>[0] = {}, image: Parameters<typeof imageRecord>[0] = {}) {
  const images = [imageRecord(image)]
  const whole = recordOf({ at: CREATED, images, ...record })
  const [first = imageRecord()] = whole.images
  return { records: [whole], governing: { record: whole, image: first } }
}
