/** The few facts of an object's metadata that a decision record keeps, read tolerantly from foreign JSON. */

const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror'

export interface OwnerReference {
  readonly kind: string
  readonly name: string
  readonly uid: string
}

/** What is missing or of the wrong type is empty; nothing here changes a verdict, except for mirror pods. */
export interface ObjectMetadata {
  /** Final on Pod CREATE: the stored pod will have the same one. Empty when unknown. */
  readonly uid: string
  readonly name: string
  readonly generateName: string
  /** The owner with `controller: true`. */
  readonly controller: OwnerReference | undefined
  readonly hasMirrorAnnotation: boolean
  readonly hasNodeOwner: boolean
}

/** Never throws. */
export function readObjectMetadata(object: unknown): ObjectMetadata {
  const metadata = member(object, 'metadata')
  const owners = member(metadata, 'ownerReferences')
  const ownerList: readonly unknown[] = Array.isArray(owners) ? owners : []
  const controller = ownerList.find(owner => member(owner, 'controller') === true)
  return {
    uid: text(metadata, 'uid'),
    name: text(metadata, 'name'),
    generateName: text(metadata, 'generateName'),
    controller:
      controller === undefined
        ? undefined
        : { kind: text(controller, 'kind'), name: text(controller, 'name'), uid: text(controller, 'uid') },
    hasMirrorAnnotation: typeof member(member(metadata, 'annotations'), MIRROR_ANNOTATION) === 'string',
    hasNodeOwner: ownerList.some(owner => text(owner, 'kind') === 'Node' && text(owner, 'apiVersion') === 'v1'),
  }
}

function member(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined
}

function text(value: unknown, key: string): string {
  const found = member(value, key)
  return typeof found === 'string' ? found : ''
}
