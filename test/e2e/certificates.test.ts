/** Three replicas that make, renew and rotate their own certificates against a real API server, under load. */

import { X509Certificate } from 'node:crypto'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import t from 'tap'
import { decodeCertificateSecret, decodeTrust } from '../../src/adapters/certificate-secret.js'
import type { ApiServer } from './api-server.js'
import { missingAssets, startApiServer } from './api-server.js'
import { startLoad } from './load.js'
import { BAD_IMAGE } from './objects.js'
import type { RunningProcess } from './process-group.js'
import { eventually, freePort } from './process-group.js'
import { registerWebhook, runSallyport, startReplica, untilGuarded, writePolicyFile } from './webhook-process.js'

const NAMESPACE = 'sallyport'
const SECRET = 'sallyport-tls'
const SECRET_PATH = `/api/v1/namespaces/${NAMESPACE}/secrets/${SECRET}`
const CONFIGURATION_PATH = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/sallyport'
const FORBIDDEN = 403
/** A certificate lives for a minute: renewed after forty seconds. */
const TLS_ARGS = [
  '--tls-secret',
  `${NAMESPACE}/${SECRET}`,
  '--tls-dns',
  'localhost',
  '--tls-ip',
  '127.0.0.1',
  '--webhook-configuration',
  'sallyport',
  '--tls-lifetime',
  '1m',
]

const missing = missingAssets()
t.test('replicas keep their certificates in the cluster', { skip: missing ?? false }, async t => {
  const server = await startApiServer({ controllers: false })
  t.teardown(() => server.stop())
  for (const name of [NAMESPACE, 'team-a']) await server.kubectl(['create', 'namespace', name])
  const policy = join(server.processes.folder, 'policy.yaml')
  writePolicyFile(policy, { mode: 'enforce', allow: ['registry.corp.example/*'] })
  const start = async (): Promise<Replica> => {
    const port = await freePort()
    const args = ['--kubeconfig', server.kubeconfig, '--policy', policy, '--listen', `127.0.0.1:${port}`, ...TLS_ARGS]
    return { port, process: await startReplica(server.processes, args) }
  }

  let replicas: readonly Replica[] = await Promise.all([start(), start(), start()])
  const service = await startService(() => replicas.filter(one => one.process.isRunning).map(one => one.port))
  t.teardown(() => service.close())
  const register = (ca: string) => registerWebhook(server, { port: service.port, ca, failurePolicy: 'Fail' })

  await t.test('one set of certificates is made, and the registration that comes later is filled in', async t => {
    await register('')
    await untilGuarded(server, 'team-a', BAD_IMAGE)
    const { trusted, serving } = await keptIn(server)
    t.equal(trusted.length, 1)
    t.equal(serving?.issuer, trusted[0]?.id)
    t.strictSame(serving?.names, ['localhost', '127.0.0.1'])
    t.strictSame(await trustIn(server), [trusted[0]?.id])
  })

  await t.test('renewal and a new authority under load: not one request is lost', async t => {
    const before = await keptIn(server)
    const load = startLoad(server, 'team-a', BAD_IMAGE)
    t.teardown(() => load.stop())
    const renewed = await eventually(
      'a renewed certificate',
      async () => {
        const kept = await keptIn(server)
        return kept.serving?.id === before.serving?.id ? undefined : kept
      },
      { timeoutMs: 120_000 },
    )
    t.equal(renewed.serving?.issuer, before.trusted[0]?.id, 'of the same authority')

    await server.kubectl(['-n', NAMESPACE, 'patch', 'secret', SECRET, '-p', '{"data":{"ca.key":null}}'])
    const rotated = await eventually(
      'a certificate of another authority',
      async () => {
        const kept = await keptIn(server)
        return kept.serving?.issuer === renewed.serving?.issuer ? undefined : kept
      },
      { timeoutMs: 60_000 },
    )
    t.ok(rotated.trusted.length >= 2, 'the former authority is still trusted')
    t.strictSame(
      await trustIn(server),
      rotated.trusted.map(({ id }) => id),
    )
    await eventually('all replicas to serve it', async () => {
      const served = await Promise.all(replicas.map(one => servedBy(one.port)))
      return served.every(id => id === rotated.serving?.id) || undefined
    })
    await load.stop()
    t.strictSame([...new Set(load.answers.map(({ status }) => status))], [FORBIDDEN])
    t.ok(load.answers.length > 100, `${load.answers.length} requests`)
  })

  await t.test('a replica is killed while a new authority comes, and another finishes', async t => {
    const before = await keptIn(server)
    await server.kubectl(['-n', NAMESPACE, 'patch', 'secret', SECRET, '-p', '{"data":{"ca.key":null}}'])
    const began = await eventually('another authority', async () => {
      const kept = await keptIn(server)
      return kept.trusted[0]?.id === before.trusted[0]?.id ? undefined : kept
    })
    const [victim, ...rest] = replicas
    await victim?.process.end('SIGKILL')
    replicas = rest
    const finished = await eventually(
      'a certificate of another authority',
      async () => {
        const kept = await keptIn(server)
        return kept.serving?.issuer === before.serving?.issuer ? undefined : kept
      },
      { timeoutMs: 60_000 },
    )
    t.equal(finished.serving?.issuer, began.trusted[0]?.id, 'the one that had begun')
    replicas = [...rest, await start()]
    await untilGuarded(server, 'team-a', BAD_IMAGE)
  })

  await t.test('a caBundle that an upgrade empties is filled in again', async t => {
    await register('')
    await untilGuarded(server, 'team-a', BAD_IMAGE)
    t.strictSame(
      await trustIn(server),
      (await keptIn(server)).trusted.map(({ id }) => id),
    )
  })

  await t.test('a Secret that is deleted comes back with what is served', async t => {
    const before = await keptIn(server)
    await server.kubectl(['-n', NAMESPACE, 'delete', 'secret', SECRET])
    const after = await eventually('the Secret', async () => {
      const { status } = await server.request('GET', SECRET_PATH)
      return status === 200 ? keptIn(server) : undefined
    })
    t.ok(before.trusted.some(({ id }) => id === after.trusted[0]?.id))
    await untilGuarded(server, 'team-a', BAD_IMAGE)
  })

  await t.test('the command does the same once, by hand', async t => {
    const flags = ['--secret', `${NAMESPACE}/${SECRET}`, '--webhook-configuration', 'sallyport', '--lifetime', '1m']
    const names = ['--dns', 'localhost', '--ip', '127.0.0.1', '--kubeconfig', server.kubeconfig]
    const { status, stderr } = await runSallyport(['certs', ...flags, ...names])
    t.equal(status, 0, stderr)
    t.match(stderr, 'the API server trusts it')
  })
})

interface Replica {
  readonly port: number
  readonly process: RunningProcess
}

async function keptIn(server: ApiServer) {
  const { body } = await server.request('GET', SECRET_PATH)
  return decodeCertificateSecret((body as { readonly data?: Record<string, string> }).data ?? {})
}

async function trustIn(server: ApiServer): Promise<readonly string[]> {
  const { body } = await server.request('GET', CONFIGURATION_PATH)
  const { webhooks } = body as {
    readonly webhooks: readonly { readonly clientConfig: { readonly caBundle?: string } }[]
  }
  return decodeTrust(webhooks[0]?.clientConfig.caBundle ?? '')
}

async function servedBy(port: number): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      resolve(new X509Certificate(socket.getPeerCertificate().raw).fingerprint256)
      socket.destroy()
    })
    socket.on('error', reject)
  })
}

/** What a Service does: each connection goes to the next replica. */
async function startService(ports: () => readonly number[]): Promise<{ readonly port: number; close(): void }> {
  const open = new Set<Socket>()
  let turn = 0
  const proxy = createServer(incoming => {
    const alive = ports()
    turn += 1
    const outgoing = connect(alive[turn % alive.length] ?? 1, '127.0.0.1')
    for (const [one, other] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ] as const) {
      open.add(one)
      one.pipe(other)
      one.on('error', () => other.destroy())
      one.on('close', () => {
        open.delete(one)
        other.destroy()
      })
    }
  })
  const port = await freePort()
  await new Promise<void>(resolve => proxy.listen(port, '127.0.0.1', resolve))
  return {
    port,
    close() {
      for (const socket of open) socket.destroy()
      proxy.close()
    },
  }
}
