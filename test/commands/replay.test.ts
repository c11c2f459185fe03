/** replay and correlate as a shell sees them: what they print, where, and with which exit status. */

import { once } from 'node:events'
import { appendFileSync, existsSync, readFileSync, statSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { Command } from 'commander'
import t from 'tap'
import { openFindingStore } from '../../src/adapters/finding-store-file.js'
import type { CommandIo } from '../../src/commands/command-io.js'
import { correlateCommand } from '../../src/commands/correlate.js'
import { renderFindings } from '../../src/commands/finding-table.js'
import { replayCommand } from '../../src/commands/replay.js'
import { KnownError } from '../../src/errors.js'
import { containerOf, eventOf, lineOf, podOf } from '../support/events.js'
import { findingOf } from '../support/findings.js'

const FIXTURES = fileURLToPath(new URL('../fixtures/', import.meta.url))
const POLICY = `
apiVersion: sallyport.dev/v1
kind: ImagePolicy
metadata: { name: test }
spec:
  allow: ['registry.corp.example.com:5000/*', docker.io/library/nginx]
  exceptions:
    - { id: EX-1, tools: [nmap], namespaces: [team-a], expires: 2026-12-01T00:00:00Z, reason: test, owner: us }
`

interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

interface RunOptions {
  readonly stdin?: Readable
  readonly signal?: AbortSignal
  /** What was written so far. */
  readonly texts?: { stdout: string; stderr: string }
}

async function run(
  create: (io: CommandIo) => Command,
  argv: readonly string[],
  {
    stdin = Readable.from([]),
    signal = new AbortController().signal,
    texts = { stdout: '', stderr: '' },
  }: RunOptions = {},
): Promise<Ran> {
  const stream = (name: keyof typeof texts) =>
    new PassThrough().setEncoding('utf8').on('data', (text: string) => {
      texts[name] += text
    })
  let code = 0
  const io: CommandIo = {
    version: '0.0.0-test',
    stdin,
    stdout: stream('stdout'),
    stderr: stream('stderr'),
    setExitCode: status => {
      code = status
    },
    now: () => Date.now(),
    signal,
  }
  try {
    await create(io)
      .exitOverride()
      .configureOutput({ writeErr: () => {} })
      .parseAsync(argv, { from: 'user' })
  } catch (error) {
    if (!(error instanceof KnownError)) throw error
    code = error.exitCode
    texts.stderr += error.message
  }
  // What was written has yet to be read.
  await new Promise(resolve => setImmediate(resolve))
  return { code, ...texts }
}

function rows(text: string): { [key: string]: unknown }[] {
  return text
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
}

t.test('replay', async t => {
  const clean = `${lineOf(eventOf({ pod: undefined, docker: undefined }))}\n`
  const nmap = `${lineOf(eventOf({ binary: '/usr/bin/nmap', pod: podOf({ container: undefined }) }))}\n`
  const dir = t.testdir({
    'policy.yaml': POLICY,
    'clean.jsonl': clean,
    'nmap.jsonl': nmap,
    'empty.jsonl': '',
    'junk.bin': Buffer.alloc(9000, 0xfe),
    'text.log': 'hello\nworld\n',
    'big.jsonl': `{"process_exec":{"process":{"binary":"/x","arguments":"${'y'.repeat(4_000_000)}","start_time":"2026-01-01T00:00:00Z"}}}\n`,
    'bad.yaml': 'kind: ImagePolicy\nspec: [',
  })
  const at = (name: string) => join(dir, name)
  const replay = (argv: readonly string[], stdin?: Readable) =>
    run(replayCommand, ['--policy', at('policy.yaml'), ...argv], stdin === undefined ? {} : { stdin })

  t.test('exit status and words', async t => {
    const cases: readonly (readonly [string, readonly string[], number, RegExp])[] = [
      ['nothing found', [at('clean.jsonl')], 0, /read 1 exec events/],
      ['an empty file', [at('empty.jsonl')], 0, /read 0 exec events/],
      ['a line of 4 MB', [at('big.jsonl')], 0, /read 1 exec events/],
      ['a suppressed finding wants nobody', [at('nmap.jsonl')], 0, /read 1 exec events/],
      ['the same, when the exception is over', ['--as-of', '2027-01-01', at('nmap.jsonl')], 1, /read 1 exec events/],
      ['findings', [join(FIXTURES, 'demo/events.jsonl')], 1, /36|37/],
      ['a missing file', [at('clean.jsonl'), at('missing')], 78, /missing/],
      ['a directory', [dir], 78, /directory/],
      ['binary junk', [at('junk.bin')], 78, /junk\.bin is not a Tetragon export/],
      ['text', [at('text.log')], 78, /text\.log is not a Tetragon export/],
      ['a missing journal', ['--journal', at('none'), at('clean.jsonl')], 78, /none/],
      ['standard input twice', ['-', '-'], 64, /once/],
    ]
    for (const [title, argv, code, words] of cases) {
      const ran = await replay(argv)
      t.equal(ran.code, code, title)
      t.match(ran.stderr, words, title)
      if (code !== 1) t.notMatch(ran.stdout, /not-allowed/, title)
    }
    const bad = await run(replayCommand, ['--policy', at('bad.yaml'), at('clean.jsonl')])
    t.match(bad, { code: 78, stderr: /bad\.yaml:/ })
    await t.rejects(replay(['-o', 'xml', at('clean.jsonl')]), { code: 'commander.invalidArgument' })
    for (const time of ['noon', '2026-02-30', '2026-02-30T00:00:00Z', '2026-11-22T08:00:00', '2026-11-22T25:00:00Z']) {
      await t.rejects(replay(['--as-of', time, at('clean.jsonl')]), { code: 'commander.invalidArgument' }, time)
    }
    for (const time of ['2024-02-29', '2026-11-22T08:00Z', '2026-11-22T08:00:00.123456789+02:00']) {
      t.match(await replay(['--as-of', time, at('clean.jsonl')]), { code: 0 }, time)
    }
  })

  t.test('a gzipped file that was cut off is used up to there, and the loss is told', async t => {
    const line = `${lineOf(eventOf())}\n`
    const path = join(t.testdir({ 'cut.gz': gzipSync(line.repeat(500)).subarray(0, -9) }), 'cut.gz')
    const { code, stdout, stderr } = await replay(['-o', 'json', path])
    t.equal(code, 1)
    t.match(stderr, /cut\.gz: its gzip data is damaged: it ends too early\n/)
    const [image, ...coverage] = rows(stdout)
    t.match(image, { kind: 'non-allowlisted-image' })
    t.ok(Number(image?.['count']) >= 499)
    t.match(coverage, [{ kind: 'coverage', code: 'file-damaged', remarks: [/may be missing/, /too early/] }])
    const allowed = `${lineOf(eventOf({ pod: podOf({ container: containerOf({ imageName: 'nginx:1' }) }) }))}\n`
    const other = join(t.testdir({ 'behind.gz': Buffer.concat([gzipSync(allowed), Buffer.from('x')]) }), 'behind.gz')
    t.match(await replay([other]), { code: 0, stderr: /behind its end/ })
  })

  t.test('-o json prints one finding a line, the same from a file, from gzip and from standard input', async t => {
    const gz = join(FIXTURES, 'tetragon/exec-1k.jsonl.gz')
    const fromFile = await replay(['-o', 'json', gz])
    const fromStdin = await replay(['-o', 'json', '-'], Readable.from([gunzipSync(readFileSync(gz))]))
    t.equal(fromFile.stdout, fromStdin.stdout)
    t.ok(rows(fromFile.stdout).length > 20)
    t.ok(rows(fromFile.stdout).every(({ schema, fingerprint }) => schema === 1 && typeof fingerprint === 'string'))
  })

  t.test("-o splunk prints the macro's tools, whatever the policy excepts", async t => {
    const real = join(FIXTURES, 'tetragon/real-splunk.jsonl')
    t.match(rows((await replay(['-o', 'splunk', real])).stdout), [
      {
        detection: 'non_allowlisted_image_use',
        pod_image_name: '066635153087.dkr.ecr.il-central-1.amazonaws.com/amazon-k8s-cni:v1.19.2',
        pod_namespace: 'kube-system',
        pod_name: 'aws-node-9twpn',
        process_name: 'grpc-health-probe',
        count: 1,
        firstTime: '2025-08-14T20:42:47',
        lastTime: '2025-08-14T20:42:47',
      },
    ])
    const tools = rows((await replay(['-o', 'splunk', join(FIXTURES, 'tetragon/exec-1k.jsonl.gz')])).stdout)
    t.match(
      tools.filter(({ detection }) => detection === 'pods_running_offensive_tools'),
      [{ process_name: 'nc', process: ['/bin/nc -lvnp 4444 -e /bin/bash'], count: 1 }],
    )
    t.match(await replay(['-o', 'splunk', at('clean.jsonl')]), { code: 0, stdout: '' })
  })

  t.test('the table shows nothing raw, and colours only where they are wanted', async t => {
    const evil = lineOf(
      eventOf({ binary: '/usr/bin/nmap', arguments: '\u001b[2J\n\u202e', pod: podOf({ namespace: 'x\u0007' }) }),
    )
    const { stdout } = await replay(['-'], Readable.from([Buffer.from(evil)]))
    t.match(stdout, /^SEVERITY/)
    t.match(stdout, /nmap \\u\{1b\}\[2J\\n/)
    t.notMatch(stdout.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u)
    const findings = rows((await replay(['-o', 'json', '-'], Readable.from([Buffer.from(evil)]))).stdout)
    t.ok(renderFindings(findings as never, { hasColors: true }).includes('\u001b['))
    t.equal(renderFindings([], { hasColors: false }), '')
  })
})

t.test('correlate', async t => {
  const line = `${lineOf(eventOf())}\n`
  const dir = t.testdir({ 'policy.yaml': POLICY, 'tetragon.log': line })
  const at = (name: string) => join(dir, name)
  const correlate = (argv: readonly string[], options?: RunOptions) =>
    run(correlateCommand, ['--policy', at('policy.yaml'), ...argv], options)

  t.test('standard input to its end, into a file that only its owner may read', async t => {
    const sink = at('findings.jsonl')
    const stdin = Readable.from([Buffer.from(line + line)])
    const ran = await correlate(['--source', '-', '--sink', `file:${sink}`], { stdin })
    t.match(ran, { code: 0, stdout: '', stderr: /read 2 exec events/ })
    t.match(rows(readFileSync(sink, 'utf8')).at(-1), { kind: 'non-allowlisted-image', count: 2 })
    t.equal(statSync(sink).mode & 0o777, 0o600)
  })

  t.test('a followed file until the signal, then the last counts', async t => {
    const controller = new AbortController()
    const path = at('tetragon.log')
    const texts = { stdout: '', stderr: '' }
    const running = correlate(['--source', `file:${path}`, '--from-start'], { signal: controller.signal, texts })
    const told = async (count: number): Promise<void> => {
      while (texts.stdout.split('\n').length <= count) await sleep(5)
    }
    await told(1)
    // The second is a finding of its own, told at once: then the one before it has been read.
    appendFileSync(path, `${line}${lineOf(eventOf({ pod: podOf({ workload: 'other' }) }))}\n`)
    await told(2)
    controller.abort()
    const { code, stdout } = await running
    t.equal(code, 0)
    t.same(
      rows(stdout).map(({ count, owner }) => [(owner as { name: string }).name, count]),
      [
        ['web', 1],
        ['other', 1],
        ['web', 2],
      ],
    )
  })

  t.test('a start that fails neither takes the state over nor sends what waits there', async t => {
    const sink = at('unsent.jsonl')
    const sinks = [{ name: 'file', isWanted: () => true }]
    const state = openFindingStore(at('state'), sinks)
    state.claim()
    const changes = { findings: [], forgotten: [], position: undefined, watch: { since: 0, until: 0 } }
    state.save({ ...changes, pending: [findingOf()] })
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as AddressInfo
    const argv = ['--state', at('state'), '--sink', `file:${sink}`]
    const cases = [
      [['--source', '-', '--ops', `127.0.0.1:${port}`], 78],
      [['--source', `file:${dir}`], 78],
      [['--source', '-', '--tetragon-metrics', 'localhost'], 64],
    ] as const
    for (const [options, code] of cases) {
      const { code: status, stderr } = await correlate([...options, ...argv])
      t.equal(status, code, stderr)
      t.equal(existsSync(sink) ? readFileSync(sink, 'utf8') : '', '', options.join(' '))
    }
    taken.close()
    t.doesNotThrow(() => state.save({ ...changes, pending: [] }), 'it is still ours')
    state.close()
    t.match(await correlate(['--source', '-', ...argv]), { code: 0 })
    t.equal(rows(readFileSync(sink, 'utf8')).length, 1)
  })

  t.test('what it refuses', async t => {
    const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
      [['--source', 'grpc:localhost'], 64, /grpc:HOST:PORT/],
      [['--source', 'grpc:localhost:65536'], 64, /grpc:HOST:PORT/],
      [['--source', 'grpc:localhost:0'], 64, /grpc:HOST:PORT/],
      [['--source', '-', '--grpc-ca', 'ca.crt'], 64, /grpc:/],
      [['--source', 'tetragon.log'], 64, /file:PATH/],
      [['--source', 'file:'], 64, /file:PATH/],
      [['--source', `file:${dir}`], 78, /directory/],
      [['--source', '-', '--sink', 'hec:x'], 64, /--sink/],
      [['--source', '-', '--journal', at('none')], 78, /none/],
    ]
    for (const [argv, code, words] of cases) t.match(await correlate(argv), { code, stderr: words }, argv.join(' '))
    await t.rejects(correlate([]), { code: 'commander.missingMandatoryOptionValue' })
  })
})
