/** Group `admission`: what a review costs the webhook, against a bare server that answers without judging. */

import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createCertificates } from '../src/adapters/certificates.js'
import { type LoadOrder, type LoadReport, UID } from './admission-load.js'
import type { FromServer, ServerSettings, ToServer } from './admission-server.js'
import {
  alternate,
  type Contender,
  digits,
  formatMicros,
  type GroupReport,
  median,
  type Plan,
  type Series,
  spreadOf,
  toRows,
} from './measure.js'
import { canPin, type PinnedProcess, startPinned } from './pinned-process.js'

const SLICE_MS = 1_000
const QUICK_SLICE_MS = 400
/** A server costs several times as much a review until its code is compiled: some 10,000 reviews. */
const WARM_UP_MS = 4_000
const QUICK_WARM_UP_MS = 1_500
const SERVER_CORE = 0
const LOAD_CORE = 1
/** Six reviews of 2 to 4 KB, as a real API server sent them. */
const REVIEWS = new URL('../test/fixtures/admission/reviews-kube-1.20.2.json', import.meta.url)
const ROOT = new URL('..', import.meta.url)
/** All that the recorded objects run. */
const ALLOWING = ['evil.example/*', 'docker.io/library/nginx']
const BARE = 'bare Fastify, constant answer'
const SMALL = 'Sallyport, 10 entries, journal'
const LARGE = 'Sallyport, 100,000 entries, journal'
/** The servers whose answers are timed at half of what the bare one takes. */
const TIMED: readonly string[] = [BARE, SMALL, LARGE]

interface Slice extends LoadReport {
  readonly cpuMicros: number
}

type Variant = Omit<ServerSettings, 'tls'>

/** Sends a server reviews for a slice's time, as many as it takes or at a rate. */
type SliceOf = (rate?: number) => Promise<Slice>

export async function measureAdmission(plan: Plan): Promise<GroupReport> {
  plan.progress('compiling')
  compile()
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-bench-'))
  const children: PinnedProcess[] = []
  const start = (script: string, core: number): PinnedProcess => {
    const child = startPinned(script, core)
    children.push(child)
    return child
  }
  try {
    const servers = await startServers(plan, folder, start)
    const full = await alternate(contendersOf(servers), plan)
    const half = halfRateOf(full)
    const timed = servers.filter(([name]) => TIMED.includes(name))
    const halved = await alternate(contendersOf(timed, half), plan)
    return {
      rows: [
        ...toRows(full, cpuPerRequest, describe),
        ...toRows(halved, ({ p99Millis }) => p99Millis, describeTimes).map(row => ({
          ...row,
          name: `${row.name}: p99 at half load`,
          baseline: `${row.baseline}: p99 at half load`,
        })),
      ],
      notes: [...shares(full), ...notes(half)],
    }
  } finally {
    await Promise.all(children.map(child => child.stop()))
    await rm(folder, { recursive: true, force: true })
  }
}

/** Bring `dist` up to date. */
export function compile(): void {
  const { status } = spawnSync('npm', ['run', '--silent', 'build'], { cwd: ROOT, stdio: 'inherit' })
  if (status !== 0) throw new Error('the sources do not compile')
}

function variants(folder: string): readonly (readonly [string, Variant])[] {
  const ours = { kind: 'sallyport', entries: 10, patterns: ALLOWING, auditLog: undefined } as const
  const journal = (name: string): string => join(folder, name)
  return [
    [BARE, { ...ours, kind: 'bare', journal: undefined }],
    [SMALL, { ...ours, journal: journal('small') }],
    [LARGE, { ...ours, entries: 100_000, journal: journal('large') }],
    [`${SMALL} and audit log`, { ...ours, journal: journal('both'), auditLog: join(folder, 'audit.ndjson') }],
    ['Sallyport, 10 entries, no recorder', { ...ours, journal: undefined }],
    ['Sallyport, 10 entries, all denied, journal', { ...ours, patterns: [], journal: journal('denied') }],
  ]
}

async function startServers(
  plan: Plan,
  folder: string,
  start: (script: string, core: number) => PinnedProcess,
): Promise<readonly (readonly [string, SliceOf])[]> {
  plan.progress('starting the servers')
  const tls = await createCertificates({ dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'], now: Date.now() })
  const load = start('./admission-load.ts', LOAD_CORE)
  const reviews = await readReviews()
  const millis = plan.isQuick ? QUICK_SLICE_MS : SLICE_MS
  const servers: (readonly [string, SliceOf])[] = []
  for (const [name, variant] of variants(folder)) {
    const server = start('./admission-server.ts', SERVER_CORE)
    const port = await startServer(server, { ...variant, tls: { cert: tls.certificate, key: tls.key } })
    const send = async (rate: number | undefined, forMillis: number): Promise<Slice> => {
      const before = await cpuMicros(server)
      const order: LoadOrder = { port, ca: tls.caCertificate, millis: forMillis, rate, reviews }
      // The decode edge of our own child: it answers in this form.
      const report = (await load.ask(order)) as LoadReport
      return { ...report, cpuMicros: (await cpuMicros(server)) - before }
    }
    plan.progress(`warming up: ${name}`)
    await send(undefined, plan.isQuick ? QUICK_WARM_UP_MS : WARM_UP_MS)
    servers.push([name, rate => send(rate, millis)])
  }
  return servers
}

async function startServer(server: PinnedProcess, settings: ServerSettings): Promise<number> {
  const message: ToServer = { type: 'start', settings }
  const started = (await server.ask(message)) as FromServer
  if (started.type !== 'started') throw new Error('the server gave another answer than its port')
  return started.port
}

async function cpuMicros(server: PinnedProcess): Promise<number> {
  const message: ToServer = { type: 'cpu' }
  const answer = (await server.ask(message)) as FromServer
  if (answer.type !== 'cpu') throw new Error('the server gave another answer than its CPU time')
  return answer.micros
}

/** The recorded reviews, with room for ids that change from one request to the next. */
export async function readReviews(): Promise<readonly string[]> {
  const recorded: Readonly<Record<string, { request: { uid: string; object: { metadata: { uid?: string } } } }>> =
    JSON.parse(await readFile(REVIEWS, 'utf8'))
  return Object.values(recorded).map(review => {
    review.request.uid = UID
    review.request.object.metadata.uid = UID
    return JSON.stringify(review)
  })
}

function contendersOf(servers: readonly (readonly [string, SliceOf])[], rate?: number): readonly Contender<Slice>[] {
  return servers.map(([name, sliceOf]) => ({ name, baseline: BARE, slice: () => sliceOf(rate) }))
}

function halfRateOf(full: readonly Series<Slice>[]): number {
  const bare = full.find(({ contender }) => contender.name === BARE)
  return Math.round(median((bare?.slices ?? []).map(requestsPerSecond)) / 2)
}

function cpuPerRequest({ cpuMicros, requests }: Slice): number {
  return cpuMicros / requests
}

function requestsPerSecond({ requests, seconds }: Slice): number {
  return requests / seconds
}

function describe(slices: readonly Slice[]): string {
  const cpu = formatMicros(median(slices.map(cpuPerRequest)))
  return `${cpu} CPU a review, ${digits(median(slices.map(requestsPerSecond)))}/s`
}

function describeTimes(slices: readonly Slice[]): string {
  const p99 = digits(median(slices.map(({ p99Millis }) => p99Millis)))
  return `${p99} ms at ${digits(median(slices.map(requestsPerSecond)))}/s`
}

/** How many requests a second each server takes, as a share of the bare one's: the goal is in these words. */
function shares(full: readonly Series<Slice>[]): readonly string[] {
  const bare = full.find(({ contender }) => contender.name === BARE)?.slices ?? []
  return full
    .filter(({ contender }) => contender.name !== BARE)
    .map(({ contender, slices }) => {
      const ratios = slices.map((slice, cycle) => {
        const against = bare[cycle]
        return against === undefined ? Number.NaN : requestsPerSecond(slice) / requestsPerSecond(against)
      })
      const { median, min, max } = spreadOf(ratios)
      return `${contender.name}: ${digits(median)} (${digits(min)} to ${digits(max)}) of the bare server's requests a second`
    })
}

function notes(half: number): readonly string[] {
  return [
    'ratios are of CPU time a review, over all threads of the server; 16 connections, each with one review under way',
    `half load: ${digits(half)} reviews a second at even distances, timed from when each was due; ratios are of p99`,
    canPin ? `servers run on core ${SERVER_CORE}, the load on core ${LOAD_CORE}` : 'no process is tied to a core here',
  ]
}
