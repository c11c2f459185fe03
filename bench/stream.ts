/** Rows of the group `replay`: what an event costs that comes over the agent's gRPC stream, against one of a file. */

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type ChildCost, costOf } from './child-cost.js'
import { CLI, spawnScript, writeEvents } from './child-scripts.js'
import { alternate, type Contender, digits, type GroupReport, median, type Plan, toRows } from './measure.js'

const LINES = 40_000
const QUICK_LINES = 10_000
const PODS = 600
const FROM_FILE = 'sallyport correlate --source file:, exec events alone'

/** The same exec events from a file, and from a server that speaks for the agent, in a process of its own. */
export async function measureStream(policy: string, folder: string, plan: Plan): Promise<GroupReport> {
  const path = join(folder, 'exec.log')
  const address = `unix://${join(folder, 'agent.sock')}`
  const lines = plan.isQuick ? QUICK_LINES : LINES
  await writeEvents(path, ['--events', String(2 * lines), '--pods', String(PODS)])
  const execs = readFileSync(path, 'utf8')
    .split('\n')
    .filter(line => line.startsWith('{"process_exec":'))
  await writeFile(path, execs.map(line => `${line}\n`).join(''))
  const agent = spawnScript('./agent-server.ts', [path, address])
  try {
    await once(agent.stdout, 'data')
    const contender = (name: string, source: readonly string[]): Contender<ChildCost> => ({
      name,
      baseline: FROM_FILE,
      slice: async () => {
        const state = join(folder, 'state')
        await rm(state, { recursive: true, force: true })
        const argv = [CLI, 'correlate', '--policy', policy, '--source', ...source, '--state', state]
        return costOf([process.execPath, ...argv], { isFollowing: true })
      },
    })
    const contenders = [
      contender(FROM_FILE, [`file:${path}`, '--from-start']),
      contender('sallyport correlate --source grpc:, the same events', [`grpc:${address}`]),
    ]
    const series = await alternate(contenders, plan)
    const eventsASecond = (costs: readonly ChildCost[]): string =>
      `${digits(median(costs.map(({ cpuMicros }) => (1e6 * execs.length) / cpuMicros)))} events/s`
    return {
      rows: toRows(series, ({ cpuMicros }) => cpuMicros, eventsASecond),
      notes: [`file: and grpc:, ${digits(execs.length)} exec events; who sends them is not in the figure`],
    }
  } finally {
    agent.kill()
  }
}
