/** A state that cannot be written for a while: waited out, nothing lost, nothing counted twice, and said. */

import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'libsql'
import t, { type Test } from 'tap'
import { FINDINGS_FILE, openFindingStore } from '../../src/adapters/finding-store-file.js'
import { mayPass } from '../../src/adapters/sqlite-file.js'
import type { EventSource } from '../../src/correlator/event-source.js'
import type { Finding } from '../../src/correlator/finding.js'
import { type ArchiveChanges, ArchiveUnavailable, type FindingArchive } from '../../src/correlator/finding-archive.js'
import { correlate } from '../../src/correlator/pipeline.js'
import { createStreamStats } from '../../src/correlator/stream-stats.js'
import { compileToolCatalogue } from '../../src/policy/index.js'
import { AFTER_START, eventOf, lineOf, podOf } from '../support/events.js'
import { policyOf } from '../support/policies.js'
import { runCommand } from '../support/run-command.js'
import { mountSmallDisk, type SmallDisk } from '../support/small-disk.js'

const POLICY = policyOf({ allow: ['registry.corp.example/*'] })
const CATALOGUE = compileToolCatalogue({ file: 'test', tools: [] }, POLICY.runtime)
const NOTHING = { findings: [], forgotten: [], pending: [], position: undefined, watch: { since: 0, until: 0 } }
const FULL = new ArchiveUnavailable('the disk is full', 'full')

const line = (workload: string) => `${lineOf(eventOf({ pod: podOf({ workload }) }))}\n`

function thrownBy(work: () => unknown): unknown {
  try {
    work()
    return undefined
  } catch (error) {
    return error
  }
}

async function until(t: Test, what: string, isSo: () => boolean): Promise<void> {
  const deadline = Date.now() + 90_000
  while (!isSo() && Date.now() < deadline) await sleep(20)
  t.ok(isSo(), what)
}

t.test('what SQLite says may pass, or stays', t => {
  const passing = ['FULL', 'IOERR', 'IOERR_WRITE', 'READONLY', 'READONLY_ROLLBACK', 'BUSY', 'BUSY_SNAPSHOT', 'LOCKED']
  for (const code of [...passing, 'CANTOPEN'])
    t.ok(mayPass(Object.assign(new Error(), { code: `SQLITE_${code}` })), code)
  for (const code of ['SQLITE_CORRUPT', 'SQLITE_NOTADB', 'SQLITE_ERROR', 'SQLITE_SCHEMA', 'ENOSPC']) {
    t.notOk(mayPass(Object.assign(new Error(), { code })), code)
  }
  t.notOk(mayPass(undefined))
  t.end()
})

t.test('a file that another process holds is unavailable, once said, and then works again', t => {
  const directory = t.testdir()
  const said: string[] = []
  let now = 5
  const store = openFindingStore(directory, [{ name: 'hec', isWanted: () => true }], {
    now: () => now,
    onTrouble: problem => said.push(problem),
    onOver: ms => said.push(`over after ${ms}`),
  })
  store.claim()
  const other = new Database(join(directory, FINDINGS_FILE))
  other.exec('BEGIN IMMEDIATE')
  t.type(
    thrownBy(() => store.save(NOTHING)),
    ArchiveUnavailable,
  )
  now += 700
  t.type(
    thrownBy(() => store.outbox.queueOf('hec').settle([])),
    ArchiveUnavailable,
  )
  t.same(store.load().findings, [], 'it can be read')
  t.match(store.trouble, { since: 5, problem: /locked/ })
  other.exec('COMMIT')
  other.close()
  store.save(NOTHING)
  t.equal(store.trouble, undefined)
  t.match(said, [/locked/, 'over after 700'])
  store.close()
  t.end()
})

interface Weather {
  /** When it cannot be written, in milliseconds after the start. */
  readonly isBad: (ms: number) => boolean
  /** It cannot be read then either. Default: it can. */
  readonly isUnreadable?: boolean
  readonly maxFindings?: number
  /** A part every so many milliseconds. */
  readonly partMs?: number
  /** Ends patience when so many parts were read. */
  readonly stopAt?: number
}

/** A part for each workload, then the end; a clock that goes on with parts and pauses. */
async function follow(workloads: readonly string[], weather: Weather) {
  const { isBad, isUnreadable = false, maxFindings, partMs = 1_000, stopAt } = weather
  const stop = new AbortController()
  let ms = 0
  const saved: (Omit<ArchiveChanges, 'findings'> & { findings: readonly string[]; at: number })[] = []
  /** How many parts had been read, and how much time had passed, when something was given out. */
  const given: { finding: Finding; at: number }[] = []
  let parts = 0
  /** When each part was read. */
  const readAt: number[] = []
  let failures = 0
  const unlessBad = <Result>(work: () => Result): Result => {
    if (!isBad(ms)) return work()
    failures += 1
    throw FULL
  }
  const archive: FindingArchive = {
    load: () => ({ findings: [], pending: [], position: undefined, watch: undefined }),
    save: changes =>
      unlessBad(() => {
        const findings = [...changes.findings].map(({ finding }) => `${finding.owner?.name} ${finding.count}`)
        saved.push({ ...changes, pending: [...changes.pending], findings, at: ms })
      }),
    confirm: () => unlessBad(() => {}),
    recall: () => (isUnreadable ? unlessBad(() => undefined) : undefined),
    recallUnseen: () => [],
  }
  const source = async function* (): EventSource {
    yield { type: 'begin', name: 'test' }
    for (const workload of workloads) {
      ms += partMs
      parts += 1
      readAt.push(ms)
      if (parts === stopAt) stop.abort()
      yield { type: 'bytes', bytes: Buffer.from(line(workload)), position: { part: parts } }
      yield { type: 'idle' }
    }
  }
  const options = {
    policy: POLICY,
    catalogue: CATALOGUE,
    journal: undefined,
    stats: createStreamStats(),
    now: () => AFTER_START + ms,
    emit: { when: 'at-once', updateMs: 10_000 },
    archive,
    waiting: {
      random: () => 1,
      sleep: async (pauseMs: number) => {
        ms += pauseMs
      },
      signal: stop.signal,
    },
    ...(maxFindings === undefined ? {} : { maxFindings }),
  } as const
  for await (const finding of correlate(source(), options)) given.push({ finding, at: ms })
  return { saved, given, readAt, failures }
}

const namesOf = (given: readonly { finding: Finding }[]) =>
  given.map(({ finding }) => `${finding.owner?.name} ${finding.count}`)

t.test('while the archive is unavailable the stream is read on, and nothing is given out', async t => {
  const { saved, given, readAt, failures } = await follow(['a', 'b', 'b', 'a', 'c', 'b'], {
    isBad: ms => ms > 1_500 && ms < 5_500,
  })
  t.same(readAt, [1_000, 2_000, 3_000, 4_000, 5_000, 6_000], 'nothing was waited for')
  t.same(namesOf(given), ['a 1', 'b 1', 'c 1', 'b 3', 'a 2'])
  t.ok(given.slice(1).every(({ at }) => at >= 5_500))
  t.ok(failures >= 2 && failures <= 4, `tried again with growing pauses: ${failures} times`)
  const kept = saved.map(({ position, findings }) => [position?.['part'], findings])
  t.same(kept[0], [1, ['a 1']])
  t.same(kept[1], [6, ['b 3', 'a 2', 'c 1']], 'what was saved then is all up to the place in the source')
})

t.test('where it cannot be read either, nothing is read on: what was counted before is not known', async t => {
  const { given, readAt } = await follow(['a', 'b', 'b'], { isBad: ms => ms > 1_500 && ms < 9_500, isUnreadable: true })
  t.same(readAt.slice(0, 2), [1_000, 2_000])
  t.ok((readAt[2] ?? 0) > 9_500)
  t.same(namesOf(given), ['a 1', 'b 1', 'b 2'])
})

t.test('where too much waits, nothing is read on until there is room', async t => {
  const workloads = Array.from({ length: 2_500 }, (_, index) => `w${index}`)
  const until = 9_000_000
  const isBad = (ms: number) => ms < until
  // What has to leave memory, or what was to be given out: the latter is gathered at each attempt.
  for (const [maxFindings, partMs, atMost] of [
    [100, 1, 2_101],
    [25_000, 100, 2_301],
  ] as const) {
    const { given, readAt } = await follow(workloads, { isBad, maxFindings, partMs })
    const readBefore = readAt.filter(at => at < until).length
    t.ok(readBefore <= atMost && readBefore >= 2_000, `${maxFindings} are held: ${readBefore} parts were read`)
    const all = given.filter(({ finding }) => finding.kind === 'non-allowlisted-image')
    t.equal(new Set(namesOf(all)).size, 2_500, 'all came')
    t.ok(all.every(({ finding }) => finding.emission === 1))
  }
})

t.test('a minute without a place to save is a finding afterwards, a moment is none', async t => {
  const workloads = Array.from({ length: 200 }, () => 'a')
  const long = await follow(workloads, { isBad: ms => ms > 10_000 && ms < 100_000 })
  const [outage, ...others] = long.given.filter(({ finding }) => finding.kind === 'coverage')
  t.match(outage?.finding, { code: 'state-unwritable', count: 1, remarks: [/^between \S+ and \S+: full$/] })
  t.same(others, [])
  const short = await follow(workloads, { isBad: ms => ms > 10_000 && ms < 30_000 })
  t.same(
    short.given.filter(({ finding }) => finding.kind === 'coverage'),
    [],
  )
})

t.test('a run that is stopped meanwhile says that the state could not be written', async t => {
  await t.rejects(follow(['a', 'b', 'c'], { isBad: ms => ms > 1_500, stopAt: 2 }), FULL)
})

const POLICY_FILE = `
apiVersion: sallyport.dev/v1
kind: ImagePolicy
metadata: { name: test }
spec: { allow: ['registry.corp.example/*'] }
`

const mounted = mountSmallDisk(1_000_000)
const skip = typeof mounted === 'string' ? mounted : false

t.test('correlate --state on a disk that is full for a while', { skip }, async t => {
  const disk = mounted as SmallDisk
  t.teardown(() => disk.unmount())
  const directory = t.testdir({ 'policy.yaml': POLICY_FILE, 'tetragon.log': line('web') })
  const at = (name: string) => join(directory, name)
  const given = (): Finding[] => {
    if (!existsSync(at('findings.jsonl'))) return []
    return readFileSync(at('findings.jsonl'), 'utf8')
      .split('\n')
      .filter(Boolean)
      .map(each => JSON.parse(each))
  }
  const names = () => given().map(({ owner }) => owner?.name)
  let words = ''
  const stop = new AbortController()
  const start = (signal: AbortSignal) =>
    runCommand(
      [
        ...['correlate', '--policy', at('policy.yaml'), '--source', `file:${at('tetragon.log')}`, '--from-start'],
        ...['--state', join(disk.folder, 'state'), '--sink', `file:${at('findings.jsonl')}`, '--ops', '127.0.0.1:0'],
      ],
      {
        signal,
        now: Date.now,
        onStderr: text => {
          words += text
        },
      },
    )
  const running = start(stop.signal)
  await until(t, 'the first finding', () => names().includes('web'))
  const ops = async (path: string) => {
    const [, port] = /the ops port listens on 127\.0\.0\.1:(\d+)/.exec(words) ?? []
    const answer = await fetch(`http://127.0.0.1:${port}${path}`)
    return { status: answer.status, text: await answer.text() }
  }
  t.match(await ops('/readyz'), { status: 200, text: /^state: ok$/m })
  t.match(await ops('/metrics'), { text: /^sallyport_state_unwritable 0$/m })

  disk.fill()
  appendFileSync(at('tetragon.log'), line('api') + line('web'))
  await until(t, 'it is said', () => words.includes('cannot be written: database or disk is full; trying again'))
  t.match(await ops('/readyz'), {
    status: 503,
    text: /^state: it cannot be written since 2\S+: database or disk is full$/m,
  })
  t.match(await ops('/metrics'), { text: /^sallyport_state_unwritable 1$/m })
  t.match(await ops('/livez'), { status: 200 })
  appendFileSync(at('tetragon.log'), line('api') + line('db'))
  t.notOk(names().includes('api'), 'what is not saved is not given out')

  disk.clear()
  await until(t, 'it goes on', () => names().includes('api') && names().includes('db'))
  t.match(words, /the state can be written again, after \d+s/)
  t.equal(words.match(/trying again/g)?.length, 1, 'said once')
  t.match(await ops('/readyz'), { status: 200 })
  stop.abort()
  t.equal((await running).exitCode, 0)
  const counts = Object.fromEntries(given().map(({ owner, count }) => [owner?.name, count]))
  t.same(counts, { web: 2, api: 2, db: 1 })
  const before = given().length
  const again = new AbortController()
  const second = start(again.signal)
  appendFileSync(at('tetragon.log'), line('job'))
  await until(t, 'the next run goes on behind it', () => names().includes('job'))
  again.abort()
  await second
  t.equal(given().length, before + 1, 'and repeats nothing')

  // A start on a full disk has somebody who looks on.
  disk.fill()
  writeFileSync(at('other.log'), '')
  const other = ['--source', `file:${at('other.log')}`, '--state', join(disk.folder, 'other')]
  t.match(await runCommand(['correlate', '--policy', at('policy.yaml'), ...other]), { exitCode: 78 })
})
