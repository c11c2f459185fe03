/** From a Kubernetes object to the images that it would run. Never throws: objects are the requester's. */

/** The four places of a pod spec that name an image. */
export type ImageList = 'containers' | 'initContainers' | 'ephemeralContainers' | 'volumes'

/** One image as an object writes it. */
export interface WorkloadImage {
  readonly list: ImageList
  /** The container's or volume's name; empty when it has none. */
  readonly name: string
  /** Where it stands: `spec.template.spec.containers[0].image`. */
  readonly field: string
  /** The string as written; empty when the field is missing. */
  readonly written: string
}

/** The images that an object would run, in the order in which it lists them. */
export interface Workload {
  /** `Pod`, `Deployment`, … as the object says. */
  readonly kind: string
  /** False for a Pod: there, a blank image is an error and no placeholder. */
  readonly isTemplate: boolean
  readonly images: readonly WorkloadImage[]
}

export type ParsedWorkload =
  | { readonly status: 'workload'; readonly workload: Workload }
  /** A kind that Sallyport was never meant to see: admitted and counted. */
  | { readonly status: 'other-kind'; readonly kind: string }
  /** It should hold a pod spec and does not, or its spec has the wrong shape: denied in enforce mode. */
  | { readonly status: 'unreadable'; readonly kind: string; readonly problem: string }

/** Where each kind keeps its pod spec. */
const POD_SPEC_PATHS: ReadonlyMap<string, readonly string[]> = new Map([
  ['Pod', ['spec']],
  ['ReplicationController', ['spec', 'template', 'spec']],
  ['ReplicaSet', ['spec', 'template', 'spec']],
  ['Deployment', ['spec', 'template', 'spec']],
  ['StatefulSet', ['spec', 'template', 'spec']],
  ['DaemonSet', ['spec', 'template', 'spec']],
  ['Job', ['spec', 'template', 'spec']],
  ['CronJob', ['spec', 'jobTemplate', 'spec', 'template', 'spec']],
  ['PodTemplate', ['template', 'spec']],
])
/** The subresource's own kind on Kubernetes 1.20 and 1.21: the list stands at the top, and there is no spec. */
const EPHEMERAL_CONTAINERS = 'EphemeralContainers'
const CONTAINER_LISTS = ['containers', 'initContainers', 'ephemeralContainers'] as const

/** The kinds that are judged; docs and the webhook configuration name the same. */
export const WORKLOAD_KINDS: readonly string[] = [...POD_SPEC_PATHS.keys(), EPHEMERAL_CONTAINERS]

/** @param kind from the request, or from the object itself when there is no request. */
export function parseWorkload(object: unknown, kind: string): ParsedWorkload {
  if (kind === EPHEMERAL_CONTAINERS) return parseEphemeralContainers(object)
  const path = POD_SPEC_PATHS.get(kind)
  if (path === undefined) return { status: 'other-kind', kind }
  let value: unknown = object
  for (const [depth, key] of path.entries()) {
    if (!isRecord(value)) return unreadable(kind, `${fieldName(path.slice(0, depth))} is no object`)
    value = Object.hasOwn(value, key) ? value[key] : undefined
  }
  if (!isRecord(value)) return unreadable(kind, `${fieldName(path)} is no object`)
  return parsePodSpec(value, kind, path.join('.'))
}

function parsePodSpec(spec: Readonly<Record<string, unknown>>, kind: string, at: string): ParsedWorkload {
  if (!Array.isArray(spec['containers'])) return unreadable(kind, `${at}.containers is no list`)
  const images: WorkloadImage[] = []
  for (const list of CONTAINER_LISTS) {
    const problem = readContainers(spec[list], list, `${at}.${list}`, images)
    if (problem !== undefined) return unreadable(kind, problem)
  }
  const problem = readVolumes(spec['volumes'], `${at}.volumes`, images)
  return problem === undefined ? workload(kind, images) : unreadable(kind, problem)
}

function parseEphemeralContainers(object: unknown): ParsedWorkload {
  const list = isRecord(object) ? object['ephemeralContainers'] : undefined
  const images: WorkloadImage[] = []
  const problem = isRecord(object)
    ? readContainers(list, 'ephemeralContainers', 'ephemeralContainers', images)
    : 'the object is no object'
  return problem === undefined ? workload(EPHEMERAL_CONTAINERS, images) : unreadable(EPHEMERAL_CONTAINERS, problem)
}

/** Adds the list's images; says what is wrong with its shape. A missing list is an empty one. */
function readContainers(value: unknown, list: ImageList, at: string, images: WorkloadImage[]): string | undefined {
  if (value === undefined || value === null) return undefined
  if (!Array.isArray(value)) return `${at} is no list`
  for (const [index, container] of value.entries()) {
    const field = `${at}[${index}]`
    if (!isRecord(container)) return `${field} is no object`
    const problem = addImage(container['image'], { list, name: nameOf(container), field: `${field}.image` }, images)
    if (problem !== undefined) return problem
  }
  return undefined
}

function readVolumes(value: unknown, at: string, images: WorkloadImage[]): string | undefined {
  if (value === undefined || value === null) return undefined
  if (!Array.isArray(value)) return `${at} is no list`
  for (const [index, volume] of value.entries()) {
    const field = `${at}[${index}]`
    if (!isRecord(volume)) return `${field} is no object`
    const source = volume['image']
    if (source === undefined || source === null) continue
    if (!isRecord(source)) return `${field}.image is no object`
    const place = { list: 'volumes', name: nameOf(volume), field: `${field}.image.reference` } as const
    const problem = addImage(source['reference'], place, images)
    if (problem !== undefined) return problem
  }
  return undefined
}

function addImage(value: unknown, place: Omit<WorkloadImage, 'written'>, images: WorkloadImage[]): string | undefined {
  if (value !== undefined && value !== null && typeof value !== 'string') return `${place.field} is no text`
  const { list, name, field } = place
  images.push({ list, name, field, written: value ?? '' })
  return undefined
}

function nameOf(value: Readonly<Record<string, unknown>>): string {
  const name = value['name']
  return typeof name === 'string' ? name : ''
}

function workload(kind: string, images: readonly WorkloadImage[]): ParsedWorkload {
  const isTemplate = kind !== 'Pod' && kind !== EPHEMERAL_CONTAINERS
  return { status: 'workload', workload: { kind, isTemplate, images } }
}

function unreadable(kind: string, problem: string): ParsedWorkload {
  return { status: 'unreadable', kind, problem }
}

function fieldName(path: readonly string[]): string {
  return path.length === 0 ? 'the object' : path.join('.')
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
