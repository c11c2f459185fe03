/**
 * Plays a node: binds the chart's pods to itself, runs what they say as local processes, probes them and reports their
 * status. The Deployment, its rollouts and its endpoints are the real controllers' work.
 *
 * Pods of one template share one process, because they would share one address and port.
 */

import { mkdirSync, writeFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import type { ApiServer } from '../e2e/api-server.js'
import type { RunningProcess } from '../e2e/process-group.js'
import { pause, tailOf } from '../e2e/process-group.js'
import { writeMount } from '../e2e/webhook-process.js'

const NODE_NAME = 'node-1'
const LOOK_EVERY_MS = 150
const EXECUTABLE = [...process.execArgv, 'src/cli.ts']
const TOKEN_SECONDS = 7200

// biome-ignore lint/suspicious/noExplicitAny: objects of the API, as deep as they come
type Json = any

export interface PlayedNode {
  readonly ip: string
  /** What a path of the node is here: for files that agents would write. */
  hostPath(path: string): string
  /** What the processes of a component wrote so far. */
  log(component: string): string
  /** Where a volume of a component is mounted. */
  volume(component: string, name: string): string
  stop(): Promise<void>
}

interface Unit {
  readonly component: string
  readonly process: RunningProcess
  readonly opsPort: number
  isStopping: boolean
}

/** An address of this machine that an endpoint may have: not loopback. */
export function machineAddress(): string | undefined {
  const addresses = Object.values(networkInterfaces()).flatMap(list => list ?? [])
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address
}

export async function playNode(server: ApiServer, namespace: string, ip: string): Promise<PlayedNode> {
  const folder = join(server.processes.folder, 'node')
  mkdirSync(folder, { recursive: true })
  const units = new Map<string, Unit>()
  const logs: { readonly component: string; readonly process: RunningProcess }[] = []
  const mounted = new Map<string, string>()
  let isClosed = false
  // The kubelet sets the label.
  const metadata = { name: NODE_NAME, labels: { 'kubernetes.io/os': 'linux' } }
  await must(server, 'POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata })

  const volumePath = (component: string, name: string) => join(folder, component, name)
  const hostPath = (path: string) => join(folder, 'host', path)

  const mount = async (component: string, volume: Json): Promise<string> => {
    if (volume.hostPath !== undefined) {
      mkdirSync(hostPath(volume.hostPath.path), { recursive: true })
      return hostPath(volume.hostPath.path)
    }
    const path = volumePath(component, volume.name)
    const files = await contentsOf(server, namespace, volume)
    const text = JSON.stringify(files)
    if (files === undefined) mkdirSync(path, { recursive: true })
    else if (mounted.get(path) !== text) writeMount(path, files)
    mounted.set(path, text)
    return path
  }

  const start = async (component: string, pod: Json): Promise<Unit> => {
    const [container] = pod.spec.containers
    const places: [string, string][] = []
    for (const { name, mountPath } of container.volumeMounts) {
      const volume = pod.spec.volumes.find((one: Json) => one.name === name)
      places.push([mountPath, await mount(component, volume)])
    }
    const kubeconfig = await writeKubeconfig(server, namespace, pod.spec.serviceAccountName, folder)
    const localise = (argument: string): string => {
      let local = argument === '--in-cluster' ? `--kubeconfig=${kubeconfig}` : argument
      for (const [inside, here] of places) local = local.replace(inside, here)
      return local.replace('$(NODE_NAME)', NODE_NAME).replace('$(NODE_IP)', ip)
    }
    const args: string[] = container.args.map(localise)
    const process_ = await server.processes.start(component, process.execPath, [...EXECUTABLE, ...args])
    logs.push({ component, process: process_ })
    const opsPort = container.ports.find((port: Json) => port.name === 'ops').containerPort
    return { component, process: process_, opsPort, isStopping: false }
  }

  const ensureUnit = async (pod: Json): Promise<void> => {
    const component = componentOf(pod) ?? ''
    if (pod.spec.nodeName === undefined) await bind(server, namespace, pod)
    for (const volume of pod.spec.volumes) await mount(component, volume)
    const unit = units.get(keyOf(pod))
    // A rollback brings a template back, perhaps while the process of its former pods is still stopping.
    const isFree = unit === undefined || !unit.process.isRunning
    if (!isLeaving(pod) && isFree) units.set(keyOf(pod), await start(component, pod))
  }

  const tend = async (key: string, unit: Unit, pods: readonly Json[]): Promise<void> => {
    const alive = pods.filter(pod => !isLeaving(pod))
    if (alive.length === 0 && !unit.isStopping) {
      unit.isStopping = true
      void unit.process.end('SIGTERM')
    }
    const isReady = !unit.isStopping && unit.process.isRunning && (await probe(ip, unit.opsPort))
    for (const pod of alive) await report(server, namespace, pod, ip, isReady)
    // The last one of a template goes when its process has ended, as the kubelet would have it.
    const removable = alive.length > 0 || !unit.process.isRunning ? pods.filter(isLeaving) : []
    for (const pod of removable) await remove(server, namespace, pod)
    if (pods.length === 0 && !unit.process.isRunning) units.delete(key)
  }

  const look = async (): Promise<void> => {
    const { items } = await must(server, 'GET', podsOf(namespace))
    const pods: readonly Json[] = items.filter((pod: Json) => componentOf(pod) !== undefined)
    for (const pod of pods) await ensureUnit(pod)
    for (const [key, unit] of units)
      await tend(
        key,
        unit,
        pods.filter(pod => keyOf(pod) === key),
      )
  }

  const run = async (): Promise<void> => {
    while (!isClosed) {
      await look().catch(error => {
        if (!isClosed) process.stderr.write(`the played node: ${error}\n`)
      })
      await pause(LOOK_EVERY_MS)
    }
  }
  const running = run()
  return {
    ip,
    hostPath,
    volume: volumePath,
    log: component =>
      logs
        .filter(one => one.component === component)
        .map(one => one.process.log())
        .join(''),
    stop: async () => {
      isClosed = true
      await running
    },
  }
}

function podsOf(namespace: string): string {
  return `/api/v1/namespaces/${namespace}/pods`
}

function isLeaving(pod: Json): boolean {
  return pod.metadata.deletionTimestamp !== undefined
}

function componentOf(pod: Json): string | undefined {
  const component: string | undefined = pod.metadata.labels?.['app.kubernetes.io/component']
  return component === 'webhook' || component === 'correlator' ? component : undefined
}

function keyOf(pod: Json): string {
  const { labels } = pod.metadata
  return `${componentOf(pod)} ${labels['pod-template-hash'] ?? labels['controller-revision-hash']}`
}

/** The files of a ConfigMap's, Secret's or projected volume; undefined for one that is empty at first. */
async function contentsOf(
  server: ApiServer,
  namespace: string,
  volume: Json,
): Promise<Record<string, string> | undefined> {
  const maps: string[] = volume.projected?.sources.map((source: Json) => source.configMap.name) ?? []
  const files: Record<string, string> = {}
  for (const name of maps) {
    const { data } = await must(server, 'GET', `/api/v1/namespaces/${namespace}/configmaps/${name}`)
    Object.assign(files, data)
  }
  if (volume.secret !== undefined) {
    const { data } = await must(server, 'GET', `/api/v1/namespaces/${namespace}/secrets/${volume.secret.secretName}`)
    for (const { key, path } of volume.secret.items) files[path] = Buffer.from(data[key], 'base64').toString()
  }
  return maps.length > 0 || volume.secret !== undefined ? files : undefined
}

/** With a token of the pod's own service account, so that it has the chart's rights and no more. */
async function writeKubeconfig(server: ApiServer, namespace: string, account: string, folder: string): Promise<string> {
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`
  const request = {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { expirationSeconds: TOKEN_SECONDS },
  }
  const { status } = await must(server, 'POST', path, request)
  const { stdout } = await server.kubectl(['config', 'view', '--raw', '-o', 'json'])
  const config = JSON.parse(stdout)
  config.users[0].user = { token: status.token }
  const file = join(folder, `kubeconfig-${account}`)
  writeFileSync(file, JSON.stringify(config))
  return file
}

async function bind(server: ApiServer, namespace: string, pod: Json): Promise<void> {
  const { name } = pod.metadata
  const target = { apiVersion: 'v1', kind: 'Node', name: NODE_NAME }
  const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name, namespace }, target }
  await server.request('POST', `${podsOf(namespace)}/${name}/binding`, binding)
}

async function probe(ip: string, port: number): Promise<boolean> {
  try {
    return (await fetch(`http://${ip}:${port}/readyz`)).ok
  } catch {
    return false
  }
}

async function report(server: ApiServer, namespace: string, pod: Json, ip: string, isReady: boolean): Promise<void> {
  const status = isReady ? 'True' : 'False'
  const known = pod.status.conditions?.find((condition: Json) => condition.type === 'Ready')
  if (known?.status === status) return
  const conditions = ['Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map(type => ({
    type,
    status: type === 'Ready' || type === 'ContainersReady' ? status : 'True',
    lastTransitionTime: new Date().toISOString(),
  }))
  const next = { ...pod, status: { phase: 'Running', podIP: ip, podIPs: [{ ip }], hostIP: ip, conditions } }
  // A conflict is settled at the next look.
  await server.request('PUT', `${podsOf(namespace)}/${pod.metadata.name}/status`, next)
}

async function remove(server: ApiServer, namespace: string, pod: Json): Promise<void> {
  await server.request('DELETE', `${podsOf(namespace)}/${pod.metadata.name}?gracePeriodSeconds=0`)
}

async function must(server: ApiServer, method: string, path: string, body?: unknown): Promise<Json> {
  const answer = await server.request(method, path, body)
  if (answer.status >= 300)
    throw new Error(`${method} ${path}: ${answer.status} ${tailOf(JSON.stringify(answer.body))}`)
  return answer.body
}
