/** Standard output and files as sinks: each finding a whole line, once, whatever the reader or the disk does. */

import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { FINDINGS_FILE } from '../../src/adapters/finding-store-file.js'
import { readFindings } from '../../src/adapters/finding-store-reader.js'
import { openFileSink } from '../../src/adapters/sink-file.js'
import { createLineSink, type LinePlace, type LineTarget } from '../../src/adapters/sink-lines.js'
import { createStdoutSink } from '../../src/adapters/sink-stdout.js'
import type { Finding } from '../../src/correlator/finding.js'
import { jsonLine } from '../../src/correlator/json-line.js'
import { eventOf, lineOf, podOf } from '../support/events.js'
import { findingOf, fingerprintOf } from '../support/findings.js'
import { assertAsyncProperty, fc } from '../support/properties.js'
import { runCommand } from '../support/run-command.js'

const NEVER = new AbortController().signal
const POLICY = `
apiVersion: sallyport.dev/v1
kind: ImagePolicy
metadata: { name: test }
spec: { allow: ['registry.corp.example/*'] }
`
const FILES = { 'policy.yaml': POLICY }

const number = (finding: Finding): number => Number(`0x${finding.fingerprint}`)
const findings = (from: number, to: number): readonly Finding[] =>
  Array.from({ length: to - from }, (_, index) =>
    findingOf({ fingerprint: fingerprintOf(from + index), title: 'ä'.repeat(index % 7) }),
  )
const failing = (code: string): never => {
  throw Object.assign(new Error(code), { code })
}

/** What stands in a file or came through a pipe; a line that is none makes it fail. */
function numbersIn(lines: string): readonly number[] {
  assert.ok(lines === '' || lines.endsWith('\n'), 'the last line is whole')
  return lines.split('\n').flatMap(line => (line === '' ? [] : [number(JSON.parse(line))]))
}

async function until(t: Test, what: string, isSo: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000
  while (!isSo() && Date.now() < deadline) await sleep(5)
  t.ok(isSo(), what)
}

t.test('whatever part of a write is taken, each line arrives whole, once and in its order', async t => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 1, max: 3_000 }) },
    { weight: 1, arbitrary: fc.constantFrom('EAGAIN', 'ENOSPC', 'EIO', 'ENOENT') },
  )
  await assertAsyncProperty(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), fc.integer({ min: 1, max: 6 }), async (steps, batch) => {
      const script = [...steps]
      let taken = Buffer.alloc(0)
      const sink = createLineSink({
        prepare: async () => (taken.length === 0 ? 'other' : 'same'),
        async write(bytes) {
          const next = script.shift() ?? bytes.length
          if (typeof next === 'string') return failing(next)
          taken = Buffer.concat([taken, bytes.subarray(0, next)])
          return Math.min(next, bytes.length)
        },
        close() {},
      })
      let waiting = findings(0, 8)
      while (waiting.length > 0) {
        const outcome = await sink.send(waiting.slice(0, batch), NEVER)
        // As a runner does it: what one finding stumbles over is put behind the others.
        if (outcome.type === 'delivered') waiting = waiting.slice(outcome.count)
        else if (batch === 1) waiting = [...waiting.slice(1), ...waiting.slice(0, 1)]
      }
      const arrived = numbersIn(taken.toString('utf8'))
      assert.deepEqual([...arrived].sort(), [0, 1, 2, 3, 4, 5, 6, 7])
      if (batch > 1) assert.deepEqual(arrived, [0, 1, 2, 3, 4, 5, 6, 7])
    }),
    { numRuns: 300 },
  )
  t.pass()
})

t.test('in another place nothing is glued to what stands there, and a torn line is written whole', async t => {
  let taken = ''
  let place: LinePlace = 'torn'
  let room = 5
  const sink = createLineSink({
    prepare: async () => place,
    async write(bytes) {
      if (room === 0) return failing('ENOSPC')
      const part = bytes.subarray(0, room)
      room -= part.length
      taken += part.toString('utf8')
      return part.length
    },
    close() {},
  })
  const [finding] = findings(0, 1)
  if (finding === undefined) throw new Error('none')
  t.match(await sink.send([finding], NEVER), { type: 'retry', problem: /space/ })
  t.equal(taken, `\n${jsonLine(finding).slice(0, 4)}`)
  place = 'other'
  room = 100_000
  taken = ''
  t.same(await sink.send([finding], NEVER), { type: 'delivered', count: 1 })
  t.equal(taken, jsonLine(finding))
})

t.test('what went wrong says who has to do something; a bug is no outcome', async t => {
  for (const [code, type] of [
    ['ENOSPC', 'retry'],
    ['EDQUOT', 'retry'],
    ['EIO', 'retry'],
    ['EMFILE', 'retry'],
    ['EACCES', 'refused'],
    ['EROFS', 'refused'],
    ['EISDIR', 'refused'],
    ['ENXIO', 'refused'],
    ['EPIPE', 'refused'],
  ] as const) {
    const target: LineTarget = { prepare: async () => 'same', write: async () => failing(code), close() {} }
    t.match(await createLineSink(target).send(findings(0, 1), NEVER), { type }, code)
  }
  const bug: LineTarget = {
    prepare: async () => 'same',
    write: async () => {
      throw new TypeError('undefined is no function')
    },
    close() {},
  }
  await t.rejects(createLineSink(bug).send(findings(0, 1), NEVER), TypeError)
  const hanging: LineTarget = { prepare: async () => 'same', write: () => new Promise(() => {}), close() {} }
  const stop = new AbortController()
  const sending = createLineSink(hanging).send(findings(0, 1), stop.signal)
  stop.abort()
  t.match(await sending, { type: 'retry' }, 'a disk that hangs is given up at the signal')
})

t.test('a file is followed through rotation, removal and truncation, and made whole after a kill', async t => {
  const folder = t.testdir()
  const path = join(folder, 'findings.jsonl')
  writeFileSync(path, `${JSON.stringify({ fingerprint: 'a' })}\n{"fingerpr`)
  const sink = await openFileSink(path)
  const send = async (from: number, to: number) => sink.send(findings(from, to), NEVER)
  t.same(await send(0, 2), { type: 'delivered', count: 2 })
  const [first, torn, ...rest] = readFileSync(path, 'utf8').split('\n')
  t.equal(first, '{"fingerprint":"a"}')
  t.equal(torn, '{"fingerpr')
  t.same(numbersIn(rest.join('\n')), [0, 1])
  renameSync(path, `${path}.1`)
  await send(2, 3)
  t.same(numbersIn(readFileSync(path, 'utf8')), [2], 'renamed')
  t.equal(statSync(path).mode & 0o777, 0o600)
  rmSync(path)
  await send(3, 4)
  t.same(numbersIn(readFileSync(path, 'utf8')), [3], 'removed')
  truncateSync(path)
  await send(4, 5)
  t.same(numbersIn(readFileSync(path, 'utf8')), [4], 'emptied')
  renameSync(path, `${path}.2`)
  writeFileSync(path, 'torn')
  await send(5, 6)
  t.same(numbersIn(readFileSync(path, 'utf8').replace(/^torn\n/, '')), [5], 'replaced')
  rmSync(folder, { recursive: true })
  t.match(await send(6, 7), { type: 'refused', problem: /no such/ })
  writeFileSync(folder, '')
  t.match(await send(6, 7), { type: 'refused' })
  rmSync(folder)
  mkdirSync(folder)
  t.same(await send(6, 7), { type: 'delivered', count: 1 })
  t.same(numbersIn(readFileSync(path, 'utf8')), [6], 'the folder is there again')
  sink.close()
})

t.test('what is no place for findings is said at the start', async t => {
  const folder = t.testdir({ folder: {}, file: '' })
  const at = (name: string) => join(folder, name)
  symlinkSync('loop', at('loop'))
  symlinkSync('folder', at('link'))
  symlinkSync('file', at('good'))
  execFileSync('mkfifo', [at('pipe')])
  for (const [name, word] of [
    ['folder', /is a directory/],
    ['link', /is a directory/],
    ['loop', /too many symbolic links/],
    ['none/findings', /no such folder/],
    ['file/findings', /no directory/],
    ['pipe', /nobody reads/],
  ] as const) {
    await t.rejects(openFileSink(at(name)), { code: 'FILE_UNWRITABLE', message: word }, name)
  }
  const sink = await openFileSink(at('good'))
  t.same(await sink.send(findings(0, 1), NEVER), { type: 'delivered', count: 1 })
  t.same(numbersIn(readFileSync(at('file'), 'utf8')), [0], 'a link to a file is followed')
  sink.close()
})

t.test("a stream's slow reader is waited for until the signal; one that has gone is told", async t => {
  let gone = 0
  const slow = new PassThrough({ highWaterMark: 1 })
  const stop = new AbortController()
  const sending = createStdoutSink(slow, () => {
    gone += 1
  }).send(findings(0, 9), stop.signal)
  t.equal(await Promise.race([sending, sleep(20, 'waits')]), 'waits')
  stop.abort()
  t.match(await sending, { type: 'retry', problem: /slow/ })
  t.equal(gone, 0)
  const closing = new PassThrough({ highWaterMark: 1 })
  const sink = createStdoutSink(closing, () => {
    gone += 1
  })
  const cut = sink.send(findings(0, 9), NEVER)
  setImmediate(() => closing.destroy())
  t.match(await cut, { type: 'refused', problem: /gone/ })
  t.match(await sink.send(findings(0, 1), NEVER), { type: 'refused', problem: /gone/ })
  t.equal(gone, 2)
})

const events = (from: number, to: number): string =>
  Array.from(
    { length: to - from },
    (_, index) => `${lineOf(eventOf({ pod: podOf({ workload: `w${from + index}` }) }))}\n`,
  ).join('')

interface Launched {
  readonly child: ChildProcess
  readonly ended: Promise<number | null>
  readonly said: () => string
}

/** The real program, its input and output pipes of ours. */
function launch(t: Test, folder: string, argv: readonly string[] = []): Launched {
  const all = ['correlate', '--policy', join(folder, 'policy.yaml'), '--source', '-', ...argv]
  const child = spawn(process.execPath, ['--import', 'tsx', 'src/cli.ts', ...all], { stdio: 'pipe' })
  const ended = new Promise<number | null>(resolve => child.on('exit', resolve))
  t.teardown(() => child.kill('SIGKILL'))
  child.stdin.on('error', () => {})
  let said = ''
  child.stderr.on('data', chunk => {
    said += String(chunk)
  })
  return { child, ended, said: () => said }
}

const workloadsIn = (lines: string): ReadonlySet<string> => {
  if (lines === '') return new Set()
  assert.ok(lines.endsWith('\n'))
  return new Set(
    lines
      .trimEnd()
      .split('\n')
      .map(line => (JSON.parse(line) as Finding).owner?.name ?? ''),
  )
}

t.test('at the end of standard input a reader is waited for, however slow', async t => {
  const { child, ended, said } = launch(t, t.testdir(FILES))
  child.stdin?.end(events(0, 200))
  // More than a pipe holds, and longer than the end of a run waits for any other sink.
  await sleep(6_000)
  t.equal(child.exitCode, null)
  const [lines, status] = await Promise.all([child.stdout === null ? '' : text(child.stdout), ended])
  t.equal(workloadsIn(lines).size, 200)
  t.equal(status, 0, said())
})

t.test('what came over standard input is given out while nothing more comes', async t => {
  const folder = t.testdir(FILES)
  const { child, ended } = launch(t, folder, ['--state', join(folder, 'state')])
  let lines = ''
  child.stdout?.on('data', chunk => {
    lines += String(chunk)
  })
  child.stdin?.write(events(0, 200))
  await until(t, 'all are given out', () => workloadsIn(lines.slice(0, lines.lastIndexOf('\n') + 1)).size === 200)
  child.kill('SIGTERM')
  t.equal(await ended, 0)
})

t.test('a signal ends the wait for a slow reader within seconds, and says what it did not get', async t => {
  const folder = t.testdir(FILES)
  const state = join(folder, 'state')
  const first = launch(t, folder, ['--state', state])
  // Else Node throws away at the child's end what nobody has read.
  first.child.stdout?.on('readable', () => {})
  first.child.stdin?.write(events(0, 200))
  const isFound = () => {
    try {
      return existsSync(join(state, FINDINGS_FILE)) && readFindings(state).length === 200
    } catch {
      // It has just been made, and has no tables yet.
      return false
    }
  }
  await until(t, 'all is found', isFound)
  const begun = Date.now()
  first.child.kill('SIGTERM')
  // What it wrote stays in the pipe; nobody has read it.
  t.equal(await first.ended, 0)
  t.ok(Date.now() - begun < 60_000)
  t.match(first.said(), /sink stdout: \d+ findings wait for the next run/)
  const before = first.child.stdout === null ? '' : await text(first.child.stdout)
  const second = launch(t, folder, ['--state', state])
  second.child.stdin?.end()
  const after = second.child.stdout === null ? '' : await text(second.child.stdout)
  // The last line of the first run was torn when it ended.
  const whole = before.slice(0, before.lastIndexOf('\n') + 1)
  t.ok(workloadsIn(whole).size < 200)
  t.equal(workloadsIn(whole + after).size, 200)
  t.equal(await second.ended, 0)
})

t.test('when its reader has gone the run ends, unless there is another sink', async t => {
  const folder = t.testdir(FILES)
  const file = join(folder, 'findings.jsonl')
  const alone = launch(t, folder)
  const other = launch(t, folder, ['--sink', 'stdout', `file:${file}`])
  for (const { child } of [alone, other]) {
    child.stdout?.destroy()
    child.stdin?.write(events(0, 3))
  }
  t.equal(await alone.ended, 0, alone.said())
  t.match(alone.said(), /its reader has gone/)
  await until(t, 'the other one is told', () => /sink stdout: .*its reader has gone/.test(other.said()))
  other.child.stdin?.write(events(3, 6))
  const size = () => (existsSync(file) ? workloadsIn(readFileSync(file, 'utf8')).size : 0)
  await until(t, 'it goes on', () => size() === 6)
  other.child.kill('SIGHUP')
  renameSync(file, `${file}.1`)
  other.child.stdin?.end(events(6, 9))
  t.equal(await other.ended, 0)
  t.match(other.said(), /sink stdout: \d+ findings were not delivered, and are lost: its reader has gone/)
  t.ok([6, 7, 8].every(workload => workloadsIn(readFileSync(file, 'utf8')).has(`w${workload}`)))
})

t.test(
  'a full disk ends no run, and its findings are there for the next one',
  { skip: !existsSync('/dev/full') },
  async t => {
    const folder = t.testdir(FILES)
    const argv = ['correlate', '--policy', join(folder, 'policy.yaml'), '--source', '-']
    const file = join(folder, 'findings.jsonl')
    appendFileSync(file, '')
    const lost = await runCommand([...argv, '--sink', 'file:/dev/full'], { stdin: events(0, 3) })
    t.match(lost, { exitCode: 78, stderr: /sink file: 3 findings could not be written, and are lost/ })
    const withState = [...argv, '--state', join(folder, 'state'), '--sink']
    const kept = await runCommand([...withState, 'file:/dev/full?name=disk', 'stdout'], { stdin: events(0, 3) })
    t.match(kept, { exitCode: 0, stderr: /sink disk: 3 findings wait for the next run/ })
    t.equal(workloadsIn(kept.stdout).size, 3, 'the other sink has them')
    await runCommand([...withState, `file:${file}?name=disk&min-severity=high`, 'stdout'])
    t.equal(workloadsIn(readFileSync(file, 'utf8')).size, 3)
  },
)
