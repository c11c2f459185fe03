/**
 * Group `replay`: the compiled program over an export file, whole processes against each other: what splits the file at
 * newlines and parses every line, `wc`, `jq`, `sallyport replay` and `sallyport correlate` with a state; and the same
 * events over the agent's gRPC stream.
 */

import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ChildCost, canMeasureChildren, costOf } from './child-cost.js'
import { CLI, writeEvents } from './child-scripts.js'
import { alternate, type Contender, digits, type GroupReport, median, type Plan, toRows } from './measure.js'
import { measureStream } from './stream.js'

const MEGABYTES = 800
const QUICK_MEGABYTES = 100
const MEGABYTE = 1_000_000
const CYCLES = 2
/** Pods in the export: some, and as many as hardly any node has seen. */
const PODS = 600
const MANY_PODS = 100_000
const MANY_LINES = 400_000
const QUICK_MANY_LINES = 50_000
/** So many lines of the recorded pods come before those of the next: what the export reaches of `MANY_PODS`. */
const LINES_A_POD = 34
const PARSE = 'split at newlines, JSON.parse of every line'
/** Some of what the recorded pods run; the rest is a finding. */
const POLICY = `apiVersion: sallyport.dev/v1
kind: ImagePolicy
metadata: { name: bench }
spec: { mode: warn, allow: ["registry.k8s.io/*", "docker.io/library/*", "quay.io/*"] }
`

export async function measureReplay(plan: Plan): Promise<GroupReport> {
  if (!canMeasureChildren) return { rows: [], notes: ['not measured: it needs Linux, taskset and two cores'] }
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-bench-'))
  try {
    plan.progress('writing the export')
    const path = join(folder, 'tetragon.log')
    const policy = join(folder, 'policy.yaml')
    await writeFile(policy, POLICY)
    await writeEvents(path, ['--megabytes', String(plan.isQuick ? QUICK_MEGABYTES : MEGABYTES), '--pods', String(PODS)])
    const { size } = await stat(path)
    const series = await alternate(contenders(path, policy, folder), { ...plan, cycles: plan.isQuick ? 1 : CYCLES })
    const streamed = await measureStream(policy, folder, { ...plan, cycles: plan.isQuick ? 1 : CYCLES })
    plan.progress(`${MANY_PODS} pods`)
    const lines = plan.isQuick ? QUICK_MANY_LINES : MANY_LINES
    await writeEvents(path, ['--events', String(lines), '--pods', String(MANY_PODS)])
    const many = await costOf(correlateStdin(policy, join(folder, 'many')), { stdin: path })
    return {
      rows: [
        ...toRows(
          series,
          ({ cpuMicros }) => cpuMicros,
          slices => describe(slices, size),
        ),
        ...streamed.rows,
      ],
      notes: [
        `${digits(size / MEGABYTE)} MB of exec and exit lines, half and half, ${PODS} pods; a start is part of each figure`,
        'a second is one of CPU time, over all threads on one core; the file stays in the page cache',
        `this group runs ${plan.isQuick ? 1 : CYCLES} cycles, whatever stands above the table`,
        ...streamed.notes,
        `${digits(lines)} lines of about ${digits(Math.min(MANY_PODS, lines / LINES_A_POD))} pods: at most ${digits(many.maxRssBytes / MEGABYTE)} MB resident`,
      ],
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function contenders(path: string, policy: string, folder: string): readonly Contender<ChildCost>[] {
  const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url))
  const contender = (name: string, command: readonly string[], isFollowing = false): Contender<ChildCost> => ({
    name,
    baseline: PARSE,
    slice: () => costOf(command, { isFollowing }),
  })
  const hasJq = spawnSync('jq', ['--version']).status === 0
  const cli = [process.execPath, CLI]
  const state = join(folder, 'state')
  const followed = ['correlate', '--policy', policy, '--source', `file:${path}`, '--from-start', '--state', state]
  return [
    contender(PARSE, [process.execPath, here('./parse-every-line.mjs'), path]),
    contender('wc -l', ['wc', '-l', path]),
    ...(hasJq
      ? [contender('jq -c .process_exec.process.binary', ['jq', '-c', '.process_exec.process.binary', path])]
      : []),
    contender('sallyport replay', [...cli, 'replay', '--policy', policy, '-o', 'json', path]),
    {
      name: 'sallyport correlate --from-start --state',
      baseline: PARSE,
      slice: async () => {
        await rm(state, { recursive: true, force: true })
        return costOf([...cli, ...followed], { isFollowing: true })
      },
    },
  ]
}

function correlateStdin(policy: string, state: string): readonly string[] {
  return [process.execPath, CLI, 'correlate', '--policy', policy, '--source', '-', '--state', state]
}

function describe(costs: readonly ChildCost[], bytes: number): string {
  const speed = median(costs.map(({ cpuMicros }) => bytes / cpuMicros))
  const resident = Math.max(...costs.map(({ maxRssBytes }) => maxRssBytes)) / MEGABYTE
  return `${digits(speed)} MB/s, ${digits(resident)} MB resident`
}
