/** `sallyport explain --exec`: what a process really runs, step by step, and what of it is known. */

import { loadToolCatalogue } from '../adapters/tool-catalogue-file.js'
import { jsonLine } from '../correlator/json-line.js'
import {
  type Command,
  type CommandLine,
  type CompiledPolicy,
  type ExecSighting,
  escapeForeign,
  inspectExec,
  readCommandLine,
} from '../policy/index.js'

const MAX_SHOWN = 200

export interface ExecQuestion {
  readonly binary: string
  /** As Tetragon would write them: argv[1..] joined by blanks. */
  readonly arguments: string
}

export interface ExecAnswer {
  readonly text: string
  readonly isFound: boolean
}

/**
 * The very functions that the correlator calls, without the circumstances that only an event knows: the image, a probe,
 * the way into the container.
 */
export async function explainExec(
  policy: CompiledPolicy,
  question: ExecQuestion,
  format: 'text' | 'json',
): Promise<ExecAnswer> {
  const catalogue = await loadToolCatalogue(policy.runtime)
  const { binary, arguments: args } = question
  const line = readCommandLine(catalogue.rules.wrappers, binary, args)
  const sightings = inspectExec(catalogue, {
    binary,
    arguments: args === '' ? undefined : args,
    parentBinary: undefined,
    hardLinks: undefined,
    isExecProbe: false,
    isInInitTree: undefined,
    image: undefined,
  })
  const text =
    format === 'json' ? jsonOf(policy, question, line, sightings) : describe(policy, question, line, sightings)
  return { text, isFound: sightings.length > 0 }
}

function jsonOf(
  policy: CompiledPolicy,
  { binary, arguments: args }: ExecQuestion,
  { commands, isComplete }: CommandLine,
  findings: readonly ExecSighting[],
): string {
  const value = {
    binary,
    arguments: args,
    commands: commands.map(({ program, steps, isDoubtful }) => ({ program, steps, isDoubtful })),
    isComplete,
    findings,
    profile: policy.runtime.profile,
    policy: policy.name,
    revision: policy.revision,
  }
  return jsonLine(value)
}

function describe(
  policy: CompiledPolicy,
  { binary, arguments: args }: ExecQuestion,
  { commands, isComplete }: CommandLine,
  sightings: readonly ExecSighting[],
): string {
  const rows: (readonly [string, string])[] = commands.map(command => ['runs', describeStep(command)] as const)
  if (!isComplete) rows.push(['note', 'a limit was met: what lies beyond it was not looked at'])
  for (const sighting of sightings) rows.push(...describeSighting(sighting))
  if (sightings.length === 0) rows.push(['found', 'nothing'])
  rows.push(['policy', `${policy.name}, rev ${policy.revision} (tools: profile ${policy.runtime.profile})`])
  const lines = rows.map(([name, value]) => `  ${name.padEnd(14)}${escapeForeign(value, 512)}\n`)
  return `${escapeForeign(args === '' ? binary : `${binary} ${args}`, 300)}\n${lines.join('')}`
}

function describeStep({ program, steps, isDoubtful }: Command): string {
  const last = steps.at(-1)
  const shown = program.slice(0, MAX_SHOWN)
  if (last === undefined) return shown
  const part = last.part === '' ? last.kind : `${last.kind}.${last.part}`
  return `${shown}, by ${last.wrapper} (${part})${isDoubtful ? ', perhaps' : ''}`
}

function describeSighting({ kind, code, tool, matchedOn, confidence }: ExecSighting): [string, string][] {
  const rows: [string, string][] = [
    ['found', `${kind}/${code}, confidence ${confidence}`],
    ['matched on', matchedOn],
  ]
  if (tool === undefined) return rows
  const { category, attack, pattern, matchedName, steps, tells, alsoTools, because } = tool
  rows.push(['tool', `${tool.tool} (${[category, ...attack].join(', ')})`])
  rows.push(['name', `${matchedName} meets ${pattern}${steps.length === 0 ? '' : ` (without ${steps.join(', ')})`}`])
  if (tells.length > 0) rows.push(['arguments', tells.join(', ')])
  if (alsoTools.length > 0) rows.push(['also', alsoTools.join(', ')])
  for (const reason of because) rows.push(['because', reason])
  return rows
}
