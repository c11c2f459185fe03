/**
 * The followed file against a model: an agent that writes, rotates, compresses, is emptied by copying and deleted, and
 * a reader that is stopped and killed at any time, or cannot read for a while. Every complete line is read exactly once, in the order of writing.
 */

import {
  appendFile,
  copyFile,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { tailFile } from '../../src/adapters/file-tail.js'
import type { EventSource, SourceGap, SourcePart, SourcePosition } from '../../src/correlator/event-source.js'
import { bytesOf, LineSplitter } from '../../src/correlator/line-splitter.js'
import { assertAsyncProperty, fc } from '../support/properties.js'

/** Longer lines are skipped and counted, wherever reading was interrupted in them. */
const MAX_LINE_BYTES = 400_000

/** What the agent did, and what a reader must have seen. */
interface Model {
  /** Complete lines, in the order of writing. */
  lines: string[]
  /** What stands behind the last newline. */
  torn: string
  /** A file was rotated with a torn line at its end, and none with lines came after it: one must come to make it a line. */
  isTornEnd: boolean
  isPresent: boolean
  count: number
}

/** A reader of the tail that keeps lines and position together, as a store does. */
class Reader {
  readonly path: string
  readonly gaps: SourceGap[] = []
  /** What survives a kill. */
  kept: { lines: readonly string[]; position: SourcePosition | undefined } = { lines: [], position: undefined }
  lines: string[] = []
  #controller = new AbortController()
  #source: AsyncIterator<SourcePart>
  #splitter = new LineSplitter(MAX_LINE_BYTES)
  #position: SourcePosition | undefined

  constructor(path: string) {
    this.path = path
    this.#source = this.#open()
  }

  /** Take so many parts; keep what they gave if asked to. */
  async take(count: number, isKept: boolean): Promise<void> {
    for (let taken = 0; taken < count; taken += 1) await this.#step()
    if (isKept) this.keep()
  }

  /** Read until nothing new has come twice. */
  async drain(): Promise<void> {
    let idle = 0
    while (idle < 2) idle = (await this.#step()) === 'idle' ? idle + 1 : 0
  }

  keep(): void {
    this.kept = { lines: [...this.lines], position: this.#position }
  }

  /** Whatever was not kept is lost; the position may be of an earlier time. */
  async kill(): Promise<void> {
    this.#controller.abort()
    await this.#source.return?.()
    this.lines = [...this.kept.lines]
    this.#position = this.kept.position
    // Kept as JSON, between two processes.
    if (this.#position !== undefined) this.#position = JSON.parse(JSON.stringify(this.#position))
    this.#splitter = new LineSplitter(MAX_LINE_BYTES)
    this.#source = this.#open()
  }

  async close(): Promise<void> {
    this.#controller.abort()
    await this.#source.return?.()
  }

  #open(): AsyncIterator<SourcePart> {
    this.#controller = new AbortController()
    const { signal } = this.#controller
    const source: EventSource = tailFile(this.path, {
      fromStart: true,
      from: this.#position,
      pollMs: 1,
      now: () => 1,
      signal,
      onBadPosition: problem => {
        throw new Error(problem)
      },
    })
    return source[Symbol.asyncIterator]()
  }

  async #step(): Promise<SourcePart['type']> {
    const { value: part } = await this.#source.next()
    if (part.type === 'begin') this.#splitter.reset()
    const found =
      part.type === 'bytes' ? this.#splitter.push(part.bytes) : part.type === 'end' ? this.#splitter.end() : []
    for (const line of found) this.lines.push(line.type === 'line' ? bytesOf(line).toString() : 'too long')
    if (part.type === 'gap') this.gaps.push(part.gap)
    if (part.position !== undefined) this.#position = part.position
    return part.type
  }
}

interface World {
  readonly path: string
  readonly reader: Reader
  /** Rotated files are named by logrotate's numbers, and renamed by each rotation; else by Tetragon's times. */
  readonly isNumbered: boolean
  rotations: number
}

type Command = fc.AsyncCommand<Model, World>

/** A line of some length that is not to be mistaken for another. */
function nextLine(model: Model, length: number): string {
  model.count += 1
  return `{"process_exec":{"exec_id":"${model.count}"${'x'.repeat(length)}}}`
}

/** What a reader makes of a line that is complete. */
function complete(model: Model, ...lines: readonly string[]): void {
  model.lines.push(...lines.map(line => (line.length > MAX_LINE_BYTES ? 'too long' : line)))
}

/** A torn line at the end of a file that is complete is a line: the agent will not write its rest. */
function finishFile(model: Model): void {
  if (model.torn === '') return
  model.isTornEnd = true
  complete(model, model.torn)
  model.torn = ''
}

/** The name for the next rotated file, with room made for it. */
async function backupPath(world: World): Promise<string> {
  const { path, isNumbered } = world
  world.rotations += 1
  if (isNumbered) {
    await shift(path, 1)
    return `${path}.1`
  }
  const at = Date.UTC(2026, 10, 22) + world.rotations * 61_001
  const time = new Date(at).toISOString().slice(0, -1).replaceAll(':', '-')
  return `${path.slice(0, -'.log'.length)}-${time}.log`
}

/** As logrotate does it: the oldest first, so that no two have one name. */
async function shift(path: string, number: number): Promise<void> {
  const names = await readdir(dirname(path))
  for (const suffix of ['', '.gz']) {
    const name = `${basename(path)}.${number}${suffix}`
    if (!names.includes(name)) continue
    await shift(path, number + 1)
    await rename(join(dirname(path), name), `${path}.${number + 1}${suffix}`)
  }
}

async function rotate(world: World): Promise<string> {
  const backup = await backupPath(world)
  await rename(world.path, backup)
  return backup
}

async function gzip(path: string): Promise<void> {
  await writeFile(`${path}.gz.tmp`, gzipSync(await readFile(path)))
  await rename(`${path}.gz.tmp`, `${path}.gz`)
  await rm(path)
}

function command(
  name: string,
  run: (model: Model, world: World) => Promise<void>,
  check: (model: Readonly<Model>) => boolean = () => true,
): Command {
  return { check, run, toString: () => name }
}

const isPresent = ({ isPresent }: Readonly<Model>) => isPresent

const write = (lengths: readonly number[]) =>
  command(`write ${lengths}`, async (model, world) => {
    const lines = lengths.map(length => nextLine(model, length))
    await appendFile(world.path, lines.map(line => `${line}\n`).join(''))
    const [first = '', ...rest] = lines
    complete(model, model.torn + first, ...rest)
    model.torn = ''
    model.isTornEnd = false
    model.isPresent = true
  })

const writeTorn = (length: number) =>
  command(`write torn ${length}`, async (model, world) => {
    const piece = nextLine(model, length)
    await appendFile(world.path, piece)
    model.torn += piece
    model.isPresent = true
  })

const rotateOnce = (isCompressed: boolean, isRecreated: boolean) =>
  command(
    `rotate${isCompressed ? ', gzip' : ''}${isRecreated ? ', create' : ''}`,
    async (model, world) => {
      const backup = await rotate(world)
      finishFile(model)
      if (isRecreated) await writeFile(world.path, '')
      if (isCompressed) await gzip(backup)
      model.isPresent = isRecreated
    },
    isPresent,
  )

const rotateTwice = (isCompressed: boolean) =>
  command(
    `rotate twice${isCompressed ? ', gzip' : ''}`,
    async (model, world) => {
      const first = await rotate(world)
      finishFile(model)
      const line = nextLine(model, 20)
      await writeFile(world.path, `${line}\n`)
      complete(model, line)
      const second = await rotate(world)
      if (world.isNumbered && isCompressed) await gzip(`${world.path}.2`)
      const last = nextLine(model, 20)
      await writeFile(world.path, `${last}\n`)
      complete(model, last)
      if (isCompressed) for (const path of world.isNumbered ? [second] : [first, second]) await gzip(path)
    },
    isPresent,
  )

const GOES_ON = ['append', 'at the old offset', 'past the old offset'] as const
const BETWEEN = ['nothing', 'read', 'kill'] as const

const copyTruncate = (how: (typeof GOES_ON)[number], between: (typeof BETWEEN)[number], isCompressed: boolean) =>
  command(
    `copytruncate, ${between} between, goes on ${how}${isCompressed ? ', gzip' : ''}`,
    async (model, world) => {
      const copy = await backupPath(world)
      const { size } = await stat(world.path)
      await copyFile(world.path, copy)
      if (between === 'kill') await world.reader.kill()
      if (between !== 'nothing') await world.reader.take(3, true)
      await truncate(world.path, 0)
      finishFile(model)
      const line = nextLine(model, how === 'past the old offset' ? size : 5)
      // A writer that does not append leaves a run of NUL bytes in front.
      if (how === 'at the old offset') await truncate(world.path, size)
      await appendFile(world.path, `${line}\n`)
      complete(model, line)
      if (isCompressed) await gzip(copy)
    },
    isPresent,
  )

const remove = command(
  'delete',
  async (model, world) => {
    // What nobody has read is gone with the file: the reader has to be there.
    await world.reader.drain()
    world.reader.keep()
    await rm(world.path)
    // And to see that it is gone, before an inode is given out again.
    model.torn = ''
    model.isPresent = false
    world.rotations += 1
  },
  model => model.isPresent && model.torn === '',
)

/** For a time the path cannot be read at all: every look at it fails, as with a device's error or a right taken away. */
const obstruct = (count: number, isKept: boolean) =>
  command(`obstruct, read ${count}${isKept ? ', keep' : ''}`, async (model, { path, reader }) => {
    const aside = `${path}.aside`
    // At its very start it is an error.
    await reader.take(1, false)
    if (model.isPresent) await rename(path, aside)
    await symlink(basename(path), path)
    await reader.take(count, isKept)
    await rm(path)
    if (model.isPresent) await rename(aside, path)
  })

const read = (count: number, isKept: boolean) =>
  command(`read ${count}${isKept ? ', keep' : ''}`, async (_model, { reader }) => reader.take(count, isKept))

const kill = command('kill', async (_model, { reader }) => reader.kill())

const drain = command('drain', async (model, { reader, path }) => {
  if (!model.isPresent && model.isTornEnd) {
    await writeFile(path, '')
    model.isPresent = true
  }
  await reader.drain()
  reader.keep()
  if (JSON.stringify(reader.lines) !== JSON.stringify(model.lines)) throw new Error(differenceOf(model, reader))
})

function differenceOf({ lines }: Model, reader: Reader): string {
  const short = (all: readonly string[]) => all.map(line => line.replace(/x{9,}/g, '…'))
  return `written ${JSON.stringify(short(lines))}, read ${JSON.stringify(short(reader.lines))}`
}

const commands = [
  fc.array(fc.constantFrom(0, 30, 5000, 300_000, 600_000), { minLength: 1, maxLength: 4 }).map(write),
  fc.constantFrom(10, 10, 350_000).map(writeTorn),
  fc.tuple(fc.boolean(), fc.boolean()).map(([isCompressed, isRecreated]) => rotateOnce(isCompressed, isRecreated)),
  fc.boolean().map(rotateTwice),
  fc
    .tuple(fc.constantFrom(...GOES_ON), fc.constantFrom(...BETWEEN), fc.boolean())
    .map(([how, between, isCompressed]) => copyTruncate(how, between, isCompressed)),
  fc.constant(remove),
  fc.tuple(fc.integer({ min: 1, max: 4 }), fc.boolean()).map(([count, isKept]) => read(count, isKept)),
  fc.tuple(fc.integer({ min: 1, max: 4 }), fc.boolean()).map(([count, isKept]) => obstruct(count, isKept)),
  fc.constant(kill),
  fc.constant(drain),
]

t.test('every complete line is read exactly once, in order, whatever happens to the file and the reader', async t => {
  let run = 0
  const runs = 100
  const dir = t.testdir({})
  await assertAsyncProperty(
    fc.asyncProperty(fc.commands(commands, { maxCommands: 40 }), fc.boolean(), async (sequence, isNumbered) => {
      run += 1
      // A folder of its own: listing it is part of the work.
      await mkdir(join(dir, `${run}`))
      const path = join(dir, `${run}`, 'agent.log')
      await writeFile(path, '')
      const world: World = { path, reader: new Reader(path), isNumbered, rotations: 0 }
      // What was rotated away before the first reading ever is left alone.
      await world.reader.take(1, true)
      try {
        await fc.asyncModelRun(
          () => ({ model: { lines: [], torn: '', isTornEnd: false, isPresent: true, count: 0 }, real: world }),
          [...sequence, drain],
        )
      } finally {
        await world.reader.close()
      }
    }),
    { numRuns: runs },
  )
  t.ok(run >= runs)
})
