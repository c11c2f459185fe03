/** The webhook as the executable that people run, its files as a cluster mounts them, and its registration. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { API_VERSION, KIND } from '../../src/policy/index.js'
import type { ApiServer } from './api-server.js'
import { pod } from './objects.js'
import type { ProcessGroup, RunningProcess } from './process-group.js'
import { eventually, tailOf } from './process-group.js'

/** The API server puts it before every denial and into every key of its audit annotations. */
export const WEBHOOK_NAME = 'images.sallyport.dev'
/** Under the loader that this test runs under: tsx finds no TypeScript in a worker thread, which the journal has. */
const EXECUTABLE = [...process.execArgv, 'src/cli.ts']
const TIMEOUT_SECONDS = 5
/** Making keys takes a loaded machine a while. */
const START_MS = 120_000

/** As a cluster's operator registers them: every kind that holds a pod spec, and the subresource that adds to a pod. */
const RULES = [
  { apiGroups: [''], resources: ['pods', 'pods/ephemeralcontainers', 'replicationcontrollers', 'podtemplates'] },
  { apiGroups: ['apps'], resources: ['deployments', 'replicasets', 'statefulsets', 'daemonsets'] },
  { apiGroups: ['batch'], resources: ['jobs', 'cronjobs'] },
].map(rule => ({ ...rule, apiVersions: ['*'], operations: ['CREATE', 'UPDATE'], scope: 'Namespaced' }))

export interface WebhookFiles {
  /** Mounts: to be changed by `writeMount` only. */
  readonly policy: string
  readonly certificates: string
  readonly journal: string
}

/** Make a policy mount, a certificate mount and a place for a journal below the group's folder. */
export async function writeWebhookFiles(processes: ProcessGroup, spec: object): Promise<WebhookFiles> {
  const { folder } = processes
  const files = {
    policy: join(folder, 'policy'),
    certificates: join(folder, 'certificates'),
    journal: join(folder, 'journal'),
  }
  writePolicy(files, spec)
  writeMount(files.certificates, await makeCertificates(processes, 'first'))
  return files
}

export function writePolicy(files: WebhookFiles, spec: object): void {
  writeMount(files.policy, { 'policy.yaml': policyText(spec) })
}

/** One plain file. */
export function writePolicyFile(path: string, spec: object): void {
  writeFileSync(path, policyText(spec))
}

function policyText(spec: object): string {
  return JSON.stringify({ apiVersion: API_VERSION, kind: KIND, metadata: { name: 'e2e' }, spec }, undefined, 2)
}

/** A CA and a serving certificate by `sallyport certs`: the contents of its files, by name. */
export async function makeCertificates(
  processes: ProcessGroup,
  name: string,
  names: readonly string[] = ['--dns', 'localhost', '--ip', '127.0.0.1'],
): Promise<Readonly<Record<string, string>>> {
  const folder = join(processes.folder, `certs-${name}`)
  const argv = ['certs', '--out', folder, ...names]
  const { status, stderr } = await runSallyport(argv)
  if (status !== 0) throw new Error(`sallyport certs: ${stderr}`)
  const read = (file: string) => readFileSync(join(folder, file), 'utf8')
  return { 'ca.crt': read('ca.crt'), 'tls.crt': read('tls.crt'), 'tls.key': read('tls.key') }
}

/**
 * Put files into a folder the way the kubelet does it for ConfigMaps and Secrets: the names are links through `..data`,
 * which one rename turns to a new folder.
 */
export function writeMount(folder: string, files: Readonly<Record<string, string>>): void {
  mkdirSync(folder, { recursive: true })
  const data = join(folder, '..data')
  const former = readLink(data)
  const version = `..${process.hrtime.bigint()}`
  mkdirSync(join(folder, version))
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(folder, version, name), content)
    if (readLink(join(folder, name)) === undefined) symlinkSync(join('..data', name), join(folder, name))
  }
  symlinkSync(version, join(folder, '..data_tmp'))
  renameSync(join(folder, '..data_tmp'), data)
  if (former !== undefined) rmSync(join(folder, former), { recursive: true })
}

/** Start `sallyport webhook` and wait until it listens. */
export async function startWebhookProcess(
  processes: ProcessGroup,
  files: WebhookFiles,
  port: number,
  args: readonly string[] = [],
): Promise<RunningProcess> {
  return startReplica(processes, [
    '--policy',
    files.policy,
    '--tls-cert',
    join(files.certificates, 'tls.crt'),
    '--tls-key',
    join(files.certificates, 'tls.key'),
    '--journal',
    files.journal,
    '--listen',
    `127.0.0.1:${port}`,
    '--cluster',
    'e2e',
    ...args,
  ])
}

/** Start `sallyport webhook` with these arguments and wait until it listens. */
export async function startReplica(processes: ProcessGroup, args: readonly string[]): Promise<RunningProcess> {
  const webhook = await processes.start('webhook', process.execPath, [...EXECUTABLE, 'webhook', ...args])
  const isListening = () => {
    if (!webhook.isRunning) throw new Error(`the webhook ended:\n${tailOf(webhook.log())}`)
    return webhook.log().includes('"Listening"') || undefined
  }
  await eventually('the webhook to listen', isListening, {
    timeoutMs: START_MS,
    evidence: () => tailOf(webhook.log()),
  })
  return webhook
}

/** Start a command of Sallyport that runs until it is told to end. */
export function startSallyport(
  processes: ProcessGroup,
  command: string,
  args: readonly string[],
): Promise<RunningProcess> {
  return processes.start(command, process.execPath, [...EXECUTABLE, command, ...args])
}

export interface Registration {
  readonly port: number
  /** PEM, one or several: the API server trusts a webhook that any of them signed. */
  readonly ca: string
  readonly failurePolicy: 'Fail' | 'Ignore'
  /** Of the core group; default: all that hold a pod spec. */
  readonly coreResources?: readonly string[]
  readonly namespaceSelector?: object
}

/** Register the webhook, or change its registration. The API server follows within a second or so. */
export async function registerWebhook(server: ApiServer, registration: Registration): Promise<void> {
  const { port, ca, failurePolicy, coreResources, namespaceSelector } = registration
  const [core, ...others] = RULES
  const configuration = {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name: 'sallyport' },
    webhooks: [
      {
        name: WEBHOOK_NAME,
        clientConfig: { url: `https://127.0.0.1:${port}/validate`, caBundle: Buffer.from(ca).toString('base64') },
        rules: [coreResources === undefined ? core : { ...core, resources: coreResources }, ...others],
        namespaceSelector,
        failurePolicy,
        sideEffects: 'None',
        admissionReviewVersions: ['v1'],
        timeoutSeconds: TIMEOUT_SECONDS,
      },
    ],
  }
  const { status, stderr } = await server.kubectl(['apply', '-f', '-'], { stdin: configuration })
  if (status !== 0) throw new Error(`the webhook could not be registered: ${stderr}`)
}

/** Wait until the API server asks the webhook, and gets an answer: a pod with the image is refused in the namespace. */
export async function untilGuarded(server: ApiServer, namespace: string, image: string): Promise<void> {
  const probe = pod({ name: 'probe' }, image)
  let last: unknown
  const ask = async () => {
    const answer = await server.request('POST', `/api/v1/namespaces/${namespace}/pods?dryRun=All`, probe)
    last = answer.body
    return answer.status === 403 || undefined
  }
  await eventually('the API server to ask the webhook', ask, { evidence: () => JSON.stringify(last) })
}

/** Run the executable to its end. */
export async function runSallyport(
  argv: readonly string[],
): Promise<{ readonly status: number | null; readonly stderr: string }> {
  const child = spawn(process.execPath, [...EXECUTABLE, ...argv], { stdio: ['ignore', 'ignore', 'pipe'] })
  const end = once(child, 'exit')
  const stderr = await text(child.stderr)
  await end
  return { status: child.exitCode, stderr }
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}
