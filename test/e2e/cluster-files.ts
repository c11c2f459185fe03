/** What etcd, kube-apiserver and the controller manager are started with: keys, tokens, configurations, flags. */

import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createCertificates } from '../../src/adapters/certificates.js'

/** Who may speak to the server, each by a token of the same name. */
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

export interface Layout {
  /** Absolute. */
  readonly folder: string
  /** Of the server's version 1.`minor`. */
  readonly minor: number
  readonly ports: { readonly api: number; readonly etcd: number; readonly peer: number; readonly controllers: number }
}

/** Write all files that the flags name. The keys are thrown away with the folder. */
export async function writeClusterFiles(layout: Layout): Promise<void> {
  await writeKeys(layout)
  for (const user of Object.keys(USERS)) writeKubeconfig(layout, user)
  writeFileSync(join(layout.folder, 'audit-policy.json'), JSON.stringify(AUDIT_POLICY))
  mkdirSync(join(layout.folder, 'etcd'))
}

export function kubeconfigOf(folder: string, user: string): string {
  return join(folder, `kubeconfig-${user}`)
}

export function etcdFlags({ folder, ports }: Layout): readonly string[] {
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

export function serverFlags({ folder, ports, minor }: Layout): readonly string[] {
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
    // There is no kube-proxy: a webhook's Service is found by its endpoints.
    '--enable-aggregator-routing=true',
    `--audit-policy-file=${join(folder, 'audit-policy.json')}`,
    `--audit-log-path=${join(folder, 'audit.log')}`,
    '--audit-log-mode=blocking',
    ...(minor < EPHEMERAL_BY_DEFAULT ? ['--feature-gates=EphemeralContainers=true'] : []),
  ]
}

export function controllerFlags({ folder, ports, minor }: Layout): readonly string[] {
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

function writeKubeconfig({ folder, ports }: Layout, user: string): void {
  const cluster = { server: `https://127.0.0.1:${ports.api}`, 'certificate-authority': join(folder, 'ca.crt') }
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
