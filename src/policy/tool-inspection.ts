/** What one process gives away: unwrap, normalise, match, qualify, score. */

import type { Command } from './command.js'
import { type CommandLine, readCommandLine } from './command-line.js'
import { originOf } from './exec-origin.js'
import { matchTool, type NameMatch, type ToolCatalogue } from './tool-catalogue.js'
import type { Collisions } from './tool-collision.js'
import { findHandling, type Handling } from './tool-handling.js'
import { compareConfidence, type NameCandidate, scoreName, scoreTell } from './tool-score.js'
import {
  type ExecFacts,
  type ExecSighting,
  type FoundOrigin,
  strongest,
  type ToolMatch,
  toHandlingSighting,
  toNameMatch,
  toOriginSighting,
  toTellMatch,
} from './tool-sighting.js'
import { findTells, type TellMatch } from './tool-tell.js'

/** What binary and arguments alone say: the costly part, which circumstances do not change. */
export interface ExecAnalysis {
  readonly line: CommandLine
  readonly names: readonly NameCandidate[]
  readonly tells: readonly TellMatch[]
  readonly handlings: readonly Handling[]
  readonly origins: readonly FoundOrigin[]
  /** Whether the container's image plays a part in the judgement. */
  readonly isAboutImage: boolean
}

/**
 * All that one process gives away, at most one sighting of a kind. Never throws; bounded time, whatever the strings
 * hold.
 */
export function inspectExec(catalogue: ToolCatalogue, facts: ExecFacts): readonly ExecSighting[] {
  return judgeExec(catalogue, analyseExec(catalogue, facts.binary, facts.arguments ?? ''), facts)
}

/** Undefined: they say nothing. */
export function analyseExec(catalogue: ToolCatalogue, binary: string, args: string): ExecAnalysis | undefined {
  const { wrappers } = catalogue.rules
  const line = readCommandLine(wrappers, binary, args)
  const tells = args === '' ? [] : findTells(catalogue.tells, line, wrappers)
  const names: NameCandidate[] = []
  const handlings: Handling[] = []
  const origins: FoundOrigin[] = []
  for (const command of line.commands) {
    const candidate = candidateOf(catalogue, command, tells)
    if (candidate !== undefined) names.push(candidate)
    const handling = findHandling(catalogue, command)
    if (handling !== undefined && !handlings.some(({ kind }) => kind === handling.kind)) handlings.push(handling)
    const isRun = command.steps.length === 0 || command.source !== undefined || command.program.includes('/')
    const origin = isRun ? originOf(command.program) : undefined
    if (origin !== undefined) origins.push({ command, origin })
  }
  if (names.length + tells.length + handlings.length + origins.length === 0) return undefined
  return { line, names, tells, handlings, origins, isAboutImage: mayTellByImage(catalogue.rules.collisions, names) }
}

/** The circumstances added. @param analysis of the same binary and arguments. */
export function judgeExec(
  catalogue: ToolCatalogue,
  analysis: ExecAnalysis | undefined,
  facts: ExecFacts,
): readonly ExecSighting[] {
  if (analysis === undefined && facts.hardLinks !== 0) return []
  const tools = analysis === undefined ? [] : toolsOf(catalogue, analysis, facts)
  const origin = toOriginSighting(facts, analysis?.origins[0], tools)
  const sightings: ExecSighting[] = []
  const [first] = tools
  const isNamed = tools.some(({ matchedOn }) => matchedOn !== 'arg-tell')
  // A nameless program with a tool's arguments is one thing, not two.
  if (first !== undefined && (isNamed || origin === undefined)) {
    const { tool, matchedOn, confidence } = first
    sightings.push({ kind: 'offensive-tool', code: tool, tool: strongest(tools), matchedOn, confidence })
  }
  // A tool that has been named is worth more than the place that it came from.
  if (origin !== undefined && !isNamed) sightings.push(origin)
  return [...sightings, ...(analysis?.handlings ?? []).map(toHandlingSighting)]
}

function candidateOf(
  catalogue: ToolCatalogue,
  command: Command,
  tells: readonly TellMatch[],
): NameCandidate | undefined {
  for (const table of [catalogue, catalogue.beyond]) {
    for (const written of command.names) {
      const name = matchTool(table, written)
      if (name === undefined) continue
      const own = tells.filter(each => each.command === command && isAbout(each, name))
      return { command, name, isBeyond: table !== catalogue, tells: own }
    }
  }
  return undefined
}

function mayTellByImage(collisions: Collisions, names: readonly NameCandidate[]): boolean {
  return names.some(({ name }) => collisions.get(name.matchedName)?.innocent.some(({ images }) => images.length > 0))
}

/** A tell of one program's arguments speaks of that program; one that stands alone speaks of the tool that it names. */
function isAbout({ tell }: TellMatch, { tool }: NameMatch): boolean {
  return tell.tool === tool || (tell.commands !== undefined && !tell.isAlone)
}

/** The surest first; where they are equal, the outermost. */
function toolsOf(catalogue: ToolCatalogue, { names, tells }: ExecAnalysis, facts: ExecFacts): readonly ToolMatch[] {
  const found: ToolMatch[] = []
  for (const candidate of names) {
    const score = scoreName(catalogue, candidate, facts)
    if (score === undefined) continue
    found.push(toNameMatch(candidate, score))
  }
  for (const match of tells) {
    const { tell } = match
    if (!tell.isAlone || found.some(({ tool }) => tool === tell.tool)) continue
    found.push(toTellMatch(match, catalogue.tools.get(tell.tool)?.category, scoreTell(match, facts)))
  }
  return found.toSorted((one, other) => compareConfidence(other.confidence, one.confidence))
}
