/** The audit log's file: rotated, removed, full; no line is torn, lost without being counted, or written twice. */

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { openDecisionLog } from '../../src/adapters/decision-log.js'
import { type LogFileOptions, openLogFile } from '../../src/adapters/log-file.js'
import { decisionRecordOf } from '../support/decision-records.js'

const FULL = '/dev/full'

async function logIn(directory: string, options: Partial<LogFileOptions> = {}) {
  const path = join(directory, 'audit.ndjson')
  const problems: string[] = []
  // A look that never comes, unless a test is about it.
  const settings = { onProblem: (problem: string) => problems.push(problem), lookIntervalMs: 1e6, ...options }
  return { path, problems, log: await openLogFile(path, settings) }
}

const linesOf = (path: string) => readFileSync(path, 'utf8').split('\n').slice(0, -1)
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => String(from + at))

async function until(isDone: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000
  while (!isDone() && Date.now() < deadline) await delay(5)
}

t.test('a record is one line, there soon and after the end', async t => {
  const path = join(t.testdir(), 'audit.ndjson')
  const log = await openDecisionLog(path, t.fail)
  const record = decisionRecordOf()
  log.record(record, JSON.stringify(record))
  await until(() => linesOf(path).length === 1)
  log.record(record, JSON.stringify(record))
  await log.close()
  t.strictSame(
    linesOf(path).map(line => JSON.parse(line)),
    [record, record],
  )
  log.record(record, JSON.stringify(record))
  await log.close()
  t.equal(log.dropped, 1, 'what comes after the end is counted')
})

t.test('what cannot be opened for appending is an error at the start', async t => {
  const directory = t.testdir()
  await t.rejects(openDecisionLog(directory, t.fail), { code: 'FILE_UNWRITABLE' })
  await t.rejects(openDecisionLog(join(directory, 'none', 'audit'), t.fail), { code: 'FILE_UNWRITABLE' })
})

t.test('under load, each line goes whole to exactly one file, in order, however often it is rotated', async t => {
  const directory = t.testdir()
  const { path, problems, log } = await logIn(directory)
  const padding = 'x'.repeat(900)
  let next = 0
  for (let rotation = 0; rotation < 20; rotation += 1) {
    for (let burst = 0; burst < 4; burst += 1) {
      for (let one = 0; one < 250; one += 1, next += 1) log.append(`${next} ${padding}\n`)
      await delay(burst)
    }
    renameSync(path, `${path}.${String(rotation).padStart(2, '0')}`)
    log.reopen()
    // Twice in a row, and before the first has come about.
    if (rotation % 3 === 0) log.reopen()
    if (rotation % 2 === 0) await until(() => existsSync(path))
    else writeFileSync(path, '')
  }
  await log.close()
  const files = readdirSync(directory).sort((a, b) =>
    a === 'audit.ndjson' ? 1 : b === 'audit.ndjson' ? -1 : a < b ? -1 : 1,
  )
  t.ok(files.length > 10, `${files.length} files`)
  const lines = files.flatMap(file => linesOf(join(directory, file)))
  t.strictSame(
    lines.map(line => line.split(' ')[0]),
    numbers(0, next),
  )
  t.ok(lines.every(line => line.endsWith(` ${padding}`)))
  t.strictSame([log.dropped, problems], [0, []])
})

t.test('a file that was renamed or removed without a word is noticed', async t => {
  const { path, log } = await logIn(t.testdir(), { lookIntervalMs: 20 })
  log.append('1\n')
  await until(() => linesOf(path).length === 1)
  renameSync(path, `${path}.1`)
  await until(() => existsSync(path))
  log.append('2\n')
  await until(() => linesOf(path).length === 1)
  rmSync(path)
  await until(() => existsSync(path))
  log.append('3\n')
  await log.close()
  t.strictSame([linesOf(`${path}.1`), linesOf(path)], [['1'], ['3']])
})

t.test('while the new file cannot be opened, the old one serves on', async t => {
  const directory = t.testdir({ logs: {} })
  const { path, problems, log } = await logIn(join(directory, 'logs'), { lookIntervalMs: 20 })
  renameSync(join(directory, 'logs'), join(directory, 'moved'))
  log.append('1\n')
  log.reopen()
  await until(() => problems.length > 0)
  t.match(problems[0], /ENOENT/)
  await until(() => linesOf(join(directory, 'moved', 'audit.ndjson')).length === 1)
  mkdirSync(join(directory, 'logs'))
  await until(() => existsSync(path))
  log.append('2\n')
  await log.close()
  t.strictSame(linesOf(path), ['2'])
  t.equal(log.dropped, 0)
})

t.test(
  'a full disk makes lines wait, then drops and counts them; what waited is written later',
  { skip: !existsSync(FULL) },
  async t => {
    const directory = t.testdir()
    symlinkSync(FULL, join(directory, 'audit.ndjson'))
    const { path, problems, log } = await logIn(directory, { maxWaitingCharacters: 50, retryIntervalMs: 20 })
    for (const number of numbers(10, 35)) log.append(`${number}\n`)
    t.equal(log.dropped, 9, 'sixteen lines of three characters may wait')
    await until(() => problems.some(problem => problem.startsWith('ENOSPC')))
    t.match(problems, ['too many lines wait for the disk'])
    rmSync(path)
    log.reopen()
    await until(() => existsSync(path) && linesOf(path).length === 16)
    t.equal(log.dropped, 9)
    // The lines stand there a moment before the log is told so, and has room again.
    await until(() => {
      const { dropped } = log
      log.append('99\n')
      return log.dropped === dropped
    })
    await log.close()
    t.strictSame(linesOf(path), [...numbers(10, 26), '99'])
  },
)

t.test('at the end, a full disk is given up on, and what waited is counted', { skip: !existsSync(FULL) }, async t => {
  const directory = t.testdir()
  symlinkSync(FULL, join(directory, 'audit.ndjson'))
  const { log } = await logIn(directory)
  for (const number of numbers(0, 7)) log.append(`${number}\n`)
  await log.close()
  t.equal(log.dropped, 7)
})
