/** Tetragon's gRPC stream, from a server that speaks it: over a unix socket, TCP and TLS, through restarts. */

import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { Server, ServerCredentials, type ServerWritableStream } from '@grpc/grpc-js'
import t, { type Test } from 'tap'
import { createCertificates } from '../../src/adapters/certificates.js'
import { type TetragonOptions, watchTetragon } from '../../src/adapters/tetragon-grpc.js'
import { describeGetEvents } from '../../src/adapters/tetragon-proto.js'
import type { SourceGap, SourcePart } from '../../src/correlator/event-source.js'
import { decodeEvent } from '../../src/correlator/exec-event.js'
import { agentMessageOf } from '../support/agent-message.js'
import { createClientCertificate } from '../support/client-certificate.js'

type Call = ServerWritableStream<{ allow_list?: object[] }, object>

const LINES = gunzipSync(readFileSync('test/fixtures/tetragon/exec-1k.jsonl.gz')).toString().trim().split('\n')

/** A socket's path holds 107 bytes: too few for the directory that a test is given. */
async function socketAddress(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'sallyport-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  return `unix://${join(dir, 's')}`
}

/** An agent that sends its lines to each listener and then keeps the stream open. */
async function startAgent(address: string, lines: readonly string[], secret?: ServerCredentials) {
  const requests: unknown[] = []
  const server = new Server()
  const GetEvents = (call: Call) => {
    requests.push(call.request)
    for (const line of lines) call.write(agentMessageOf(JSON.parse(line)) as object)
  }
  server.addService({ GetEvents: describeGetEvents() }, { GetEvents })
  const port = await new Promise<number>((resolve, reject) => {
    const isBound = (error: Error | null, bound: number) => (error ? reject(error) : resolve(bound))
    server.bindAsync(address, secret ?? ServerCredentials.createInsecure(), isBound)
  })
  return { port, requests, stop: () => server.forceShutdown() }
}

function listen(address: string, changes: Partial<TetragonOptions> = {}) {
  const controller = new AbortController()
  const problems: string[] = []
  const gaps: SourceGap[] = []
  let now = 0
  const parts = watchTetragon(address, {
    now: () => ++now,
    random: () => 0,
    signal: controller.signal,
    onInterruption: problem => problems.push(problem),
    ...changes,
  })[Symbol.asyncIterator]()
  const seen: { parts: number; position: SourcePart['position'] } = { parts: 0, position: undefined }
  const next = async (count: number): Promise<string[]> => {
    let text = ''
    while (text.split('\n').length <= count) {
      const { value }: { value?: SourcePart } = await parts.next()
      if (value?.position !== undefined) seen.position = value.position
      if (value?.type === 'bytes') seen.parts += 1
      if (value?.type === 'bytes') text += value.bytes.toString()
      if (value?.type === 'gap') gaps.push(value.gap)
    }
    return text.trimEnd().split('\n')
  }
  const stop = async () => {
    controller.abort()
    while ((await parts.next()).done !== true);
  }
  return { next, stop, problems, gaps, seen, idle: () => parts.next() }
}

t.test('events over gRPC are the events of the export file', async t => {
  const address = await socketAddress(t)
  const agent = await startAgent(address, LINES)
  const listener = listen(address)
  const received = await listener.next(LINES.length)
  const textOf = (line = '') => JSON.stringify(decodeEvent(line))
  t.same(
    received.filter((line, index) => textOf(line) !== textOf(LINES[index])),
    [],
  )
  t.ok(listener.seen.parts < LINES.length / 2, `what has come goes on together (${listener.seen.parts} parts)`)
  t.match(agent.requests, [{ allow_list: [{ event_set: [1] }] }], 'exec events alone are asked for')
  await listener.stop()
  agent.stop()
})

t.test('other types, zeros and what is unset', async t => {
  const lines = [
    '{"process_exit":{},"node_name":"n"}',
    '{"rate_limit_info":{"number_of_dropped_process_events":"9007199254740993"}}',
    '{"process_exec":{"process":{"pid":0,"in_init_tree":false}},"time":"1970-01-01T00:00:00.000000001Z"}',
    '{}',
  ]
  const agent = await startAgent('127.0.0.1:0', lines)
  const listener = listen(`127.0.0.1:${agent.port}`)
  t.same(await listener.next(lines.length), lines)
  await listener.stop()
  agent.stop()
})

t.test('a restarted agent is found again, and what was missed is a gap', async t => {
  const address = await socketAddress(t)
  const line = LINES[0] ?? ''
  const first = await startAgent(address, [line])
  const listener = listen(address)
  t.equal((await listener.next(1)).length, 1)
  first.stop()
  // As the agent does when it starts.
  await rm(address.slice('unix://'.length), { force: true })
  const coming = listener.next(1)
  await new Promise(resolve => setTimeout(resolve, 100))
  const second = await startAgent(address, [line])
  t.equal((await coming).length, 1)
  t.match(listener.gaps, [{ code: 'disconnected', source: address }])
  const [gap] = listener.gaps
  t.ok(gap?.from !== undefined && gap.from < gap.to)
  t.equal(listener.problems.length, 1, 'one interruption is told once')
  await listener.stop()
  second.stop()
})

t.test('an agent that is not there is waited for', async t => {
  const address = await socketAddress(t)
  const listener = listen(address)
  const coming = listener.next(1)
  await new Promise(resolve => setTimeout(resolve, 50))
  const agent = await startAgent(address, [LINES[0] ?? ''])
  t.equal((await coming).length, 1)
  t.same(listener.gaps, [], 'nothing was being watched before')
  await listener.stop()
  agent.stop()
})

t.test('an agent that is not there is told at once, and nothing keeps the process when it is stopped', async t => {
  const listener = listen(await socketAddress(t))
  t.equal((await listener.idle()).value.type, 'begin')
  t.equal((await listener.idle()).value.type, 'idle')
  t.match(listener.problems, [/ENOENT/])
  t.equal(listener.problems.length, 1)
  await listener.stop()
  const program = `
    const { watchTetragon } = await import('./src/adapters/tetragon-grpc.ts')
    const stop = new AbortController()
    // Nobody answers at this address: it is there for documentation.
    const source = watchTetragon('192.0.2.1:1', { now: () => 0, random: () => 0, signal: stop.signal })
    await source.next()
    const next = source.next()
    setTimeout(() => stop.abort(), 20)
    await next
    const stopped = performance.now()
    process.once('exit', () => process.stdout.write(String(performance.now() - stopped)))`
  const { stdout } = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program])
  t.match(stdout.toString(), /^\d/)
  t.ok(Number(stdout) < 5_000, `${stdout} ms after the source ended`)
})

t.test('the time between two runs is a gap, of the same agent alone', async t => {
  const address = await socketAddress(t)
  const agent = await startAgent(address, [LINES[0] ?? ''])
  const first = listen(address)
  await first.next(1)
  await first.stop()
  t.same(first.gaps, [])
  const from = JSON.parse(JSON.stringify(first.seen.position))
  const second = listen(address, { from, now: () => 500 })
  await second.next(1)
  await second.stop()
  t.match(second.gaps, [{ code: 'disconnected', from: from.at, to: 500 }])
  for (const other of [
    { ...from, address: 'other:1' },
    { ...from, version: 9 },
    { ...from, at: 'x' },
    { type: 'file' },
  ]) {
    const third = listen(address, { from: other })
    await third.next(1)
    await third.stop()
    t.same(third.gaps, [])
  }
  agent.stop()
})

t.test('an agent that refuses is told once, and each try is no gap of its own', async t => {
  const address = await socketAddress(t)
  const server = new Server()
  let calls = 0
  const isTriedAgain = new Promise<void>(resolve => {
    const GetEvents = (call: Call) => {
      calls += 1
      if (calls === 3) resolve()
      call.emit('error', { code: 7, details: 'not for you' })
    }
    server.addService({ GetEvents: describeGetEvents() }, { GetEvents })
  })
  await new Promise(resolve => server.bindAsync(address, ServerCredentials.createInsecure(), resolve))
  const from = { type: 'stream', version: 1, address, at: 1 }
  const listener = listen(address, { from })
  const reading = listener.next(1)
  await isTriedAgain
  server.forceShutdown()
  await rm(address.slice('unix://'.length), { force: true })
  const agent = await startAgent(address, [LINES[0] ?? ''])
  await reading
  t.match(listener.problems, [/not for you/])
  t.equal(listener.problems.length, 1)
  t.match(listener.gaps, [{ from: 1 }])
  t.equal(listener.gaps.length, 1)
  await listener.stop()
  agent.stop()
})

t.test('an agent that is gone without a word is noticed', async t => {
  const address = await socketAddress(t)
  const agent = await startAgent(address, [LINES[0] ?? ''])
  const sockets: Socket[] = []
  // A wire that can be cut without either side being told.
  const wire = createServer(near => {
    const far = connect(address.slice('unix://'.length))
    sockets.push(near, far)
    near.pipe(far).pipe(near)
    for (const socket of [near, far]) socket.on('error', () => {})
  }).listen(0, '127.0.0.1')
  await once(wire, 'listening')
  const { port } = wire.address() as AddressInfo
  const listener = listen(`127.0.0.1:${port}`, { keepaliveMs: 2_000 })
  await listener.next(1)
  for (const socket of sockets) socket.unpipe().pause()
  await listener.next(1)
  t.equal(listener.gaps.length, 1)
  t.equal(listener.problems.length, 1)
  await listener.stop()
  for (const socket of sockets) socket.destroy()
  wire.close()
  agent.stop()
})

t.test('TLS: the agent shows a certificate of the CA, and may ask for one', async t => {
  const set = await createCertificates({ dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'], now: Date.now() })
  const client = createClientCertificate(set)
  const dir = t.testdir({ 'ca.crt': set.caCertificate, 'c.crt': client.cert, 'c.key': client.key })
  const pair = { private_key: Buffer.from(set.key), cert_chain: Buffer.from(set.certificate) }
  const secret = ServerCredentials.createSsl(Buffer.from(set.caCertificate), [pair], true)
  const agent = await startAgent('localhost:0', [LINES[0] ?? ''], secret)
  const certificate = { cert: join(dir, 'c.crt'), key: join(dir, 'c.key') }
  const listener = listen(`localhost:${agent.port}`, { tls: { ca: join(dir, 'ca.crt'), certificate } })
  t.equal((await listener.next(1)).length, 1)
  await listener.stop()
  const other = await createCertificates({ dnsNames: ['localhost'], ipAddresses: [], now: Date.now() })
  writeFileSync(join(dir, 'other.crt'), other.caCertificate)
  const wary = listen(`localhost:${agent.port}`, { tls: { ca: join(dir, 'other.crt'), certificate } })
  await wary.idle()
  await wary.idle()
  t.match(wary.problems, [/certificate/], 'an operator is told what is wrong')
  await wary.stop()
  agent.stop()
  const broken = listen('localhost:1', { tls: { ca: join(dir, 'missing.crt') } })
  await t.rejects(broken.idle(), { code: 'FILE_UNREADABLE', message: /missing\.crt/ })
})
