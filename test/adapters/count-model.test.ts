/**
 * What is counted, against a model: an agent that writes and rotates, a correlator that holds few findings and is killed
 * at any time, all at once. The sum of all findings' counts is the number of events, and no line is given out twice
 * under another number.
 */

import assert from 'node:assert/strict'
import { appendFile, copyFile, mkdir, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { tailFile } from '../../src/adapters/file-tail.js'
import { openFindingStore } from '../../src/adapters/finding-store-file.js'
import type { EventSource } from '../../src/correlator/event-source.js'
import type { Finding } from '../../src/correlator/finding.js'
import { correlate } from '../../src/correlator/pipeline.js'
import { createStreamStats } from '../../src/correlator/stream-stats.js'
import { compileToolCatalogue } from '../../src/policy/index.js'
import { AFTER_START, eventOf, lineOf, podOf } from '../support/events.js'
import { policyOf } from '../support/policies.js'
import { assertAsyncProperty, fc } from '../support/properties.js'

const POLICY = policyOf({ allow: ['registry.corp.example/*'] })
const CATALOGUE = compileToolCatalogue({ file: 'test', tools: [] }, POLICY.runtime)
const WORKLOADS = ['web', 'api', 'db', 'job', 'cache', 'mail']

interface Model {
  /** By workload: how many of its events are complete. */
  counts: Map<string, number>
  written: number
  /** The rest of a line that is written in part, and whose it is. */
  torn: { readonly rest: string; readonly workload: string } | undefined
}

interface World {
  readonly path: string
  readonly state: string
  readonly given: Finding[]
  rotations: number
}

interface Life {
  /** Killed after so many parts of the source, or so many findings; else it ends in order when all was read. */
  readonly parts: number
  readonly findings: number
  readonly cap: number
  readonly tickMs: number
}

const WHOLE: Life = { parts: Number.POSITIVE_INFINITY, findings: Number.POSITIVE_INFINITY, cap: 2, tickMs: 1 }

/** One run of the program. */
async function live({ path, state, given }: World, life: Life): Promise<void> {
  const archive = openFindingStore(state)
  archive.claim()
  const controller = new AbortController()
  let now = AFTER_START
  const tail = tailFile(path, {
    fromStart: true,
    from: archive.position,
    pollMs: 1,
    now: () => 1,
    signal: controller.signal,
    onBadPosition: problem => assert.fail(problem),
  })
  const findings = correlate(untilRead(tail, life.parts), {
    policy: POLICY,
    catalogue: CATALOGUE,
    journal: undefined,
    stats: createStreamStats(),
    now: () => (now += life.tickMs),
    emit: { when: 'at-once', updateMs: 50 },
    archive,
    maxFindings: life.cap,
  })
  try {
    for (let left = life.findings; left > 0; left -= 1) {
      const next = await findings.next()
      if (next.done === true) return
      given.push(next.value)
    }
  } catch (error) {
    if (!(error instanceof Killed)) throw error
  } finally {
    // Nothing is said to the correlator: it is left where it stands, and its archive is gone.
    archive.close()
    controller.abort()
    await tail[Symbol.asyncIterator]().return?.()
  }
}

class Killed extends Error {}

/** Ends when nothing new has come twice. */
async function* untilRead(tail: EventSource, parts: number): EventSource {
  let left = parts
  let idle = 0
  for await (const part of tail) {
    if (left <= 0) throw new Killed()
    left -= 1
    yield part
    idle = part.type === 'idle' ? idle + 1 : 0
    if (idle === 2) return
  }
}

type Command = fc.AsyncCommand<Model, World>

function command(name: string, run: (model: Model, world: World) => Promise<void>): Command {
  return { check: () => true, run, toString: () => name }
}

/** A line of one workload, written whole. */
function nextLine(model: Model, workload: string): string {
  model.written += 1
  return `${lineOf(eventOf({ time: AFTER_START + model.written, pod: podOf({ workload }) }))}\n`
}

function count({ counts }: Model, workload: string): void {
  counts.set(workload, (counts.get(workload) ?? 0) + 1)
}

async function finish(model: Model, { path }: World): Promise<void> {
  if (model.torn === undefined) return
  await appendFile(path, model.torn.rest)
  count(model, model.torn.workload)
  model.torn = undefined
}

const write = (workloads: readonly string[]) =>
  command(`write ${workloads}`, async (model, world) => {
    await finish(model, world)
    await appendFile(world.path, workloads.map(workload => nextLine(model, workload)).join(''))
    for (const workload of workloads) count(model, workload)
  })
const tear = (workload: string, at: number) =>
  command(`tear ${workload} ${at}`, async (model, world) => {
    await finish(model, world)
    const line = nextLine(model, workload)
    await appendFile(world.path, line.slice(0, at))
    model.torn = { rest: line.slice(at), workload }
  })
const rotate = (isCopied: boolean, isPacked: boolean) =>
  command(`rotate ${isCopied ? 'by copy' : ''} ${isPacked ? 'gzip' : ''}`, async (model, world) => {
    await finish(model, world)
    world.rotations += 1
    const at = new Date(Date.UTC(2026, 10, 22) + world.rotations * 61_001).toISOString().slice(0, -1)
    const backup = `${world.path.slice(0, -'.log'.length)}-${at.replaceAll(':', '-')}.log`
    if (isCopied) {
      await copyFile(world.path, backup)
      await truncate(world.path)
    } else {
      await rename(world.path, backup)
      await writeFile(world.path, '')
    }
    if (isPacked) await pack(backup)
  })
const packAll = command('gzip all', async (_model, { path }) => {
  const folder = join(path, '..')
  for (const name of await readdir(folder)) {
    if (name.startsWith('tetragon-') && name.endsWith('.log')) await pack(join(folder, name))
  }
})
const run = (life: Life) => command(`run ${JSON.stringify(life)}`, async (_model, world) => live(world, life))

async function pack(path: string): Promise<void> {
  await writeFile(`${path}.gz.tmp`, gzipSync(await readFile(path)))
  await rename(`${path}.gz.tmp`, `${path}.gz`)
  await rm(path)
}

function check({ counts }: Model, { given }: World): void {
  assert.deepEqual(
    given.filter(({ kind }) => kind !== 'non-allowlisted-image').map(({ code, remarks }) => [code, remarks]),
    [],
    'nothing is missed, and nothing is unreadable',
  )
  const last = new Map<string, number>()
  for (const fingerprint of new Set(given.map(each => each.fingerprint))) {
    // A line that was given out twice, because of a kill in between, is the same line.
    const lines = given.filter(each => each.fingerprint === fingerprint).map(each => JSON.stringify(each))
    const distinct = [...new Set(lines)].map((line): Finding => JSON.parse(line))
    assert.deepEqual(
      distinct.map(({ emission }) => emission),
      distinct.map((_, index) => index + 1),
    )
    const final = distinct.at(-1)
    last.set(final?.owner?.name ?? '', final?.count ?? 0)
  }
  assert.deepEqual(Object.fromEntries([...last].sort()), Object.fromEntries([...counts].sort()))
}

const workload = fc.constantFrom(...WORKLOADS)
const life = fc.record({
  parts: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constant(Number.POSITIVE_INFINITY)),
  findings: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.constant(Number.POSITIVE_INFINITY)),
  cap: fc.integer({ min: 1, max: 4 }),
  tickMs: fc.constantFrom(0, 1, 40, 400),
})
const commands = fc.commands(
  [
    fc.array(workload, { minLength: 1, maxLength: 12 }).map(write),
    fc.tuple(workload, fc.integer({ min: 1, max: 600 })).map(([name, at]) => tear(name, at)),
    fc.tuple(fc.boolean(), fc.boolean()).map(([isCopied, isPacked]) => rotate(isCopied, isPacked)),
    fc.constant(packAll),
    life.map(run),
    life.map(run),
  ],
  { maxCommands: 24, size: 'max' },
)

t.test('every event counts once, through rotation, eviction, stops and kills together', async t => {
  const root = t.testdir()
  let runs = 0
  await assertAsyncProperty(
    fc.asyncProperty(commands, async each => {
      runs += 1
      const folder = join(root, String(runs))
      await mkdir(folder)
      const world: World = { path: join(folder, 'tetragon.log'), state: join(folder, 'state'), given: [], rotations: 0 }
      const model: Model = { counts: new Map(), written: 0, torn: undefined }
      await writeFile(world.path, '')
      // Files that are rotated away before the first start are left alone.
      await live(world, WHOLE)
      await fc.asyncModelRun(() => ({ model, real: world }), each)
      await finish(model, world)
      await live(world, WHOLE)
      check(model, world)
      await rm(folder, { recursive: true })
    }),
    { numRuns: 60 },
  )
  t.pass()
})
