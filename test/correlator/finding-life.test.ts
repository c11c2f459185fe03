/** The life of a finding: open, suppressed, resolved, reopened, forgotten; and what the stream itself lacks. */

import t from 'tap'
import type { EventSource, SourceGap, SourcePart } from '../../src/correlator/event-source.js'
import type { ExecEvent } from '../../src/correlator/exec-event.js'
import type { Finding } from '../../src/correlator/finding.js'
import type { FindingArchive } from '../../src/correlator/finding-archive.js'
import type { InventoryState } from '../../src/correlator/inventory.js'
import { NO_INVENTORY } from '../../src/correlator/inventory.js'
import { correlate } from '../../src/correlator/pipeline.js'
import { createStreamStats } from '../../src/correlator/stream-stats.js'
import { type CompiledPolicy, compileToolCatalogue } from '../../src/policy/index.js'
import { AFTER_START, containerOf, eventOf, lineOf, podOf } from '../support/events.js'
import { policyOf } from '../support/policies.js'

const HOUR = 3_600_000
const ALLOWED = podOf({ container: containerOf({ imageName: 'registry.corp.example/app:1' }) })
const NMAP = { name: 'nmap', patterns: ['nmap'], category: 'network-scanner' }
const SPEC = { allow: ['registry.corp.example/*'], runtime: { tools: { add: [NMAP] } } }

/** An event (its time is then the clock's too), a quiet hour count, a gap, or raw bytes. */
type Step = { at: number; event?: Partial<ExecEvent>; gap?: SourceGap; text?: string }

interface Told {
  readonly policy?: CompiledPolicy
  readonly resolveAfterMs?: number
  readonly staleMs?: number
  /** By the clock, in milliseconds since the epoch. */
  readonly inventory?: (now: number) => InventoryState
}

/** Runs the steps, each at its hour, and gives what came out: `hour kind/code status count`. */
async function tell(steps: readonly Step[], told: Told = {}): Promise<{ lines: string[]; findings: Finding[] }> {
  const policy = told.policy ?? policyOf(SPEC)
  let now = AFTER_START
  const source = async function* (): EventSource {
    yield { type: 'begin', name: 'test' }
    for (const step of steps) {
      now = AFTER_START + step.at * HOUR
      yield partOf(step, now)
    }
  }
  const lines: string[] = []
  const findings: Finding[] = []
  const { inventory } = told
  const options = {
    inventory: inventory && { ...NO_INVENTORY, state: () => inventory(now) },
    policy,
    catalogue: compileToolCatalogue({ file: 'test', tools: [] }, policy.runtime),
    journal: undefined,
    stats: createStreamStats(),
    now: () => now,
    staleMs: told.staleMs ?? 2 * HOUR,
    emit: { when: 'at-once', updateMs: 0, resolveAfterMs: told.resolveAfterMs ?? 3 * HOUR },
  } as const
  for await (const finding of correlate(source(), options)) {
    findings.push(finding)
    const { kind, code, status, count } = finding
    lines.push(`${(now - AFTER_START) / HOUR} ${kind}/${code} ${status} ${count}`)
  }
  return { lines, findings }
}

function partOf({ event, gap, text }: Step, now: number): SourcePart {
  if (gap !== undefined) return { type: 'gap', gap }
  if (text !== undefined) return { type: 'bytes', bytes: Buffer.from(text) }
  if (event === undefined) return { type: 'idle' }
  return { type: 'bytes', bytes: Buffer.from(`${lineOf(eventOf({ time: now, ...event }))}\n`) }
}

const bad: Partial<ExecEvent> = {}
const good: Partial<ExecEvent> = { pod: ALLOWED }
const scan: Partial<ExecEvent> = { pod: ALLOWED, binary: '/usr/bin/nmap' }
const image = 'non-allowlisted-image/not-allowed'

t.test('not seen for the window: resolved once, reopened when seen again', async t => {
  const steps = [
    { at: 0, event: bad },
    { at: 1, event: good },
    { at: 2, event: good },
    { at: 3, event: good },
    { at: 4, event: good },
    { at: 5, event: good },
    { at: 6, event: bad },
  ]
  const { lines, findings } = await tell(steps)
  t.same(lines, [`0 ${image} open 1`, `4 ${image} resolved 1`, `6 ${image} open 2`])
  t.match(findings, [{ emission: 1 }, { emission: 2, remarks: [/^judged/, /not been seen/] }, { emission: 3 }])
  t.equal(findings[2]?.remarks.length, 1, 'the remark goes with the status')
  t.same(findings[2]?.risk, findings[0]?.risk, 'it bears its risk still')
})

t.test(
  'nothing is resolved by time in which nobody watched, by an event from the future, or without a window',
  async t => {
    const gap = [
      { at: 0, event: bad },
      { at: 9, event: good },
      { at: 10, event: good },
    ]
    t.same((await tell(gap)).lines, [`0 ${image} open 1`], 'the stream was silent for nine hours')
    const future = [
      { at: 0, event: bad },
      { at: 1, event: { ...good, time: AFTER_START + 900 * HOUR } },
    ]
    t.same((await tell(future)).lines, [`0 ${image} open 1`])
    const idle = [{ at: 0, event: bad }, { at: 1 }, { at: 1.5 }]
    t.same((await tell(idle, { resolveAfterMs: HOUR })).lines, [`0 ${image} open 1`])
  },
)

t.test('an exception that ends closes what it covered, and says how much that was', async t => {
  const expires = new Date(AFTER_START + 2.5 * HOUR).toISOString()
  const exception = {
    id: 'EX-9',
    tools: ['nmap'],
    namespaces: ['team-a'],
    expires,
    reason: 'pen test',
    owner: 'red-team',
  }
  const policy = policyOf({ ...SPEC, exceptions: [exception] })
  const steps = [
    { at: 0, event: scan },
    { at: 1, event: scan },
    { at: 2, event: scan },
    { at: 3, event: good },
    { at: 4, event: scan },
  ]
  const { lines, findings } = await tell(steps, { policy })
  t.same(lines, [
    '0 offensive-tool/nmap suppressed 1',
    '1 offensive-tool/nmap suppressed 2',
    '2 offensive-tool/nmap suppressed 3',
    '3 offensive-tool/nmap resolved 3',
    '4 offensive-tool/nmap open 4',
  ])
  t.match(findings[3]?.remarks.at(-1), /exception EX-9 has ended; it covered 3 execs/)
  t.match(findings.at(-1), { suppressedCount: 3, suppression: undefined })
  t.same([findings[0]?.risk.score, findings.at(-1)?.risk.score], [0, 60])
})

t.test('a maintenance window suppresses in sight, says at its end how much it covered, and comes again', async t => {
  // The clock starts on Saturday, 23:22 UTC: Sunday, 00:22 in Berlin.
  const window = { namespaces: ['team-*'], days: ['Sun'], start: '00:00', duration: '2h', timeZone: 'Europe/Berlin' }
  const maintenance = [{ id: 'MW-1', ...window, reason: 'drill', owner: 'dba' }]
  const policy = policyOf({ ...SPEC, runtime: { ...SPEC.runtime, maintenance } })
  const week = 7 * 24
  const steps = [
    { at: 0, event: scan },
    { at: 1, event: scan },
    { at: 2, event: good },
    { at: week, event: scan },
    { at: week + 3, event: scan },
  ]
  const { lines, findings } = await tell(steps, { policy, staleMs: 2 * week * HOUR, resolveAfterMs: 2 * week * HOUR })
  t.same(lines, [
    '0 offensive-tool/nmap suppressed 1',
    '1 offensive-tool/nmap suppressed 2',
    '2 offensive-tool/nmap resolved 2',
    `${week} offensive-tool/nmap suppressed 3`,
    `${week + 3} offensive-tool/nmap open 4`,
  ])
  t.match(findings[0], {
    suppression: { by: 'maintenance', exception: 'MW-1', expires: '2026-11-22T01:00:00.000Z' },
    risk: { score: 0 },
  })
  t.match(findings[2]?.remarks.at(-1), /maintenance window MW-1 has ended; it covered 2 execs/)
})

t.test('an image under an exception is suppressed in sight; when it ends, the image is a finding', async t => {
  const expires = new Date(AFTER_START + 1.5 * HOUR).toISOString()
  const exception = {
    id: 'EX-1',
    images: ['docker.io/library/redis'],
    namespaces: ['*'],
    expires,
    reason: 'a',
    owner: 'b',
  }
  const policy = policyOf({ ...SPEC, exceptions: [exception] })
  const { lines, findings } = await tell(
    [0, 1, 2].map(at => ({ at, event: bad })),
    { policy },
  )
  t.same(lines, [
    '0 non-allowlisted-image/exception suppressed 1',
    '1 non-allowlisted-image/exception suppressed 2',
    `2 ${image} open 1`,
    '2 non-allowlisted-image/exception resolved 2',
  ])
  t.match(findings[0], { suppression: { exception: 'EX-1', expires }, risk: { score: 0 } })
})

t.test('a process that was found running is no news of a finding that is known', async t => {
  const steps = [
    { at: 0, event: bad },
    { at: 1, event: { ...bad, flags: ['procFS'] } },
    { at: 2, event: good },
    { at: 3, event: good },
    { at: 4, event: good },
    { at: 5, event: good },
    { at: 6, event: { ...bad, flags: ['procFS'] } },
  ]
  t.same((await tell(steps)).lines, [
    `0 ${image} open 1`,
    `1 ${image} open 1`,
    `5 ${image} resolved 1`,
    `6 ${image} resolved 1`,
  ])
})

t.test('what is resolved for long is forgotten', async t => {
  const quiet = Array.from({ length: 34 }, (_, hour) => ({ at: hour + 1, event: good }))
  const { lines } = await tell([{ at: 0, event: bad }, ...quiet, { at: 35, event: bad }], { resolveAfterMs: HOUR })
  t.same(lines, [`0 ${image} open 1`, `2 ${image} resolved 1`, `35 ${image} open 1`])
})

t.test('what the stream lacks is a finding of its node', async t => {
  const gap = { code: 'rotated-away', source: '/var/log/x.log', from: AFTER_START, to: AFTER_START + HOUR } as const
  const limited = JSON.stringify({ rate_limit_info: { number_of_dropped_process_events: '7' } })
  const steps = [
    { at: 0, event: good },
    { at: 1, text: `${limited}\nnot json\n${limited}\n{}\n` },
    { at: 1.5, gap },
    { at: 4 },
    { at: 5 },
    { at: 6, event: good },
    { at: 9 },
  ]
  const { lines, findings } = await tell(steps)
  t.same(lines, [
    '1 coverage/line-unreadable open 2',
    '1 coverage/rate-limited open 14',
    '1.5 coverage/rotated-away open 1',
    '4 coverage/stale-stream open 1',
    '9 coverage/stale-stream open 2',
  ])
  for (const finding of findings) {
    t.match(finding, { node_name: 'node-1', owner: { kind: 'Node', name: 'node-1' }, risk: { score: 0 } })
  }
  t.match(findings[2]?.remarks, [/between 2026-11-21T23:22:05.000Z and 2026-11-22T00:22:05.000Z/])
})

t.test(
  'an inventory that is cut off is reported once, when it stays so for a minute, and again the next time',
  async t => {
    const MINUTE = 60_000
    const stale = (since: number): InventoryState => ({ status: 'stale', since, problem: 'pods: \u001b[31mrefused' })
    const inventory = (now: number): InventoryState => {
      const minute = (now - AFTER_START) / MINUTE
      if (minute < 2) return { status: 'syncing', problem: 'pods: \u001b[31mrefused' }
      if (minute >= 5 && minute < 8) return stale(AFTER_START + 5 * MINUTE)
      if (minute >= 9) return stale(AFTER_START + 9 * MINUTE)
      return { status: 'synced' }
    }
    const steps = [0, 0.9, 1, 1.5, 3, 5.5, 6, 7, 8, 9, 9.5, 12].map(minute => ({ at: minute / 60, event: good }))
    const { lines, findings } = await tell(steps, { inventory, resolveAfterMs: 99 * HOUR })
    const minutes = lines.map(line => line.replace(/^\S+/, hour => String(Math.round(Number(hour) * 60))))
    t.same(
      minutes,
      ['1', '6', '12'].map((minute, index) => `${minute} coverage/inventory-stale open ${index + 1}`),
    )
    t.match(findings[0]?.remarks, [/since 2026-11-21T23:22:05.000Z: pods: \S*refused/])
    t.notOk(findings[0]?.remarks.join().includes('\u001b'))
    const quiet = await tell(steps, { inventory: () => ({ status: 'snapshot', at: 0 }) })
    t.same(quiet.lines, [])
  },
)

const PARTS = 1_000
const PART_MS = 10

/** A backlog with news in each part: how long saving takes in all, and how long one waits at most. */
async function readBacklog(saveMs: number): Promise<{ longestMs: number; savingMs: number }> {
  const policy = policyOf(SPEC)
  let now = AFTER_START
  const savedAt: number[] = []
  const archive: FindingArchive = {
    load: () => ({ findings: [], pending: [], position: undefined, watch: undefined }),
    save: () => {
      savedAt.push(now)
      now += saveMs
    },
    confirm() {},
    recall: () => undefined,
    recallUnseen: () => [],
  }
  const source = async function* (): EventSource {
    yield { type: 'begin', name: 'test' }
    for (let part = 0; part < PARTS; part += 1) {
      now += PART_MS
      const event = eventOf({ time: now, pod: podOf({ workload: `w${part}` }) })
      yield { type: 'bytes', bytes: Buffer.from(`${lineOf(event)}\n`), position: { part } }
    }
  }
  const options = {
    policy,
    catalogue: compileToolCatalogue({ file: 'test', tools: [] }, policy.runtime),
    journal: undefined,
    stats: createStreamStats(),
    now: () => now,
    emit: { when: 'at-once', updateMs: 60_000 },
    archive,
  } as const
  for await (const _ of correlate(source(), options));
  const pauses = savedAt.slice(1).map((at, index) => at - (savedAt[index] ?? at))
  return { longestMs: Math.max(...pauses), savingMs: savedAt.length * saveMs }
}

t.test('while a backlog is read saving takes little of the time, and news wait for a second or so', async t => {
  for (const [saveMs, share, atMostMs] of [
    [4, 0.012, 420],
    [50, 0.06, 1_100],
    [300, 0.11, 3_400],
  ] as const) {
    const { longestMs, savingMs } = await readBacklog(saveMs)
    // The first and the last wait for nothing.
    t.ok(savingMs - 2 * saveMs <= share * (PARTS * PART_MS + savingMs), `${saveMs} ms each: ${savingMs} ms in all`)
    t.ok(longestMs <= atMostMs, `${saveMs} ms each: at most ${longestMs} ms between two`)
  }
})
