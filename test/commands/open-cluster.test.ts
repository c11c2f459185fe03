/** What replay and correlate make of an inventory and an audit log: by the executable's own words. */

import { truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { configurationObject, namespaceObject, podObject } from '../support/cluster-objects.js'
import { AFTER_START, eventOf, lineOf } from '../support/events.js'
import { FakeApiServer } from '../support/fake-api-server.js'
import { runCommand } from '../support/run-command.js'

const POLICY = `
apiVersion: sallyport.dev/v1
kind: ImagePolicy
metadata: { name: test }
spec:
  allow: ['registry.corp.example/*']
  namespaces:
    - { selector: { matchLabels: { env: dev } }, allow: [docker.io/*] }
`
/** The status names docker.io/library/redis:7, which is another name of whatever the spec says. */
const EVENT = lineOf(eventOf())
const OBJECTS = [podObject(), namespaceObject('team-a', { env: 'prod' }), configurationObject()]
const listOf = (...items: readonly object[]) => JSON.stringify({ kind: 'List', items })
const ofImage = (image: string) => podObject({ spec: { containers: [{ name: 'app', image }] } })

function files(t: Test): (name: string) => string {
  const audit = {
    kind: 'Event',
    apiVersion: 'audit.k8s.io/v1',
    auditID: 'a',
    stage: 'ResponseComplete',
    verb: 'create',
    user: { username: 'mallory' },
    objectRef: { resource: 'pods', namespace: 'team-a', name: 'web-1' },
    responseStatus: { code: 201 },
    requestReceivedTimestamp: '2026-11-21T23:20:00Z',
    annotations: { 'failed-open.validating.webhook.admission.k8s.io/round_0_index_0': 'images.sallyport.dev' },
  }
  const dir = t.testdir({
    'policy.yaml': POLICY,
    'events.jsonl': `${EVENT}\n`,
    'good.json': listOf(...OBJECTS),
    'bad.json': listOf(ofImage('evil.example/miner:1'), ...OBJECTS.slice(1)),
    'dev.json': listOf(ofImage('redis:7'), namespaceObject('team-a', { env: 'dev' })),
    'torn.json': `${listOf(...OBJECTS)}\n{"kind":"Pod"`,
    'audit.log': `${JSON.stringify(audit)}\n`,
  })
  return name => join(dir, name)
}

t.test('replay judges the image of the pod spec, by the labels of its namespace', async t => {
  const at = files(t)
  const replay = async (...argv: readonly string[]) => {
    const ran = await runCommand(['replay', '--policy', at('policy.yaml'), '-o', 'json', ...argv, at('events.jsonl')])
    const findings = ran.stdout.split('\n').filter(line => line !== '')
    return { ...ran, findings: findings.map(line => JSON.parse(line)) }
  }
  const blind = await replay()
  t.match(blind.findings[0], { image: 'docker.io/library/redis:7', certainty: 'likely' })

  const good = await replay('--inventory', at('good.json'))
  t.same([good.exitCode, good.findings], [0, []], 'an alias of an allowed image is no finding')

  const bad = await replay('--inventory', at('bad.json'))
  t.equal(bad.exitCode, 1)
  t.match(bad.findings[0], { kind: 'non-allowlisted-image', image: 'evil.example/miner:1', certainty: 'proved' })

  const dev = await replay('--inventory', at('dev.json'))
  t.same([dev.exitCode, dev.findings], [0, []], 'the labels of the namespace allow it')

  const torn = await replay('--inventory', at('torn.json'))
  t.match(torn.stderr, /torn\.json:2: it ends in the middle of an object/)
  t.equal(torn.exitCode, 0)

  const audited = await replay('--inventory', at('bad.json'), '--audit-log', at('audit.log'))
  t.ok(
    audited.findings.some(
      ({ kind, code, certainty }) => `${kind}/${code} ${certainty}` === 'image-drift/bypass.fail-open proved',
    ),
    'the audit log proves that the webhook was passed over',
  )
})

t.test('replay -o splunk counts an alias as what it is', async t => {
  const at = files(t)
  const argv = [
    'replay',
    '--policy',
    at('policy.yaml'),
    '-o',
    'splunk',
    '--inventory',
    at('good.json'),
    at('events.jsonl'),
  ]
  const { exitCode, stderr } = await runCommand(argv)
  t.equal(exitCode, 1, 'the row is there, as Splunk would have it')
  t.match(stderr, /1 events behind these rows are no finding of Sallyport/)
})

t.test('correlate follows the cluster, and says what it cannot follow', async t => {
  const at = files(t)
  const server = new FakeApiServer()
  server.put('pods', ofImage('evil.example/miner:1'))
  for (const object of OBJECTS.slice(1))
    server.put(object['kind'] === 'Namespace' ? 'namespaces' : 'configurations', object)
  await server.start()
  t.teardown(() => server.stop().catch(() => undefined))
  const kubeconfig = at('kubeconfig')
  const cluster = { server: server.url, 'insecure-skip-tls-verify': true }
  const user = { token: 'secret' }
  const contexts = [{ name: 'x', context: { cluster: 'c', user: 'u' } }]
  const config = { clusters: [{ name: 'c', cluster }], users: [{ name: 'u', user }], contexts, 'current-context': 'x' }
  writeFileSync(kubeconfig, JSON.stringify(config))
  const argv = [
    'correlate',
    '--policy',
    at('policy.yaml'),
    '--source',
    '-',
    '--kubeconfig',
    kubeconfig,
    '--node',
    'node-1',
  ]
  const ran = await runCommand([...argv, '--audit-log', at('audit.log')], { stdin: `${EVENT}\n`, now: AFTER_START })
  t.equal(ran.exitCode, 0, ran.stderr)
  t.match(ran.stdout, /"kind":"non-allowlisted-image".*"certainty":"proved".*"image":"evil\.example\/miner:1"/)
  t.match(ran.stdout, /"code":"bypass\.fail-open"/)
  while (server.openConnections > 0) await sleep(5)

  server.forbidden.add('configurations')
  const asked = server.requests.length
  const stop = new AbortController()
  const waiting = runCommand([...argv, '--sink', 'stdout'], {
    stdin: `${EVENT}\n`,
    now: AFTER_START,
    signal: stop.signal,
  })
  const isRefused = () => server.requests.slice(asked).filter(request => request === 'configurations list').length > 1
  while (!isRefused()) await sleep(5)
  stop.abort()
  t.match((await waiting).stderr, /validatingwebhookconfigurations: .*403.*ClusterRole with list and watch/)

  const before = server.requests.length
  const withoutNode = argv.slice(0, -2)
  const forSinks = await runCommand([...withoutNode, '--no-inventory'], { stdin: `${EVENT}\n`, now: AFTER_START })
  t.same([forSinks.exitCode, server.requests.length], [0, before], 'access for sinks alone asks for nothing')
  t.notMatch(forSinks.stderr, /cannot be followed/)
})

t.test('a signal ends the reading of a long audit log, which is told meanwhile', async t => {
  const at = files(t)
  // Nothing but holes: no machine reads all of it.
  truncateSync(at('audit.log'), 2 ** 42)
  const stop = new AbortController()
  const argv = ['correlate', '--policy', at('policy.yaml'), '--source', '-', '--audit-log', at('audit.log')]
  const onStderr = (text: string): void => {
    if (text.includes('events wait for it')) stop.abort()
  }
  const { exitCode, stderr } = await runCommand(argv, { signal: stop.signal, onStderr })
  t.equal(exitCode, 0)
  t.match(stderr, /reading the audit log, 1 lines so far; events wait for it/)
})

t.test('options that do not go together are refused', async t => {
  const at = files(t)
  const source = ['--policy', at('policy.yaml'), '--source', `file:${at('events.jsonl')}`]
  const cases: readonly (readonly [readonly string[], number])[] = [
    [['correlate', ...source, '--node', 'a'], 64],
    [['correlate', ...source, '--inventory', at('good.json'), '--kubeconfig', at('none'), '--node', 'a'], 64],
    [['correlate', ...source, '--audit-log', at('audit.log'), '--audit-log', at('audit.log')], 64],
    [['correlate', ...source, '--inventory', '-'], 64],
    [['correlate', ...source, '--kubeconfig', at('none'), '--no-inventory', '--node', 'a'], 64],
    [['correlate', ...source, '--kubeconfig', at('none')], 78],
    [['correlate', ...source, '--audit-log', at('none/audit.log')], 78],
    [['replay', '--policy', at('policy.yaml'), '--inventory', '-', '-'], 64],
    [['replay', '--policy', at('policy.yaml'), '--inventory', at('policy.yaml'), at('events.jsonl')], 78],
    [['replay', '--policy', at('policy.yaml'), '--audit-log', at('policy.yaml'), at('events.jsonl')], 78],
  ]
  for (const [argv, exitCode] of cases) t.equal((await runCommand(argv)).exitCode, exitCode, argv.join(' '))
  const piped = ['replay', '--policy', at('policy.yaml'), '--inventory', '-', at('events.jsonl')]
  t.equal((await runCommand(piped, { stdin: listOf(...OBJECTS) })).exitCode, 0)
})
