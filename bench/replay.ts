/** Group `replay`: the correlator's pipeline over an export file, against splitting it and parsing every line. */

import { createWriteStream } from 'node:fs'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { gunzipSync } from 'node:zlib'
import { readEventFiles } from '../src/adapters/event-file.js'
import { loadToolCatalogue } from '../src/adapters/tool-catalogue-file.js'
import type { EventSource } from '../src/correlator/event-source.js'
import { readExecEvents } from '../src/correlator/event-stream.js'
import { correlate } from '../src/correlator/pipeline.js'
import { createStreamStats } from '../src/correlator/stream-stats.js'
import type { CompiledPolicy, ToolCatalogue } from '../src/policy/index.js'
import { generateEntries, policyOf } from './generated-policy.js'
import {
  alternate,
  type Contender,
  digits,
  type GroupReport,
  median,
  type Plan,
  toRows,
  totalMicros,
} from './measure.js'

/** 1,000 exec events, 2.8 MB unpacked. */
const EVENTS = new URL('../test/fixtures/tetragon/exec-1k.jsonl.gz', import.meta.url)
const TARGET_BYTES = 100_000_000
const QUICK_TARGET_BYTES = 20_000_000
const MEGABYTE = 1_000_000
const NEWLINE = 0x0a
const EXEC_ID = /("(?:parent_)?exec_id":")([^"]*)/g
const PID = /("pid":)(\d+)/g
const PARSE = 'split at newlines, JSON.parse of every line'
/** Some of what the recorded pods run; the rest is a finding. */
const ALLOWING = ['registry.k8s.io/*', 'docker.io/library/*', 'quay.io/*']

interface Pass {
  readonly cpuMicros: number
  readonly bytes: number
  readonly lines: number
}

export async function measureReplay(plan: Plan): Promise<GroupReport> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-bench-'))
  try {
    plan.progress('writing the export')
    const path = join(folder, 'tetragon.log')
    const target = plan.isQuick ? QUICK_TARGET_BYTES : TARGET_BYTES
    await pipeline(
      Readable.from(repeatEvents(gunzipSync(await readFile(EVENTS)).toString('utf8'), target)),
      createWriteStream(path),
    )
    const { size } = await stat(path)
    const series = await alternate(await contenders(path, size), plan)
    const lines = series[0]?.slices[0]?.lines ?? 0
    const findings = await countFindings(path)
    return {
      rows: toRows(series, ({ cpuMicros }) => cpuMicros, describe),
      notes: [
        `${digits(size / MEGABYTE)} MB, ${digits(lines)} exec events of ${digits(size / lines)} bytes each, ${findings} findings; no journal`,
        'the same 1,000 command lines again and again, each time with other exec ids and pids; tools are loaded before the slices',
        'a second is one of CPU time, over all threads; the file stays in the page cache',
      ],
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/**
 * The recorded lines again and again. Each time every exec id is another one, also where a parent or an ancestor is
 * named, and so are the pids: an agent never sends one twice, and no parent may be known from the round before.
 */
function* repeatEvents(text: string, target: number): Generator<string> {
  let written = 0
  for (let copy = 0; written < target; copy += 1) {
    const ids = new Map<string, string>()
    const changed = text
      .replace(EXEC_ID, (_, key: string, id: string) => {
        const other = ids.get(id) ?? anotherId(id, copy)
        ids.set(id, other)
        return `${key}${other}`
      })
      .replace(PID, (_, key: string, pid: string) => `${key}${(Number(pid) + copy) % 4_194_304}`)
    written += changed.length
    yield changed
  }
}

/** An exec id is base64 of `node:nanoseconds:pid`. */
function anotherId(id: string, copy: number): string {
  const [node = '', nanoseconds = '0', pid = ''] = Buffer.from(id, 'base64').toString('utf8').split(':')
  return Buffer.from(`${node}:${BigInt(nanoseconds) + BigInt(copy)}:${pid}`).toString('base64')
}

async function contenders(path: string, bytes: number): Promise<readonly Contender<Pass>[]> {
  const small = policyOf([...ALLOWING, ...generateEntries(10).map(({ pattern }) => pattern)])
  const large = policyOf([...ALLOWING, ...generateEntries(100_000).map(({ pattern }) => pattern)])
  const contender = (name: string, read: (source: EventSource) => Promise<number>): Contender<Pass> => ({
    name,
    baseline: PARSE,
    slice: async () => {
      const start = process.cpuUsage()
      const lines = await read(openSource(path))
      return { cpuMicros: totalMicros(process.cpuUsage(start)), bytes, lines }
    },
  })
  return [
    contender(PARSE, parseEveryLine),
    contender('events decoded, nothing judged', decodeEvents),
    contender('correlate, 10 entries', source => correlateAll(source, small)),
    contender('correlate, 100,000 entries', source => correlateAll(source, large)),
  ]
}

function openSource(path: string): EventSource {
  return readEventFiles([path], { stdin: Readable.from([]), signal: new AbortController().signal })
}

async function parseEveryLine(source: EventSource): Promise<number> {
  let lines = 0
  let rest: Buffer = Buffer.alloc(0)
  for await (const part of source) {
    if (part.type !== 'bytes') continue
    const bytes = rest.length === 0 ? part.bytes : Buffer.concat([rest, part.bytes])
    let start = 0
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
      if (JSON.parse(bytes.toString('utf8', start, end)) !== null) lines += 1
      start = end + 1
    }
    rest = bytes.subarray(start)
  }
  return lines
}

async function decodeEvents(source: EventSource): Promise<number> {
  const stats = createStreamStats()
  for await (const { events } of readExecEvents(source, stats)) if (events.length > stats.lines) break
  return stats.lines
}

async function correlateAll(source: EventSource, policy: CompiledPolicy): Promise<number> {
  const { lines } = await runPipeline(source, policy)
  return lines
}

async function countFindings(path: string): Promise<number> {
  const { findings } = await runPipeline(openSource(path), policyOf(ALLOWING))
  return findings
}

/** Loaded once a policy: a start's cost is no part of what an event costs. */
const catalogues = new Map<CompiledPolicy, Promise<ToolCatalogue>>()

function catalogueOf(policy: CompiledPolicy): Promise<ToolCatalogue> {
  const known = catalogues.get(policy) ?? loadToolCatalogue(policy.runtime)
  catalogues.set(policy, known)
  return known
}

async function runPipeline(source: EventSource, policy: CompiledPolicy): Promise<{ lines: number; findings: number }> {
  const stats = createStreamStats()
  const catalogue = await catalogueOf(policy)
  const emit = { when: 'at-end' } as const
  let findings = 0
  for await (const finding of correlate(source, {
    policy,
    catalogue,
    journal: undefined,
    stats,
    now: Date.now,
    emit,
  })) {
    if (finding.count >= 0) findings += 1
  }
  return { lines: stats.lines, findings }
}

function describe(passes: readonly Pass[]): string {
  const megabytes = median(passes.map(({ bytes, cpuMicros }) => bytes / cpuMicros))
  const events = median(passes.map(({ lines, cpuMicros }) => (lines / cpuMicros) * 1_000))
  return `${digits(megabytes)} MB/s, ${digits(events)}k events/s`
}
