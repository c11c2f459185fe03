/** Labels of namespaces as a real API server gives them. */

import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { watchNamespaceLabels } from '../../src/adapters/kubernetes-namespaces.js'
import { missingAssets, startApiServer } from './api-server.js'
import { kubeconfigOf } from './cluster-files.js'

const PATH = '/api/v1/namespaces'

async function until(t: Test, what: string, isSo: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000
  while (!isSo() && Date.now() < deadline) await sleep(10)
  t.ok(isSo(), what)
}

t.test('namespace labels are followed on a real API server', { skip: missingAssets() ?? false }, async t => {
  const server = await startApiServer({ controllers: false })
  t.teardown(() => server.stop())
  const warnings: object[] = []
  const log = { info: () => undefined, warn: (fields: object) => void warnings.push(fields) }
  const backoff = { minMs: 50, maxMs: 200 }
  const watch = await watchNamespaceLabels({ kubeconfig: server.kubeconfig, log, backoff })
  t.teardown(() => watch.close())
  await watch.whenSynced()
  await until(t, 'kube-system is made at the start', () => watch.labelsOf('kube-system') !== undefined)
  t.equal(watch.labelsOf('team-a'), undefined)

  const metadata = { name: 'team-a', labels: { env: 'prod' } }
  t.equal((await server.request('POST', PATH, { apiVersion: 'v1', kind: 'Namespace', metadata })).status, 201)
  await until(t, 'created', () => watch.labelsOf('team-a')?.['env'] === 'prod')
  const labels = watch.labelsOf('team-a')
  t.equal((await server.kubectl(['annotate', 'namespace', 'team-a', 'note=x'])).status, 0)
  t.equal((await server.kubectl(['create', 'namespace', 'after-it'])).status, 0)
  await until(t, 'a later change was seen', () => watch.labelsOf('after-it') !== undefined)
  t.equal(watch.labelsOf('team-a'), labels, 'an annotation is no change')
  t.equal((await server.kubectl(['label', 'namespace', 'team-a', 'env-', 'tier=1'])).status, 0)
  await until(t, 'changed', () => watch.labelsOf('team-a')?.['tier'] === '1')
  t.notOk('env' in (watch.labelsOf('team-a') ?? {}))

  t.equal((await server.request('DELETE', `${PATH}/team-a`)).status, 200)
  // What the controller manager would do once the namespace is empty.
  const finalized = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team-a' }, spec: { finalizers: [] } }
  t.equal((await server.request('PUT', `${PATH}/team-a/finalize`, finalized)).status, 200)
  await until(t, 'gone', () => watch.labelsOf('team-a') === undefined)
  t.strictSame(warnings, [])

  const kubeconfig = kubeconfigOf(server.processes.folder, 'dev')
  const refused = await watchNamespaceLabels({ kubeconfig, log, backoff })
  await until(t, 'without the right to list, nothing is known and the log says why', () => warnings.length > 0)
  t.match(JSON.stringify(warnings), /403.*ClusterRole/)
  t.notOk(refused.isSynced())
  await refused.close()
})
