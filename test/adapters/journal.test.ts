/** The journal: write, read while writing, survive a kill, count retries, forget in time, refuse what is no journal. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import Database from 'libsql'
import t from 'tap'
import { keysOf } from '../../src/adapters/journal-index.js'
import { JournalQueue } from '../../src/adapters/journal-queue.js'
import { openJournalReader } from '../../src/adapters/journal-reader.js'
import { JournalRetries } from '../../src/adapters/journal-retries.js'
import { JOURNAL_VERSION, journalPath } from '../../src/adapters/journal-schema.js'
import { openJournalStore } from '../../src/adapters/journal-store.js'
import type { ToJournalThread } from '../../src/adapters/journal-worker.js'
import { openJournalWriter } from '../../src/adapters/journal-writer.js'
import { type Digest, halfSipHash, KeyedDigest } from '../../src/adapters/keyed-digest.js'
import { DECISION_RECORD_SCHEMA, type DecisionRecord } from '../../src/webhook/decision-record.js'
import { assertProperty, fc } from '../support/properties.js'

const START = Date.parse('2026-11-22T08:00:00Z')
const GENEROUS = { maxAgeMs: 1e12, maxBytes: 1e12 }

function recordOf(at: number, change: Partial<DecisionRecord> = {}): DecisionRecord {
  return {
    schema: DECISION_RECORD_SCHEMA,
    id: `id-${at - START}-${(change.objectUid ?? '').slice(-8)}`,
    time: new Date(at).toISOString(),
    cluster: null,
    requestUid: 'r',
    objectUid: `uid-${at}`,
    kind: 'Pod',
    subResource: null,
    namespace: 'team-a',
    name: `web-${at}`,
    generateName: 'web-',
    topOwner: { kind: 'ReplicaSet', name: 'web', uid: 'rs' },
    operation: 'CREATE',
    dryRun: false,
    user: 'dev',
    mode: 'warn',
    action: 'warn',
    allowed: true,
    policy: 'p',
    revision: 'abc1234',
    images: [
      {
        list: 'containers',
        container: 'c',
        field: 'spec.containers[0].image',
        written: 'redis:7',
        image: 'docker.io/library/redis:7',
        outcome: 'excepted',
        reason: 'exception',
        entry: 'EX-1',
        exception: 'EX-1',
        changed: true,
      },
    ],
    imagesOmitted: 0,
    unreadable: null,
    waived: null,
    exceptions: ['EX-1'],
    warnings: [],
    ...change,
  }
}

function batchOf(records: readonly DecisionRecord[], padding = '') {
  const times = records.map(({ time }) => Date.parse(time))
  return {
    records: new TextEncoder().encode(records.map(record => JSON.stringify(record) + padding).join('\n')),
    since: Math.min(...times),
    until: Math.max(...times),
    keys: records.flatMap(keysOf),
    repeats: [],
  }
}

async function writerIn(directory: string, now: () => number = () => START) {
  const problems: string[] = []
  const writer = await openJournalWriter(directory, {
    now,
    runId: `run-${now()}`,
    onProblem: one => problems.push(one),
  })
  const write = (record: DecisionRecord) => writer.record(record, JSON.stringify(record))
  return { writer, write, problems }
}

// The other end of "survives a kill": writes without end, and says how far it came.
if (process.argv[2] === 'write-without-end') {
  const { write } = await writerIn(process.argv[3] ?? '', Date.now)
  let at = START + 1
  setInterval(() => {
    for (let one = 0; one < 50; one += 1, at += 1) write(recordOf(at))
    process.stdout.write('.')
  }, 10)
} else {
  t.test('what is written is found by uid, by name, and in order, while the writer is open', async t => {
    const directory = join(t.testdir(), 'made', 'here')
    const { writer, write } = await writerIn(directory)
    const reader = openJournalReader(directory)
    write(recordOf(START + 1))
    write(recordOf(START + 2, { name: `web-${START + 1}`, operation: 'UPDATE', objectUid: `uid-${START + 1}` }))
    write(recordOf(START + 3, { namespace: 'team-b', dryRun: true, objectUid: null, name: null, topOwner: null }))
    while ([...reader.records({})].length < 3) await sleep(10)

    const byUid = reader.findAdmissions({ uid: `uid-${START + 1}`, namespace: 'other', name: 'other' })
    t.strictSame(
      byUid.map(({ at, operation }) => [at, operation]),
      [
        [START + 1, 'CREATE'],
        [START + 2, 'UPDATE'],
      ],
    )
    t.strictSame(byUid[0]?.images, [
      {
        list: 'containers',
        container: 'c',
        written: 'redis:7',
        outcome: 'excepted',
        reason: 'exception',
        entry: 'EX-1',
        exception: 'EX-1',
        isChanged: true,
      },
    ])
    const byName = reader.findAdmissions({ uid: undefined, namespace: 'team-a', name: `web-${START + 1}` })
    t.strictSame(byName, byUid)
    t.strictSame(reader.findAdmissions({ uid: 'nobody', namespace: 'team-a', name: `web-${START + 1}` }), [])
    const records = [...reader.records({ since: START + 2 })]
    t.strictSame(
      records.map(({ firstAt }) => firstAt),
      [START + 2, START + 3],
    )
    t.strictSame(
      [...reader.records({ namespace: 'team-b' })].map(({ record }) => record.dryRun),
      [true],
    )
    await writer.close()
    reader.close()
  })

  t.test('pages of records neither lose nor repeat one, also within a millisecond', async t => {
    const directory = t.testdir()
    const store = openJournalStore(directory, 'run', START, GENEROUS)
    const records = Array.from({ length: 1_501 }, (_, one) => recordOf(START + (one >> 9), { objectUid: `u-${one}` }))
    for (let at = 0; at < records.length; at += 7) store.write(batchOf(records.slice(at, at + 7)))
    store.close(START)
    const reader = openJournalReader(directory)
    const uids = [...reader.records({})].map(({ record }) => record.objectUid)
    t.equal(uids.length, 1_501)
    t.equal(new Set(uids).size, 1_501)
    reader.close()
  })

  t.test('an object is found among many thousands, by index, whatever else shares its key', t => {
    const directory = t.testdir()
    const store = openJournalStore(directory, 'run', START, GENEROUS)
    const wanted = keysOf(recordOf(START))
    for (let one = 0; one < 12; one += 1) {
      const others = Array.from({ length: 9_000 }, (_, at) => one * 9_000 + at)
      store.write({
        ...batchOf([recordOf(START + one)]),
        keys: [...others, ...wanted, ...keysOf(recordOf(START + one))],
      })
    }
    store.beat(START + 20, 0)
    const database = new Database(journalPath(directory))
    t.strictSame(database.prepare('SELECT count(*) FROM unindexed').raw(true).get(), [0])
    t.strictSame(database.prepare('SELECT count(*) > 1 FROM generations').raw(true).get(), [1])
    t.strictSame(database.prepare('SELECT count(*) > 1 FROM key_pages').raw(true).get(), [1], 'in bulk')
    database.close()
    const reader = openJournalReader(directory)
    for (const one of [0, 5, 11]) {
      const pod = { uid: `uid-${START + one}`, namespace: 'team-a', name: `web-${START + one}` }
      t.strictSame(
        [pod, { ...pod, uid: undefined }].flatMap(named => reader.findAdmissions(named).map(({ at }) => at - START)),
        [one, one],
      )
    }
    store.close(START + 20)
    reader.close()
    t.end()
  })

  t.test('retries of the same object and outcome are counted once, for a minute', async t => {
    const directory = t.testdir()
    const { writer, write } = await writerIn(directory)
    const denied = { allowed: false, action: 'deny', mode: 'enforce' } as const
    for (const second of [0, 1, 3, 8, 59]) {
      write(recordOf(START + second * 1000, { ...denied, objectUid: `u${second}` }))
      // Some retries meet the first record still in memory, some in the file.
      if (second === 1) await sleep(120)
    }
    write(recordOf(START + 61_000, { ...denied, objectUid: 'u61' }))
    write(recordOf(START + 61_001, { ...denied, dryRun: true }))
    write(recordOf(START + 61_002, { objectUid: 'born-1' }))
    write(recordOf(START + 61_003, { objectUid: 'born-2' }))
    await writer.close()
    const reader = openJournalReader(directory)
    t.strictSame(
      [...reader.records({})].map(({ count, firstAt, lastAt }) => [count, firstAt - START, lastAt - START]),
      [
        [5, 0, 59_000],
        [1, 61_000, 61_000],
        [1, 61_001, 61_001],
        [1, 61_002, 61_002],
        [1, 61_003, 61_003],
      ],
    )
    reader.close()
  })

  t.test('records of any length and script come back as they were, whatever the memory held before', async t => {
    const directory = t.testdir()
    const { writer, write, problems } = await writerIn(directory)
    const texts = ['', 'x', 'ü€😀', 'x'.repeat(3_000), '€'.repeat(400_000), 'y'.repeat(1_100_000)]
    const records = Array.from({ length: 1_200 }, (_, at) => {
      const isLong = at % 100 === 99
      return recordOf(START + at, { warnings: [texts[isLong ? 4 + (((at - 99) / 100) % 2) : at % 4] ?? ''] })
    })
    for (const [at, record] of records.entries()) {
      write(record)
      // Let memory come back from the thread in between.
      if (at % 90 === 0) await sleep(30)
    }
    const reader = openJournalReader(directory)
    // The end waits for seconds only.
    while ([...reader.records({})].length < records.length && writer.dropped === 0) await sleep(20)
    await writer.close()
    t.strictSame([writer.dropped, problems], [0, []])
    const kept = [...reader.records({})].map(({ record }) => record)
    t.equal(kept.length, records.length)
    const differs = kept.findIndex((record, at) => JSON.stringify(record) !== JSON.stringify(records[at]))
    t.equal(differs, -1)
    reader.close()
  })

  t.test('behind a slow disk two lots wait in the thread and no more: a heartbeat is soon its turn', t => {
    const lots: Extract<ToJournalThread, { type: 'write' }>[] = []
    const queue = new JournalQueue(message => {
      if (message.type === 'write') lots.push(message)
    })
    const settle = (lot: number): void => {
      const { batches, rows } = lots[lot] ?? { batches: [], rows: 0 }
      const bytes = batches.reduce((sum, { records }) => sum + records.length, 0)
      queue.settle({ rows, bytes, memory: batches.map(({ records }) => records.buffer) })
    }
    let at = START
    const fill = (): void => {
      for (; !queue.isOverfull; at += 1) queue.add(recordOf(at), JSON.stringify(recordOf(at)), at)
    }
    // The thread answers nothing: messages come to it in their order, a heartbeat behind those that are there.
    fill()
    t.equal(lots.length, 2)
    const rowsInThread = () => lots.slice(-2).reduce((sum, { rows }) => sum + rows, 0)
    t.ok(rowsInThread() > 0 && rowsInThread() <= 5_000, `${rowsInThread()} rows are written before it`)
    for (let lot = 0; lot < 20; lot += 1) {
      settle(lot)
      fill()
      t.equal(lots.length, lot + 3, 'for each answer one more')
      t.ok(rowsInThread() <= 5_000)
    }
    t.ok(queue.abandon() >= 10_000, 'all others wait here')
    t.end()
  })

  t.test('a killed writer leaves a journal that opens, and its last heartbeat as its end', async t => {
    const directory = t.testdir()
    const args = [...process.execArgv, fileURLToPath(import.meta.url), 'write-without-end', directory]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let ticks = 0
    child.stdout.on('data', (chunk: Buffer) => {
      ticks += chunk.length
    })
    while (ticks < 40) await once(child.stdout, 'data')
    // Its thread may be slower than what it is given.
    const living = openJournalReader(directory)
    while ([...living.records({})].length <= 500) await sleep(20)
    living.close()
    child.kill('SIGKILL')
    await once(child, 'exit')

    const reader = openJournalReader(directory)
    const records = [...reader.records({})]
    t.ok(records.length > 500, `${records.length} records`)
    t.strictSame(
      records.map(({ firstAt }) => firstAt),
      records.map((_, at) => START + 1 + at),
      'no gap: batches are kept whole and in order',
    )
    t.ok(reader.coverageSpans().length > 0, 'the run is known')
    const check = new Database(journalPath(directory))
    t.strictSame(check.prepare('PRAGMA integrity_check').raw(true).get(), ['ok'])
    check.close()
    const findLast = () => reader.findAdmissions({ uid: `uid-${records.at(-1)?.firstAt}`, namespace: '', name: '' })
    t.equal(findLast().length, 1, 'found before its keys are entered')
    const store = openJournalStore(directory, 'next', START, GENEROUS)
    store.write(batchOf([recordOf(START - 1)]))
    store.beat(START, 0)
    t.equal(findLast().length, 1, 'found by keys that the next run enters')
    store.close(START)
    t.equal([...reader.records({})].length, records.length + 1, 'it can be written on')
    reader.close()
  })

  t.test('coverage tells when a webhook recorded: restarts join, gaps and losses do not', async t => {
    const directory = t.testdir()
    const spans: readonly (readonly [number, number, number])[] = [
      [0, 10_000, 0],
      [12_000, 20_000, 0],
      [100_000, 110_000, 0],
      [105_000, 150_000, 0],
      [200_000, 210_000, 3],
    ]
    for (const [at, [from, to, dropped]] of spans.entries()) {
      const store = openJournalStore(directory, `run-${at}`, from, GENEROUS)
      store.beat(from + 1, dropped)
      store.close(to)
    }
    const reader = openJournalReader(directory)
    t.strictSame(reader.coverageSpans(), [
      { from: 0, to: 20_000 },
      { from: 100_000, to: 150_000 },
    ])
    t.strictSame(reader.coverageSpans().at(-1), { from: 100_000, to: 150_000 })
    reader.close()
  })

  t.test(
    'a journal of version 1 gets its pages from the next webhook, also while it is read; they go with their batches',
    async t => {
      const directory = t.testdir()
      const many = Array.from({ length: 33_000 }, (_, at) => at)
      const write = (at: number) => {
        const store = openJournalStore(directory, `run-${at}`, START + at, GENEROUS)
        store.write({ ...batchOf([recordOf(START + at)]), keys: [...many, ...keysOf(recordOf(START + at))] })
        store.close(START + at)
      }
      openJournalStore(directory, 'run', START, GENEROUS).close(START)
      const database = new Database(journalPath(directory))
      database.exec('DROP TABLE key_pages')
      database.pragma('user_version = 1')
      const reader = openJournalReader(directory)
      const found = (at: number) =>
        reader
          .findAdmissions({ uid: `uid-${START + at}`, namespace: '', name: '' })
          .map(admission => admission.at - START)
      t.strictSame(found(1), [])
      write(1)
      write(2)
      t.strictSame([found(1), found(2), found(3)], [[1], [2], []])
      reader.close()

      const later = START + 100_000
      const store = openJournalStore(directory, 'later', later, { maxAgeMs: 50_000, maxBytes: 1e12 })
      store.write(batchOf([recordOf(later)]))
      store.beat(later, 0)
      store.prune(later)
      store.close(later)
      t.strictSame(database.prepare('SELECT count(*) FROM key_pages').raw(true).get(), [0])
      database.close()
    },
  )

  t.test('records that are too old are deleted, and the journal no longer vouches for their time', async t => {
    const directory = t.testdir()
    const store = openJournalStore(directory, 'run', START, { maxAgeMs: 60_000, maxBytes: 1e12 })
    const minutes = [0, 1, 2, 3]
    for (const minute of minutes) store.write(batchOf([recordOf(START + minute * 60_000)]))
    store.beat(START + 180_000, 0)
    store.prune(START + 180_000)
    const reader = openJournalReader(directory)
    t.strictSame(
      [...reader.records({})].map(({ firstAt }) => (firstAt - START) / 60_000),
      [2, 3],
    )
    t.strictSame(reader.coverageSpans().at(-1), { from: START + 60_001, to: START + 180_000 })
    store.close(START + 180_000)
    reader.close()
  })

  t.test('the journal stays below its size', async t => {
    const directory = t.testdir()
    const maxBytes = 2 * 1024 * 1024
    const store = openJournalStore(directory, 'run', START, { maxAgeMs: 1e12, maxBytes })
    const padding = ' '.repeat(4_000)
    for (let batch = 0; batch < 20; batch += 1) {
      const at = START + batch * 1000
      const records = Array.from({ length: 100 }, (_, one) => recordOf(at + one))
      for (let one = 0; one < records.length; one += 10) store.write(batchOf(records.slice(one, one + 10), padding))
      store.prune(at)
    }
    store.close(START)
    t.ok(statSync(journalPath(directory)).size < 2 * maxBytes)
    const reader = openJournalReader(directory)
    t.equal([...reader.records({})].at(-1)?.firstAt, START + 19_099, 'the newest are kept')
    reader.close()
  })

  t.test('a digest is HalfSipHash-2-4 of 64 bits', async t => {
    // The vectors that its authors publish: key 00 01 … 07, message 00 01 ….
    const published = { 0: '218d1f59b9b83cc8', 4: 'd5e78a175be52ea1', 8: 'edfee820bce4858c', 12: '7bc71f9faef5c799' }
    const wordsOf = (bytes: number) => new Int32Array(Uint8Array.from({ length: bytes }, (_, at) => at).buffer)
    const withRoom = (words: Int32Array) => Int32Array.from([...words, 0])
    for (const [bytes, expected] of Object.entries(published)) {
      const digest = new Int32Array(4)
      halfSipHash(wordsOf(8), withRoom(wordsOf(Number(bytes))), Number(bytes) / 4, digest)
      t.equal(Buffer.from(digest.buffer, 0, 8).toString('hex'), expected, bytes)
    }
  })

  t.test('lists of texts have one digest when they are the same, whatever they are when joined', async t => {
    const join = (digest: Digest) => digest.subarray(0, 2).join(' ')
    const [digests, other] = [new KeyedDigest(Int32Array.of(1, 2)), new KeyedDigest(Int32Array.of(1, 3))]
    const lists: readonly (readonly string[])[] = [
      [],
      [''],
      ['', ''],
      ['abcd', 'x'],
      ['abc', 'dx'],
      ['abcdx'],
      ['abcdx\0'],
      ['\u0161bcdx'],
      ['a', '\0', 'b'],
      ['a\0b'],
      ['\u6261'],
      ['ab'],
      ['ü€😀\ud800'],
      ['x'.repeat(5_000)],
      ['x'.repeat(5_001)],
    ]
    const seen = [...lists, ...lists].map(list => join(digests.of(list)))
    t.strictSame(seen.slice(lists.length), seen.slice(0, lists.length))
    t.equal(new Set(seen).size, lists.length)
    t.not(join(other.of(['abcd'])), join(digests.of(['abcd'])), 'another key gives another digest')
    const texts = fc.array(fc.string({ unit: 'binary', maxLength: 9 }), { maxLength: 4 })
    assertProperty(
      fc.property(texts, texts, (one, another) => {
        const isSame = join(digests.of(one)) === join(digests.of(another))
        return isSame === (JSON.stringify(one) === JSON.stringify(another))
      }),
    )
  })

  t.test('a retry is found by its whole digest and by nothing less', async t => {
    // All at one place of the table, apart in the other word.
    const alike = Array.from({ length: 24 }, (_, one) => Int32Array.of(7, one - 12))
    const retries = new JournalRetries(64)
    for (const [one, digest] of alike.entries()) {
      t.equal(retries.find(digest), undefined)
      retries.remember(digest, `id-${one}`, START + one)
    }
    t.strictSame(
      alike.map(digest => retries.find(digest)),
      alike.map((_, one) => ({ recordId: `id-${one}`, at: START + one })),
    )
    const [first = Int32Array.of(0, 0)] = alike
    retries.remember(first, 'x', START + 100)
    t.strictSame(retries.find(first), { recordId: 'x', at: START + 100 }, 'the last one, also with a shorter id')
    retries.remember(Int32Array.of(1, 1), 'an id that the webhook never makes', START)
    t.equal(retries.find(Int32Array.of(1, 1)), undefined)
  })

  t.test('of many keys at least the younger half is remembered, each with its last record', async t => {
    const limit = 40
    const retries = new JournalRetries(limit)
    const digests = new KeyedDigest(Int32Array.of(3, 4))
    const remembered: string[] = []
    for (let one = 0; one < 400; one += 1) {
      // Each third key comes again at once, as another record.
      const key = `key ${one - (one % 3 === 2 ? 1 : 0)}`
      retries.remember(digests.of([key]), `id-${one}`, one)
      remembered.push(key)
      for (const young of remembered.slice(-limit / 2)) {
        if (retries.find(digests.of([young]))?.at !== remembered.lastIndexOf(young)) t.fail(`${young} at ${one}`)
      }
    }
    const known = [...new Set(remembered)].filter(key => retries.find(digests.of([key])) !== undefined)
    t.ok(known.length <= limit, 'what is remembered is bounded')
    t.strictSame(known, [...new Set(remembered)].slice(-known.length), 'and nothing older than what is forgotten')
  })

  t.test('what is no journal, or a newer one, is refused by both ends', async t => {
    const directory = t.testdir({
      junk: { 'journal.db': 'x'.repeat(8_192) },
      none: {},
      newer: {},
      other: {},
      empty: { 'journal.db': '' },
    })
    const folder = (name: string) => join(directory, name)
    openJournalStore(folder('newer'), 'run', START, GENEROUS).close(START)
    const newer = new Database(journalPath(folder('newer')))
    newer.pragma(`user_version = ${JOURNAL_VERSION + 1}`)
    newer.close()
    const other = new Database(journalPath(folder('other')))
    other.exec('CREATE TABLE t (x)')
    other.close()
    for (const name of ['junk', 'newer', 'other']) {
      t.throws(() => openJournalReader(folder(name)), { code: 'JOURNAL_UNUSABLE' }, `read ${name}`)
      t.throws(
        () => openJournalStore(folder(name), 'r', START, GENEROUS),
        { code: 'JOURNAL_UNUSABLE' },
        `write ${name}`,
      )
    }
    t.throws(() => openJournalReader(folder('none')), { code: 'FILE_UNREADABLE' })
    t.notOk(existsSync(journalPath(folder('none'))), 'a reader makes no file')
    t.throws(() => openJournalReader(folder('empty')), { code: 'FILE_UNREADABLE' })
    writeFileSync(join(directory, 'file'), '')
    await t.rejects(writerIn(folder('file')), { code: 'JOURNAL_UNUSABLE' })
    await t.rejects(writerIn(folder('newer')), { code: 'JOURNAL_UNUSABLE' }, 'through the thread as well')
  })

  t.test('two runs never share an id, and a damaged journal is said to be so', async t => {
    const directory = t.testdir()
    const store = openJournalStore(directory, 'run', START, GENEROUS)
    t.throws(() => openJournalStore(directory, 'run', START, GENEROUS), { code: 'JOURNAL_UNUSABLE' })
    for (let one = 1; one <= 200; one += 1) store.write(batchOf([recordOf(START + one)], ' '.repeat(5_000)))
    store.close(START + 201)
    const path = journalPath(directory)
    const whole = readFileSync(path)
    const reader = openJournalReader(directory)
    t.equal([...reader.records({})].length, 200)
    reader.close()
    for (const [from, to] of [
      [0.3, 0.6],
      [0.1, 0.9],
    ] as const) {
      writeFileSync(path, Buffer.from(whole).fill(0xa5, Math.ceil(whole.length * from), Math.ceil(whole.length * to)))
      const damaged = openJournalReader(directory)
      t.throws(() => [...damaged.records({})], { code: 'JOURNAL_UNUSABLE' })
      damaged.close()
    }
  })

  t.test('more records than can wait are dropped and counted, and the run vouches for nothing', async t => {
    const directory = t.testdir()
    const { writer, write } = await writerIn(directory)
    // One name for all: a retry must find its row among thousands of the same name.
    const recordAt = (at: number) => recordOf(START + at, { name: 'web' })
    for (let one = 0; one < 20_500; one += 1) write(recordAt(one))
    t.equal(writer.dropped, 500)
    for (let one = 0; one < 5_000; one += 1) write(recordAt(one))
    const reader = openJournalReader(directory)
    const counted = () => [...reader.records({})].map(({ count }) => count)
    const total = () => counted().reduce((sum, count) => sum + count, 0)
    // The end waits for seconds only.
    while (total() < 25_000 && writer.dropped === 500) await sleep(100)
    await writer.close()
    await writer.close()
    write(recordAt(-1))
    t.equal(writer.dropped, 501, 'after its end, what it is given is lost')
    const counts = counted()
    t.equal(counts.length, 20_000)
    t.equal(total(), 25_000)
    t.strictSame(reader.coverageSpans(), [])
    reader.close()
  })
}
