/** From a Pod, as the API server has it, to what the correlator keeps of it: a hundredth of the object. */

import type {
  FieldWriter,
  KnownContainer,
  KnownContainerStatus,
  KnownPod,
  KnownVolumeImage,
} from '../correlator/inventory.js'
import {
  countOf,
  type Decoded,
  decodeMetadata,
  type FieldWrite,
  isRecord,
  type JsonObject,
  listOf,
  type Metadata,
  recordOf,
  textOf,
  timeOf,
} from './kubernetes-metadata.js'

const LISTS = [
  ['containers', 'containerStatuses'],
  ['initContainers', 'initContainerStatuses'],
  ['ephemeralContainers', 'ephemeralContainerStatuses'],
] as const
const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror'
const SOURCE_ANNOTATION = 'kubernetes.io/config.source'
/** Of a Deployment's pods: the last part of their ReplicaSet's name. */
const TEMPLATE_HASH_LABEL = 'pod-template-hash'
const ID_SCHEME = /^[a-z][a-z0-9+.-]*:\/\//
/** A list item's key in `FieldsV1`. */
const ITEM_KEY = /^k:(\{.*\})$/s

/** Never throws. @param seenAt milliseconds since the epoch. */
export function decodePod(object: unknown, seenAt: number): Decoded<KnownPod> {
  if (!isRecord(object)) return { ok: false, problem: 'it is no object' }
  const decoded = decodeMetadata(object)
  if (!decoded.ok) return decoded
  const metadata = decoded.value
  const { namespace, name, uid, createdAt, labels, controller } = metadata
  if (uid === undefined || namespace === '') return { ok: false, problem: 'it has no metadata.uid or namespace' }
  const spec = recordOf(object['spec'])
  if (!Array.isArray(spec['containers'])) return { ok: false, problem: 'its spec.containers is no list' }
  const value = {
    namespace,
    name,
    uid,
    nodeName: textOf(spec['nodeName']),
    createdAt,
    deletedAt: undefined,
    labels,
    mirror: mirrorOf(metadata),
    controller,
    topOwner: topOwnerOf(metadata),
    containers: containersOf(spec, recordOf(object['status']), metadata.writes),
    volumeImages: listOf(spec['volumes']).flatMap(volumeImageOf),
    seenAt,
  }
  return { ok: true, value }
}

/** Without `containerd://` and the like. */
export function bareContainerId(id: string): string {
  return id.replace(ID_SCHEME, '')
}

function mirrorOf({ annotations, hasNodeOwner }: Metadata): KnownPod['mirror'] {
  if (!hasNodeOwner || !Object.hasOwn(annotations, MIRROR_ANNOTATION)) return undefined
  return { source: textOf(annotations[SOURCE_ANNOTATION]) }
}

function topOwnerOf({ controller, labels }: Metadata): KnownPod['topOwner'] {
  if (controller === undefined) return undefined
  const { kind, name } = controller
  const suffix = `-${labels[TEMPLATE_HASH_LABEL] ?? ''}`
  if (kind === 'ReplicaSet' && suffix !== '-' && name.length > suffix.length && name.endsWith(suffix)) {
    return { kind: 'Deployment', name: name.slice(0, -suffix.length) }
  }
  return { kind, name }
}

function containersOf(spec: JsonObject, status: JsonObject, writes: readonly FieldWrite[]): readonly KnownContainer[] {
  return LISTS.flatMap(([list, statusList]) => {
    const containers = listOf(spec[list])
    if (containers.length === 0) return []
    const writers = imageWriters(writes, list)
    const statuses = new Map(listOf(status[statusList]).map(each => [nameOf(recordOf(each)), recordOf(each)]))
    return containers.map(recordOf).map(container => {
      const name = nameOf(container)
      const image = textOf(container['image']) ?? ''
      return { list, name, image, imageWriter: writers.get(name), status: statusOf(statuses.get(name)) }
    })
  })
}

function nameOf(container: JsonObject): string {
  return textOf(container['name']) ?? ''
}

function statusOf(status: JsonObject | undefined): KnownContainerStatus | undefined {
  if (status === undefined) return undefined
  const state = recordOf(status['state'])
  const last = recordOf(recordOf(status['lastState'])['terminated'])
  const running = recordOf(state['running'])
  const terminated = recordOf(state['terminated'])
  // While a container waits for its next start, the one before it is all that there is.
  const id = textOf(status['containerID']) ?? textOf(last['containerID'])
  return {
    image: textOf(status['image']),
    imageId: textOf(status['imageID']),
    containerId: id === undefined ? undefined : bareContainerId(id),
    startedAt: timeOf(running['startedAt'] ?? terminated['startedAt'] ?? last['startedAt']),
    restartCount: countOf(status['restartCount']) ?? 0,
  }
}

/** By the container's name: the latest entry of `managedFields` that owns its image. */
function imageWriters(writes: readonly FieldWrite[], list: string): ReadonlyMap<string, FieldWriter> {
  const writers = new Map<string, FieldWriter>()
  for (const { writer, fields } of writes) {
    const items = recordOf(recordOf(fields['f:spec'])[`f:${list}`])
    for (const [key, item] of Object.entries(items)) {
      const name = nameInKey(key)
      if (name === undefined || !Object.hasOwn(recordOf(item), 'f:image')) continue
      const former = writers.get(name)
      if (former === undefined || writer.at >= former.at) writers.set(name, writer)
    }
  }
  return writers
}

function nameInKey(key: string): string | undefined {
  const json = ITEM_KEY.exec(key)?.[1]
  if (json === undefined) return undefined
  try {
    return textOf(recordOf(JSON.parse(json))['name'])
  } catch {
    return undefined
  }
}

function volumeImageOf(volume: unknown): readonly KnownVolumeImage[] {
  const record = recordOf(volume)
  if (!isRecord(record['image'])) return []
  return [{ name: nameOf(record), image: textOf(record['image']['reference']) ?? '' }]
}
