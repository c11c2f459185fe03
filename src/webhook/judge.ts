/** From a request to a decision: what is judged at all, and the facts that policy's `decide` asks for. */

import type { CompiledPolicy, Decision, NamespaceScope } from '../policy/index.js'
import { decide, parseWorkload } from '../policy/index.js'
import type { AdmissionRequest } from './admission-review.js'
import type { ObjectMetadata } from './object-metadata.js'
import { readObjectMetadata } from './object-metadata.js'
import type { NamespaceLabels } from './ports.js'
import type { DecisionSubject } from './violation-text.js'

/** 1.20 and 1.21 send ephemeral containers as a kind of their own; to people it is still the pod. */
const EPHEMERAL_CONTAINERS = 'EphemeralContainers'
const NODES_GROUP = 'system:nodes'

export type Judgement =
  | {
      readonly status: 'judged'
      readonly request: AdmissionRequest
      readonly metadata: ObjectMetadata
      readonly subject: DecisionSubject
      readonly decision: Decision
    }
  /** Admitted unread: a removal or a connection, or a kind that holds no pod spec. */
  | { readonly status: 'passed'; readonly why: 'operation' | 'other-kind' }

/**
 * Judge one request. Pure but for `labels`, which answers from memory.
 *
 * Ownership, annotations, users and deletionTimestamp exempt nothing: each of them is in the requester's hands.
 * The one waiver, mirror pods, takes a node's own credentials, and those pods run already.
 *
 * @param now milliseconds since the epoch.
 */
export function judge(
  policy: CompiledPolicy,
  request: AdmissionRequest,
  labels: NamespaceLabels,
  now: number,
): Judgement {
  const { operation, kind } = request
  if (operation === 'DELETE' || operation === 'CONNECT') return { status: 'passed', why: 'operation' }
  const workload = parseWorkload(request.object, kind)
  if (workload.status === 'other-kind') return { status: 'passed', why: 'other-kind' }

  const namespace = scopeOf(policy, request.namespace, labels)
  const metadata = readObjectMetadata(request.object)
  const decision = decide(policy, {
    workload,
    before: operation === 'UPDATE' ? parseWorkload(request.oldObject, kind) : undefined,
    namespace,
    now,
    isMirrorPod: isMirrorPod(request, metadata),
  })
  return { status: 'judged', request, metadata, subject: subjectOf(request, metadata, namespace), decision }
}

function scopeOf(policy: CompiledPolicy, name: string, labels: NamespaceLabels): NamespaceScope {
  return { name, labels: policy.needsNamespaceLabels ? labels.labelsOf(name) : undefined }
}

/** All three signs: an annotation alone is anyone's to write. */
function isMirrorPod(request: AdmissionRequest, metadata: ObjectMetadata): boolean {
  return (
    request.kind === 'Pod' &&
    request.operation === 'CREATE' &&
    metadata.hasMirrorAnnotation &&
    metadata.hasNodeOwner &&
    request.user.groups.includes(NODES_GROUP)
  )
}

function subjectOf(request: AdmissionRequest, metadata: ObjectMetadata, namespace: NamespaceScope): DecisionSubject {
  // Kubernetes 1.20 gives the generated name with the review: to name a pod that will never exist would make each retry
  // of a controller another message, and so another event.
  const isGenerated = request.operation === 'CREATE' && metadata.generateName !== ''
  const name = request.name || metadata.name
  return {
    kind: request.kind === EPHEMERAL_CONTAINERS ? 'Pod' : request.kind,
    namespace,
    name: isGenerated ? `${metadata.generateName}*` : name,
  }
}
