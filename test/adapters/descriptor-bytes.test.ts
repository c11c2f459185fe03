/** Open descriptors, as standard input may be one: files and pipes, read into one memory. */

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, openSync, readSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { openDescriptor } from '../../src/adapters/descriptor-bytes.js'
import { readEventFiles } from '../../src/adapters/event-file.js'

const NEVER = new AbortController().signal
const BYTES = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => (index * 31) % 251))

/** @param script of a shell; what it writes to 3 comes out of the pipe. */
async function pipeFrom(folder: string, script: string, ...args: readonly string[]): Promise<number> {
  const path = join(folder, 'pipe')
  execFileSync('mkfifo', [path])
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const child = spawn('sh', ['-c', `exec 3>"$0"; echo; ${script}`, path, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  // It would look as if nobody was ever to write.
  await once(child.stdout, 'data')
  return fd
}

async function readAll(bytes: AsyncIterable<Buffer> | undefined): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of bytes ?? []) pieces.push(Buffer.from(piece))
  return Buffer.concat(pieces)
}

t.test('a file is read from where the descriptor stands', async t => {
  const path = join(t.testdir(), 'file')
  writeFileSync(path, BYTES)
  const fd = openSync(path, 'r')
  t.teardown(() => closeSync(fd))
  readSync(fd, Buffer.alloc(1_000))
  t.ok((await readAll(openDescriptor(fd))).equals(BYTES.subarray(1_000)))
})

t.test('a pipe is read to its end, however it is filled', async t => {
  const folder = t.testdir()
  const path = join(folder, 'file')
  writeFileSync(path, BYTES)
  const fd = await pipeFrom(folder, 'printf x >&3; sleep 0.2; cat "$1" >&3; sleep 0.2; printf y >&3', path)
  t.ok((await readAll(openDescriptor(fd))).equals(Buffer.concat([Buffer.from('x'), BYTES, Buffer.from('y')])))
})

t.test('a pipe into which nothing is written ends, and one that is waited for can be stopped', async t => {
  t.equal((await readAll(openDescriptor(await pipeFrom(t.testdir(), ':')))).length, 0)
  const open = openDescriptor(await pipeFrom(t.testdir({ other: {} }), 'printf x >&3; read line'))
  const read: string[] = []
  for await (const piece of open ?? []) {
    read.push(String(piece))
    setTimeout(() => open?.stop(), 50)
  }
  t.same(read, ['x'])
})

t.test('a device is left to a stream', async t => {
  const fd = openSync('/dev/null', 'r')
  t.teardown(() => closeSync(fd))
  t.equal(openDescriptor(fd), undefined)
})

t.test('standard input comes this way for a reader that keeps nothing, gzipped or not', async t => {
  const gzipped = gzipSync(BYTES, { level: 1 })
  for (const stored of [BYTES, gzipped, gzipped.subarray(0, 1)]) {
    const folder = t.testdir()
    const path = join(folder, 'file')
    writeFileSync(path, stored)
    const fd = await pipeFrom(folder, 'head -c 1 "$1" >&3; sleep 0.1; tail -c +2 "$1" >&3', path)
    let count = 0
    const onRead = (length: number): void => {
      count += length
    }
    const stdin = Object.assign(new PassThrough(), { fd })
    const pieces: Buffer[] = []
    for await (const part of readEventFiles(['-'], {
      stdin,
      signal: NEVER,
      isBufferReused: true,
      idleMs: 20,
      onRead,
    })) {
      if (part.type === 'bytes') pieces.push(Buffer.from(part.bytes))
    }
    t.ok(Buffer.concat(pieces).equals(stored.length === 1 ? stored : BYTES))
    t.equal(count, stored.length)
  }
})

t.test('a signal ends it while it waits', async t => {
  const controller = new AbortController()
  const stdin = Object.assign(new PassThrough(), { fd: await pipeFrom(t.testdir(), 'printf xyz >&3; read line') })
  const parts: string[] = []
  for await (const part of readEventFiles(['-'], {
    stdin,
    signal: controller.signal,
    isBufferReused: true,
    idleMs: 20,
  })) {
    parts.push(part.type)
    if (part.type === 'idle' && parts.includes('bytes')) controller.abort()
  }
  t.same(
    parts.filter(type => type !== 'idle'),
    ['begin', 'bytes'],
  )
})
