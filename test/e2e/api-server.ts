/** A real Kubernetes API server on loopback, with etcd and, where there is one, the controller manager. */

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, readFileSync } from 'node:fs'
import { Agent, request as httpsRequest } from 'node:https'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Layout, User } from './cluster-files.js'
import { controllerFlags, etcdFlags, kubeconfigOf, serverFlags, writeClusterFiles } from './cluster-files.js'
import type { ProcessGroup, RunningProcess } from './process-group.js'
import { createProcessGroup, eventually, freePort, tailOf } from './process-group.js'

/** The folder of binaries, by the name that Kubernetes' envtest gave it. */
const ASSETS_VARIABLE = 'KUBEBUILDER_ASSETS'
const NEEDED = ['etcd', 'kube-apiserver', 'kubectl']
const CONTROLLER_MANAGER = 'kube-controller-manager'
const READY_TIMEOUT_MS = 120_000

export interface KubectlResult {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface ApiResponse {
  readonly status: number
  /** Parsed JSON, or the text when it is none. */
  readonly body: unknown
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
  /** The administrator's. */
  readonly kubeconfig: string
  /** Real kubectl, as `admin` unless said; `stdin` becomes JSON. */
  kubectl(args: readonly string[], options?: { readonly stdin?: unknown; readonly as?: User }): Promise<KubectlResult>
  /** One request over kept connections: for load, where a kubectl each would be the load. */
  request(method: string, path: string, body?: unknown): Promise<ApiResponse>
  auditEvents(): readonly AuditEvent[]
  stop(): Promise<void>
}

/** Why there can be no server here, in a sentence that says what to do; undefined when there can. */
export function missingAssets(): string | undefined {
  const assets = process.env[ASSETS_VARIABLE]
  if (assets === undefined || assets === '') {
    return `${ASSETS_VARIABLE} is not set: it names the folder of ${NEEDED.join(', ')} (docs/testing.md)`
  }
  const missing = NEEDED.filter(name => !isExecutable(join(assets, name)))
  return missing.length === 0 ? undefined : `${ASSETS_VARIABLE}=${assets} lacks ${missing.join(', ')} (docs/testing.md)`
}

/**
 * Start a fresh, empty cluster and wait until it is ready: 5 to 10 s. The caller stops it.
 *
 * @param controllers start the controller manager too, if there is one. Default true.
 */
export async function startApiServer({ controllers = true } = {}): Promise<ApiServer> {
  const assets = process.env[ASSETS_VARIABLE]
  if (assets === undefined) throw new Error(`${ASSETS_VARIABLE} is not set`)
  const processes = createProcessGroup()
  try {
    return await startIn(processes, assets, controllers)
  } catch (error) {
    await processes.stop()
    throw error
  }
}

async function startIn(processes: ProcessGroup, assets: string, controllers: boolean): Promise<ApiServer> {
  const { folder } = processes
  const ports = { api: await freePort(), etcd: await freePort(), peer: await freePort(), controllers: await freePort() }
  const layout: Layout = { folder, minor: readMinor(join(assets, 'kube-apiserver')), ports }
  await writeClusterFiles(layout)
  const start = (name: string, flags: readonly string[]) => processes.start(name, join(assets, name), flags)

  await start('etcd', etcdFlags(layout))
  const server = await start('kube-apiserver', serverFlags(layout))
  const request = createRequest(layout)
  await eventually('kube-apiserver to be ready', () => isReady(server, request), {
    timeoutMs: READY_TIMEOUT_MS,
    evidence: () => tailOf(server.log()),
  })
  const hasControllers = controllers && isExecutable(join(assets, CONTROLLER_MANAGER))
  if (hasControllers) await start(CONTROLLER_MANAGER, controllerFlags(layout))
  return {
    minor: layout.minor,
    hasControllers,
    processes,
    kubeconfig: kubeconfigOf(folder, 'admin'),
    kubectl: (args, options = {}) => runKubectl(join(assets, 'kubectl'), folder, args, options),
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

async function isReady(server: RunningProcess, request: ApiServer['request']): Promise<true | undefined> {
  if (!server.isRunning) throw new Error(`kube-apiserver ended:\n${tailOf(server.log())}`)
  const answer = await request('GET', '/readyz').catch(() => undefined)
  return answer?.status === 200 ? true : undefined
}

async function runKubectl(
  binary: string,
  folder: string,
  args: readonly string[],
  { stdin, as = 'admin' }: { readonly stdin?: unknown; readonly as?: User },
): Promise<KubectlResult> {
  const child = spawn(binary, args, {
    // No proxy and no configuration of the machine's own; kubectl keeps what it discovers below HOME.
    env: { PATH: process.env['PATH'], HOME: folder, KUBECONFIG: kubeconfigOf(folder, as) },
  })
  const end = once(child, 'exit')
  // It may end without having read a word, say after a wrong flag.
  child.stdin.on('error', () => {})
  child.stdin.end(stdin === undefined ? '' : JSON.stringify(stdin))
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  await end
  return { status: child.exitCode, stdout, stderr }
}

function createRequest({ folder, ports }: Layout): ApiServer['request'] {
  const agent = new Agent({ keepAlive: true, maxSockets: 8, ca: readFileSync(join(folder, 'ca.crt')) })
  return async (method, path, body) => {
    const headers = { authorization: 'Bearer admin', 'content-type': 'application/json' }
    const outgoing = httpsRequest({ host: '127.0.0.1', port: ports.api, method, path, agent, headers })
    outgoing.end(body === undefined ? undefined : JSON.stringify(body))
    const [response] = await once(outgoing, 'response')
    return { status: response.statusCode, body: parseOrText(await text(response)) }
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
  // The last one may still be on its way.
  return lines.slice(0, -1).map(line => JSON.parse(line))
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
