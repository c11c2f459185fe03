/** Child process of the bench: runs one group, so that none inherits another's heap, or what it made the engine do. */

import type { Group, GroupReport } from './measure.js'

export interface GroupOrder {
  readonly group: string
  readonly isQuick: boolean
  readonly cycles: number
}

/** Loaded only when asked for. */
const GROUPS: ReadonlyMap<string, () => Promise<Group>> = new Map([
  ['policy', async () => (await import('./policy.js')).measurePolicy],
  ['hostile', async () => (await import('./hostile.js')).measureHostile],
  ['exec', async () => (await import('./exec.js')).measureExec],
  ['admission', async () => (await import('./admission.js')).measureAdmission],
  ['journal', async () => (await import('./journal.js')).measureJournal],
  ['replay', async () => (await import('./replay.js')).measureReplay],
])

process.on('message', async (order: GroupOrder) => {
  process.send?.(await run(order))
})

async function run({ group, isQuick, cycles }: GroupOrder): Promise<GroupReport> {
  const measure = await GROUPS.get(group)?.()
  if (measure === undefined) throw new Error(`there is no group ${group}`)
  return measure({ isQuick, cycles, progress: words => process.stderr.write(`${group}: ${words}\n`) })
}
