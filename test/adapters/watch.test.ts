import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { Agent, createServer, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'node:tls'
import t, { type Test } from 'tap'
import { type CertificateSet, createCertificates } from '../../src/adapters/certificates.js'
import { loadUnchanged, watchFiles } from '../../src/adapters/file-watch.js'
import { loadPolicy } from '../../src/adapters/policy-files.js'
import { loadPolicyAside } from '../../src/adapters/policy-thread.js'
import { type OpenPolicy, openPolicy } from '../../src/adapters/policy-watch.js'
import { type OpenTls, openTls, type TlsMaterial } from '../../src/adapters/tls-watch.js'
import { KnownError } from '../../src/errors.js'
import { type CompiledPolicy, evaluate } from '../../src/policy/index.js'

const WATCH = { intervalMs: 20, settleMs: 10 }
const DAY_MS = 86_400_000
const NOW = Date.now()
/** Certificates begin five minutes before they are made. */
const SOON_MS = 400_000

const NAMES = { dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] }
let made: Promise<readonly [CertificateSet, CertificateSet, CertificateSet, CertificateSet]> | undefined

/** Made when they are first needed: the keys keep the threads busy that files are read with. */
function certificates() {
  made ??= Promise.all([
    createCertificates({ ...NAMES, days: 2, now: NOW }),
    createCertificates({ ...NAMES, days: 300, now: NOW }),
    createCertificates({ ...NAMES, days: 1, now: NOW - 9 * DAY_MS }),
    createCertificates({ ...NAMES, days: 2, now: NOW + SOON_MS }),
  ])
  return made
}

async function until(t: Test, what: string, isSo: () => boolean, timeoutMs = 60_000): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!isSo() && Date.now() < deadline) await sleep(2)
  t.ok(isSo(), what)
}

/** As the kubelet lays out a ConfigMap: files are links through `..data`, which is swapped by renaming a new link over it. */
class ConfigMapMount {
  readonly folder: string
  #generation = 0

  constructor(folder: string, files: Readonly<Record<string, string>>) {
    this.folder = folder
    mkdirSync(folder, { recursive: true })
    this.swap(files)
    for (const name of Object.keys(files)) symlinkSync(join('..data', name), join(folder, name))
  }

  swap(files: Readonly<Record<string, string>>): void {
    const former = `..generation-${this.#generation}`
    this.#generation += 1
    const next = `..generation-${this.#generation}`
    mkdirSync(join(this.folder, next))
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.folder, next, name), text)
    symlinkSync(next, join(this.folder, '..data_tmp'))
    renameSync(join(this.folder, '..data_tmp'), join(this.folder, '..data'))
    rmSync(join(this.folder, former), { recursive: true, force: true })
  }
}

interface Lines {
  readonly lines: { readonly level: string; readonly fields: object; readonly sentence: string }[]
  readonly log: Parameters<typeof openPolicy>[1]['log']
}

function collectLog(): Lines {
  const lines: Lines['lines'] = []
  const at = (level: string) => (fields: object, sentence: string) => void lines.push({ level, fields, sentence })
  return { lines, log: { info: at('info'), warn: at('warn'), error: at('error') } }
}

t.test('every kind of change is noticed, each once', async t => {
  const folder = t.testdir({ plain: 'one', folder: { 'a.yaml': 'a', 'b.yaml': 'b' } })
  const plain = join(folder, 'plain')
  const directory = join(folder, 'folder')
  const mount = new ConfigMapMount(join(folder, 'mount'), { 'policy.yaml': 'one', 'more.yaml': 'one' })
  const single = new ConfigMapMount(join(folder, 'single'), { key: 'one' })
  let changes = 0
  const watch = await watchFiles([plain, directory, mount.folder, join(single.folder, 'key')], WATCH, () => {
    changes += 1
  })
  t.teardown(() => watch.close())
  const replace = (path: string, text: string) => {
    writeFileSync(`${path}.tmp`, text)
    renameSync(`${path}.tmp`, path)
  }
  const cases: readonly (readonly [title: string, change: () => void])[] = [
    ['longer', () => appendFileSync(plain, ' more')],
    ['written over, with the same length', () => writeFileSync(plain, 'two more')],
    [
      'the same length and the same times to the second',
      () => {
        const { atime, mtime } = statSync(plain)
        writeFileSync(plain, 'TWO MORE')
        utimesSync(plain, atime, mtime)
      },
    ],
    ['replaced by renaming', () => replace(plain, 'TWO MORE')],
    ['removed', () => unlinkSync(plain)],
    ['back again', () => writeFileSync(plain, 'back')],
    ['a directory in its place', () => replaceByFolder(plain)],
    ['a file in the directory', () => writeFileSync(join(directory, 'a.yaml'), 'A')],
    ['a new file in the directory', () => writeFileSync(join(directory, 'c.yaml'), 'c')],
    ['a file renamed in the directory', () => renameSync(join(directory, 'c.yaml'), join(directory, 'd.yaml'))],
    ['a file gone from the directory', () => unlinkSync(join(directory, 'd.yaml'))],
    ['the directory gone', () => renameSync(directory, `${directory}-away`)],
    ['the directory back', () => renameSync(`${directory}-away`, directory)],
    ['a ConfigMap as a directory', () => mount.swap({ 'policy.yaml': 'two', 'more.yaml': 'two' })],
    ['a ConfigMap with the same content', () => mount.swap({ 'policy.yaml': 'two', 'more.yaml': 'two' })],
    ['one file of a ConfigMap', () => single.swap({ key: 'two' })],
    ['a link that leads nowhere', () => single.swap({})],
    ['a link that leads in a circle', () => replaceByLink(join(single.folder, 'key'), 'key')],
  ]
  for (const [index, [title, change]] of cases.entries()) {
    change()
    await until(t, title, () => changes >= index + 1)
    await sleep(60)
    t.equal(changes, index + 1, `${title}: once`)
  }
  const before = changes
  writeFileSync(join(directory, '.hidden'), 'x')
  readFileSync(join(directory, 'a.yaml'))
  await sleep(100)
  t.equal(changes, before, 'a hidden file, or reading, is no change')
  watch.close()
  writeFileSync(join(directory, 'a.yaml'), 'after the end')
  await sleep(100)
  t.equal(changes, before, 'nothing after the end')
})

function replaceByFolder(path: string): void {
  unlinkSync(path)
  mkdirSync(path)
}

function replaceByLink(path: string, target: string): void {
  unlinkSync(path)
  symlinkSync(target, path)
}

t.test('a file that is away for a moment and comes back unchanged is no change', async t => {
  const path = join(t.testdir({ f: 'x' }), 'f')
  let changes = 0
  const settleMs = 100
  const watch = await watchFiles([path], { intervalMs: 10, settleMs }, () => {
    changes += 1
  })
  let long = 0
  for (let round = 0; round < 5; round += 1) {
    const begun = performance.now()
    renameSync(path, `${path}-away`)
    await sleep(20)
    renameSync(`${path}-away`, path)
    // On a starved machine a moment may be longer than what has to be borne. Timers may be early by one.
    if (performance.now() - begun > settleMs - 2) long += 1
    await sleep(150)
  }
  watch.close()
  // Renaming moves ctime, so that each round may count as one change; the moment of absence may not count as another.
  t.ok(changes <= 5 + long, `${changes} changes, ${long} long moments`)
})

t.test('a change during the reaction to another leads to one more, and reactions never overlap', async t => {
  const path = join(t.testdir({ f: '0' }), 'f')
  let running = 0
  let most = 0
  const seen: string[] = []
  const watch = await watchFiles([path], WATCH, async () => {
    running += 1
    most = Math.max(most, running)
    seen.push(readFileSync(path, 'utf8'))
    await sleep(150)
    running -= 1
  })
  writeFileSync(path, 'first')
  await until(t, 'the reaction runs', () => running === 1)
  for (const text of ['second', 'third', 'fourth']) writeFileSync(path, text)
  await until(t, 'seen', () => seen.length === 2)
  await sleep(250)
  watch.close()
  t.strictSame(seen, ['first', 'fourth'])
  t.equal(most, 1)
})

t.test('with the defaults, a change is reported within a second, even of a file that never rests', async t => {
  const folder = t.testdir({ calm: 'x', busy: 'x' })
  const tookMs = async (name: string, change: (path: string) => void): Promise<number> => {
    let isReported = false
    const watch = await watchFiles([join(folder, name)], {}, () => {
      isReported = true
    })
    const begun = performance.now()
    const writer = setInterval(() => change(join(folder, name)), 20)
    change(join(folder, name))
    await until(t, `${name} is reported`, () => isReported)
    clearInterval(writer)
    watch.close()
    return performance.now() - begun
  }
  const calm = await bestOf(() => {
    let isWritten = false
    return tookMs('calm', path => {
      if (!isWritten) writeFileSync(path, 'y')
      isWritten = true
    })
  }, 1_500)
  const busy = await bestOf(() => tookMs('busy', path => appendFileSync(path, '.')), 2_000)
  t.ok(calm < 1_500 && busy < 2_000, [calm, busy].map(Math.round).join(', '))
})

/** The machine may be busy with others, but not each time. */
async function bestOf(takeMs: () => Promise<number>, enoughMs: number): Promise<number> {
  let best = Number.POSITIVE_INFINITY
  for (let tries = 0; tries < 5 && best >= enoughMs; tries += 1) best = Math.min(best, await takeMs())
  return best
}

t.test('where the system tells of changes, nobody waits for the next look', async t => {
  const folder = t.testdir({ plain: 'x', folder: { a: 'x' } })
  const mount = new ConfigMapMount(join(folder, 'mount'), { key: 'x' })
  const plain = join(folder, 'plain')
  let changes = 0
  const options = { intervalMs: 3_600_000, settleMs: 10 }
  const watch = await watchFiles([plain, join(folder, 'folder'), join(mount.folder, 'key')], options, () => {
    changes += 1
  })
  t.teardown(() => watch.close())
  const steps: readonly (() => void)[] = [
    () => writeFileSync(plain, 'y'),
    () => mount.swap({ key: 'y' }),
    () => mount.swap({ key: 'z' }),
    () => writeFileSync(join(folder, 'folder', 'a'), 'y'),
    () => {
      writeFileSync(`${plain}.next`, 'z')
      renameSync(`${plain}.next`, plain)
    },
    () => unlinkSync(plain),
    () => writeFileSync(plain, 'back'),
  ]
  for (const [index, step] of steps.entries()) {
    step()
    await until(t, `change ${index}`, () => changes === index + 1)
  }
})

t.test('files that change while they are read are read again', async t => {
  const mount = new ConfigMapMount(join(t.testdir(), 'm'), { a: '1', b: '1' })
  const paths = ['a', 'b'].map(name => join(mount.folder, name))
  let loads = 0
  const read = await loadUnchanged(paths, async () => {
    loads += 1
    const a = readFileSync(join(mount.folder, 'a'), 'utf8')
    // A swap between the two files, the first time: read on, this would be half of each.
    if (loads === 1) mount.swap({ a: '2', b: '2' })
    return a + readFileSync(join(mount.folder, 'b'), 'utf8')
  })
  t.equal(read, '22')
  t.equal(loads, 2)
  await t.rejects(
    loadUnchanged(paths, () => Promise.reject(new KnownError('POLICY_INVALID', 'wrong'))),
    { code: 'POLICY_INVALID' },
  )
})

function policyText(allow: string, extra = ''): string {
  return `apiVersion: sallyport.dev/v1
kind: ImagePolicy
metadata: { name: watched }
spec:
  mode: enforce
  allow: [${allow}]
${extra}`
}

interface PolicyTrial extends Lines {
  readonly policy: OpenPolicy
  readonly reloaded: CompiledPolicy[]
  readonly rejected: KnownError[]
}

async function openTrial(t: Test, paths: readonly string[]): Promise<PolicyTrial> {
  const { lines, log } = collectLog()
  const reloaded: CompiledPolicy[] = []
  const rejected: KnownError[] = []
  const policy = await openPolicy(paths, {
    ...WATCH,
    log,
    now: Date.now,
    onReload: next => reloaded.push(next),
    onReject: error => rejected.push(error),
  })
  t.teardown(() => policy.close())
  return { policy, reloaded, rejected, lines, log }
}

t.test('a good policy replaces the former one; a bad one leaves it in force and is told once', async t => {
  const mount = new ConfigMapMount(join(t.testdir(), 'policies'), { 'p.yaml': policyText('registry.one/*') })
  const { policy, reloaded, rejected, lines } = await openTrial(t, [mount.folder])
  const first = policy.current()
  t.strictSame(policy.state().isRejected, false)
  const swap = (text: string) => mount.swap({ 'p.yaml': text })

  swap(policyText('registry.two/*'))
  await until(t, 'replaced', () => policy.current() !== first)
  const second = policy.current()
  t.strictSame(
    lines.map(({ fields }) => fields),
    [{ policy: 'watched', revision: second.revision, formerRevision: first.revision }],
  )
  t.strictSame(reloaded, [second])

  const before = policy.state().lastReloadAt
  swap(policyText('registry.two/*', '# a comment\n'))
  await until(t, 'loaded', () => policy.state().lastReloadAt > before)
  t.equal(policy.current().revision, second.revision)
  t.equal(reloaded.length, 1, 'the same revision is no event')

  const bad = policyText('registry.three/*, "gcr.io*/app"')
  swap(bad)
  await until(t, 'refused', () => policy.state().isRejected)
  swap(bad)
  swap(`${bad}\n`)
  await sleep(150)
  t.equal(rejected.length, 1, 'once, however often it is written')
  t.equal(rejected[0]?.code, 'POLICY_INVALID')
  t.match(rejected[0]?.message, /p\.yaml:6:\d+: /)
  t.equal(policy.current().revision, second.revision)
  swap(policyText('registry.three/*', '  surprise: true\n'))
  await until(t, 'another problem is told', () => rejected.length === 2)

  swap(policyText('registry.four/*'))
  await until(t, 'mended', () => reloaded.length === 2)
  t.strictSame(
    lines.map(({ level }) => level),
    ['info', 'error', 'error', 'info', 'info'],
  )
  t.equal(policy.state().isRejected, false)
  swap(bad)
  await until(t, 'the same problem after it was mended is told again', () => rejected.length === 3)
  swap(policyText('registry.four/*'))
  await until(t, 'mended by going back', () => !policy.state().isRejected)
  t.equal(reloaded.length, 2, 'to the policy that was in force all the time')
})

t.test('no image is judged by half a swap: a reader under constant swaps sees whole policies only', async t => {
  const pair = (name: string) => ({ '1.yaml': policyText(`${name}/a`), '2.yaml': policyText(`${name}/b`) })
  const mount = new ConfigMapMount(join(t.testdir(), 'policies'), pair('r0.example'))
  const { policy, rejected } = await openTrial(t, [mount.folder])
  const mixed: string[] = []
  for (let round = 1; round <= 40; round += 1) {
    mount.swap(pair(`r${round}.example`))
    await Promise.all([policy.reload(), sleep(round % 7)])
    const hosts = new Set(
      policy
        .current()
        .allowedIn({ name: 'x', labels: {} })
        .map(entry => entry.split('/')[0]),
    )
    if (hosts.size !== 1) mixed.push([...hosts].join(' '))
  }
  t.strictSame(mixed, [])
  t.strictSame(rejected, [])
  t.strictSame(policy.current().allowedIn({ name: 'x', labels: {} }), ['r40.example/a', 'r40.example/b'])
})

t.test('a policy that went away comes back by itself; any number of reloads at once are two', async t => {
  const path = join(t.testdir({ 'p.yaml': policyText('registry.one/*') }), 'p.yaml')
  const { policy, rejected, lines } = await openTrial(t, [path])
  const begun = policy.current()
  await Promise.all(Array.from({ length: 20 }, () => policy.reload()))
  t.equal(policy.current().revision, begun.revision)
  renameSync(path, `${path}-away`)
  await until(t, 'told', () => rejected[0]?.code === 'FILE_UNREADABLE')
  renameSync(`${path}-away`, path)
  await until(t, 'back', () => !policy.state().isRejected)
  t.equal(lines.length, 2)
  policy.close()
  writeFileSync(path, policyText('registry.two/*'))
  await policy.reload()
  t.equal(policy.current().revision, begun.revision, 'nothing happens after the end')
})

t.test('without a good policy there is nothing to begin with', async t => {
  const folder = t.testdir({ 'bad.yaml': 'kind: [' })
  const { log } = collectLog()
  for (const [path, code] of [
    ['none.yaml', 'FILE_UNREADABLE'],
    ['bad.yaml', 'POLICY_INVALID'],
  ] as const) {
    await t.rejects(openPolicy([join(folder, path)], { log, now: Date.now }), { code })
  }
})

t.test('certificates are swapped under a running server', async t => {
  const [one, two, old] = await certificates()
  const folder = t.testdir({ 'tls.crt': one.certificate, 'tls.key': one.key, 'ca.crt': one.caCertificate })
  const paths = { cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key'), clientCa: join(folder, 'ca.crt') }
  const { lines, log } = collectLog()
  const reloaded: TlsMaterial[] = []
  const rejected: KnownError[] = []
  const options = { ...WATCH, log, now: Date.now, graceMs: 1_500, retryMs: 100 }

  const server = createServer({ minVersion: 'TLSv1.2' }, (_request, response) => response.end('ok'))
  const tls: OpenTls = await openTls(paths, {
    ...options,
    onReload: ({ cert, key }) => {
      server.setSecureContext({ cert, key, minVersion: 'TLSv1.2' })
      reloaded.push(tls.current())
    },
    onReject: error => rejected.push(error),
  })
  t.teardown(() => tls.close())
  server.setSecureContext({ cert: tls.current().cert, key: tls.current().key, minVersion: 'TLSv1.2' })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  // A TCP server that listens has an address of this form.
  const { port } = server.address() as AddressInfo
  const ca = [one.caCertificate, two.caCertificate]
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ca })
  const connections = new Set<unknown>()
  server.on('request', ({ socket }) => connections.add(socket))
  t.equal(await get(port, agent), 'ok')
  t.equal(await servedExpiry(port, ca), expiryOf(one.certificate))

  await t.test('the key comes first, the certificate later: nothing is said', async t => {
    writeFileSync(paths.key, two.key)
    await sleep(200)
    t.equal(tls.expiresAt(), expiryOf(one.certificate))
    writeFileSync(paths.cert, two.certificate)
    await until(t, 'taken', () => reloaded.length === 1)
    t.strictSame(rejected, [])
    t.equal(tls.expiresAt(), expiryOf(two.certificate))
    t.equal(await servedExpiry(port, ca), expiryOf(two.certificate), 'new handshakes get the new certificate')
    t.equal(await get(port, agent), 'ok')
    t.equal(connections.size, 1, 'the connection that stood goes on')
  })

  const write = ({ certificate, key }: CertificateSet) => {
    writeFileSync(paths.cert, certificate)
    writeFileSync(paths.key, key)
  }
  const restore = () => {
    write(two)
    writeFileSync(paths.clientCa, one.caCertificate)
  }
  for (const [title, spoil] of [
    ['a pair that stays torn', () => writeFileSync(paths.cert, one.certificate)],
    ['a certificate that has expired', () => write(old)],
    ['no certificate at all', () => writeFileSync(paths.cert, 'nothing')],
    ['a client CA that is none', () => writeFileSync(paths.clientCa, 'nothing')],
    ['half a client CA', () => writeFileSync(paths.clientCa, one.caCertificate.replace(/[A-Z]{8}/, 'x'))],
  ] as const) {
    await t.test(`${title}: the last good one stays, told once`, async t => {
      const before = rejected.length
      spoil()
      await sleep(150)
      t.equal(rejected.length, before, 'not at once')
      await until(t, 'told', () => rejected.length === before + 1)
      t.equal(rejected.at(-1)?.code, 'TLS_INVALID')
      t.ok(tls.state().isRejected)
      t.equal(await servedExpiry(port, ca), expiryOf(two.certificate))
      restore()
      await until(t, 'mended', () => !tls.state().isRejected)
      t.equal(rejected.length, before + 1)
    })
  }
  await t.test('a new client CA alone is a change', async t => {
    const before = reloaded.length
    writeFileSync(paths.clientCa, one.caCertificate + two.caCertificate)
    await until(t, 'taken', () => reloaded.length === before + 1)
    t.equal(tls.current().ca, one.caCertificate + two.caCertificate)
  })
  t.notMatch(JSON.stringify(lines), /PRIVATE KEY/)
  agent.destroy()
  server.close()
})

t.test('a certificate that is not valid yet is taken when its time has come', async t => {
  const [current, , , soon] = await certificates()
  const folder = t.testdir({ crt: current.certificate, key: current.key })
  let clock = NOW
  const tls = await openTls(
    { cert: join(folder, 'crt'), key: join(folder, 'key') },
    { ...WATCH, log: collectLog().log, now: () => clock, graceMs: 0, retryMs: 100 },
  )
  writeFileSync(join(folder, 'crt'), soon.certificate)
  writeFileSync(join(folder, 'key'), soon.key)
  await until(t, 'refused', () => tls.state().isRejected)
  clock = NOW + SOON_MS
  await until(t, 'taken without another change of the files', () => tls.current().cert === soon.certificate)
  tls.close()
})

t.test('without a certificate there is nothing to begin with', async t => {
  const [set] = await certificates()
  const folder = t.testdir({ crt: set.certificate, key: set.key, other: set.caKey, ca: 'none' })
  const path = (name: string) => join(folder, name)
  const { log } = collectLog()
  for (const [paths, code] of [
    [{ cert: path('gone'), key: path('key') }, 'FILE_UNREADABLE'],
    [{ cert: path('crt'), key: path('other') }, 'TLS_INVALID'],
    [{ cert: path('crt'), key: path('key'), clientCa: path('ca') }, 'TLS_INVALID'],
    [{ cert: path('crt'), key: path('key'), clientCa: path('gone') }, 'FILE_UNREADABLE'],
  ] as const) {
    await t.rejects(openTls(paths, { log, now: Date.now }), { code })
  }
})

function expiryOf(pem: string): number {
  return Date.parse(new X509Certificate(pem).validTo)
}

/** When the certificate that a new handshake is given ends. */
function servedExpiry(port: number, ca: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, ca: [...ca] }, () => {
      resolve(Date.parse(socket.getPeerCertificate().valid_to))
      socket.destroy()
    })
    socket.on('error', reject)
  })
}

function get(port: number, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, agent }, response => {
      let text = ''
      response.on('data', chunk => {
        text += String(chunk)
      })
      response.on('end', () => resolve(text))
    })
      .on('error', reject)
      .end()
  })
}

t.test(
  'while a large policy is reloaded, images are judged by the former or the next one and nobody waits',
  async t => {
    const entries = Array.from(
      { length: 100_000 },
      (_, index) => `    - registry-${index % 50}.example/team/app-${index}\n`,
    )
    const text = (last: string) =>
      `${policyText('').replace('  allow: []\n', '  allow:\n')}${entries.join('')}    - ${last}\n`
    const path = join(t.testdir({ 'p.yaml': text('registry.one/app') }), 'p.yaml')
    const replace = (next: string) => {
      writeFileSync(`${path}.tmp`, next)
      renameSync(`${path}.tmp`, path)
    }
    const { policy, reloaded, rejected } = await openTrial(t, [path])
    const names = ['one', 'two', 'three', 'four']
    const judged = new Map<string, number>()
    let longestMs = 0
    let turnAt = performance.now()
    let isAsking = true
    const ask = (): void => {
      const now = performance.now()
      longestMs = Math.max(longestMs, now - turnAt)
      turnAt = now
      const context = { namespace: { name: 'x', labels: {} }, now: 0 }
      const allowed = names.filter(
        name => evaluate(policy.current(), `registry.${name}/app`, context).outcome === 'allowed',
      )
      const one = allowed.join('+')
      judged.set(one, (judged.get(one) ?? 0) + 1)
      const old = evaluate(policy.current(), 'registry-7.example/team/app-57', context).outcome
      if (old !== 'allowed') judged.set('', 1)
      if (isAsking) setTimeout(ask, 1)
    }
    turnAt = performance.now()
    ask()
    replace(text('registry.two/app'))
    await until(t, 'the good one is in force', () => reloaded.length === 1)
    replace(text('registry.bad*/app'))
    await until(t, 'the bad one is refused', () => rejected.length === 1)
    t.match(rejected[0]?.message, /p\.yaml:100007:19: spec\.allow\[100000\]/, 'at its place')
    replace(text('registry.three/app'))
    await sleep(30)
    replace(text('registry.four/app'))
    await until(t, 'the later of two is in force', () => reloaded.at(-1)?.revision !== reloaded[0]?.revision)
    await policy.reload()
    isAsking = false
    t.ok(judged.has('one') && judged.has('two'), 'by the former until the next is in force')
    t.notOk(judged.has(''), 'never by none')
    t.notOk(
      [...judged.keys()].some(key => key.includes('+')),
      'never by two',
    )
    t.equal(
      evaluate(policy.current(), 'registry.four/app', { namespace: { name: 'x', labels: {} }, now: 0 }).outcome,
      'allowed',
    )
    // Read and compiled in one go, this takes a second and more on a quiet machine; here it may be eight times as slow.
    t.comment(`the longest turn took ${Math.round(longestMs)} ms`)
    t.ok(longestMs < 2_000, `the longest turn took ${Math.round(longestMs)} ms`)
  },
)

t.test(
  'a thread that reads a policy is stopped with the watch, and one that fails leaves the policy in force',
  async t => {
    const folder = t.testdir({ 'p.yaml': `${policyText('registry.one/*')}${'# padding\n'.repeat(10_000)}` })
    const path = join(folder, 'p.yaml')
    const stop = new AbortController()
    const loading = loadPolicyAside([path], stop.signal)
    stop.abort()
    await t.rejects(loading, { name: 'AbortError' })
    const loaded = await loadPolicyAside([path], new AbortController().signal)
    t.equal(loaded.revision, (await loadPolicy([path])).revision)
    writeFileSync(path, 'x: [\n'.padEnd(100_000, '#'))
    await t.rejects(loadPolicyAside([path], new AbortController().signal), {
      code: 'POLICY_INVALID',
      message: /^.*p\.yaml:\d+:\d+: /,
    })
  },
)
