import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { createCertificates } from '../../src/adapters/certificates.js'
import {
  type NamespaceWatch,
  type NamespaceWatchOptions,
  type NamespaceWatchState,
  watchNamespaceLabels,
} from '../../src/adapters/kubernetes-namespaces.js'
import { KnownError } from '../../src/errors.js'
import { FakeApiServer } from '../support/fake-api-server.js'
import { settledHeap } from '../support/settled-heap.js'

const BACKOFF = { minMs: 5, maxMs: 20 }
const NEVER = 600_000
/** More than a starved machine takes for what takes milliseconds. */
const LONG_MS = 10_000

const unhandled: unknown[] = []
process.on('unhandledRejection', error => unhandled.push(error))
const warnings: unknown[] = []
process.on('warning', warning => warnings.push(warning))

function kubeconfigText(server: string, cluster: object, user: object = { token: 'secret' }): string {
  // JSON is YAML.
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server, ...cluster } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  })
}

function writeKubeconfig(t: Test, text: string): string {
  const file = join(t.testdir(), 'kubeconfig')
  writeFileSync(file, text)
  return file
}

interface Lines {
  readonly lines: { readonly level: string; readonly fields: object; readonly sentence: string }[]
  readonly log: NamespaceWatchOptions['log']
}

function collectLog(): Lines {
  const lines: Lines['lines'] = []
  const at = (level: string) => (fields: object, sentence: string) => void lines.push({ level, fields, sentence })
  return { lines, log: { info: at('info'), warn: at('warn') } }
}

async function startFake(t: Test, ...namespaces: string[]): Promise<FakeApiServer> {
  const server = new FakeApiServer()
  for (const name of namespaces) server.apply(name, { 'kubernetes.io/metadata.name': name })
  await server.start()
  t.teardown(() => server.stop().catch(() => undefined))
  return server
}

async function watchFake(
  t: Test,
  server: FakeApiServer,
  options: Partial<Pick<NamespaceWatchOptions, 'log' | 'onState' | 'backoff' | 'timeouts'>> = {},
): Promise<NamespaceWatch> {
  const kubeconfig = writeKubeconfig(t, kubeconfigText(server.url, { 'insecure-skip-tls-verify': true }))
  const watch = await watchNamespaceLabels({ kubeconfig, log: collectLog().log, backoff: BACKOFF, ...options })
  t.teardown(() => watch.close())
  return watch
}

async function until(t: Test, what: string, isSo: () => boolean, timeoutMs = 60_000): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!isSo() && Date.now() < deadline) await sleep(2)
  t.ok(isSo(), what)
}

t.test('labels are known once all pages are listed, and follow what is added, changed and removed', async t => {
  const server = await startFake(t, ...Array.from({ length: 1_200 }, (_, index) => `ns-${index}`))
  const states: NamespaceWatchState[] = []
  const watch = await watchFake(t, server, { onState: state => states.push(state) })
  t.equal(watch.labelsOf('ns-0'), undefined, 'before the sync')
  t.notOk(watch.isSynced())
  await watch.whenSynced()
  t.ok(watch.isSynced())
  t.strictSame(server.requests.slice(0, 3), ['list', 'list page-500', 'list page-1000'])
  t.strictSame(watch.labelsOf('ns-1199'), { 'kubernetes.io/metadata.name': 'ns-1199' })
  t.equal(watch.labelsOf('other'), undefined)
  await until(t, 'the watch stands', () => server.openWatches === 1 && watch.state().isConnected)
  t.strictSame(states.at(-1), { isSynced: true, isConnected: true, namespaces: 1_200 })

  server.apply('bare')
  await until(
    t,
    'a namespace without labels has none, which is not unknown',
    () => watch.labelsOf('bare') !== undefined,
  )
  t.strictSame(watch.labelsOf('bare'), {})
  server.apply('bare', { env: 'prod', constructor: 'x' })
  await until(t, 'changed', () => watch.labelsOf('bare')?.['env'] === 'prod')
  t.strictSame(watch.labelsOf('bare'), { env: 'prod', constructor: 'x' })
  server.remove('bare')
  await until(t, 'removed', () => watch.labelsOf('bare') === undefined)
})

t.test('the same labels object is given until the labels change, over relists too', async t => {
  const server = await startFake(t, 'a')
  const watch = await watchFake(t, server)
  await watch.whenSynced()
  const labels = watch.labelsOf('a')
  await until(t, 'the watch stands', () => server.openWatches === 1)
  server.apply('a', { 'kubernetes.io/metadata.name': 'a' }, { note: 'line\u2028separator and "quotes"\n' })
  server.apply('b')
  await until(t, 'a change of an annotation was seen', () => watch.labelsOf('b') !== undefined)
  t.equal(watch.labelsOf('a'), labels)

  server.endWatches('in-order')
  server.apply('c')
  server.compact()
  await until(t, 'relisted after 410', () => watch.labelsOf('c') !== undefined)
  t.equal(server.requests.filter(request => request === 'list').length, 2)
  t.equal(watch.labelsOf('a'), labels)
  t.throws(() => Object.assign(labels ?? {}, { x: 'y' }), 'nobody can change what the policy remembers by identity')
})

t.test('a watch goes on where it ended, with nothing missed and nothing listed again', async t => {
  const server = await startFake(t, 'a')
  const { log, lines } = collectLog()
  const watch = await watchFake(t, server, { log })
  for (const [index, how] of (['in-order', 'break-off', 'in-order', 'break-off'] as const).entries()) {
    await until(t, 'the watch stands', () => server.openWatches === 1)
    server.endWatches(how)
    server.apply(`late-${index}`)
    await until(t, `${how}: what came in between is known`, () => watch.labelsOf(`late-${index}`) !== undefined)
  }
  await until(t, 'the watch stands', () => server.openWatches === 1)
  server.compact()
  server.apply('z')
  server.sendBookmark()
  await until(t, 'known', () => watch.labelsOf('z') !== undefined)
  t.equal(server.requests.filter(request => request === 'list').length, 1)
  t.ok(lines.length <= 5, 'an end in order is not worth a line')
})

t.test('a bookmark moves the place from which the next watch begins', async t => {
  const server = await startFake(t, 'a')
  const watch = await watchFake(t, server)
  await until(t, 'the watch stands', () => server.openWatches === 1)
  const first = server.requests.at(-1)
  // A version that other kinds of objects used up.
  server.sendLine('{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"77"}}}')
  server.sendLine('{"type":"ADDED","object":{"metadata":{"name":"b","resourceVersion":"78"}}}')
  await until(t, 'seen', () => watch.labelsOf('b') !== undefined)
  server.endWatches('in-order')
  await until(t, 'again', () => server.openWatches === 1)
  t.equal(first, 'watch 2')
  t.equal(server.requests.at(-1), 'watch 78')
})

t.test('an outage is told once, leaves the labels in use, and ends by itself', async t => {
  const server = await startFake(t, 'a', 'b')
  const { log, lines } = collectLog()
  const watch = await watchFake(t, server, { log })
  await until(t, 'the watch stands', () => server.openWatches === 1 && watch.state().isConnected)
  const labels = watch.labelsOf('a')
  await server.stop()
  await until(t, 'noticed', () => !watch.state().isConnected)
  await sleep(200)
  t.equal(watch.labelsOf('a'), labels, 'known before the outage')
  t.equal(watch.labelsOf('new'), undefined, 'never seen: the strictest mode that could apply')
  t.ok(watch.isSynced())
  const told = lines.filter(({ level }) => level === 'warn').length
  t.ok(told >= 1 && told <= 2, `one line for the connection that broke, one for those that are refused: ${told}`)

  server.apply('a', { env: 'prod' })
  server.remove('b')
  server.compact()
  await server.start()
  await until(t, 'caught up', () => watch.labelsOf('a')?.['env'] === 'prod' && watch.labelsOf('b') === undefined)
  await until(t, 'told', () => lines.at(-1)?.level === 'info')
})

t.test('a server that is away at the start is waited for', async t => {
  const server = await startFake(t, 'a')
  await server.stop()
  const watch = await watchFake(t, server)
  await sleep(100)
  t.notOk(watch.isSynced())
  t.equal(watch.labelsOf('a'), undefined)
  await server.start()
  await watch.whenSynced()
  t.strictSame(watch.labelsOf('a'), { 'kubernetes.io/metadata.name': 'a' })
})

t.test('refusals are tried again, and say what is missing', async t => {
  const server = await startFake(t, 'a')
  const { log, lines } = collectLog()
  server.behaviour = 'forbidden'
  const watch = await watchFake(t, server, { log })
  await until(t, 'asked several times', () => server.requests.length > 3)
  t.equal(lines.length, 1)
  t.match(JSON.stringify(lines[0]?.fields), /403.*ClusterRole/)
  server.behaviour = 'unavailable'
  await until(t, 'another reason is another line', () => lines.length === 2)
  server.behaviour = 'gone'
  await until(t, 'a list that is gone is a failure too', () => lines.length === 3)
  t.notOk(watch.isSynced())
  server.behaviour = 'normal'
  await watch.whenSynced()
  await until(t, 'over', () => lines.at(-1)?.level === 'info')
})

t.test('what no API server should send does no harm', async t => {
  const server = await startFake(t, 'a')
  const watch = await watchFake(t, server)
  for (const [index, line] of [
    'no json',
    '[]',
    'null',
    '{"type":"ADDED"}',
    '{"type":"ADDED","object":{"metadata":null}}',
    '{"type":"MODIFIED","object":{"metadata":{"name":7,"labels":[]}}}',
    '{"type":"ERROR"}',
    '{"type":"ERROR","object":{"code":500,"message":"internal"}}',
    '{"type":"SURPRISE","object":{"metadata":{"name":"a","labels":{"x":"y"}}}}',
  ].entries()) {
    await until(t, 'the watch stands', () => server.openWatches === 1)
    server.sendLine(line)
    server.apply(`after-${index}`)
    await until(t, line, () => watch.labelsOf(`after-${index}`) !== undefined)
  }
  server.apply('odd')
  server.sendLine('{"type":"MODIFIED","object":{"metadata":{"name":"odd","labels":{"a":"b","c":1,"__proto__":"p"}}}}')
  await until(t, 'values that are no text are left out', () => watch.labelsOf('odd')?.['a'] === 'b')
  t.strictSame(Object.keys(watch.labelsOf('odd') ?? {}), ['a', '__proto__'])
})

t.test('a connection that went silent is given up', async t => {
  const server = await startFake(t, 'a')
  const watch = await watchFake(t, server, { timeouts: { watchMs: 100 } })
  await until(t, 'watched again and again', () => server.requests.filter(one => one.startsWith('watch')).length > 3)
  t.ok(watch.isSynced())
  t.equal(server.requests.filter(one => one === 'list').length, 1)
})

t.test('an observer that throws does not end the watch', async t => {
  const server = await startFake(t, 'a')
  const watch = await watchFake(t, server, {
    onState: () => {
      throw new Error('an observer')
    },
  })
  await until(t, 'the watch stands', () => server.openWatches === 1)
  server.endWatches('break-off')
  server.apply('b')
  await until(t, 'goes on', () => watch.labelsOf('b') !== undefined)
})

t.test('a thousand watches that end at once, in order or not, leave neither handles nor memory behind', async t => {
  const server = await startFake(t, 'a')
  const watch = await watchFake(t, server, { backoff: { minMs: 0, maxMs: 0 } })
  await watch.whenSynced()
  const reconnect = async (count: number) => {
    const end = server.requests.length + count
    while (server.requests.length < end) {
      server.behaviour = server.requests.length % 2 === 0 ? 'end-watches-at-once' : 'break-off-at-once'
      await sleep(1)
    }
  }
  await reconnect(300)
  const before = settledHeap()
  await reconnect(1_000)
  t.ok(server.openConnections <= 2, `${server.openConnections} connections`)
  const grown = settledHeap() - before
  t.ok(grown < 16 * 1024 * 1024, `${Math.round(grown / 1024)} KiB more`)
  t.equal(server.requests.filter(one => one === 'list').length, 1)
  server.behaviour = 'normal'
  server.apply('b')
  await until(t, 'still watching', () => watch.labelsOf('b') !== undefined)
  await watch.close()
  await until(t, 'nothing stays open', () => server.openConnections === 0)
  t.notOk(process.getActiveResourcesInfo().includes('TLSSocketWrap'))
})

t.test('the back-off keeps a broken server from being asked without end', async t => {
  const server = await startFake(t, 'a')
  server.behaviour = 'end-watches-at-once'
  await watchFake(t, server, { backoff: { minMs: 40, maxMs: 100_000 } })
  const watches = () => server.requestedAt.filter((_, at) => server.requests[at]?.startsWith('watch'))
  await until(t, 'asked several times', () => watches().length >= 6)
  const pauses = watches().map((at, index, all) => at - (all[index - 1] ?? Number.NEGATIVE_INFINITY))
  // Half of a pause is chance; a timer may be early by a millisecond.
  const least = [0, 20, 40, 80, 160, 320]
  t.ok(
    least.every((ms, index) => (pauses[index] ?? 0) >= ms - 2),
    pauses.map(Math.round).join(', '),
  )
})

t.test('closing is quick at any moment, and the labels can still be asked for', async t => {
  const server = await startFake(t, 'a')
  const watch = await watchFake(t, server)
  await until(t, 'the watch stands', () => server.openWatches === 1)
  const begun = performance.now()
  await watch.close()
  await watch.close()
  t.same(watch.labelsOf('a'), { 'kubernetes.io/metadata.name': 'a' })
  await server.stop()
  const waiting = await watchFake(t, server, { backoff: { minMs: NEVER, maxMs: NEVER } })
  await sleep(50)
  const synced = waiting.whenSynced()
  await waiting.close()
  await synced
  t.notOk(waiting.isSynced())
  t.ok(performance.now() - begun < LONG_MS)
  // A plugin for credentials that hangs.
  const user = {
    exec: { apiVersion: 'client.authentication.k8s.io/v1', command: 'sleep', args: [`${(2 * LONG_MS) / 1_000}`] },
  }
  const kubeconfig = writeKubeconfig(t, kubeconfigText('https://127.0.0.1:1', {}, user))
  const hanging = await watchNamespaceLabels({ kubeconfig, log: collectLog().log, backoff: BACKOFF })
  await sleep(50)
  const asked = performance.now()
  await hanging.close()
  t.ok(performance.now() - asked < LONG_MS)
})

t.test('over TLS: the CA of the kubeconfig is held against the server, and the token is sent', async t => {
  const set = await createCertificates({ dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'], now: Date.now() })
  const other = await createCertificates({ dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'], now: Date.now() })
  const server = new FakeApiServer({ tls: { cert: set.certificate, key: set.key } })
  server.apply('a', { env: 'prod' })
  await server.start()
  t.teardown(() => server.stop())
  // As volumes hold them: the CA in a file beside the kubeconfig, the token with a newline.
  const folder = t.testdir({ ca: set.caCertificate, wrong: other.caCertificate, token: 'from-a-file\n' })
  const write = (name: string, ca: string) => {
    const user = { 'auth-provider': { name: 'tokenFile', config: { tokenFile: join(folder, 'token') } } }
    writeFileSync(join(folder, name), kubeconfigText(`${server.url}/`, { 'certificate-authority': ca }, user))
    return join(folder, name)
  }
  const { log, lines } = collectLog()
  const misled = await watchNamespaceLabels({ kubeconfig: write('misled', 'wrong'), log, backoff: BACKOFF })
  await until(t, 'refused', () => lines.length > 0)
  t.equal(server.requests.length, 0, 'nothing is sent to a server that is not the one')
  await misled.close()

  const watch = await watchNamespaceLabels({ kubeconfig: write('right', 'ca'), log, backoff: BACKOFF })
  await watch.whenSynced()
  t.strictSame(watch.labelsOf('a'), { env: 'prod' })
  t.strictSame([...server.authorizations], ['Bearer from-a-file'])
  await watch.close()
})

t.test('a kubeconfig that cannot be used is told at the start, with its name', async t => {
  const { log } = collectLog()
  const cases: readonly (readonly [title: string, text: string, code: string])[] = [
    ['empty', '', 'KUBERNETES_UNUSABLE'],
    ['no YAML', '{', 'KUBERNETES_UNUSABLE'],
    ['a list', '[]', 'KUBERNETES_UNUSABLE'],
    ['text', 'hello', 'KUBERNETES_UNUSABLE'],
    ['no context', '{"clusters":[],"users":[],"contexts":[]}', 'KUBERNETES_UNUSABLE'],
    ['cluster without name', '{"clusters":[{}]}', 'KUBERNETES_UNUSABLE'],
    ['no address', kubeconfigText('nowhere', {}), 'KUBERNETES_UNUSABLE'],
    ['another scheme', kubeconfigText('ftp://127.0.0.1', {}), 'KUBERNETES_UNUSABLE'],
    ['plain HTTP by mistake', kubeconfigText('http://127.0.0.1:1', {}), 'KUBERNETES_UNUSABLE'],
    ['missing CA', kubeconfigText('https://127.0.0.1:1', { 'certificate-authority': 'gone' }), 'FILE_UNREADABLE'],
    ['missing key', kubeconfigText('https://127.0.0.1:1', {}, { 'client-key': 'gone' }), 'FILE_UNREADABLE'],
    ['binary', '\0\0', 'FILE_UNREADABLE'],
  ]
  for (const [title, text, code] of cases) {
    const kubeconfig = writeKubeconfig(t, text)
    const error = await watchNamespaceLabels({ kubeconfig, log }).then(
      watch => watch.close(),
      (thrown: unknown) => thrown,
    )
    t.ok(error instanceof KnownError, `${title}: ${String(error)}`)
    t.equal(error instanceof KnownError ? error.code : error, code, title)
  }
  await t.rejects(watchNamespaceLabels({ kubeconfig: join(t.testdir(), 'none'), log }), { code: 'FILE_UNREADABLE' })
  await t.rejects(watchNamespaceLabels({ inCluster: true, log }), { code: 'KUBERNETES_UNUSABLE' })
})

t.test('in all of this no promise was left to reject alone, and no listeners piled up', async t => {
  t.strictSame(unhandled, [])
  t.strictSame(warnings, [])
})
