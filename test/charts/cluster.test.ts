/** The chart on a real API server, with the real helm and the real controllers; only the node is played. */

import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { ApiServer } from '../e2e/api-server.js'
import { missingAssets, startApiServer } from '../e2e/api-server.js'
import { startLoad } from '../e2e/load.js'
import { BAD_IMAGE, GOOD_IMAGE, pod } from '../e2e/objects.js'
import { eventually } from '../e2e/process-group.js'
import { makeCertificates, WEBHOOK_NAME } from '../e2e/webhook-process.js'
import { CUSTOM_KINDS, customKind } from './custom-kinds.js'
import type { ChartObject, HelmResult } from './helm.js'
import { CHART, decodeObjects, helm, missingHelm, NAMESPACE, objectOf, RELEASE, render, valuesFiles } from './helm.js'
import { machineAddress, type PlayedNode, playNode } from './node.js'

const SERVICE = `${RELEASE}-webhook.${NAMESPACE}.svc`
const LEFT_OUT = ['kube-system', 'kube-public', 'kube-node-lease', NAMESPACE]
const POLICY = `
apiVersion: sallyport.dev/v1
kind: ImagePolicy
metadata: { name: chart }
spec: { mode: enforce, allow: [registry.corp.example/*] }
`
const FORBIDDEN = 403
const CREATED = 201

const ip = machineAddress()
const missing = missingAssets() ?? missingHelm() ?? (ip === undefined ? 'this machine has only loopback' : undefined)
t.test('the chart on a real API server', { skip: missing ?? false }, async t => {
  const server = await startApiServer()
  t.teardown(() => server.stop())
  const kubeVersion = `1.${server.minor}.0`
  /** Before 1.21 an API server does not label namespaces with their names, and knows no CEL: what an operator does then. */
  const forServer = (values: object = {}) =>
    server.minor >= 21 ? values : merge({ webhook: { namespaceNamesLabelled: true, matchConditions: [] } }, values)
  const create = (namespace: string, name: string, image: string, query = '') =>
    server.request('POST', `/api/v1/namespaces/${namespace}/pods${query}`, pod({ name }, image))
  const runHelm = (...args: readonly string[]) => helm([...args, '-n', NAMESPACE], { KUBECONFIG: server.kubeconfig })

  await must(server.kubectl(['create', 'namespace', NAMESPACE]))
  await must(server.kubectl(['create', 'namespace', 'team-a']))
  for (const name of LEFT_OUT) {
    await eventually(`namespace ${name}`, async () => (await getNamespace(server, name)) || undefined)
    await must(server.kubectl(['label', 'namespace', name, '--overwrite', `kubernetes.io/metadata.name=${name}`]))
  }
  await must(server.kubectl(['apply', '-f', '-'], { stdin: listOf(CUSTOM_KINDS.map(customKind)) }))
  await must(server.kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s']))

  await t.test('takes every object of every values file, and drops no field of it', async t => {
    for (const file of valuesFiles()) {
      for (const object of await render({ files: [file], values: forServer(), kubeVersion })) {
        const apply = ['apply', '--server-side', '--dry-run=server', '-o', 'json', '-f', '-']
        const { status, stdout, stderr } = await server.kubectl(apply, { stdin: object })
        t.equal(status, 0, `${file}: ${object.kind}: ${stderr}`)
        if (status === 0)
          t.strictSame(droppedFields(object, JSON.parse(stdout), object.kind), [], `${file}: ${object.kind}`)
      }
    }
  })

  await t.test('the service accounts may do what they need, and nothing else', async t => {
    const may = async (account: string, verb: string, what: string, namespace: string) => {
      const as = `--as=system:serviceaccount:${NAMESPACE}:${RELEASE}-${account}`
      const [resource = '', subresource] = what.split('//')
      const of = subresource === undefined ? [resource] : [resource, `--subresource=${subresource}`]
      const { stdout } = await server.kubectl(['auth', 'can-i', as, verb, ...of, '-n', namespace])
      return stdout.trim() === 'yes'
    }
    const all = await render({ values: forServer({ image: BASE.image }), kubeVersion })
    const rights = all.filter(({ kind }) => /^(?:Cluster)?Role(?:Binding)?$|^ServiceAccount$/.test(kind))
    await must(server.kubectl(['apply', '-f', '-'], { stdin: listOf(rights) }))
    for (const [account, verb, what, namespace, expected] of RIGHTS) {
      t.equal(await may(account, verb, what, namespace), expected, `${account} ${verb} ${what} in ${namespace}`)
    }
    await must(server.kubectl(['delete', '-f', '-'], { stdin: listOf(rights) }))
  })

  // As with cert-manager, which this test plays: a Secret and caBundle from elsewhere.
  const certificates = await makeCertificates(server.processes, 'chart', ['--dns', SERVICE, '--ip', ip ?? ''])
  const data = Object.fromEntries(Object.entries(certificates).map(([key, text]) => [key, base64(text)]))
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'sallyport-webhook-tls' }, data }
  const valuesFile = join(server.processes.folder, 'values.json')
  const setValues = (values: object) => writeFileSync(valuesFile, JSON.stringify(forServer(merge(BASE, values))))
  const upgrade = (...args: readonly string[]) =>
    runHelm('upgrade', '--install', RELEASE, CHART, '-f', valuesFile, '--wait', '--timeout', '120s', ...args)
  const inject = () => {
    const patch = [
      { op: 'add', path: '/webhooks/0/clientConfig/caBundle', value: base64(certificates['ca.crt'] ?? '') },
    ]
    const args = ['patch', 'validatingwebhookconfiguration', RELEASE, '--type=json', '-p', JSON.stringify(patch)]
    return must(server.kubectl(args))
  }
  const untilGuarded = () =>
    eventually('the webhook to be asked', async () => {
      const answer = await create('team-a', 'probe', BAD_IMAGE, '?dryRun=All')
      return answer.status === FORBIDDEN || undefined
    })
  let node: PlayedNode | undefined
  t.teardown(() => node?.stop())

  await t.test('installs; until the certificate is trusted everything is admitted, then judged', async t => {
    await must(server.kubectl(['-n', NAMESPACE, 'create', '-f', '-'], { stdin: secret }))
    node = await playNode(server, NAMESPACE, ip ?? '')
    setValues({})
    const installed = await upgrade()
    t.equal(installed.status, 0, installed.stderr)
    t.match(installed.stdout, 'kubectl delete validatingwebhookconfiguration sallyport')
    t.equal((await create('team-a', 'early', BAD_IMAGE)).status, CREATED)
    await inject()
    await untilGuarded()
    t.equal((await create('team-a', 'good', GOOD_IMAGE)).status, CREATED)
    const { endpoints } = await readReplicas(server)
    t.equal(endpoints, 1, 'of one address; three replicas share it here')
  })

  await t.test('leaves the control plane and its own namespace alone; any other is judged', async t => {
    for (const name of LEFT_OUT) t.equal((await create(name, 'left-out', BAD_IMAGE)).status, CREATED, name)
    t.equal((await create('default', 'judged', BAD_IMAGE)).status, FORBIDDEN)
    const log = () => node?.log('webhook') ?? ''
    await eventually('the record', () => log().includes('"namespace":"default"') || undefined, { evidence: log })
    for (const name of LEFT_OUT) t.notMatch(log(), `"namespace":"${name}"`, 'it was not asked')
  })

  await t.test('what `helm test` runs finds it ready', async t => {
    const [container] = objectOf(await renderInstalled(server), 'Pod')['spec'].containers
    const caFile = join(server.processes.folder, 'webhook-ca.crt')
    writeFileSync(caFile, certificates['ca.crt'] ?? '')
    const [, ...flags]: string[] = container.command
    const run = (env: Record<string, string>) =>
      spawnSync(process.execPath, [...flags, ...container.args], { env, encoding: 'utf8' })
    const ports = { OPS_URL: `http://${ip}:18080`, REVIEW_URL: `https://${ip}:18443/validate` }
    t.match(run({ ...ports, CA_FILE: caFile }), { status: 0, stdout: 'policy="chart"' })
    t.match(run({ ...ports, CA_FILE: '/dev/null' }), { status: 1 }, 'and can fail')
    t.match(run({ ...ports, OPS_URL: 'http://127.0.0.1:1', CA_FILE: caFile }), { status: 1 })
  })

  await t.test('an upgrade and a rollback lose no review under Fail, and keep caBundle', async t => {
    const change = async (what: string, run: () => Promise<HelmResult>) => {
      const load = startLoad(server, 'team-a', BAD_IMAGE)
      const done = await run()
      t.equal(done.status, 0, `${what}: ${done.stderr}`)
      await load.stop()
      t.ok(load.answers.length > 20, what)
      t.strictSame([...new Set(load.answers.map(({ status }) => status))], [FORBIDDEN], what)
    }
    setValues({ webhook: { failurePolicy: 'Fail' } })
    await must(upgrade())
    await eventually('Fail', async () => (await configuration(server)).failurePolicy === 'Fail' || undefined)
    // Other ports, because two generations of pods share one address here.
    setValues({ webhook: { failurePolicy: 'Fail', port: 19443, opsPort: 19080 } })
    await change('upgrade', () => upgrade())
    t.equal((await readReplicas(server)).port, 19443)
    await change('rollback', () => runHelm('rollback', RELEASE, '--wait', '--timeout', '120s'))
    t.equal((await readReplicas(server)).port, 18443)
    const { clientConfig } = await configuration(server)
    t.equal(clientConfig.caBundle, base64(certificates['ca.crt'] ?? ''))
  })

  await t.test('the glass is broken with one command, and mended with one', async t => {
    await must(server.kubectl(['delete', 'validatingwebhookconfiguration', RELEASE]))
    await eventually('nobody to be asked', async () => {
      const { status } = await create('team-a', 'probe', BAD_IMAGE, '?dryRun=All')
      return status === CREATED || undefined
    })
    await must(runHelm('upgrade', RELEASE, CHART, '--reuse-values', '--wait', '--timeout', '120s'))
    await inject()
    t.ok(await untilGuarded())
  })

  await t.test('an uninstall under Fail refuses nobody by error, and leaves nothing', async t => {
    const load = startLoad(server, 'team-a', BAD_IMAGE)
    await must(runHelm('uninstall', RELEASE, '--wait', '--timeout', '120s'))
    await load.stop()
    const statuses = [...new Set(load.answers.map(({ status }) => status))].sort()
    t.strictSame(statuses, [CREATED, FORBIDDEN], 'judged, then admitted; never an error of the webhook')
    const kinds =
      'deployments,daemonsets,services,configmaps,secrets,serviceaccounts,roles,rolebindings,poddisruptionbudgets'
    const label = ['-l', `app.kubernetes.io/instance=${RELEASE}`, '-o', 'name']
    t.equal((await server.kubectl(['-n', NAMESPACE, 'get', kinds, ...label])).stdout, '')
    const wide = 'clusterroles,clusterrolebindings,validatingwebhookconfigurations'
    t.equal((await server.kubectl(['get', wide, ...label])).stdout, '')
  })
})

const BASE = {
  image: { repository: 'registry.corp.example/sallyport' },
  policy: { documents: { 'policy.yaml': POLICY } },
  tls: { mode: 'cert-manager' },
  webhook: { port: 18443, opsPort: 18080, shutdownDelaySeconds: 2, shutdownTimeoutSeconds: 5 },
  correlator: { enabled: false },
}

const WEBHOOKS = 'validatingwebhookconfigurations.admissionregistration.k8s.io'
const MINE = `${WEBHOOKS}/${RELEASE}`
/** Account, verb, resource (a subresource after `//`), namespace, whether it may. With tls.mode self-signed and the inventory on. */
const RIGHTS: readonly (readonly [string, string, string, string, boolean])[] = [
  ...['list', 'watch'].map(verb => ['webhook', verb, 'namespaces', 'default', true] as const),
  ...['get', 'watch', 'patch'].map(verb => ['webhook', verb, MINE, 'default', true] as const),
  ...['get', 'watch', 'patch'].map(
    verb => ['webhook', verb, 'secrets/sallyport-webhook-tls', NAMESPACE, true] as const,
  ),
  ...['delete', 'create', 'update'].map(verb => ['webhook', verb, MINE, 'default', false] as const),
  ...['get', 'patch'].map(verb => ['webhook', verb, `${WEBHOOKS}/other`, 'default', false] as const),
  ...['list', 'create', 'delete'].map(verb => ['webhook', verb, WEBHOOKS, 'default', false] as const),
  ...['get', 'update', 'delete'].map(verb => ['webhook', verb, 'secrets/other', NAMESPACE, false] as const),
  ...['list', 'create'].map(verb => ['webhook', verb, 'secrets', NAMESPACE, false] as const),
  ['webhook', 'delete', 'secrets/sallyport-webhook-tls', NAMESPACE, false],
  ['webhook', 'update', 'secrets/sallyport-webhook-tls', NAMESPACE, false],
  ['webhook', 'get', 'secrets/sallyport-webhook-tls', 'team-a', false],
  ...['pods', 'configmaps', 'nodes'].map(what => ['webhook', 'get', what, NAMESPACE, false] as const),
  ['webhook', 'create', 'pods', NAMESPACE, false],
  ['webhook', 'patch', 'namespaces', 'default', false],
  ...['get', 'list', 'watch'].flatMap(verb =>
    ['pods', 'namespaces', WEBHOOKS].map(what => ['correlator', verb, what, 'team-a', true] as const),
  ),
  ...['create', 'update', 'patch', 'delete'].flatMap(verb =>
    ['pods', 'namespaces', WEBHOOKS].map(what => ['correlator', verb, what, NAMESPACE, false] as const),
  ),
  ...['secrets', 'configmaps', 'nodes', 'pods//exec', 'pods//log'].map(
    what => ['correlator', 'get', what, NAMESPACE, false] as const,
  ),
]

async function must<T extends { readonly status: number | null; readonly stderr: string }>(
  run: Promise<T>,
): Promise<T> {
  const result = await run
  if (result.status !== 0) throw new Error(result.stderr)
  return result
}

async function getNamespace(server: ApiServer, name: string): Promise<boolean> {
  return (await server.request('GET', `/api/v1/namespaces/${name}`)).status === 200
}

async function configuration(server: ApiServer) {
  const { stdout } = await server.kubectl(['get', 'validatingwebhookconfiguration', RELEASE, '-o', 'json'])
  const { webhooks } = JSON.parse(stdout)
  if (webhooks[0].name !== WEBHOOK_NAME) throw new Error(`it is called ${webhooks[0].name}`)
  return webhooks[0]
}

async function readReplicas(server: ApiServer): Promise<{ readonly endpoints: number; readonly port: number }> {
  const { stdout } = await server.kubectl(['-n', NAMESPACE, 'get', 'endpoints', `${RELEASE}-webhook`, '-o', 'json'])
  const [subset] = JSON.parse(stdout).subsets ?? []
  const https = subset?.ports.find((port: { readonly name: string }) => port.name === 'https')
  return { endpoints: new Set(subset?.addresses?.map((one: { ip: string }) => one.ip)).size, port: https?.port }
}

/** The release's objects with its hooks, as Helm keeps them. */
async function renderInstalled(server: ApiServer): Promise<readonly ChartObject[]> {
  const get = (what: string) => helm(['get', what, RELEASE, '-n', NAMESPACE], { KUBECONFIG: server.kubeconfig })
  return decodeObjects(`${(await get('manifest')).stdout}\n${(await get('hooks')).stdout}`)
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

function listOf(items: readonly object[]): object {
  return { apiVersion: 'v1', kind: 'List', items }
}

function merge(base: object, over: object): object {
  const entries = Object.entries(over).map(([key, value]) => {
    const former: unknown = Reflect.get(base, key)
    return [key, isRecord(value) && isRecord(former) ? merge(former, value) : value]
  })
  return { ...base, ...Object.fromEntries(entries) }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The paths of what was sent and is not in what the server would store. */
function droppedFields(sent: unknown, stored: unknown, path: string): readonly string[] {
  if (Array.isArray(sent)) {
    return sent.flatMap((item, index) =>
      droppedFields(item, Array.isArray(stored) ? stored[index] : undefined, `${path}[${index}]`),
    )
  }
  if (isRecord(sent)) {
    // An empty object may be stored as none.
    return Object.entries(sent).flatMap(([key, value]) =>
      droppedFields(value, isRecord(stored) ? stored[key] : undefined, `${path}.${key}`),
    )
  }
  return String(sent) === String(stored) ? [] : [`${path}: ${sent} is ${stored}`]
}
