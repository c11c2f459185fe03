/** The agent's own counters, from a page on loopback. */

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { watchAgentMetrics } from '../../src/adapters/agent-metrics.js'
import type { AgentLoss, AgentLosses } from '../../src/correlator/agent-losses.js'

const POLL_MS = 10

t.test('what grew since the first reading, over restarts of the agent and pages that cannot be read', async t => {
  let answer: { status: number; page: string } = { status: 200, page: '' }
  let served = 0
  const server = createServer((_, response) => {
    served += 1
    response.writeHead(answer.status).end(answer.page)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const controller = new AbortController()
  t.teardown(() => {
    controller.abort()
    server.closeAllConnections()
    server.close()
  })
  const problems: string[] = []
  /** Serves a page until it was surely read whole. */
  const serve = async (status: number, ...lines: readonly string[]): Promise<void> => {
    answer = { status, page: lines.join('\n') }
    const until = served + 3
    while (served < until) await sleep(POLL_MS)
  }
  const taken = (losses: AgentLosses): readonly AgentLoss[] =>
    losses.take().toSorted((a, b) => (a.code < b.code ? -1 : 1))
  answer = { status: 200, page: 'tetragon_bpf_missed_events_total{error="EBUSY"} 5\ntetragon_events_total 900' }
  const losses = watchAgentMetrics(`http://127.0.0.1:${port}/metrics`, {
    signal: controller.signal,
    pollMs: POLL_MS,
    onProblem: problem => problems.push(problem),
  })
  while (served < 3) await sleep(POLL_MS)
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
  t.match(problems, [/status 500/])
  t.equal(problems.length, 1)
})

t.test('what is no URL is refused', async t => {
  const options = { signal: AbortSignal.abort(), onProblem: () => {} }
  for (const address of ['localhost:2112', 'file:///etc/passwd', 'metrics', '']) {
    t.throws(() => watchAgentMetrics(address, options), { code: 'USAGE' }, address)
  }
})
