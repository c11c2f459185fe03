/** The program as it is shipped: put together by scripts/build.ts, and run by bare Node. */

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads'
import t from 'tap'

/** Beside dist: the program looks for its own files one folder up. */
const OUT = 'dist-test'
/** Without what tap has every process load: bare Node is what is shipped to. */
const { NODE_OPTIONS: _loaders, ...env } = process.env
const run = (file: string, args: readonly string[]) => promisify(execFile)(file, args, { env })
const started = (...args: readonly string[]) => run(process.execPath, [join(OUT, 'cli.js'), ...args])

t.before(async () => run(process.execPath, ['--import', 'tsx', 'scripts/build.ts', OUT]))
t.teardown(() => rmSync(OUT, { recursive: true, force: true }))

t.test('it is started, and every subcommand is there', async t => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
  t.equal((await started('--version')).stdout, `${version}\n`)
  const { stdout: help } = await started('--help')
  const [, list = ''] = help.split('\nCommands:\n')
  const names = [...list.matchAll(/^ {2}([a-z]+) /gm)].map(([, name = '']) => name)
  t.ok(names.length >= 9)
  for (const name of names) t.match((await started(name, '--help')).stdout, `Usage: sallyport ${name}`)
})

t.test('the demo runs: server, thread of the journal, shipped policies and catalogue', async t => {
  const { stdout } = await started('demo')
  t.match(stdout, 'demo-2-enforce')
  t.match(stdout, 'offensive-tool')
})

t.test('the thread that reads policies answers', async t => {
  const { port1, port2 } = new MessageChannel()
  const worker = new Worker(pathToFileURL(join(OUT, 'adapters/policy-worker.js')), {
    workerData: { paths: ['policies/strict.yaml'], port: port2 },
    transferList: [port2],
  })
  const [answer] = await once(worker, 'message')
  t.not(answer.type, 'refused')
  t.ok(receiveMessageOnPort(port1), 'the first part of the policy')
  port1.close()
  await worker.terminate()
})

t.test('rules that were checked by the build are not checked again, and changed ones are', async t => {
  const text = readdirSync(OUT).flatMap(name => (name.endsWith('.js') ? readFileSync(join(OUT, name), 'utf8') : []))
  const names = ['offensive-tools', 'command-wrappers', 'argument-tells', 'name-collisions'].map(name => `${name}.json`)
  for (const name of names) {
    const digest = createHash('sha256')
      .update(readFileSync(join('policies', name)))
      .digest('hex')
    t.ok(text.join('').includes(`${name} ${digest}`), name)
  }
  const root = t.testdir()
  for (const folder of [OUT, 'policies']) cpSync(folder, join(root, folder), { recursive: true })
  cpSync('package.json', join(root, 'package.json'))
  const explain = () =>
    run(process.execPath, [
      join(root, OUT, 'cli.js'),
      'explain',
      '-p',
      'policies/strict.yaml',
      '--exec',
      '/usr/bin/nmap',
    ])
  const status = await explain().catch(({ code }) => code)
  t.not(status, 78)
  const file = join(root, 'policies/offensive-tools.json')
  const catalogue = JSON.parse(readFileSync(file, 'utf8'))
  catalogue.tools[3].dualUse = 'yes'
  writeFileSync(file, JSON.stringify(catalogue))
  await t.rejects(explain(), { code: 78, stderr: /: tools\[3\] \(certipy\)\.dualUse: / })
})

t.test('a build takes the places of the one before, and never leaves a moment without a file', async t => {
  const before = readdirSync(OUT, { recursive: true, encoding: 'utf8' })
  const [lazy, old] = ['wanted-later.js', 'wanted-by-nobody.js'].map(name => join(OUT, name))
  for (const path of [lazy, old]) writeFileSync(path ?? '', '')
  const twoDaysAgo = (Date.now() - 2 * 24 * 3_600_000) / 1_000
  utimesSync(old ?? '', twoDaysAgo, twoDaysAgo)
  let isOver = false
  const building = run(process.execPath, ['--import', 'tsx', 'scripts/build.ts', OUT]).finally(() => {
    isOver = true
  })
  while (!isOver) {
    for (const path of before) if (!existsSync(join(OUT, path))) t.fail(`${path} is missing`)
    await new Promise(resolve => setImmediate(resolve))
  }
  await building
  t.ok(existsSync(lazy ?? ''), 'a running program may want it')
  t.notOk(existsSync(old ?? ''))
  t.same(
    readdirSync('.').filter(name => name.includes('-new-')),
    [],
    'nothing is left beside it',
  )
})

t.test('every file that a thread starts with is built', async t => {
  const sources = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter(path => path.endsWith('.ts'))
  const texts = sources.map(path => readFileSync(join('src', path), 'utf8'))
  const named = texts.flatMap(text => [...text.matchAll(/threadFile\('([^']+)'\)/g)].map(([, name]) => `${name}.js`))
  t.same(named.sort(), ['adapters/journal-worker.js', 'adapters/policy-worker.js'])
  for (const name of named) t.ok(readdirSync(join(OUT, 'adapters')).includes(name.replace('adapters/', '')), name)
})

t.test('a stack names our functions, and the licences of what is joined are there', async t => {
  const files = readdirSync(OUT).filter(name => name.endsWith('.js'))
  const text = files.map(name => readFileSync(join(OUT, name), 'utf8')).join('\n')
  for (const name of ['compileToolCatalogue', 'loadPolicy', 'correlate']) t.ok(text.includes(` ${name}(`), name)
  const licences = readFileSync(join(OUT, 'LICENSES.txt'), 'utf8')
  for (const name of ['commander', 'picocolors', 'picomatch', 'yaml', 'zod'])
    t.match(licences, new RegExp(`^${name} \\d`, 'm'))
})
