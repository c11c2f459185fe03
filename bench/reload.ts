/** Part of group `policy`: how long a changed policy takes to be in force, and how long it holds up everything else. */

import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { generateEntries, policyText } from './generated-policy.js'
import { digits, formatMicros, median, type Plan, type Row, spreadOf } from './measure.js'

const SMALL = 10
const LARGE = 100_000
/** The compiled program: under a loader, a thread takes a second to start. */
const PROGRAM = '../build/adapters/policy-watch.js'
const SILENT = { info() {}, warn() {}, error() {} }

/** How a policy may write its entries, longest last. */
const FORMS: Readonly<Record<string, (pattern: string, index: number) => string>> = {
  'lines of text': pattern => `    - "${pattern}"\n`,
  'objects of three fields': (pattern, index) =>
    `    - { pattern: "${pattern}", owner: team-${index % 50}, reason: images of team ${index % 50} }\n`,
}

interface Reload {
  /** From the moment at which the file is there to the moment at which its policy judges, the watch's poll included. */
  readonly millis: number
  /** The longest time in which nothing else had its turn. */
  readonly stallMillis: number
}

export async function measureReload(plan: Plan): Promise<readonly Row[]> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-bench-'))
  const rounds = plan.isQuick ? 3 : 5
  // What is watched does not keep a process alive.
  const alive = setInterval(() => {}, 1_000)
  try {
    const named = Object.entries(FORMS).flatMap(([form, write]) =>
      [SMALL, LARGE].map(size => ({
        name: `reload beside requests, ${size.toLocaleString('en-US')} ${form}`,
        size,
        write,
      })),
    )
    const rows: { readonly name: string; readonly measured: readonly Reload[] }[] = []
    for (const { name, size, write } of named) {
      rows.push({ name, measured: await reloads(join(folder, `${rows.length}.yaml`), size, write, rounds) })
    }
    const [baseline] = rows
    return baseline === undefined
      ? []
      : rows.map(row => rowOf(row.name, row.measured, baseline.measured, baseline.name))
  } finally {
    clearInterval(alive)
    await rm(folder, { recursive: true, force: true })
  }
}

async function reloads(
  file: string,
  size: number,
  write: (pattern: string, index: number) => string,
  rounds: number,
): Promise<readonly Reload[]> {
  // The decode edge of the compiled program.
  const { openPolicy } = (await import(PROGRAM)) as typeof import('../src/adapters/policy-watch.js')
  const entries = generateEntries(size).map(({ pattern }, index) => write(pattern, index))
  const text = policyText([]) + entries.join('')
  await writeFile(file, text)
  let tell: () => void = () => {}
  const policy = await openPolicy([file], { log: SILENT, now: Date.now, onReload: () => tell() })
  const measured: Reload[] = []
  try {
    for (let round = 0; round < rounds; round += 1) {
      await writeFile(`${file}.next`, text + write(`registry.example.com/round-${round}`, 0))
      await sleep(300)
      const delay = monitorEventLoopDelay({ resolution: 1 })
      const inForce = new Promise<void>(resolve => {
        tell = resolve
      })
      delay.enable()
      const start = performance.now()
      await rename(`${file}.next`, file)
      await inForce
      const millis = performance.now() - start
      delay.disable()
      measured.push({ millis, stallMillis: delay.max / 1e6 })
    }
  } finally {
    policy.close()
  }
  return measured
}

function rowOf(name: string, measured: readonly Reload[], against: readonly Reload[], baseline: string): Row {
  const base = median(against.map(({ millis }) => millis))
  const figure = formatMicros(1_000 * median(measured.map(({ millis }) => millis)))
  const stall = digits(median(measured.map(({ stallMillis }) => stallMillis)))
  return {
    name,
    figure: `${figure} until in force, longest turn ${stall} ms`,
    ratio: spreadOf(measured.map(({ millis }) => millis / base)),
    baseline,
  }
}
