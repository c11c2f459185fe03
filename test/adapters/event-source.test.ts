/** Event sources on real files: finished ones of every kind, and a followed one through rotation and truncation. */

import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { appendFile, mkdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { measureEventFiles, readEventFiles } from '../../src/adapters/event-file.js'
import { tailFile } from '../../src/adapters/file-tail.js'
import { loadSplunkToolNames } from '../../src/adapters/splunk-macro-file.js'
import { backupKey, createBackupFolder, MAX_BACKUPS, readBackup } from '../../src/adapters/tail-backups.js'
import { writeText } from '../../src/adapters/write-text.js'
import type { EventSource, SourceGap, SourcePart, SourcePosition } from '../../src/correlator/event-source.js'
import { LineSplitter, bytesOf as lineBytesOf } from '../../src/correlator/line-splitter.js'

const NEVER = new AbortController().signal

/** What a reader makes of a source: one string a line, `=` at the end of each part that has one. */
async function* linesOf(source: EventSource): AsyncGenerator<string> {
  const splitter = new LineSplitter()
  for await (const part of source) {
    if (part.type === 'begin') splitter.reset()
    const lines = part.type === 'bytes' ? splitter.push(part.bytes) : part.type === 'end' ? splitter.end() : []
    for (const line of lines) yield line.type === 'line' ? lineBytesOf(line).toString() : 'too long'
    if (part.type === 'end') yield '='
  }
}

async function bytesOf(parts: AsyncIterable<Buffer>): Promise<string> {
  const found: Buffer[] = []
  for await (const part of parts) found.push(part)
  return Buffer.concat(found).toString()
}

async function all(lines: AsyncGenerator<string>): Promise<string[]> {
  const found: string[] = []
  for await (const line of lines) found.push(line)
  return found
}

function files(paths: readonly string[], stdin: NodeJS.ReadableStream = Readable.from([]), signal = NEVER) {
  return linesOf(readEventFiles(paths, { stdin, signal }))
}

t.test('finished files', async t => {
  const long = randomBytes(400_000).toString('hex')
  const dir = t.testdir({
    'plain.jsonl': 'a\nb',
    'named-gzip.gz': 'not gzip\n',
    empty: '',
    one: 'x',
    'gzip-without-a-name': gzipSync(`a\n${long}\n`),
    'two-members.gz': Buffer.concat([gzipSync('a\n'), gzipSync('b\n')]),
    'damaged.gz': gzipSync(`a\nb\n${long}`).subarray(0, 1000),
    'garbage.gz': Buffer.concat([gzipSync('a\nb'), Buffer.from('garbage')]),
    'junk.gz': Buffer.from([0x1f, 0x8b, 0, 1, 2, 3, 4, 5, 6, 7]),
    folder: {},
  })
  const at = (name: string) => join(dir, name)

  t.test('are read one after the other, gzipped or not, whatever their names', async t => {
    const names = ['plain.jsonl', 'named-gzip.gz', 'empty', 'one', 'gzip-without-a-name', 'two-members.gz']
    t.same(await all(files(names.map(at))), [
      ...['a', 'b', '='],
      ...['not gzip', '='],
      '=',
      ...['x', '='],
      ...['a', long, '='],
      ...['a', 'b', '='],
    ])
  })

  t.test('that are damaged are an error that names them', async t => {
    for (const name of ['damaged.gz', 'garbage.gz', 'junk.gz']) {
      await t.rejects(all(files([at(name)])), { code: 'FILE_UNREADABLE', message: new RegExp(name) })
    }
  })

  t.test('that are damaged are read up to there where that is wanted, and the rest is a gap', async t => {
    const gaps: SourceGap[] = []
    const readable = async function* (name: string): EventSource {
      const options = { stdin: Readable.from([]), signal: NEVER, isBufferReused: true, damageClock: () => 7 }
      for await (const part of readEventFiles([at(name), at('one')], options)) {
        if (part.type === 'gap') gaps.push(part.gap)
        yield part
      }
    }
    const damaged = await all(linesOf(readable('damaged.gz')))
    t.same(damaged.slice(0, 2), ['a', 'b'])
    t.ok(damaged[2] && long.startsWith(damaged[2]), 'a line that was cut')
    t.same(damaged.slice(3), ['=', 'x', '='], 'the next file is read')
    t.same(await all(linesOf(readable('garbage.gz'))), ['a', 'b', '=', 'x', '='])
    t.match(gaps, [
      { code: 'file-damaged', source: at('damaged.gz'), to: 7, detail: /its gzip data is damaged: it ends too early/ },
      { code: 'file-damaged', source: at('garbage.gz'), to: 7, detail: /behind its end/ },
    ])
    await t.rejects(all(linesOf(readable('junk.gz'))), { code: 'FILE_UNREADABLE' }, 'nothing could be read')
  })

  t.test('are checked before any is read', async t => {
    for (const name of ['missing', 'folder']) {
      await t.rejects(measureEventFiles([at('plain.jsonl'), at(name)]), {
        code: 'FILE_UNREADABLE',
        message: new RegExp(name),
      })
    }
    t.equal(await measureEventFiles([at('plain.jsonl'), at('one')]), 4)
    t.equal(await measureEventFiles([at('one'), '-']), undefined, 'nobody knows how much standard input will hold')
  })

  t.test('standard input may be gzipped too', async t => {
    t.same(await all(files(['-'], Readable.from([gzipSync('a\nb')]))), ['a', 'b', '='])
    t.same(await all(files(['-'], Readable.from([Buffer.from('a'), Buffer.from('\n')]))), ['a', '='])
  })

  t.test('a signal ends standard input, and its torn line is no line', async t => {
    const controller = new AbortController()
    const stdin = new PassThrough()
    stdin.write('a\nb')
    const lines = files(['-'], stdin, controller.signal)
    t.equal((await lines.next()).value, 'a')
    controller.abort()
    t.same(await all(lines), [])
    t.ok(stdin.destroyed)
  })
})

t.test('a followed file', async t => {
  const follow = (path: string, fromStart: boolean) => {
    const controller = new AbortController()
    const waited: string[] = []
    const troubles: string[] = []
    const onWaiting = () => waited.push(path)
    const onTrouble = (problem: string) => troubles.push(problem)
    let idles = 0
    const watched = async function* (source: EventSource): EventSource {
      for await (const part of source) {
        if (part.type === 'idle') idles += 1
        yield part
      }
    }
    const { signal } = controller
    const tail = tailFile(path, { fromStart, pollMs: 5, now: () => 0, signal, onWaiting, onTrouble })
    const lines = linesOf(watched(tail))
    const next = async (count: number): Promise<string[]> => {
      const found: string[] = []
      while (found.length < count) found.push((await lines.next()).value)
      return found
    }
    /** What was left to read. */
    const stop = async (): Promise<string[]> => {
      controller.abort()
      return all(lines)
    }
    /** Until it has looked and found nothing more, while somebody waits for its lines. */
    const idle = async (): Promise<void> => {
      const before = idles
      while (idles < before + 2) await new Promise(resolve => setTimeout(resolve, 5))
    }
    return { next, stop, idle, rest: () => all(lines), waited, troubles }
  }

  t.test('is read from its start, or from its last complete line on', async t => {
    const path = join(t.testdir({ log: 'a\nb\nto' }), 'log')
    const whole = follow(path, true)
    t.same(await whole.next(2), ['a', 'b'])
    const news = follow(path, false)
    const coming = news.next(2)
    await news.idle()
    await appendFile(path, 'rn\nc\n')
    t.same(await coming, ['torn', 'c'])
    t.same(await whole.next(2), ['torn', 'c'])
    t.same(await news.stop(), [])
    await whole.stop()
  })

  t.test('is left only when it was read to its end, once another has its name', async t => {
    const path = join(t.testdir({ log: 'a\n' }), 'log')
    const tail = follow(path, true)
    t.same(await tail.next(1), ['a'])
    await appendFile(path, 'b\n')
    await rename(path, `${path}.1`)
    t.same(await tail.next(1), ['b'], 'the path is absent')
    await appendFile(`${path}.1`, 'late')
    await writeFile(path, 'c\n')
    t.same(await tail.next(3), ['late', '=', 'c'])
    await rename(path, `${path}.2`)
    await writeFile(path, 'd\n')
    t.same(await tail.next(2), ['=', 'd'])
    await tail.stop()
  })

  t.test('starts anew when it is truncated', async t => {
    const path = join(t.testdir({ log: 'aaaa\nbb' }), 'log')
    const tail = follow(path, true)
    t.same(await tail.next(1), ['aaaa'])
    const coming = tail.next(1)
    await tail.idle()
    await truncate(path, 0)
    await tail.idle()
    await appendFile(path, 'c\n')
    t.same(await coming, ['c'])
    await tail.stop()
  })

  t.test('may come later, and is then read whole', async t => {
    const path = join(t.testdir({}), 'log')
    const tail = follow(path, false)
    const coming = tail.next(1)
    await tail.idle()
    await writeFile(path, 'a\n')
    t.same(await coming, ['a'])
    t.same(tail.waited, [path])
    await tail.stop()
  })

  t.test('must not be a directory, a pipe or a device, and its directory must exist', async t => {
    const dir = t.testdir({})
    const pipe = join(dir, 'pipe')
    execFileSync('mkfifo', [pipe])
    for (const path of [dir, join(dir, 'no', 'log'), pipe, '/dev/null']) {
      await t.rejects(follow(path, true).rest(), { code: 'FILE_UNREADABLE' }, path)
    }
  })

  t.test('that gives way to a pipe is waited for, and the program can be stopped meanwhile', async t => {
    const path = join(t.testdir({ log: 'a\n' }), 'log')
    const tail = follow(path, true)
    t.same(await tail.next(1), ['a'])
    const coming = tail.next(2)
    await rename(path, `${path}.aside`)
    execFileSync('mkfifo', [path])
    while (tail.troubles.length === 0) await new Promise(resolve => setTimeout(resolve, 5))
    await rm(path)
    await writeFile(path, 'b\n')
    t.same(await coming, ['=', 'b'])
    await tail.stop()
  })

  t.test('that cannot be read for a while is said once, and read on where it stood', async t => {
    const path = join(t.testdir({ log: 'a\nto' }), 'log')
    const tail = follow(path, true)
    t.same(await tail.next(1), ['a'])
    const coming = tail.next(1)
    await rename(path, `${path}.aside`)
    await symlink('log', path)
    while (tail.troubles.length === 0) await new Promise(resolve => setTimeout(resolve, 5))
    await tail.idle()
    await rm(path)
    await appendFile(`${path}.aside`, 'rn\n')
    await rename(`${path}.aside`, path)
    t.same(await coming, ['torn'])
    t.match(tail.troubles, [/too many symbolic links/])
    await tail.stop()
  })

  t.test(
    'whose device fails is tried again, but not at the start',
    { skip: !existsSync('/proc/self/mem') },
    async t => {
      // Nothing is mapped where the reading of it begins.
      const path = join(t.testdir({ log: t.fixture('symlink', '/proc/self/mem') }), 'log')
      await t.rejects(follow(path, true).rest(), { code: 'FILE_UNREADABLE', message: /device reports an error/ })
      await rm(path)
      await writeFile(path, 'a\n')
      const tail = follow(path, true)
      t.same(await tail.next(1), ['a'])
      await rename(path, `${path}.1`)
      await symlink('/proc/self/mem', path)
      const coming = tail.next(2)
      while (tail.troubles.length === 0) await new Promise(resolve => setTimeout(resolve, 5))
      t.match(tail.troubles, [/device reports an error/])
      await rm(path)
      await writeFile(path, 'b\n')
      t.same(await coming, ['=', 'b'])
      await tail.stop()
    },
  )

  t.test('may vanish while it is read', async t => {
    const path = join(t.testdir({ log: 'a\n' }), 'log')
    const tail = follow(path, true)
    t.same(await tail.next(1), ['a'])
    await rm(path)
    const coming = tail.next(2)
    await tail.idle()
    await writeFile(path, 'b\n')
    t.same(await coming, ['=', 'b'])
    await tail.stop()
  })
})

t.test('while a long file is read, the rest of the process has its turns', async t => {
  const path = join(t.testdir(), 'log')
  await writeFile(path, '')
  const bytes = 64 * 1024 * 1024
  await truncate(path, bytes)
  const stdin = Readable.from([])
  const readers = [
    (signal: AbortSignal) => readEventFiles([path], { stdin, signal, isBufferReused: true }),
    (signal: AbortSignal) => tailFile(path, { fromStart: true, now: Date.now, signal }),
  ]
  for (const open of readers) {
    const stop = new AbortController()
    let read = 0
    for await (const part of open(stop.signal)) {
      if (part.type !== 'bytes') continue
      if (read === 0) setTimeout(() => stop.abort(), 1)
      read += part.bytes.length
      for (const until = performance.now() + 3; performance.now() < until; );
    }
    t.ok(read > 0 && read < bytes, `stopped after ${read} bytes`)
  }
})

t.test('a rotated file', async t => {
  t.test('is not mistaken for the one that has its name by now', async t => {
    const dir = t.testdir({ 'log.1': 'a\n' })
    const path = join(dir, 'log')
    const [backup] = await createBackupFolder(path).list()
    if (backup === undefined) throw new Error('it is listed')
    t.same(await bytesOf(readBackup(backup, 0)), 'a\n')
    await rename(`${path}.1`, `${path}.2`)
    await t.rejects(bytesOf(readBackup(backup, 0)), { code: 'ENOENT' })
    await writeFile(`${path}.1`, 'b\n')
    await t.rejects(bytesOf(readBackup(backup, 0)), { code: 'ESTALE' })
  })

  t.test('is no copy of a file of which only a few letters are written yet', async t => {
    const path = join(t.testdir({ log: '{a}\n' }), 'log')
    const read = async (from?: SourcePosition) => {
      const controller = new AbortController()
      const parts: SourcePart[] = []
      for await (const part of tailFile(path, {
        fromStart: true,
        from,
        pollMs: 1,
        now: () => 0,
        signal: controller.signal,
      })) {
        parts.push(part.type === 'bytes' ? { ...part, bytes: Buffer.from(part.bytes) } : part)
        if (part.type === 'idle') controller.abort()
      }
      return parts
    }
    const position = (await read()).findLast(part => part.position !== undefined)?.position
    await appendFile(path, '{b}\n')
    await rename(path, `${path}.1`)
    await writeFile(path, '{')
    const parts = await read(position)
    t.same(
      parts.flatMap(part => (part.type === 'bytes' ? [part.bytes.toString()] : [])),
      ['{b}\n', '{'],
    )
    t.notOk(
      parts.some(({ type }) => type === 'gap'),
      'and nothing was lost',
    )
  })

  t.test('that was written to after it was done is not read again', async t => {
    const path = join(t.testdir({ log: 'a\n' }), 'log')
    const controller = new AbortController()
    const options = { fromStart: true, pollMs: 5, now: () => 0, signal: controller.signal }
    const lines = linesOf(tailFile(path, options))
    const next = async () => (await lines.next()).value
    t.equal(await next(), 'a')
    await rename(path, `${path}.1`)
    await writeFile(path, 'b\n')
    t.same([await next(), await next()], ['=', 'b'])
    await appendFile(`${path}.1`, 'late\n')
    await rename(`${path}.1`, `${path}.2`)
    await rename(path, `${path}.1`)
    await writeFile(path, 'c\n')
    t.same([await next(), await next()], ['=', 'c'])
    controller.abort()
    t.same(await all(lines), [])
  })

  t.test('that cannot be read is said once, whatever it is called later', async t => {
    const path = join(t.testdir({ log: 'a\n' }), 'log')
    const controller = new AbortController()
    const options = { fromStart: true, pollMs: 1, now: () => 0, signal: controller.signal }
    const gaps: string[] = []
    const steps = [
      () => writeFile(`${path}.1`, Buffer.from([0x1f, 0x8b, 9, 9, 9])),
      () => rotateNumbered(path, 'b\n'),
      () => rotateNumbered(path, 'c\n'),
      () => controller.abort(),
    ]
    for await (const part of tailFile(path, options)) {
      if (part.type === 'gap') gaps.push(part.gap.code)
      if (part.type === 'idle') await steps.shift()?.()
    }
    t.same(gaps, ['backup-unreadable'])
  })

  t.test('may vanish with its directory', async t => {
    const dir = t.testdir({ sub: { log: 'a\n' } })
    const path = join(dir, 'sub', 'log')
    const controller = new AbortController()
    const lines = linesOf(tailFile(path, { fromStart: true, pollMs: 5, now: () => 0, signal: controller.signal }))
    t.equal((await lines.next()).value, 'a')
    const coming = lines.next()
    await rm(join(dir, 'sub'), { recursive: true })
    await mkdir(join(dir, 'sub'))
    await writeFile(path, 'b\n')
    t.equal((await coming).value, '=')
    t.equal((await lines.next()).value, 'b')
    controller.abort()
    t.same(await all(lines), [])
  })
})

/** As logrotate does it, the oldest first. */
async function rotateNumbered(path: string, text: string): Promise<void> {
  for (const number of [3, 2, 1]) {
    if (existsSync(`${path}.${number}`)) await rename(`${path}.${number}`, `${path}.${number + 1}`)
  }
  await rename(path, `${path}.1`)
  await writeFile(path, text)
}

t.test('what may have been missed is a gap', async t => {
  /** The gaps of a tail, and its position, once it has nothing more to say. */
  const read = async (path: string, from?: SourcePosition, problems: string[] = []) => {
    const { signal } = new AbortController()
    const onBadPosition = (problem: string) => problems.push(problem)
    const gaps: string[] = []
    let text = ''
    let position = from
    for await (const part of tailFile(path, {
      fromStart: true,
      from,
      pollMs: 1,
      now: () => 7,
      signal,
      onBadPosition,
    })) {
      if (part.position !== undefined) position = part.position
      if (part.type === 'gap') gaps.push(part.gap.code)
      if (part.type === 'bytes') text += part.bytes.toString()
      if (part.type === 'idle') break
    }
    return { gaps, text, position }
  }

  t.test('when the file that was read is gone, emptied or damaged', async t => {
    const path = join(t.testdir({ log: 'a\n' }), 'log')
    const first = await read(path)
    t.same(first.gaps, [])
    t.same((await read(path, first.position)).gaps, [])
    await writeFile(path, 'b\n')
    t.same((await read(path, first.position)).gaps, ['truncated'])
    await writeFile(`${path}.1`, gzipSync('a\n').subarray(0, 15))
    const second = await read(path, first.position)
    t.same(second.gaps, ['backup-unreadable'], 'it is the copy, up to where it is damaged')
    t.same((await read(path, second.position)).gaps, [], 'said once')
    await writeFile(`${path}.new`, 'c\n')
    await rename(`${path}.new`, path)
    t.same((await read(path, second.position)).gaps, ['rotated-away'])
  })

  t.test('and what stands before damage is read', async t => {
    const path = join(t.testdir({ log: 'a\n' }), 'log')
    const { position } = await read(path)
    await rm(path)
    await writeFile(`${path}.1.gz`, Buffer.concat([gzipSync('a\nb\nc\n'), Buffer.from('garbage')]))
    await writeFile(path, 'd\n')
    const { gaps, text } = await read(path, position)
    t.same({ gaps, text }, { gaps: ['backup-unreadable'], text: 'b\nc\nd\n' })
  })

  t.test('when more rotated files were not read than are looked at, and not when the older ones were', async t => {
    const path = join(t.testdir({ log: 'a\n' }), 'log')
    const { position } = await read(path)
    /** Up to the first gap or to the first bytes, whichever comes first. */
    const begin = async (from: SourcePosition | undefined): Promise<SourcePart | undefined> => {
      const { signal } = new AbortController()
      for await (const part of tailFile(path, { fromStart: true, from, pollMs: 1, now: () => 7, signal })) {
        if (part.type === 'bytes' || part.type === 'gap') return part
      }
      return undefined
    }
    // The one that was read is number 1,004; those after it were not.
    await rename(path, `${path}.1004`)
    for (let number = 1; number <= MAX_BACKUPS + 3; number += 1) await writeFile(`${path}.${number}`, `n${number}\n`)
    await writeFile(path, 'z\n')
    t.match(await begin(position), {
      type: 'gap',
      gap: {
        code: 'backups-passed-over',
        source: path,
        detail: '4 files with 20 bytes, as they are stored, are older than the 1000 that are looked at',
      },
    })
    // Of the oldest that is looked at it is known that it was read: so were those before it.
    const done = [`${backupKey(Buffer.from(`n${MAX_BACKUPS}\n`))}`]
    t.match(await begin({ ...position, file: null, done }), { type: 'bytes', bytes: Buffer.from('n999\n') })
    // And of those that are not looked at, only what came after the last one that was read is missing.
    const older = [`${backupKey(Buffer.from(`n${MAX_BACKUPS + 2}\n`))}`]
    t.match(await begin({ ...position, file: null, done: older }), { gap: { detail: /^1 files with 6 bytes/ } })
  })

  t.test('and a position that cannot be used is said and left', async t => {
    const path = join(t.testdir({ log: 'a\n' }), 'log')
    const { position } = await read(path)
    for (const from of [
      {},
      { ...position, version: 2 },
      { ...position, file: { offset: -1 } },
      { ...position, done: 3 },
    ]) {
      const problems: string[] = []
      t.same((await read(path, from, problems)).gaps, [])
      t.equal(problems.length, 1)
    }
  })
})

t.test('sinks', async t => {
  t.test('wait for a slow reader, and not for one that has gone', async t => {
    const slow = new PassThrough({ highWaterMark: 1 })
    let isDone = false
    const writing = writeText(slow, 'text').then(() => {
      isDone = true
    })
    await new Promise(resolve => setTimeout(resolve, 10))
    t.notOk(isDone)
    slow.destroy()
    await writing
    await writeText(slow, 'more')
    t.pass()
  })
})

t.test("the names of Splunk's macro are shipped, the one that never matches among them", async t => {
  const names = await loadSplunkToolNames()
  t.equal(names.length, 53)
  t.ok(names.includes('impacket-'))
})
