/**
 * `kill -9` of the real program while its file is written and rotated in every way: started again until all is read,
 * it has counted what one undisturbed run counts, and raised no finding twice.
 */

import { spawn } from 'node:child_process'
import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { appendFile, copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import Database from 'libsql'
import t from 'tap'
import { FINDINGS_FILE, openFindingStore } from '../../src/adapters/finding-store-file.js'
import type { Finding } from '../../src/correlator/finding.js'
import { AFTER_START, containerOf, eventOf, lineOf, podOf } from '../support/events.js'
import { TEST_SEED } from '../support/properties.js'
import { runCommand } from '../support/run-command.js'

const POLICY = `
apiVersion: sallyport.dev/v1
kind: ImagePolicy
metadata: { name: test }
spec: { allow: ['registry.corp.example/*'] }
`
const KILLS = 5
/** Lines that are written before each kill, and then some more while the program is at work. */
const LINES_A_LIFE = 400
const ALLOWED = containerOf({ imageName: 'registry.corp.example/app:1' })
const LOOK_MS = 250
/** A starved machine may do nothing for seconds. */
const NEVER_MS = 45_000
const RATE_LIMIT = JSON.stringify({ rate_limit_info: { number_of_dropped_process_events: '3' } })

/** What is written, where it is cut and how it is rotated; the moments of the kills are the machine's. */
const randomInt = createRandom(TEST_SEED)

/** From `min`, 0 when it is not given, up to and without `max`: the same row of numbers for a seed. */
function createRandom(seed: number): (...range: [max: number] | [min: number, max: number]) => number {
  let state = seed >>> 0
  return (...range) => {
    const [min, max] = range.length === 1 ? [0, range[0]] : range
    // Mulberry32.
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return min + (((mixed ^ (mixed >>> 14)) >>> 0) % (max - min))
  }
}

/** The agent and its log rotation. */
class Agent {
  readonly path: string
  /** All that was ever written, in its order. */
  readonly lines: string[] = []
  #rotations = 0

  constructor(path: string) {
    this.path = path
    writeFileSync(path, '')
  }

  /** A few lines, in pieces that end anywhere. */
  async write(count: number): Promise<void> {
    const lines = Array.from({ length: count }, () => this.#nextLine())
    const bytes = Buffer.from(lines.map(line => `${line}\n`).join(''))
    const cut = randomInt(bytes.length)
    await appendFile(this.path, bytes.subarray(0, cut))
    await appendFile(this.path, bytes.subarray(cut))
    this.lines.push(...lines)
  }

  /** In one of the ways in which files are rotated. */
  async rotate(): Promise<void> {
    this.#rotations += 1
    const at = new Date(Date.UTC(2026, 10, 22) + this.#rotations * 61_001)
    const backup = this.path.replace('.log', `-${at.toISOString().slice(0, -1).replaceAll(':', '-')}.log`)
    if (this.#rotations % 3 === 0) {
      await copyFile(this.path, backup)
      truncateSync(this.path, 0)
    } else {
      renameSync(this.path, backup)
      if (this.#rotations % 2 === 0) await sleep(randomInt(40))
      writeFileSync(this.path, '')
    }
    if (this.#rotations % 4 < 2) gzip(backup)
  }

  #nextLine(): string {
    const index = this.lines.length + randomInt(1_000_000)
    if (index % 97 === 0) return 'torn {"process_'
    if (index % 89 === 0) return RATE_LIMIT
    const workload = `w${index % 12}`
    const time = AFTER_START + this.lines.length
    if (index % 5 === 0)
      return lineOf(eventOf({ time, binary: '/usr/bin/nmap', pod: podOf({ workload, container: ALLOWED }) }))
    return lineOf(eventOf({ time, pod: podOf({ workload }), arguments: 'x'.repeat(index % 400) }))
  }
}

function gzip(path: string): void {
  writeFileSync(`${path}.gz.tmp`, gzipSync(readFileSync(path)))
  renameSync(`${path}.gz.tmp`, `${path}.gz`)
  rmSync(path)
}

/** How much the state has counted, what could not be seen included. */
function countedIn(state: string): number {
  if (!existsSync(join(state, FINDINGS_FILE))) return 0
  const database = new Database(join(state, FINDINGS_FILE), { readonly: true })
  try {
    const row: unknown = database.prepare("SELECT sum(json_extract(finding, '$.count')) AS sum FROM findings").get()
    return Number((row as { sum: number | null }).sum)
  } catch {
    // It has just been made, and has no tables yet.
    return 0
  } finally {
    database.close()
  }
}

/** How far the program came, and what lies there to be read: for whoever looks why a count is short. */
function describeState(state: string, log: string): string {
  const store = openFindingStore(state)
  try {
    const findings = store.load().findings.map(({ finding }) => finding)
    const files = readdirSync(log).map(name => {
      const { ino, size } = statSync(join(log, name))
      return { name, ino, size }
    })
    return JSON.stringify({ position: store.position, files, counts: countsOf(findings) }, null, 2)
  } finally {
    store.close()
  }
}

function findingsIn(text: string): readonly Finding[] {
  const lines = text.split('\n')
  // A line that was being written at a kill is written again by the next run.
  return lines.flatMap(line => {
    try {
      return line === '' ? [] : [JSON.parse(line) as Finding]
    } catch {
      return []
    }
  })
}

/** `kind/code`, whose, and the count; the last word on each. */
function countsOf(findings: readonly Finding[]): Record<string, number> {
  const counts = findings.map(({ kind, code, owner, count }) => [`${kind}/${code} ${owner?.name}`, count] as const)
  return Object.fromEntries(counts.toSorted(([one], [other]) => (one < other ? -1 : 1)))
}

t.test('killed again and again amid rotations, it counts what one undisturbed run counts', async t => {
  const directory = t.testdir({ 'policy.yaml': POLICY, log: {} })
  const at = (name: string) => join(directory, name)
  const agent = new Agent(join(at('log'), 'agent.log'))
  const start = () => {
    const source = ['--source', `file:${agent.path}`, '--from-start']
    const argv = ['correlate', '--policy', at('policy.yaml'), ...source, '--state', at('state')]
    const options = [...argv, '--sink', `file:${at('findings.jsonl')}`]
    return spawn(process.execPath, ['--import', 'tsx', 'src/cli.ts', ...options], { stdio: 'ignore' })
  }
  const undisturbed = async (): Promise<readonly Finding[]> => {
    writeFileSync(at('all.jsonl'), agent.lines.map(line => `${line}\n`).join(''))
    const { stdout } = await runCommand(['replay', '--policy', at('policy.yaml'), '-o', 'json', at('all.jsonl')])
    return findingsIn(stdout)
  }
  let expected: readonly Finding[] = []
  for (let life = 0; life <= KILLS; life += 1) {
    const child = start()
    const ended = new Promise(resolve => child.on('exit', resolve))
    const before = countedIn(at('state'))
    const goal = agent.lines.length + LINES_A_LIFE
    // It writes and rotates while the program starts, works and, until the next life, is gone.
    for (let isSeen = false; agent.lines.length < goal || !isSeen; isSeen = countedIn(at('state')) > before) {
      const isWriting = agent.lines.length < goal
      if (isWriting) await agent.write(randomInt(1, 30))
      // What was rotated away before the very first look is left alone; so are the oldest when there are more than a thousand,
      // which a starved program would be left behind by.
      if (isWriting && before > 0 && randomInt(6) === 0) await agent.rotate()
      await sleep(randomInt(12))
    }
    await agent.write(randomInt(1, 30))
    if (life < KILLS) child.kill('SIGKILL')
    else {
      await agent.write(1)
      expected = await undisturbed()
      await stopWhenRead(child, at('state'), expected)
    }
    await ended
  }
  const findings = findingsIn(readFileSync(at('findings.jsonl'), 'utf8'))
  if (!t.same(countsOf(findings), countsOf(expected))) t.comment(describeState(at('state'), at('log')))
  const firsts = new Set(findings.filter(({ emission }) => emission === 1).map(each => JSON.stringify(each)))
  t.equal(firsts.size, new Set(findings.map(({ fingerprint }) => fingerprint)).size, 'each is raised once')
  t.ok(readdirSync(at('log')).length > 6, 'the file was rotated many times')
})

/** In order, once it has counted everything, or nothing more for so long that it never will. */
async function stopWhenRead(
  child: ReturnType<typeof spawn>,
  state: string,
  expected: readonly Finding[],
): Promise<void> {
  const goal = expected.reduce((sum, { count }) => sum + count, 0)
  for (let quietMs = 0, counted = -1; counted !== goal && quietMs < NEVER_MS; ) {
    await sleep(LOOK_MS)
    const now = countedIn(state)
    quietMs = now === counted ? quietMs + LOOK_MS : 0
    counted = now
  }
  child.kill('SIGTERM')
}
