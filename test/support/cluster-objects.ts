/** Pods, namespaces and webhook configurations as an API server sends them: whole ones, of which a test changes what it is about. */

import type { FakeObject } from './fake-api-server.js'

export const CREATED = '2026-11-21T23:20:00Z'
export const CONTAINER_ID = 'c'.repeat(64)
export const DIGEST = `sha256:${'a'.repeat(64)}`

export interface PodChanges {
  readonly namespace?: string
  readonly name?: string
  readonly uid?: string
  readonly node?: string
  readonly metadata?: object
  readonly spec?: object
  readonly status?: object
}

/** `app` of team-a/web-1 runs registry.corp.example/web:1.4, under an alias of it. */
export function podObject({
  namespace = 'team-a',
  name = 'web-1',
  uid = 'uid-1',
  node = 'node-1',
  metadata = {},
  spec = {},
  status = {},
}: PodChanges = {}): FakeObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, uid, creationTimestamp: CREATED, labels: { app: 'web' }, ...metadata },
    spec: { nodeName: node, containers: [{ name: 'app', image: 'registry.corp.example/web:1.4' }], ...spec },
    status: {
      phase: 'Running',
      containerStatuses: [
        {
          name: 'app',
          image: 'docker.io/library/alias:1',
          imageID: `docker.io/library/alias@${DIGEST}`,
          containerID: `containerd://${CONTAINER_ID}`,
          restartCount: 2,
          state: { running: { startedAt: '2026-11-21T23:21:58Z' } },
        },
      ],
      ...status,
    },
  }
}

export function namespaceObject(name: string, labels: object = {}, metadata: object = {}): FakeObject {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels, creationTimestamp: CREATED, ...metadata } }
}

/** Registered as the chart does it, under the name that the chart gives. */
export function configurationObject(
  name = 'sallyport',
  webhook: object = {},
  metadata: object = { generation: 1 },
): FakeObject {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name, creationTimestamp: CREATED, ...metadata },
    webhooks: [
      {
        name: 'images.sallyport.dev',
        clientConfig: { service: { namespace: 'sallyport', name: 'sallyport', path: '/validate', port: 443 } },
        rules: [
          { apiGroups: [''], apiVersions: ['v1'], resources: ['pods'], operations: ['CREATE'], scope: 'Namespaced' },
        ],
        failurePolicy: 'Ignore',
        matchPolicy: 'Equivalent',
        namespaceSelector: {},
        objectSelector: {},
        timeoutSeconds: 3,
        ...webhook,
      },
    ],
  }
}
