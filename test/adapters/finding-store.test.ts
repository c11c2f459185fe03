/** Findings over restarts: kept, counted once, given out once, whenever the program is killed. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { appendFileSync, existsSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'libsql'
import t from 'tap'
import { FINDINGS_FILE, openFindingStore } from '../../src/adapters/finding-store-file.js'
import type { EventSource } from '../../src/correlator/event-source.js'
import type { ExecEvent } from '../../src/correlator/exec-event.js'
import type { Finding } from '../../src/correlator/finding.js'
import { ArchiveUnavailable, type FindingArchive } from '../../src/correlator/finding-archive.js'
import { FindingStore } from '../../src/correlator/finding-store.js'
import { correlate } from '../../src/correlator/pipeline.js'
import { createStreamStats } from '../../src/correlator/stream-stats.js'
import { WatchClock } from '../../src/correlator/watch-clock.js'
import { type CompiledPolicy, compileToolCatalogue } from '../../src/policy/index.js'
import { AFTER_START, eventOf, lineOf, podOf } from '../support/events.js'
import { findingOf } from '../support/findings.js'
import { policyOf } from '../support/policies.js'
import { assertAsyncProperty, fc } from '../support/properties.js'

const POLICY = policyOf({ allow: ['registry.corp.example/*'] })
const CATALOGUE = compileToolCatalogue({ file: 'test', tools: [] }, POLICY.runtime)
const NEWLINE = 0x0a

/** Bytes from the kept position on, cut at the given sizes; each part says where its last complete line ends. */
async function* resumable(bytes: Buffer, sizes: readonly number[], from: unknown): EventSource {
  let offset = typeof from === 'number' ? from : 0
  yield { type: 'begin', name: 'test' }
  for (const size of [...sizes, bytes.length]) {
    const end = Math.min(bytes.length, offset + size)
    const done = bytes.subarray(0, end).lastIndexOf(NEWLINE) + 1
    yield { type: 'bytes', bytes: Buffer.from(bytes.subarray(offset, end)), position: { offset: done } }
    offset = end
    yield { type: 'idle' }
  }
}

interface Life {
  readonly sizes: readonly number[]
  /** Killed when so many findings were given out; undefined: it ends in order. */
  readonly findings?: number
  /** The clock goes on by so much with each reading. */
  readonly tickMs: number
  readonly policy?: CompiledPolicy
  /** So many findings are held in memory. */
  readonly cap?: number
  /** Of the calls to the archive, those that find it unavailable. */
  readonly failures?: readonly boolean[]
}

/** As by a full disk: now and then nothing works, and nothing changes. */
function moody(archive: FindingArchive, failures: readonly boolean[]): FindingArchive {
  const moods = failures[Symbol.iterator]()
  const unless = <Result>(work: () => Result): Result => {
    if (moods.next().value === true) throw new ArchiveUnavailable('the disk is full', 'full')
    return work()
  }
  return {
    load: () => archive.load(),
    save: changes => unless(() => archive.save(changes)),
    confirm: () => unless(() => archive.confirm()),
    recall: fingerprint => unless(() => archive.recall(fingerprint)),
    recallUnseen: since => unless(() => archive.recallUnseen(since)),
  }
}

/** One run of the program: what it gave out until it was killed, or ended. */
async function live(directory: string, bytes: Buffer, life: Life, given: Finding[]): Promise<void> {
  const archive = openFindingStore(directory)
  archive.claim()
  let now = AFTER_START
  const options = {
    policy: life.policy ?? POLICY,
    catalogue: CATALOGUE,
    journal: undefined,
    stats: createStreamStats(),
    now: () => {
      now += life.tickMs
      return now
    },
    emit: { when: 'at-once', updateMs: 50 },
    archive: moody(archive, life.failures ?? []),
    waiting: { random: () => 0, sleep: async () => {}, signal: new AbortController().signal },
    ...(life.cap === undefined ? {} : { maxFindings: life.cap }),
  } as const
  const source = resumable(bytes, life.sizes, archive.position?.['offset'])
  const findings = correlate(source, options)
  for (let left = life.findings ?? Number.POSITIVE_INFINITY; left > 0; left -= 1) {
    const next = await findings.next()
    if (next.done === true) break
    given.push(next.value)
  }
  // The generator is left where it stands, as by a kill.
  archive.close()
}

const WORKLOADS = ['web', 'api', 'db', 'job']

function bytesOf(events: readonly ExecEvent[]): Buffer {
  return Buffer.from(events.map(event => `${lineOf(event)}\n`).join(''))
}

t.test('whenever it is killed or its disk is full, nothing is lost, counted twice or raised twice', async t => {
  const root = t.testdir()
  let runs = 0
  const life = fc.record({
    sizes: fc.array(fc.integer({ min: 1, max: 3000 }), { maxLength: 6 }),
    findings: fc.integer({ min: 1, max: 6 }),
    tickMs: fc.constantFrom(0, 1, 40, 400),
    cap: fc.integer({ min: 1, max: 5 }),
    failures: fc.array(fc.boolean(), { maxLength: 40 }),
  })
  const workloads = fc.array(fc.constantFrom(...WORKLOADS), { minLength: 1, maxLength: 20 })
  await assertAsyncProperty(
    fc.asyncProperty(workloads, fc.array(life, { maxLength: 5 }), async (names, lives) => {
      runs += 1
      const directory = join(root, String(runs))
      const events = names.map((workload, index) => eventOf({ time: AFTER_START + index, pod: podOf({ workload }) }))
      const given: Finding[] = []
      for (const each of [...lives, { sizes: [], tickMs: 0, cap: 2 }])
        await live(directory, bytesOf(events), each, given)
      const fingerprints = new Set(given.map(({ fingerprint }) => fingerprint))
      assert.equal(fingerprints.size, new Set(names).size)
      for (const each of fingerprints) {
        const lines = given.filter(({ fingerprint }) => fingerprint === each)
        // A line that was given out twice is the same line.
        const distinct = [...new Map(lines.map(line => [JSON.stringify(line), line])).values()]
        assert.deepEqual(
          distinct.map(({ emission }) => emission),
          distinct.map((_, index) => index + 1),
        )
        const last = distinct.at(-1)
        assert.equal(last?.count, names.filter(name => name === last?.owner?.name).length)
      }
      rmSync(directory, { recursive: true })
    }),
    { numRuns: 60 },
  )
  t.pass()
})

t.test('a restart without anything new says nothing', async t => {
  const directory = t.testdir()
  const bytes = bytesOf([eventOf(), eventOf({ pod: podOf({ workload: 'api' }) })])
  const given: Finding[] = []
  await live(directory, bytes, { sizes: [], tickMs: 1 }, given)
  t.equal(given.length, 2)
  await live(directory, bytes, { sizes: [], tickMs: 1 }, given)
  t.equal(given.length, 2)
  const more = Buffer.concat([bytes, bytesOf([eventOf({ time: AFTER_START + 5, binary: '/bin/sh' })])])
  await live(directory, more, { sizes: [], tickMs: 1 }, given)
  t.match(given.slice(2), [{ count: 2, emission: 2, samples: { processes: ['/usr/bin/true', '/bin/sh'] } }])
})

t.test('the folder of a state, and those that lead to it', async t => {
  const directory = t.testdir({
    file: 'x',
    linked: t.fixture('symlink', 'real'),
    real: {},
    broken: t.fixture('symlink', 'no'),
  })
  for (const name of ['a/b/c', 'real', 'linked/d', 'a/../e', '.']) {
    openFindingStore(join(directory, name)).close()
    t.ok(existsSync(join(directory, name, FINDINGS_FILE)), name)
  }
  t.equal(statSync(join(directory, 'a')).mode & 0o777, 0o700)
  // Something is missing in /proc, it says, whatever is there.
  for (const name of [
    join(directory, 'file'),
    join(directory, 'file/x'),
    join(directory, 'broken'),
    '/proc/none/state',
  ]) {
    t.throws(() => openFindingStore(name), { code: 'STATE_UNUSABLE' }, name)
  }
})

t.test('what it refuses', async t => {
  const directory = t.testdir({ text: { [FINDINGS_FILE]: 'no database' }, file: 'x' })
  const other = join(directory, 'other')
  const newer = join(directory, 'newer')
  openFindingStore(newer).close()
  const database = new Database(join(newer, FINDINGS_FILE))
  database.pragma('user_version = 99')
  database.close()
  openFindingStore(other).close()
  const strange = new Database(join(other, FINDINGS_FILE))
  strange.pragma('application_id = 7')
  strange.close()
  for (const name of ['text', 'file', 'newer', 'other']) {
    t.throws(() => openFindingStore(join(directory, name)), { code: 'STATE_UNUSABLE' }, name)
  }
  const first = openFindingStore(join(directory, 'shared'))
  first.claim()
  const second = openFindingStore(join(directory, 'shared'))
  const nothing = { findings: [], forgotten: [], pending: [], position: undefined, watch: { since: 0, until: 0 } }
  t.doesNotThrow(() => first.save(nothing), 'the other one has only looked')
  second.claim()
  t.throws(() => first.save(nothing), { code: 'STATE_UNUSABLE' }, 'another process has taken over')
  t.throws(() => first.confirm(), { code: 'STATE_UNUSABLE' })
  t.doesNotThrow(() => second.save(nothing))
  first.close()
  second.close()
})

t.test('what the database refuses while it runs, as on a full disk, is said of the state and is no bug', async t => {
  const directory = t.testdir()
  const store = openFindingStore(directory, [{ name: 'hec', isWanted: () => true }])
  store.claim()
  const queue = store.outbox.queueOf('hec')
  const other = new Database(join(directory, FINDINGS_FILE))
  other.exec('DROP TABLE pending; DROP TABLE deliveries; DROP TABLE findings')
  other.close()
  const nothing = { findings: [], forgotten: [], pending: [], position: undefined, watch: { since: 0, until: 0 } }
  const works: Record<string, () => unknown> = {
    save: () => store.save(nothing),
    confirm: () => store.confirm(),
    load: () => store.load(),
    recall: () => store.recall('x'),
    recallUnseen: () => store.recallUnseen(1),
    take: () => queue.take(1),
    settle: () => queue.settle([{ id: 1, finding: findingOf() }]),
    postpone: () => queue.postpone({ id: 1, finding: findingOf() }),
  }
  for (const [name, work] of Object.entries(works)) t.throws(work, { code: 'STATE_UNUSABLE' }, name)
  store.close()
})

t.test(
  'a state of the version before is taken up; what waits for a sink that is not given is kept and told',
  async t => {
    const directory = t.testdir()
    const given: Finding[] = []
    await live(directory, bytesOf([eventOf()]), { sizes: [], tickMs: 0 }, given)
    const database = new Database(join(directory, FINDINGS_FILE))
    database.exec('DROP TABLE deliveries; DROP INDEX findings_retired; ALTER TABLE findings DROP COLUMN retired')
    database.pragma('user_version = 1')
    database.close()
    const watch = { since: 0, until: 0 }
    const first = openFindingStore(directory, [{ name: 'hec', isWanted: ({ severity }) => severity !== 'info' }])
    first.claim()
    t.equal(first.load().findings.length, 1)
    t.equal(first.outbox.queueOf('hec').size, 0)
    first.save({ findings: [], forgotten: [], pending: given, position: undefined, watch })
    t.equal(first.outbox.queueOf('hec').size, 1)
    first.close()
    const without = openFindingStore(directory)
    t.same(without.outbox.stranded, [{ sink: 'hec', count: 1 }])
    without.close()
    const again = openFindingStore(directory, [{ name: 'hec', isWanted: () => true }])
    t.match(again.outbox.queueOf('hec').take(9), [{ finding: { fingerprint: given[0]?.fingerprint } }])
    t.same(again.outbox.stranded, [])
    again.close()
  },
)

t.test('what waits for a sink is what the file says, whatever was there before', async t => {
  const directory = t.testdir()
  const given: Finding[] = []
  const bytes = bytesOf(WORKLOADS.map(workload => eventOf({ pod: podOf({ workload }) })))
  await live(directory, bytes, { sizes: [], tickMs: 0 }, given)
  const [web, api] = given
  assert(web !== undefined && api !== undefined)
  const sinks = [{ name: 'hec', isWanted: () => true }]
  const changes = { findings: [], forgotten: [], position: undefined, watch: { since: 0, until: 0 } }
  const first = openFindingStore(directory, sinks)
  const queue = first.outbox.queueOf('hec')
  first.claim()
  first.save({ ...changes, pending: [web, api] })
  first.save({ ...changes, pending: [{ ...web, count: 7 }] })
  t.match(queue.take(9), [
    { id: 2, finding: { fingerprint: api.fingerprint } },
    { id: 3, finding: { ...web, count: 7 } },
  ])
  const [head] = queue.take(1)
  assert(head !== undefined)
  queue.postpone(head)
  t.match(queue.take(9), [{ finding: { count: 7 } }, { id: 4, finding: { fingerprint: api.fingerprint } }])
  queue.settle(queue.take(9))
  t.same(queue.take(9), [])
  // What cannot be written leaves no trace: its number goes to what another process writes.
  const unwritable = { ...changes, watch: { since: 0, until: 1n as unknown as number } }
  t.throws(() => first.save({ ...unwritable, pending: [web] }), TypeError)
  t.equal(queue.size, 0)
  const second = openFindingStore(directory, sinks)
  second.claim()
  second.save({ ...changes, pending: [api] })
  t.match(queue.take(9), [{ id: 5, finding: { fingerprint: api.fingerprint } }])
  first.close()
  second.close()
})

t.test('what made room in memory is kept, recalled, resolved when it is not seen again, and forgotten', async t => {
  const directory = t.testdir()
  const hour = 3_600_000
  const pods = ['web', 'api', 'db'].map(workload => podOf({ workload }))
  const given: Finding[] = []
  await live(directory, bytesOf(pods.map(pod => eventOf({ pod }))), { sizes: [], tickMs: 0, cap: 1 }, given)
  const archive = openFindingStore(directory)
  archive.claim()
  t.match(archive.load().findings, [{ finding: { owner: { name: 'db' } } }])
  const [web, api] = given
  assert(web !== undefined && api !== undefined)
  t.match(archive.recall(web.fingerprint), { finding: { owner: { name: 'web' }, count: 1 } })
  t.equal(archive.recall('unknown'), undefined)
  t.same(archive.recallUnseen(AFTER_START), [])
  t.equal(archive.recallUnseen(AFTER_START + 1).length, 2)

  const store = new FindingStore(POLICY, { archive, maxFindings: 1 })
  const watch = new WatchClock(2 * hour, { since: AFTER_START - 100 * hour, until: AFTER_START + 2 * hour })
  const save = (forgetBefore?: number) => {
    const pending = store.takeUpdates()
    const [findings, forgotten] = [store.unsaved(), store.forgotten]
    archive.save({ findings, forgotten, pending, position: undefined, watch: watch.state, forgetBefore })
    store.noteSaved()
    return pending
  }
  store.resolve(watch, hour)
  t.match(
    save().map(({ status, emission, count }) => ({ status, emission, count })),
    [
      { status: 'resolved', emission: 2, count: 1 },
      { status: 'resolved', emission: 2, count: 1 },
    ],
  )
  store.resolve(watch, hour)
  t.same(save(), [], 'once')
  t.match(archive.recall(api.fingerprint), { finding: { status: 'resolved' } })
  save(AFTER_START + 1)
  t.equal(archive.recall(api.fingerprint), undefined, 'forgotten')
  t.equal(archive.load().findings.length, 1, 'what is held in memory is not forgotten here')
  archive.close()
})

/** What the state counts, all findings together. */
function countIn(directory: string): number {
  if (!existsSync(join(directory, FINDINGS_FILE))) return 0
  const database = new Database(join(directory, FINDINGS_FILE), { readonly: true })
  try {
    const row: unknown = database.prepare("SELECT sum(json_extract(finding, '$.count')) AS sum FROM findings").get()
    return Number((row as { sum: number | null }).sum)
  } catch {
    // It has just been made, and has no tables yet.
    return 0
  } finally {
    database.close()
  }
}

t.test('a finding that is seen again under another policy says so, and is no news', async t => {
  const directory = t.testdir()
  const given: Finding[] = []
  const bytes = bytesOf([eventOf()])
  await live(directory, bytes, { sizes: [], tickMs: 0 }, given)
  const more = Buffer.concat([bytes, bytesOf([eventOf()])])
  const policy = policyOf({ allow: ['registry.corp.example/*', 'quay.io/*'] })
  await live(directory, more, { sizes: [], tickMs: 0, policy }, given)
  t.match(given, [
    { count: 1, policy: { revision: POLICY.revision } },
    { count: 2, policy: { revision: policy.revision }, emission: 2, status: 'open' },
  ])
  t.same(given[1]?.risk, given[0]?.risk)
})

t.test('kill -9 of the real program', async t => {
  const directory = t.testdir({
    'policy.yaml': `
apiVersion: sallyport.dev/v1
kind: ImagePolicy
metadata: { name: test }
spec: { allow: ['registry.corp.example/*'] }
`,
    'tetragon.log': '',
  })
  const at = (name: string) => join(directory, name)
  const argv = ['correlate', '--policy', at('policy.yaml'), '--source', `file:${at('tetragon.log')}`, '--from-start']
  const start = () =>
    spawn(
      process.execPath,
      ['--import', 'tsx', 'src/cli.ts', ...argv, '--state', at('state'), '--sink', `file:${at('findings.jsonl')}`],
      { stdio: 'ignore' },
    )
  const total = 3_000
  let written = 0
  const write = (count: number): void => {
    const events: ExecEvent[] = []
    for (const until = Math.min(total, written + count); written < until; written += 1) {
      events.push(eventOf({ time: AFTER_START + written, pod: podOf({ workload: `w${written % 50}` }) }))
    }
    appendFileSync(at('tetragon.log'), bytesOf(events))
  }
  for (const [aim, signal] of [
    [500, 'SIGKILL'],
    [1_500, 'SIGKILL'],
    [total, 'SIGTERM'],
  ] as const) {
    const child = start()
    const ended = new Promise(resolve => child.on('exit', resolve))
    // Killed in the midst of it: while more is written than it has counted.
    for (const deadline = Date.now() + 120_000; countIn(at('state')) < aim && Date.now() < deadline; ) {
      if (written < aim + 200) write(20)
      await sleep(25)
    }
    child.kill(signal)
    await ended
  }
  t.ok(existsSync(at('findings.jsonl')))
  const lines: Finding[] = readFileSync(at('findings.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
  const last = new Map(lines.map(line => [line.fingerprint, line]))
  t.equal(last.size, 50)
  t.equal(
    [...last.values()].reduce((sum, { count }) => sum + count, 0),
    total,
  )
  const firsts = new Set(lines.filter(({ emission }) => emission === 1).map(line => JSON.stringify(line)))
  t.equal(firsts.size, 50, 'a finding is raised once; a line that was being written may stand there twice')
})
