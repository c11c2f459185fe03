/** The agent's own counters, from a page on loopback. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { readMetricsUrl, watchAgentMetrics } from '../../src/adapters/agent-metrics.js'
import { FINDINGS_FILE, openFindingStore } from '../../src/adapters/finding-store-file.js'
import type { AgentLoss, AgentLosses, AgentReading } from '../../src/correlator/agent-losses.js'

const POLL_MS = 10

interface Page {
  readonly url: URL
  served(): number
  answer(status: number, ...lines: readonly string[]): void
  /** The same, until the one that reads it again and again has surely read it whole. */
  untilRead(status: number, ...lines: readonly string[]): Promise<void>
}

async function servePage(t: Test): Promise<Page> {
  let current = { status: 200, page: '' }
  let served = 0
  const server = createServer((_, response) => {
    served += 1
    response.writeHead(current.status).end(current.page)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const answer = (status: number, ...lines: readonly string[]): void => {
    current = { status, page: lines.join('\n') }
  }
  return {
    url: readMetricsUrl(`http://127.0.0.1:${port}/metrics`),
    served: () => served,
    answer,
    async untilRead(status, ...lines) {
      answer(status, ...lines)
      for (const until = served + 3; served < until; ) await sleep(POLL_MS)
    },
  }
}

t.test('what grew since the first reading, over restarts of the agent and pages that cannot be read', async t => {
  const page = await servePage(t)
  const serve = page.untilRead
  const controller = new AbortController()
  t.teardown(() => controller.abort())
  const problems: string[] = []
  const taken = (losses: AgentLosses): readonly AgentLoss[] =>
    losses.take().toSorted((a, b) => (a.code < b.code ? -1 : 1))
  page.answer(200, 'tetragon_bpf_missed_events_total{error="EBUSY"} 5', 'tetragon_events_total 900')
  const losses = watchAgentMetrics(page.url, {
    signal: controller.signal,
    pollMs: POLL_MS,
    onProblem: problem => problems.push(problem),
  })
  while (page.served() < 3) await sleep(POLL_MS)
  t.same(taken(losses), [], 'what was lost before')
  await serve(
    200,
    '# TYPE tetragon_bpf_missed_events_total counter',
    'tetragon_bpf_missed_events_total{error="EBUSY",msg_op="a} 1"} 7',
    'tetragon_bpf_missed_events_total{error="ENOSPC"} 1e+01',
    'tetragon_export_ratelimit_events_dropped_total 4',
    'tetragon_observer_ringbuf_events_lost_total NaN',
    'tetragon_events_total 1000',
  )
  t.same(taken(losses), [
    { code: 'export-rate-limited', count: 4 },
    { code: 'kernel-missed', count: 12 },
  ])
  t.same(taken(losses), [], 'once')
  await serve(500)
  await serve(200, 'tetragon_bpf_missed_events_total 3')
  t.same(taken(losses), [{ code: 'kernel-missed', count: 3 }], 'the agent began anew')
  await serve(200, '<html>', 'process_start_time_seconds 1')
  await serve(200, 'tetragon_bpf_missed_events_total 4')
  t.same(taken(losses), [{ code: 'kernel-missed', count: 1 }], 'the page of something else says nothing')
  t.match(problems, [/status 500/, /no metrics of Tetragon/])
  t.equal(problems.length, 2)
})

t.test('the start of the agent says whether its counters began anew', async t => {
  const { url, answer, untilRead } = await servePage(t)
  const controller = new AbortController()
  t.teardown(() => controller.abort())
  answer(200, 'tetragon_bpf_missed_events_total 50', 'process_start_time_seconds 1.75e+09')
  const losses = watchAgentMetrics(url, { signal: controller.signal, pollMs: POLL_MS, onProblem: () => {} })
  await untilRead(200, 'tetragon_bpf_missed_events_total 50', 'process_start_time_seconds 1.75e+09')
  t.same(losses.take(), [])
  await untilRead(200, 'tetragon_bpf_missed_events_total 40', 'process_start_time_seconds 1.75e+09')
  t.same(losses.take(), [], 'a sample has gone, and nothing was lost')
  await untilRead(200, 'tetragon_bpf_missed_events_total 60', 'process_start_time_seconds 1.750000001e+09')
  t.same(losses.take(), [{ code: 'kernel-missed', count: 60 }], 'another agent')
})

t.test('counting goes on at a reading that was kept, of the same page alone', async t => {
  const { url, answer, untilRead } = await servePage(t)
  answer(200, 'tetragon_bpf_missed_events_total 7')
  const lossesSince = async (from: unknown): Promise<AgentLosses> => {
    const controller = new AbortController()
    const { signal } = controller
    const losses = watchAgentMetrics(url, { from: from as AgentReading, signal, pollMs: POLL_MS, onProblem: () => {} })
    await untilRead(200, 'tetragon_bpf_missed_events_total 7')
    controller.abort()
    return losses
  }
  const first = await lossesSince(undefined)
  t.equal(first.reading, undefined, 'nothing was taken yet')
  t.same(first.take(), [])
  const kept = { ...JSON.parse(JSON.stringify(first.reading)), counters: { 'kernel-missed': 5 } }
  for (const [from, count] of [
    [kept, 2],
    [{ ...kept, page: 'http://127.0.0.1/other' }, 0],
    [{ ...kept, version: 2 }, 0],
    [{ ...kept, counters: null }, 0],
    [{ ...kept, counters: { 'kernel-missed': '5', other: 3 } }, 7],
    [{}, 0],
  ] as const) {
    const losses = await lossesSince(from)
    t.same(losses.take(), count === 0 ? [] : [{ code: 'kernel-missed', count }], JSON.stringify(from))
    t.match(losses.reading, { counters: { 'kernel-missed': 7 } })
  }
})

t.test('kill -9 of the real program neither loses nor repeats what the agent lost', async t => {
  const page = await servePage(t)
  const directory = t.testdir({
    'policy.yaml': `
apiVersion: sallyport.dev/v1
kind: ImagePolicy
metadata: { name: test }
spec: { allow: ['registry.corp.example/*'] }
`,
    'tetragon.log': '',
  })
  const at = (name: string): string => join(directory, name)
  const argv = ['correlate', '--policy', at('policy.yaml'), '--source', `file:${at('tetragon.log')}`]
  const options = ['--state', at('state'), '--tetragon-metrics', page.url.href]
  const sink = ['--sink', `file:${at('findings.jsonl')}`]
  const kept = (): { reading: number | undefined; count: number } => {
    if (!existsSync(join(at('state'), FINDINGS_FILE))) return { reading: undefined, count: 0 }
    const state = openFindingStore(at('state'))
    try {
      const counters = state.agentReading?.['counters'] as Record<string, number> | undefined
      const counts = state.load().findings.map(({ finding }) => finding.count)
      return { reading: counters?.['kernel-missed'], count: counts.reduce((sum, count) => sum + count, 0) }
    } finally {
      state.close()
    }
  }
  for (const [reading, signal] of [
    [100, 'SIGKILL'],
    [130, 'SIGKILL'],
    [130, 'SIGKILL'],
    [137, 'SIGTERM'],
  ] as const) {
    page.answer(200, `tetragon_bpf_missed_events_total ${reading}`, 'process_start_time_seconds 1.75e+09')
    const before = page.served()
    const child = spawn(process.execPath, ['--import', 'tsx', 'src/cli.ts', ...argv, ...options, ...sink], {
      stdio: 'ignore',
    })
    const ended = once(child, 'exit')
    const deadline = Date.now() + 120_000
    while ((page.served() === before || kept().reading !== reading) && Date.now() < deadline) await sleep(20)
    child.kill(signal)
    await ended
    t.same(kept(), { reading, count: reading - 100 }, `${signal} at ${reading}`)
  }
  const lines = readFileSync(at('findings.jsonl'), 'utf8').trimEnd().split('\n')
  t.match(JSON.parse(lines.at(-1) ?? ''), { kind: 'coverage', code: 'kernel-missed', count: 37 })
})

t.test('what is no URL is refused', async t => {
  for (const address of ['localhost:2112', 'file:///etc/passwd', 'metrics', '']) {
    t.throws(() => readMetricsUrl(address), { code: 'USAGE' }, address)
  }
})
