/** Part of group `policy`: how long a changed policy takes to be in force, and how long it holds up everything else. */

import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { openPolicy } from '../src/adapters/policy-watch.js'
import { generateEntries, policyText } from './generated-policy.js'
import { digits, formatMicros, median, type Plan, type Row, spreadOf } from './measure.js'

const SMALL = 10
const LARGE = 100_000
const SILENT = { info() {}, warn() {}, error() {} }

interface Reload {
  /** From the moment at which the file is there to the moment at which its policy judges, the watch's poll included. */
  readonly millis: number
  /** The longest time in which nothing else had its turn. */
  readonly stallMillis: number
}

export async function measureReload(plan: Plan): Promise<readonly Row[]> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-bench-'))
  const rounds = plan.isQuick ? 1 : 5
  try {
    const small = await reloads(join(folder, 'small.yaml'), SMALL, rounds)
    const large = await reloads(join(folder, 'large.yaml'), LARGE, rounds)
    const baseline = nameOf(SMALL)
    return [rowOf(baseline, small, small, baseline), rowOf(nameOf(LARGE), large, small, baseline)]
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function reloads(file: string, size: number, rounds: number): Promise<readonly Reload[]> {
  const patterns = generateEntries(size).map(({ pattern }) => pattern)
  await writeFile(file, policyText(patterns))
  let tell: () => void = () => {}
  const policy = await openPolicy([file], { log: SILENT, now: Date.now, onReload: () => tell() })
  const measured: Reload[] = []
  try {
    for (let round = 0; round < rounds; round += 1) {
      await writeFile(`${file}.next`, policyText([...patterns, `registry.example.com/round-${round}`]))
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

function nameOf(size: number): string {
  return `reload beside requests, ${size.toLocaleString('en-US')} entries`
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
