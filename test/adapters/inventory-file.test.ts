import { utimesSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { type InventoryFileOptions, loadInventoryFiles } from '../../src/adapters/inventory-file.js'
import { JsonObjectSplitter } from '../../src/adapters/json-objects.js'
import { KnownError } from '../../src/errors.js'
import { configurationObject, namespaceObject, podObject } from '../support/cluster-objects.js'
import { assertProperty, fc } from '../support/properties.js'
import { settledHeap } from '../support/settled-heap.js'

const NOW = Date.parse('2026-11-22T00:00:00Z')
const OBJECTS = [podObject(), namespaceObject('team-a', { env: 'prod' }), configurationObject()]
const LIST = { apiVersion: 'v1', items: OBJECTS, kind: 'List', metadata: { resourceVersion: '' } }

const optionsOf = (stdin = Readable.from([])): InventoryFileOptions => ({
  stdin,
  signal: new AbortController().signal,
  now: () => NOW,
})

/** The texts of the objects, and the problems with their lines. */
function split(
  text: string,
  sizes: readonly number[] = [],
  maxBytes?: number,
): readonly (string | readonly [string, number])[] {
  const splitter = new JsonObjectSplitter(maxBytes)
  let rest = Buffer.from(text)
  const chunks = [...sizes, rest.length].map(size => {
    const chunk = Buffer.from(rest.subarray(0, size))
    rest = rest.subarray(size)
    return chunk
  })
  const found = chunks.flatMap(chunk => {
    const objects = splitter.push(chunk)
    // What was found must not lean on the chunk's memory after the next one came.
    const copies = objects.map(each =>
      each.type === 'object' ? each.bytes.toString() : ([each.problem, each.line] as const),
    )
    chunk.fill(0)
    return copies
  })
  return [
    ...found,
    ...splitter.end().map(each => (each.type === 'problem' ? ([each.problem, each.line] as const) : '')),
  ]
}

t.test('objects are found one by one, in Lists too', async t => {
  const cases: readonly (readonly [string, string, readonly (string | readonly [string, number])[]])[] = [
    ['nothing', ' \n', []],
    ['one', '{"a":1}', ['{"a":1}']],
    ['one after the other', '{"a":1}{"b":2}\n{"c":3}\r\n', ['{"a":1}', '{"b":2}', '{"c":3}']],
    ['a byte-order mark', '\ufeff{}', ['{}']],
    ['a List', '{"kind":"List","items":[{"a":1}, {"b":[{}]}],"metadata":{}}', ['{"a":1}', '{"b":[{}]}']],
    ['its items first', '{ "items" : [ {"a":1} ] , "x": {"y":{}} }', ['{"a":1}']],
    ['an empty List', '{"items":[],"kind":"List"}', []],
    ['items that are none', '{"items":{"a":1}}', ['{"items":{"a":1}}']],
    ['items further down', '{"data":{"items":[{"a":1}]}}', ['{"data":{"items":[{"a":1}]}}']],
    ['a value of that name', '{"a":"items","b":[{}]}', ['{"a":"items","b":[{}]}']],
    ['a longer name', '{"itemsX":[{}],"Xitems":[{}]}', ['{"itemsX":[{}],"Xitems":[{}]}']],
    ['an escaped quote', '{"\\"items":[{}],"a":"\\\\"}', ['{"\\"items":[{}],"a":"\\\\"}']],
    ['braces in texts', '{"a":"}{][\\"}"}{"b":1}', ['{"a":"}{][\\"}"}', '{"b":1}']],
    ['elements that are no objects', '{"items":[1,"x",[{"a":1}],{"b":1}]}', ['{"b":1}']],
    ['YAML', 'kind: List\nitems:\n- x\n', [1, 2, 3].map(line => ['it is no JSON object', line] as const)],
    ['junk in between', '{}\n]x}\n{"a":1}', ['{}', ['it is no JSON object', 2], '{"a":1}']],
    ['cut off', '{"items":[{"a":1},{"b":', ['{"a":1}', ['it ends in the middle of an object', 1]]],
    ['what is no JSON all the same', '{"a":[}]{', ['{"a":[}]', ['it ends in the middle of an object', 1]]],
  ]
  for (const [title, text, expected] of cases) t.strictSame(split(text), expected, title)
  t.strictSame(split(`{"a":"${'x'.repeat(20)}"}\n{"b":1}`, [], 10), [['it is larger than 10 bytes', 1], '{"b":1}'])
  t.strictSame(split(`{"a":"${'x'.repeat(20)}"}\n{"b":1}`, [4, 4, 4, 4], 10), [
    ['it is larger than 10 bytes', 1],
    '{"b":1}',
  ])
})

t.test('the chunking makes no difference', async t => {
  const texts = fc.array(fc.oneof(fc.json(), fc.constant(JSON.stringify(LIST, null, 2)), fc.string()), { maxLength: 4 })
  const property = fc.property(texts, fc.array(fc.integer({ min: 0, max: 40 })), (parts, sizes) => {
    const text = parts.join('\n')
    return JSON.stringify(split(text)) === JSON.stringify(split(text, sizes))
  })
  t.doesNotThrow(() => assertProperty(property))
})

t.test('what kubectl writes is an inventory, in every form', async t => {
  const dir = t.testdir({
    'list.json': JSON.stringify(LIST, null, 4),
    'list.json.gz': gzipSync(JSON.stringify(LIST)),
    'lines.ndjson': OBJECTS.map(object => `${JSON.stringify(object)}\n`).join(''),
    'pods.json': JSON.stringify({ kind: 'PodList', items: [podObject()] }),
    'others.json': JSON.stringify({ items: [namespaceObject('team-a'), { kind: 'Service' }, configurationObject()] }),
  })
  const at = Date.parse('2026-11-21T20:00:00Z')
  for (const name of ['list.json', 'list.json.gz', 'lines.ndjson']) {
    utimesSync(join(dir, name), at / 1000, at / 1000)
    const inventory = await loadInventoryFiles([join(dir, name)], optionsOf())
    t.match(
      inventory.podOf({ namespace: 'team-a', name: 'web-1', uid: undefined })?.containers[0]?.image,
      /web:1.4$/,
      name,
    )
    t.match(inventory.namespaceOf('team-a'), { labels: { env: 'prod' }, seenAt: at }, name)
    t.equal(inventory.webhooks()?.length, 1, name)
    t.same(inventory.state(), { status: 'snapshot', at }, name)
    t.same(
      inventory.report,
      { pods: 1, namespaces: 1, configurations: 1, others: 0, unreadable: 0, problems: [] },
      name,
    )
  }
  const pods = await loadInventoryFiles([join(dir, 'pods.json')], optionsOf())
  t.equal(pods.webhooks(), undefined, 'a file that was not asked for webhooks says nothing of them')
  const both = await loadInventoryFiles([join(dir, 'pods.json'), join(dir, 'others.json')], optionsOf())
  t.match(both.report, { pods: 1, namespaces: 1, configurations: 1, others: 1 })
  const piped = await loadInventoryFiles(['-'], optionsOf(Readable.from([Buffer.from(JSON.stringify(LIST))])))
  t.same(piped.state(), { status: 'snapshot', at: NOW })
})

t.test('bad objects are told with their place, and leave the others', async t => {
  const bad = { kind: 'Pod', metadata: { name: 'x\u001b[31m', creationTimestamp: 'yesterday' } }
  const text = [podObject(), bad].map(object => JSON.stringify(object)).join('\n')
  const file = join(t.testdir({ 'a.json': `${text}\n{"kind":"Pod"\n` }), 'a.json')
  const { report } = await loadInventoryFiles([file], optionsOf())
  t.match(report, { pods: 1, unreadable: 2 })
  t.match(report.problems[0], /a\.json:2: it has no metadata\.creationTimestamp$/)
  t.match(report.problems[1], /a\.json:4: it ends in the middle/)
})

t.test('a file that is no inventory is refused by its name', async t => {
  const dir = t.testdir({
    empty: '',
    'a.yaml': 'kind: Pod\n',
    binary: Buffer.alloc(99, 7),
    'svc.json': '{"kind":"Service"}',
  })
  for (const name of ['empty', 'a.yaml', 'binary', 'svc.json', 'missing', '.']) {
    const error = await loadInventoryFiles([join(dir, name)], optionsOf()).then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    t.equal(error instanceof KnownError ? error.code : error, 'FILE_UNREADABLE', name)
  }
})

t.test('of a List of 100 MB one object is held at a time', async t => {
  const filler = 'x'.repeat(100_000)
  const pieces = function* (): Generator<Buffer> {
    yield Buffer.from('{"items":[')
    for (let index = 0; index < 1_000; index += 1) {
      const pod = podObject({ name: `p-${index}`, uid: `u-${index}`, metadata: { annotations: { filler } } })
      yield Buffer.from(`${index === 0 ? '' : ','}${JSON.stringify(pod)}`)
    }
    yield Buffer.from(']}')
  }
  const before = settledHeap()
  const inventory = await loadInventoryFiles(['-'], optionsOf(Readable.from(pieces())))
  const grown = settledHeap() - before
  t.equal(inventory.report.pods, 1_000)
  t.ok(grown < 8 * 1024 * 1024, `${Math.round(grown / 1024)} KiB more`)
})
