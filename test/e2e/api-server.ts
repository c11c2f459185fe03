/** A real Kubernetes API server on loopback, with etcd and, where there is one, the controller manager. */

import { execFileSync, spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { accessSync, constants, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { Agent, request as httpsRequest } from 'node:https'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { createCertificates } from '../../src/adapters/certificates.js'
import type { ProcessGroup, RunningProcess } from './process-group.js'
import { createProcessGroup, eventually, freePort, tailOf } from './process-group.js'

/** The folder of binaries, by the name that Kubernetes' envtest gave it. */
const ASSETS_VARIABLE = 'KUBEBUILDER_ASSETS'
const NEEDED = ['etcd', 'kube-apiserver', 'kubectl']
const CONTROLLER_MANAGER = 'kube-controller-manager'

/** Who may speak to the server, each by a token of that name: user, groups. */
const USERS = {
  admin: { user: 'admin', groups: 'system:masters' },
  /** Passes RBAC as anybody does. */
  dev: { user: 'dev', groups: 'developers' },
  /** A kubelet's identity. */
  node: { user: 'system:node:node-1', groups: 'system:nodes' },
  controllers: { user: 'system:kube-controller-manager', groups: '' },
} as const

const AUDIT_POLICY = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [
    {
      level: 'Metadata',
      verbs: ['create', 'update', 'patch'],
      resources: [
        { group: '', resources: ['pods', 'pods/ephemeralcontainers'] },
        { group: 'apps', resources: ['*'] },
        { group: 'batch', resources: ['*'] },
      ],
    },
    { level: 'None' },
  ],
}

/** Those that need nodes, a cloud or signers, none of which is here. */
const CONTROLLERS_OFF = [
  'nodeipam',
  'nodelifecycle',
  'service',
  'route',
  'attachdetach',
  'persistentvolume-binder',
  'persistentvolume-expander',
  'ttl',
  'csrsigning',
  'csrapproving',
  'csrcleaner',
  'bootstrapsigner',
  'tokencleaner',
]
/** The first minor version whose ephemeral containers are on by default. */
const EPHEMERAL_BY_DEFAULT = 23
/** The first whose controller manager has no plain HTTP port, nor the flag that turned it off. */
const NO_INSECURE_PORT = 24

export type User = keyof typeof USERS

export interface KubectlResult {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface ApiResponse {
  readonly status: number
  /** Parsed JSON, or the text when it is none. */
  readonly body: unknown
  readonly warnings: readonly string[]
}

/** One line of the API server's audit log, as far as the tests read it. */
export interface AuditEvent {
  readonly verb: string
  readonly requestURI: string
  readonly user: { readonly username: string }
  readonly objectRef?: { readonly resource: string; readonly namespace?: string; readonly name?: string }
  readonly responseStatus?: { readonly code: number }
  readonly annotations?: Readonly<Record<string, string>>
}

export interface ApiServer {
  /** 1.`minor`. */
  readonly minor: number
  readonly hasControllers: boolean
  /** For more processes that end with the server, and files that go with it. */
  readonly processes: ProcessGroup
  readonly kubeconfig: string
  /** Real kubectl, as `admin` unless said; what it asks of standard input it gets. */
  kubectl(args: readonly string[], options?: { readonly stdin?: unknown; readonly as?: User }): Promise<KubectlResult>
  /** One request over kept connections: for load, where a kubectl each would be the load. */
  request(method: string, path: string, body?: unknown): Promise<ApiResponse>
  auditEvents(): readonly AuditEvent[]
  stop(): Promise<void>
}

interface Layout {
  readonly assets: string
  readonly folder: string
  readonly minor: number
  readonly ports: { readonly api: number; readonly etcd: number; readonly peer: number; readonly controllers: number }
}

/** Why there can be no server here, in a sentence that says what to do; undefined when there can. */
export function missingAssets(): string | undefined {
  const assets = process.env[ASSETS_VARIABLE]
  if (assets === undefined || assets === '') {
    return `${ASSETS_VARIABLE} is not set: it names the folder with ${NEEDED.join(', ')} (docs/testing.md)`
  }
  const missing = NEEDED.filter(name => !isExecutable(join(assets, name)))
  return missing.length === 0 ? undefined : `${ASSETS_VARIABLE}=${assets} lacks ${missing.join(', ')} (docs/testing.md)`
}

/** Start a fresh, empty cluster and wait until it is ready: 5 to 10 s. The caller stops it. */
export async function startApiServer(): Promise<ApiServer> {
  const assets = process.env[ASSETS_VARIABLE]
  if (assets === undefined) throw new Error(`${ASSETS_VARIABLE} is not set`)
  const processes = createProcessGroup()
  try {
    return await startIn(processes, assets)
  } catch (error) {
    await processes.stop()
    throw error
  }
}

async function startIn(processes: ProcessGroup, assets: string): Promise<ApiServer> {
  const { folder } = processes
  const ports = { api: await freePort(), etcd: await freePort(), peer: await freePort(), controllers: await freePort() }
  const layout: Layout = { assets, folder, minor: readMinor(join(assets, 'kube-apiserver')), ports }
  await writeKeys(layout)
  writeConfiguration(layout)

  await processes.start('etcd', join(assets, 'etcd'), etcdFlags(layout))
  const server = await processes.start('kube-apiserver', join(assets, 'kube-apiserver'), serverFlags(layout))
  const request = createRequest(layout)
  await eventually('kube-apiserver to be ready', () => isReady(server, request), {
    timeoutMs: 120_000,
    evidence: () => tailOf(server.log()),
  })
  const hasControllers = isExecutable(join(assets, CONTROLLER_MANAGER))
  if (hasControllers)
    await processes.start(CONTROLLER_MANAGER, join(assets, CONTROLLER_MANAGER), controllerFlags(layout))
  return {
    minor: layout.minor,
    hasControllers,
    processes,
    kubeconfig: join(folder, 'kubeconfig'),
    kubectl: (args, options = {}) => runKubectl(layout, args, options),
    request,
    auditEvents: () => readLines(join(folder, 'audit.log')),
    stop: () => processes.stop(),
  }
}

function readMinor(binary: string): number {
  const version = execFileSync(binary, ['--version'], { encoding: 'utf8' })
  const minor = /v1\.([0-9]+)/.exec(version)?.[1]
  if (minor === undefined) throw new Error(`${binary} --version says ${version}`)
  return Number(minor)
}

async function writeKeys({ folder }: Layout): Promise<void> {
  const names = { dnsNames: ['localhost', 'kubernetes.default.svc'], ipAddresses: ['127.0.0.1', '10.0.0.1'] }
  const set = await createCertificates({ ...names, now: Date.now() })
  writeFileSync(join(folder, 'ca.crt'), set.caCertificate)
  writeFileSync(join(folder, 'server.crt'), set.certificate)
  writeFileSync(join(folder, 'server.key'), set.key, { mode: 0o600 })
  const accounts = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  })
  writeFileSync(join(folder, 'accounts.key'), accounts.privateKey, { mode: 0o600 })
  const tokens = Object.entries(USERS).map(([token, { user, groups }]) => `${token},${user},uid-${token},"${groups}"\n`)
  writeFileSync(join(folder, 'tokens.csv'), tokens.join(''))
}

function writeConfiguration({ folder, ports }: Layout): void {
  const cluster = { server: `https://127.0.0.1:${ports.api}`, 'certificate-authority': join(folder, 'ca.crt') }
  for (const user of Object.keys(USERS)) {
    const configuration = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'e2e', cluster }],
      users: [{ name: user, user: { token: user } }],
      contexts: [{ name: 'e2e', context: { cluster: 'e2e', user } }],
      'current-context': 'e2e',
    }
    writeFileSync(kubeconfigOf(folder, user), JSON.stringify(configuration))
  }
  writeFileSync(join(folder, 'audit-policy.json'), JSON.stringify(AUDIT_POLICY))
  mkdirSync(join(folder, 'etcd'))
}

function kubeconfigOf(folder: string, user: string): string {
  return join(folder, user === 'admin' ? 'kubeconfig' : `kubeconfig-${user}`)
}

function etcdFlags({ folder, ports }: Layout): readonly string[] {
  const client = `http://127.0.0.1:${ports.etcd}`
  const peer = `http://127.0.0.1:${ports.peer}`
  return [
    '--name=e2e',
    `--data-dir=${join(folder, 'etcd')}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=e2e=${peer}`,
    '--unsafe-no-fsync',
  ]
}

function serverFlags({ folder, ports, minor }: Layout): readonly string[] {
  const accountsKey = join(folder, 'accounts.key')
  return [
    '--bind-address=127.0.0.1',
    '--advertise-address=127.0.0.1',
    `--secure-port=${ports.api}`,
    `--etcd-servers=http://127.0.0.1:${ports.etcd}`,
    `--tls-cert-file=${join(folder, 'server.crt')}`,
    `--tls-private-key-file=${join(folder, 'server.key')}`,
    `--token-auth-file=${join(folder, 'tokens.csv')}`,
    '--authorization-mode=RBAC',
    '--anonymous-auth=false',
    '--service-cluster-ip-range=10.0.0.0/24',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${accountsKey}`,
    `--service-account-signing-key-file=${accountsKey}`,
    // Pods would wait for their namespace's account and token, which are none of our concern.
    '--disable-admission-plugins=ServiceAccount',
    '--endpoint-reconciler-type=none',
    `--audit-policy-file=${join(folder, 'audit-policy.json')}`,
    `--audit-log-path=${join(folder, 'audit.log')}`,
    '--audit-log-mode=blocking',
    ...(minor < EPHEMERAL_BY_DEFAULT ? ['--feature-gates=EphemeralContainers=true'] : []),
  ]
}

function controllerFlags({ folder, ports, minor }: Layout): readonly string[] {
  return [
    `--kubeconfig=${kubeconfigOf(folder, 'controllers')}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${ports.controllers}`,
    ...(minor < NO_INSECURE_PORT ? ['--port=0'] : []),
    `--cert-dir=${folder}`,
    '--leader-elect=false',
    '--use-service-account-credentials=true',
    `--service-account-private-key-file=${join(folder, 'accounts.key')}`,
    `--root-ca-file=${join(folder, 'ca.crt')}`,
    `--controllers=*,${CONTROLLERS_OFF.map(name => `-${name}`).join(',')}`,
    '--controller-start-interval=0s',
  ]
}

async function isReady(server: RunningProcess, request: ApiServer['request']): Promise<true | undefined> {
  if (!server.isRunning) throw new Error(`kube-apiserver ended:\n${tailOf(server.log())}`)
  const answer = await request('GET', '/readyz').catch(() => undefined)
  return answer?.status === 200 ? true : undefined
}

async function runKubectl(
  { assets, folder }: Layout,
  args: readonly string[],
  { stdin, as = 'admin' }: { readonly stdin?: unknown; readonly as?: User },
): Promise<KubectlResult> {
  const child = spawn(join(assets, 'kubectl'), args, {
    // No proxy and no configuration of the machine's own; kubectl keeps what it discovers in HOME.
    env: { PATH: process.env['PATH'], HOME: folder, KUBECONFIG: kubeconfigOf(folder, as) },
  })
  const end = once(child, 'exit')
  child.stdin.end(stdin === undefined ? '' : JSON.stringify(stdin))
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  await end
  return { status: child.exitCode, stdout, stderr }
}

function createRequest({ folder, ports }: Layout): ApiServer['request'] {
  const agent = new Agent({ keepAlive: true, maxSockets: 8, ca: readFileSync(join(folder, 'ca.crt')) })
  return async (method, path, body) => {
    const outgoing = httpsRequest({
      host: '127.0.0.1',
      port: ports.api,
      method,
      path,
      agent,
      headers: { authorization: 'Bearer admin', 'content-type': 'application/json' },
    })
    outgoing.end(body === undefined ? undefined : JSON.stringify(body))
    const [response] = await once(outgoing, 'response')
    const answer = await text(response)
    const warnings: unknown = response.headers.warning
    return {
      status: response.statusCode,
      body: parseOrText(answer),
      warnings: typeof warnings === 'string' ? [warnings] : [],
    }
  }
}

function parseOrText(answer: string): unknown {
  try {
    return JSON.parse(answer)
  } catch {
    return answer
  }
}

function readLines(file: string): readonly AuditEvent[] {
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines.filter(line => line !== '').map(line => JSON.parse(line))
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
