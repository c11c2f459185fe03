/** Kubernetes objects for the end-to-end tests: as short as the API server takes them. */

export const GOOD_IMAGE = 'registry.corp.example/web:1.4'
/** On Docker Hub, which no policy here allows. */
export const BAD_IMAGE = 'nginx:1.27'

export interface ObjectMeta {
  readonly name?: string
  readonly generateName?: string
  readonly [key: string]: unknown
}

/** Containers c0, c1, … of the images. */
export function podSpec(...images: readonly string[]): object {
  return { containers: images.map((image, index) => ({ name: `c${index}`, image })) }
}

export function pod(metadata: ObjectMeta, ...images: readonly string[]): object {
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec: podSpec(...images) }
}

/** A pod that is on a node already, as the kubelet's mirror pods are from the start. */
export function boundPod(node: string, metadata: ObjectMeta, image: string): object {
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec: { ...podSpec(image), nodeName: node } }
}

export function deployment(metadata: ObjectMeta, replicas: number, ...images: readonly string[]): object {
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec: { replicas, ...selected(images) } }
}

/** One object of every kind that holds a pod template, each with the one image; by kind. */
export function templatedWorkloads(name: string, image: string): readonly object[] {
  const metadata = { name }
  const { selector, template } = selected([image])
  const once = { spec: { ...podSpec(image), restartPolicy: 'Never' } }
  return [
    { apiVersion: 'v1', kind: 'PodTemplate', metadata, template },
    { apiVersion: 'v1', kind: 'ReplicationController', metadata, spec: { replicas: 0, template } },
    { apiVersion: 'apps/v1', kind: 'ReplicaSet', metadata, spec: { replicas: 0, selector, template } },
    { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec: { replicas: 0, selector, template } },
    {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata,
      spec: { replicas: 0, serviceName: 'x', selector, template },
    },
    { apiVersion: 'apps/v1', kind: 'DaemonSet', metadata, spec: { selector, template } },
    { apiVersion: 'batch/v1', kind: 'Job', metadata, spec: { template: once } },
  ]
}

/** `batch/v1beta1` before 1.21, `batch/v1` from then on. */
export function cronJob(name: string, image: string, minor: number): object {
  const template = { spec: { ...podSpec(image), restartPolicy: 'Never' } }
  return {
    apiVersion: minor < 21 ? 'batch/v1beta1' : 'batch/v1',
    kind: 'CronJob',
    metadata: { name },
    spec: { schedule: '0 0 1 1 *', jobTemplate: { spec: { template } } },
  }
}

export function list(...items: readonly object[]): object {
  return { apiVersion: 'v1', kind: 'List', items }
}

function selected(images: readonly string[]): { readonly selector: object; readonly template: object } {
  const labels = { app: 'e2e' }
  return { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: podSpec(...images) } }
}
