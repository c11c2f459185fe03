/**
 * docs/first-hour.md, block by block, as a reader would paste it. On the path are the real helm and kubectl, and `sallyport`
 * from source. What stands in for a cluster's own: a played node, whose logs `kubectl logs` shows, and the labels that
 * an API server before 1.21 does not set.
 */

import { execFile } from 'node:child_process'
import { appendFileSync, chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import t, { type Test } from 'tap'
import type { ApiServer } from '../e2e/api-server.js'
import { missingAssets, startApiServer } from '../e2e/api-server.js'
import { eventually, freePort, pause, tailOf } from '../e2e/process-group.js'
import { helmBinary, missingHelm, NAMESPACE } from './helm.js'
import { machineAddress, type PlayedNode, playNode } from './node.js'

const PAGE = 'docs/first-hour.md'
const HEADING = /^## (.+)$/
const WAITS = /^<!-- within a minute: (.+) -->$/
const FENCE = '```'
const RETRY_MS = 60_000

interface Block {
  readonly section: string
  readonly script: string
  /** Run again until its output holds this. */
  readonly awaited: string | undefined
}

interface Output {
  readonly status: number
  readonly text: string
}

const ip = machineAddress()
const missing = missingAssets() ?? missingHelm() ?? (ip === undefined ? 'this machine has only loopback' : undefined)
t.setTimeout(900_000)

t.test('the first hour, as it is written', { skip: missing ?? false }, async t => {
  const blocks = readBlocks(readFileSync(PAGE, 'utf8'))
  t.ok(blocks.length >= 15)
  const server = await startApiServer()
  t.teardown(() => server.stop())
  const node = await playNode(server, NAMESPACE, ip ?? '')
  t.teardown(() => node.stop())
  // Tetragon runs on the node, or the correlator would have nothing to be ready for.
  appendEvents(node, '')
  const labels = labelNamespaces(server)
  t.teardown(() => labels.stop())
  const desk = await setDesk(server)

  for (const { section, script, awaited } of blocks) {
    let last: Output = { status: -1, text: '' }
    if (awaited === undefined) {
      last = await paste(desk, `set -euo pipefail\n${script}`)
      t.equal(last.status, 0, `${section}: ${script.split('\n')[0]}: ${last.status === 0 ? 'done' : last.text}`)
      if (last.status !== 0) return
    } else {
      const run = async () => {
        if (section.startsWith('6.')) await playTetragon(server, node)
        last = await paste(desk, script)
        return last.text.includes(awaited) || undefined
      }
      const options = {
        timeoutMs: RETRY_MS,
        evidence: () => `${last.text}\n${tailOf(node.log('webhook'))}\n${tailOf(node.log('correlator'))}`,
      }
      t.ok(await eventually(`${section}: ${script}: ${awaited}`, run, options), `${section}: ${awaited}`)
    }
    if (section.startsWith('6.') && awaited !== undefined) checkFinding(t, last.text)
  }
})

/** What the page says of that finding. */
function checkFinding(t: Test, text: string): void {
  const line = text.split('\n').find(one => one.includes('quay.io/acme/legacy')) ?? ''
  const finding = JSON.parse(line)
  t.match(finding, { kind: 'non-allowlisted-image', pod_namespace: 'shop', image: 'quay.io/acme/legacy:2.1' })
  t.match(finding.admission, { code: 'bypass.webhook-absent', certainty: /^(?:proved|likely)$/ })
  t.ok(finding.remedy)
}

function readBlocks(page: string): readonly Block[] {
  const blocks: Block[] = []
  let section = ''
  let awaited: string | undefined
  let script: string[] | undefined
  for (const line of page.split('\n')) {
    if (script === undefined) {
      section = HEADING.exec(line)?.[1] ?? section
      if (line === `${FENCE}sh`) script = []
      else if (line !== '') awaited = WAITS.exec(line)?.[1]
    } else if (line === FENCE) {
      blocks.push({ section, script: script.join('\n'), awaited })
      script = undefined
      awaited = undefined
    } else script.push(line)
  }
  return blocks
}

/** A folder to work in, and the commands that the page uses. */
async function setDesk(server: ApiServer): Promise<{ readonly folder: string; readonly env: Record<string, string> }> {
  const folder = join(server.processes.folder, 'desk')
  const bin = join(folder, 'bin')
  mkdirSync(bin, { recursive: true })
  symlinkSync(resolve('charts'), join(folder, 'charts'))
  const values = {
    webhook: {
      port: await freePort(),
      opsPort: await freePort(),
      ...(server.minor < 21 ? { namespaceNamesLabelled: true } : {}),
    },
    correlator: { opsPort: await freePort() },
  }
  writeFileSync(join(folder, 'machine.json'), JSON.stringify(values))
  const command = (name: string, script: string) => {
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`)
    chmodSync(join(bin, name), 0o755)
  }
  const loader = process.execArgv.map(argument => `'${argument}'`).join(' ')
  command('sallyport', `exec '${process.execPath}' ${loader} '${resolve('src/cli.ts')}' "$@"`)
  const own = `-f ${join(folder, 'machine.json')}`
  const helm = `exec '${resolveOnPath(helmBinary())}'`
  command('helm', `case " $* " in *' install '*|*' upgrade '*) ${helm} "$@" ${own} ;; *) ${helm} "$@" ;; esac`)
  const logs = join(server.processes.folder, 'logs')
  const component = `$(printf %s "$*" | sed -n 's/.*component=\\([a-z]*\\).*/\\1/p')`
  const kubectl = join(process.env['KUBEBUILDER_ASSETS'] ?? '', 'kubectl')
  command('kubectl', `case " $* " in *' logs '*) exec cat ${logs}/${component}-*.log ;; esac\nexec '${kubectl}' "$@"`)
  const path = `${bin}:${dirname(process.execPath)}:${process.env['PATH']}`
  return { folder, env: { PATH: path, HOME: folder, KUBECONFIG: server.kubeconfig } }
}

function resolveOnPath(binary: string): string {
  return binary.includes('/') ? resolve(binary) : binary
}

function paste(
  desk: { readonly folder: string; readonly env: Record<string, string> },
  script: string,
): Promise<Output> {
  const options = { cwd: desk.folder, env: desk.env, timeout: 150_000, maxBuffer: 64 * 1024 * 1024 }
  return new Promise(settle => {
    execFile('bash', ['-c', script], options, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
      settle({ status, text: stdout + stderr })
    })
  })
}

/** What an API server of 1.21 and later does by itself. */
function labelNamespaces(server: ApiServer): { stop(): Promise<void> } {
  let isOver = server.minor >= 21
  const run = async () => {
    while (!isOver) {
      const { stdout } = await server.kubectl(['get', 'namespaces', '-o', 'name'])
      for (const name of stdout.split('\n').flatMap(line => line.split('/')[1] ?? [])) {
        await server.kubectl(['label', 'namespace', name, '--overwrite', `kubernetes.io/metadata.name=${name}`])
      }
      await pause(1_000)
    }
  }
  const running = run()
  return {
    stop: async () => {
      isOver = true
      await running
    },
  }
}

/** A process starts in the pod of `legacy`: as Tetragon exports it on the pod's node. */
async function playTetragon(server: ApiServer, node: PlayedNode): Promise<void> {
  const { stdout } = await server.kubectl(['-n', 'shop', 'get', 'pods', '-l', 'app=legacy', '-o', 'json'])
  const [{ metadata, spec }] = JSON.parse(stdout).items
  if (spec.nodeName === undefined) {
    // A correlator knows the pods of its node; it hears of this one within a moment.
    const target = { apiVersion: 'v1', kind: 'Node', name: 'node-1' }
    const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name: metadata.name }, target }
    await server.request('POST', `/api/v1/namespaces/shop/pods/${metadata.name}/binding`, binding)
    await pause(3_000)
  }
  const time = new Date().toISOString()
  const image = { id: `quay.io/acme/legacy@sha256:${'a'.repeat(64)}`, name: 'quay.io/acme/legacy:2.1' }
  const container = { id: `containerd://${'b'.repeat(64)}`, name: 'legacy', image, start_time: time, pid: 42 }
  const pod = {
    namespace: 'shop',
    name: metadata.name,
    uid: metadata.uid,
    container,
    workload: 'legacy',
    workload_kind: 'Deployment',
  }
  const process_ = {
    exec_id: `${time}:42`,
    pid: 4242,
    uid: 1000,
    cwd: '/',
    binary: '/app/server',
    arguments: '',
    flags: 'execve',
    start_time: time,
    pod,
  }
  const event = { process_exec: { process: process_ }, node_name: 'node-1', time }
  appendEvents(node, `${JSON.stringify(event)}\n`)
}

function appendEvents(node: PlayedNode, text: string): void {
  const folder = node.hostPath('/var/run/cilium/tetragon')
  mkdirSync(folder, { recursive: true })
  appendFileSync(join(folder, 'tetragon.log'), text)
}
