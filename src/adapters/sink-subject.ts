/** The objects that a finding is about, as the API server knows them: the pod, and the workload that owns it. */

import type { Finding } from '../correlator/finding.js'
import type { KubernetesClient } from './kubernetes-client.js'
import { recordOf } from './kubernetes-metadata.js'
import { isNotFound } from './sink-kubernetes.js'

/** A workload that is made anew under its old name has another uid: what is known must not grow old. */
const KNOWN_MS = 60_000
const MAX_KNOWN = 2_000
/** Names come from events: nothing that is no name may become part of a path. */
const OBJECT_NAME = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/
const NAMESPACE = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/** Where objects of a kind are served; of several versions the first that is. */
const KINDS: ReadonlyMap<string, readonly (readonly [apiVersion: string, resource: string])[]> = new Map([
  ['Pod', [['v1', 'pods']]],
  ['Node', [['v1', 'nodes']]],
  ['ReplicationController', [['v1', 'replicationcontrollers']]],
  ['Deployment', [['apps/v1', 'deployments']]],
  ['ReplicaSet', [['apps/v1', 'replicasets']]],
  ['StatefulSet', [['apps/v1', 'statefulsets']]],
  ['DaemonSet', [['apps/v1', 'daemonsets']]],
  ['Job', [['batch/v1', 'jobs']]],
  [
    'CronJob',
    [
      ['batch/v1', 'cronjobs'],
      ['batch/v1beta1', 'cronjobs'],
    ],
  ],
])

/** What a role needs for the look-ups. */
export const LOOK_UPS =
  'get on pods, nodes, replicationcontrollers, deployments, replicasets, statefulsets, daemonsets, jobs, cronjobs'

export interface Subject {
  readonly apiVersion: string
  readonly kind: string
  /** Undefined for a node. */
  readonly namespace: string | undefined
  readonly name: string
  readonly uid: string
}

export interface Subjects {
  /** Undefined: there is none any more, or the finding names none. @throws like the client's `read`. */
  podOf(finding: Finding, signal: AbortSignal): Promise<Subject | undefined>
  /** The workload; the pod itself where it is its own. Of a kind that is not known here: the pod's controller. */
  ownerOf(finding: Finding, signal: AbortSignal): Promise<Subject | undefined>
}

interface KnownObject {
  readonly subject: Subject
  readonly controller: Subject | undefined
}

export function createSubjects(client: Pick<KubernetesClient, 'read'>): Subjects {
  const known = new Map<string, { readonly object: KnownObject | undefined; readonly at: number }>()
  const look = async (kind: string, namespace: string | undefined, name: string, signal: AbortSignal) => {
    const key = `${kind} ${namespace ?? ''}/${name}`
    const entry = known.get(key)
    if (entry !== undefined && performance.now() - entry.at < KNOWN_MS) return entry.object
    const object = await readObject(client, kind, namespace, name, signal)
    if (known.size >= MAX_KNOWN) known.clear()
    known.set(key, { object, at: performance.now() })
    return object
  }
  const pod = async ({ pod_namespace: namespace, pod_name: name }: Finding, signal: AbortSignal) =>
    namespace === undefined || name === undefined ? undefined : look('Pod', namespace, name, signal)
  return {
    podOf: async (finding, signal) => (await pod(finding, signal))?.subject,
    async ownerOf(finding, signal) {
      const { owner, pod_namespace: namespace } = finding
      if (owner === undefined) return undefined
      if (KINDS.has(owner.kind)) return (await look(owner.kind, namespace, owner.name, signal))?.subject
      return (await pod(finding, signal))?.controller
    },
  }
}

async function readObject(
  client: Pick<KubernetesClient, 'read'>,
  kind: string,
  namespace: string | undefined,
  name: string,
  signal: AbortSignal,
): Promise<KnownObject | undefined> {
  const scope = kind === 'Node' ? '' : `/namespaces/${namespace ?? ''}`
  if (!OBJECT_NAME.test(name) || (kind !== 'Node' && !NAMESPACE.test(namespace ?? ''))) return undefined
  for (const [apiVersion, resource] of KINDS.get(kind) ?? []) {
    const root = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`
    try {
      return decodeObject(await client.read(`${root}${scope}/${resource}/${name}`, {}, signal), apiVersion, kind)
    } catch (error) {
      if (!isNotFound(error)) throw error
    }
  }
  return undefined
}

function decodeObject(object: unknown, apiVersion: string, kind: string): KnownObject | undefined {
  const { name, namespace, uid, ownerReferences } = recordOf(recordOf(object)['metadata'])
  if (typeof name !== 'string' || typeof uid !== 'string') return undefined
  const home = typeof namespace === 'string' ? namespace : undefined
  const references: readonly unknown[] = Array.isArray(ownerReferences) ? ownerReferences : []
  const controller = references.map(recordOf).find(reference => reference['controller'] === true)
  return { subject: { apiVersion, kind, namespace: home, name, uid }, controller: decodeReference(controller, home) }
}

function decodeReference(reference: unknown, namespace: string | undefined): Subject | undefined {
  const { apiVersion, kind, name, uid } = recordOf(reference)
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') return undefined
  if (typeof name !== 'string' || typeof uid !== 'string') return undefined
  return { apiVersion, kind, namespace, name, uid }
}
