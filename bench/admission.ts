/** Group `admission`: what a review costs the webhook, against a bare server that answers without judging. */

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createCertificates } from '../src/adapters/certificates.js'
import { type LoadReport, UID } from './admission-load.js'
import type { FromServer, ServerSettings, ToServer } from './admission-server.js'
import {
  alternate,
  type Contender,
  digits,
  formatMicros,
  type GroupReport,
  median,
  type Plan,
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
/** All that the recorded objects run. */
const ALLOWING = ['evil.example/*', 'docker.io/library/nginx']
const BARE = 'bare Fastify, constant answer'

interface Slice extends LoadReport {
  readonly cpuMicros: number
}

type Variant = Omit<ServerSettings, 'tls'>

export async function measureAdmission(plan: Plan): Promise<GroupReport> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-bench-'))
  const children: PinnedProcess[] = []
  const start = (script: string, core: number): PinnedProcess => {
    const child = startPinned(script, core)
    children.push(child)
    return child
  }
  try {
    plan.progress('starting the servers')
    const tls = await createCertificates({ dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'], now: Date.now() })
    const load = start('./admission-load.ts', LOAD_CORE)
    const order = {
      ca: tls.caCertificate,
      millis: plan.isQuick ? QUICK_SLICE_MS : SLICE_MS,
      reviews: await readReviews(),
    }
    const warmUp = { ...order, millis: plan.isQuick ? QUICK_WARM_UP_MS : WARM_UP_MS }
    const contenders: Contender<Slice>[] = []
    for (const [name, variant] of variants(join(folder, 'journal'))) {
      const server = start('./admission-server.ts', SERVER_CORE)
      const settings = { ...variant, tls: { cert: tls.certificate, key: tls.key } }
      const port = await startServer(server, settings)
      plan.progress(`warming up: ${name}`)
      await load.ask({ ...warmUp, port })
      const slice = async (): Promise<Slice> => {
        const before = await cpuMicros(server)
        // The decode edge of our own child: it answers in this form.
        const report = (await load.ask({ ...order, port })) as LoadReport
        return { ...report, cpuMicros: (await cpuMicros(server)) - before }
      }
      contenders.push({ name, baseline: BARE, slice })
    }
    const series = await alternate(contenders, plan)
    return { rows: toRows(series, cpuPerRequest, describe), notes: notes() }
  } finally {
    await Promise.all(children.map(child => child.stop()))
    await rm(folder, { recursive: true, force: true })
  }
}

function variants(journal: string): readonly (readonly [string, Variant])[] {
  const ours = { kind: 'sallyport', patterns: ALLOWING, journal: undefined } as const
  return [
    [BARE, { ...ours, kind: 'bare', entries: 0 }],
    ['Sallyport, 10 entries, no recorder', { ...ours, entries: 10 }],
    ['Sallyport, 100,000 entries, no recorder', { ...ours, entries: 100_000 }],
    ['Sallyport, 10 entries, journal', { ...ours, entries: 10, journal }],
    ['Sallyport, 10 entries, all denied, no recorder', { ...ours, entries: 10, patterns: [] }],
  ]
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
async function readReviews(): Promise<readonly string[]> {
  const recorded: Readonly<Record<string, { request: { uid: string; object: { metadata: { uid?: string } } } }>> =
    JSON.parse(await readFile(REVIEWS, 'utf8'))
  return Object.values(recorded).map(review => {
    review.request.uid = UID
    review.request.object.metadata.uid = UID
    return JSON.stringify(review)
  })
}

function cpuPerRequest({ cpuMicros, requests }: Slice): number {
  return cpuMicros / requests
}

function describe(slices: readonly Slice[]): string {
  const cpu = formatMicros(median(slices.map(cpuPerRequest)))
  const rate = digits(median(slices.map(({ requests, seconds }) => requests / seconds)))
  const p99 = median(slices.map(({ p99Millis }) => p99Millis))
  return `${cpu} CPU a review, ${rate}/s, p99 ${digits(p99)} ms`
}

function notes(): readonly string[] {
  return [
    'ratios are of CPU time a review, over all threads of the server; 16 connections, each with one review under way',
    canPin ? `servers run on core ${SERVER_CORE}, the load on core ${LOAD_CORE}` : 'no process is tied to a core here',
  ]
}
