/** A cluster with objects that are older than the webhook, and the webhook in front of it. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ApiServer, KubectlResult } from './api-server.js'
import { BAD_IMAGE, deployment, list, pod } from './objects.js'
import { freePort } from './process-group.js'
import type { WebhookFiles } from './webhook-process.js'
import { registerWebhook, startWebhookProcess, untilGuarded, writeWebhookFiles } from './webhook-process.js'

const POLICY = {
  mode: 'enforce',
  allow: ['registry.corp.example/*', 'registry.k8s.io/*'],
  mirrors: [{ from: 'docker.io/*', to: 'registry.corp.example/hub' }],
  namespaces: [
    { names: ['warn-*'], mode: 'warn' },
    { names: ['audit-*'], mode: 'audit' },
  ],
  help: 'https://wiki.corp.example/images',
}
/** Of three images that are not allowed, with no replica yet. Long, as the start of a pod's name is in life. */
export const OLD_DEPLOYMENT = 'older-than-the-webhook'

export interface GuardedCluster {
  readonly files: WebhookFiles
  /** As `dev`. */
  create(namespace: string, object: object, ...flags: readonly string[]): Promise<KubectlResult>
  get(namespace: string, kind: string, name: string): Promise<StoredObject>
}

export interface StoredObject {
  readonly metadata: { readonly uid: string; readonly name: string; readonly labels?: Readonly<Record<string, string>> }
  readonly spec: { readonly containers: readonly { readonly image: string }[] }
}

/**
 * Namespaces team-a (enforce), warn-a and audit-a; in team-a the pods `old` and `held` (by a finalizer) with a bad image
 * and OLD_DEPLOYMENT; then the webhook, registered under `Fail`. `dev` may do everything that RBAC can allow.
 */
export async function guard(server: ApiServer): Promise<GuardedCluster> {
  const must = async (args: readonly string[], stdin?: object) => {
    const { status, stderr } = await server.kubectl(args, { stdin })
    if (status !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`)
  }
  const namespaces = ['team-a', 'warn-a', 'audit-a'].map(name => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name },
  }))
  await must(['create', '-f', '-'], list(...namespaces))
  const users = ['--user=dev', '--user=system:node:node-1']
  await must(['create', 'clusterrolebinding', 'e2e', '--clusterrole=cluster-admin', ...users])
  const long = (name: string) => `docker.io/acme-${'long-'.repeat(10)}names/${name}:2026.11.22`
  await must(
    ['-n', 'team-a', 'create', '-f', '-'],
    list(
      pod({ name: 'old' }, BAD_IMAGE),
      pod({ name: 'held', finalizers: ['sallyport.dev/e2e'] }, BAD_IMAGE),
      deployment({ name: OLD_DEPLOYMENT }, 0, long('a'), long('b'), long('c')),
    ),
  )
  const files = await writeWebhookFiles(server.processes, POLICY)
  const port = await freePort()
  await startWebhookProcess(server.processes, files, port)
  const ca = readFileSync(join(files.certificates, 'ca.crt'), 'utf8')
  await registerWebhook(server, { port, ca, failurePolicy: 'Fail' })
  await untilGuarded(server, 'team-a', BAD_IMAGE)
  return {
    files,
    create: (namespace, object, ...flags) =>
      server.kubectl(['-n', namespace, 'create', '-f', '-', ...flags], { stdin: object, as: 'dev' }),
    get: async (namespace, kind, name) =>
      JSON.parse((await server.kubectl(['-n', namespace, 'get', kind, name, '-o', 'json'])).stdout),
  }
}
