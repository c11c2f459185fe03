import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { connect, createServer, type TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { type CertificatePaths, writeCertificates } from '../../src/adapters/certificate-files.js'
import { type CertificateOptions, type CertificateSet, createCertificates } from '../../src/adapters/certificates.js'
import { certsCommand } from '../../src/commands/certs.js'
import type { CommandIo } from '../../src/commands/command-io.js'
import { KnownError } from '../../src/errors.js'

const NAME = 'sallyport.sallyport.svc'
const NOW = Date.now()
const FIVE_MINUTES_MS = 300_000
const DAY_MS = 86_400_000
const FILES = ['ca.crt', 'ca.key', 'tls.crt', 'tls.key']

const made = createCertificates({
  dnsNames: [NAME, 'Webhook.Example', '*.pods.example', NAME],
  ipAddresses: ['127.0.0.1', '::1', '2001:DB8:0:0::7', '::ffff:10.0.0.1'],
  now: NOW,
})
const other = createCertificates({ dnsNames: [NAME], days: 3650, now: NOW })

async function rejectsWith(test: Test, code: string, promise: Promise<unknown>, note: string): Promise<void> {
  try {
    await promise
    test.fail(`${note}: is refused`)
  } catch (error) {
    test.equal(error instanceof KnownError ? error.code : error, code, note)
  }
}

t.test('the CA signs itself, and may sign serving certificates but no other CA', async t => {
  const set = await made
  const ca = new X509Certificate(set.caCertificate)
  t.ok(ca.ca)
  t.ok(ca.verify(ca.publicKey))
  t.ok(ca.checkPrivateKey(createPrivateKey(set.caKey)))
  t.equal(Date.parse(ca.validTo), seconds(NOW + 3650 * DAY_MS))
  // node:crypto does not show these: DER of basicConstraints (critical, CA, path length 0) and keyUsage (critical, sign).
  const der = ca.raw.toString('hex')
  t.ok(der.includes('0603551d130101ff040830060101ff020100'), 'basicConstraints')
  t.ok(der.includes('0603551d0f0101ff040403020106'), 'keyUsage')
})

t.test('the serving certificate is signed by the CA and stands for exactly the names and addresses', async t => {
  const set = await made
  const ca = new X509Certificate(set.caCertificate)
  const serving = new X509Certificate(set.certificate)
  t.ok(serving.verify(ca.publicKey))
  t.ok(serving.checkIssued(ca), 'issuer, and authority key identifier against subject key identifier')
  t.notOk(serving.ca)
  t.ok(serving.checkPrivateKey(createPrivateKey(set.key)))
  t.notOk(serving.checkPrivateKey(createPrivateKey(set.caKey)))
  t.strictSame(serving.keyUsage, ['1.3.6.1.5.5.7.3.1'], 'server authentication only')
  for (const host of [NAME, 'webhook.example', 'a.pods.example']) t.ok(serving.checkHost(host), host)
  for (const host of ['pods.example', 'a.b.pods.example', 'localhost', 'sallyport', 'Sallyport webhook']) {
    t.notOk(serving.checkHost(host), host)
  }
  for (const address of ['127.0.0.1', '::1', '2001:db8::7', '::ffff:a00:1']) t.ok(serving.checkIP(address), address)
  for (const address of ['127.0.0.2', '::2']) t.notOk(serving.checkIP(address), address)
  t.equal(serving.subjectAltName?.split(', ').length, 7, 'a name that is given twice stands there once')
  const der = serving.raw.toString('hex')
  for (const [id, name] of [
    ['0603551d0e', 'subject key identifier'],
    ['0603551d23', 'authority key identifier'],
  ] as const) {
    t.ok(der.includes(id), name)
  }
})

t.test('validity allows for a clock that is behind, and serial numbers are positive and random', async t => {
  const first = new X509Certificate((await made).certificate)
  t.equal(Date.parse(first.validFrom), seconds(NOW - FIVE_MINUTES_MS))
  t.equal(Date.parse(first.validTo), seconds(NOW + 365 * DAY_MS))
  const again = await other
  const second = new X509Certificate(again.certificate)
  const ca = new X509Certificate(again.caCertificate)
  t.ok(Date.parse(second.validTo) <= Date.parse(ca.validTo), 'outlived by its CA')
  const serials = [first, second, ca].map(certificate => certificate.serialNumber)
  t.equal(new Set(serials).size, 3)
  for (const serial of serials) t.match(serial, /^[4-7][0-9A-F]{31}$/)
})

t.test('a client that trusts the CA alone completes a TLS handshake, by name and by address', async t => {
  const set = await made
  const server = createServer({ key: set.key, cert: set.certificate }, socket => socket.end('hello'))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  t.equal(await handshake(port, set.caCertificate, NAME), 'authorized')
  t.equal(await handshake(port, set.caCertificate, undefined), 'authorized')
  t.equal(await handshake(port, set.caCertificate, 'other.example'), 'ERR_TLS_CERT_ALTNAME_INVALID')
  const stranger = await other
  t.not(await handshake(port, stranger.caCertificate, NAME), 'authorized', 'another CA of the same name')
})

t.test('names, addresses and days that no certificate can hold are refused', async t => {
  const bad: readonly (readonly [string, Partial<CertificateOptions>])[] = [
    ['no name', { dnsNames: [] }],
    ...[
      '',
      '.',
      'a..b',
      '-a.example',
      'a-.example',
      'a_b.example',
      'a.example.',
      'a b',
      '*',
      '*.*.example',
      'a.*.example',
    ]
      .concat(['f*.example', 'b\u00fccher.example', '10.0.0.1', '::1', 'a\u0000.example', 'https://a.example', 'a:443'])
      .concat([`${'a'.repeat(64)}.example`, `${'a.'.repeat(126)}ab`])
      .map(name => [JSON.stringify(name), { dnsNames: [NAME, name] }] as const),
    ...['', 'localhost', '256.0.0.1', '10.0.0', '10.0.0.1/8', '[::1]', 'fe80::1%eth0', ':::'].map(
      address => [JSON.stringify(address), { ipAddresses: [address] }] as const,
    ),
    ...[0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 3651].map(days => [`${days} days`, { days }] as const),
    ['too many', { dnsNames: Array.from({ length: 101 }, (_, index) => `n${index}.example`) }],
  ]
  for (const [note, options] of bad) {
    await rejectsWith(t, 'USAGE', createCertificates({ dnsNames: [NAME], now: NOW, ...options }), note)
  }
})

t.test('four files are written, the keys for their owner alone', async t => {
  const folder = join(t.testdir(), 'deep', 'certs')
  const set = await made
  const paths = await writeCertificates(folder, set)
  t.same(readdirSync(folder).toSorted(), FILES)
  t.equal(statSync(folder).mode & 0o777, 0o700)
  for (const key of [paths.caKey, paths.key]) t.equal(statSync(key).mode & 0o777, 0o600, key)
  t.same(readSet(paths), set)
})

t.test('nothing is ever overwritten, and a refusal leaves nothing behind', async t => {
  const set = await made
  for (const name of FILES) {
    const folder = t.testdir({ [name]: 'precious' })
    await rejectsWith(t, 'FILE_EXISTS', writeCertificates(folder, set), name)
    t.same(readdirSync(folder), [name])
    t.equal(readFileSync(join(folder, name), 'utf8'), 'precious')
  }
  const folder = t.testdir()
  symlinkSync(join(folder, 'elsewhere'), join(folder, 'tls.key'))
  await rejectsWith(t, 'FILE_EXISTS', writeCertificates(folder, set), 'a broken symbolic link')
  t.same(readdirSync(folder), ['tls.key'])
})

t.test('of two writers at once one wins, and its set is whole', async t => {
  const folder = t.testdir()
  const [first, second] = [await made, await other]
  const outcomes = await Promise.allSettled([writeCertificates(folder, first), writeCertificates(folder, second)])
  const won = outcomes.flatMap(outcome => (outcome.status === 'fulfilled' ? [outcome.value] : []))
  t.equal(won.length, 1)
  const winner = outcomes[0]?.status === 'fulfilled' ? first : second
  for (const paths of won) t.same(readSet(paths), winner)
  const codes = outcomes.flatMap(outcome => (outcome.status === 'rejected' ? [outcome.reason.code] : []))
  t.same(codes, ['FILE_EXISTS'])
  t.same(readdirSync(folder).toSorted(), FILES, 'no temporary file is left')
})

t.test('a folder that cannot be written is one clear error', async t => {
  const set = await made
  const folder = t.testdir({ file: '' })
  await rejectsWith(t, 'FILE_UNWRITABLE', writeCertificates(join(folder, 'file'), set), 'a file')
  await rejectsWith(t, 'FILE_UNWRITABLE', writeCertificates(join(folder, 'file', 'below'), set), 'below a file')
  await rejectsWith(t, 'FILE_UNWRITABLE', writeCertificates(join(folder, 'x'.repeat(300)), set), 'a long name')
})

t.test('the command writes files and tells what to do next, on stderr alone', async t => {
  const folder = join(t.testdir(), 'certs')
  const { io, stdout, stderr } = fakeIo()
  await run(io, '--out', folder, '--dns', NAME, 'b.example', '--ip', '127.0.0.1', '--days', '30')
  t.same(readdirSync(folder).toSorted(), FILES)
  t.equal(stdout(), '')
  for (const word of ['caBundle', join(folder, 'tls.key'), '127.0.0.1', '2026-01-31'])
    t.ok(stderr().includes(word), word)
  const serving = new X509Certificate(readFileSync(join(folder, 'tls.crt')))
  t.ok(serving.checkHost('b.example'))
  t.equal(Date.parse(serving.validTo), Date.UTC(2026, 0, 31))
  await rejectsWith(t, 'FILE_EXISTS', run(io, '--out', folder, '--dns', NAME), 'again')
  await rejectsWith(t, 'USAGE', run(io, '--out', '', '--dns', NAME), 'no folder')
  for (const days of ['', 'x', '1e3', '0x10', '-1', '1.5', '99999']) {
    await rejectsWith(t, 'USAGE', run(io, '--out', join(folder, 'x'), '--dns', NAME, `--days=${days}`), `days ${days}`)
  }
  t.match(help(io), /Example:\n {2}\$ sallyport certs --out/)
})

function seconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000
}

function readSet(paths: CertificatePaths): CertificateSet {
  return {
    caCertificate: readFileSync(paths.caCertificate, 'utf8'),
    caKey: readFileSync(paths.caKey, 'utf8'),
    certificate: readFileSync(paths.certificate, 'utf8'),
    key: readFileSync(paths.key, 'utf8'),
  }
}

/** 'authorized', or the code with which the client gave up. */
function handshake(port: number, ca: string, servername: string | undefined): Promise<string> {
  return new Promise(resolve => {
    const named = servername === undefined ? {} : { servername }
    const socket: TLSSocket = connect({ host: '127.0.0.1', port, ca, ...named }, () => {
      resolve(socket.authorized ? 'authorized' : 'not authorized')
      socket.destroy()
    })
    socket.on('error', error => resolve('code' in error ? String(error.code) : error.message))
  })
}

function fakeIo(): { readonly io: CommandIo; readonly stdout: () => string; readonly stderr: () => string } {
  const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() }
  const read = (stream: PassThrough) => {
    let text = ''
    stream.on('data', chunk => {
      text += String(chunk)
    })
    return () => text
  }
  const io = {
    ...streams,
    version: '0.0.0-test',
    setExitCode: () => undefined,
    now: () => Date.UTC(2026, 0, 1),
    signal: new AbortController().signal,
  }
  return { io, stdout: read(streams.stdout), stderr: read(streams.stderr) }
}

async function run(io: CommandIo, ...args: readonly string[]): Promise<void> {
  await certsCommand(io).exitOverride().parseAsync(args, { from: 'user' })
}

function help(io: CommandIo): string {
  let text = ''
  const command = certsCommand(io)
  command.configureOutput({
    writeOut: part => {
      text += part
    },
  })
  command.outputHelp()
  return text
}
