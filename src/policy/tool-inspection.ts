/**
 * What one process gives away: unwrap, normalise, match, qualify, score.
 *
 * The costly part depends on binary and arguments alone and is remembered for short command lines; what the
 * circumstances add is asked only where that part found anything.
 */

import type { Command } from './command.js'
import { type CommandLine, readCommandLine } from './command-line.js'
import { originOf } from './exec-origin.js'
import { matchTool, type NameMatch, type ToolCatalogue } from './tool-catalogue.js'
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

/** Command lines whose answer is kept, and the longest of them in characters: some 10 MB at worst. */
const MEMO_SIZE = 8_192
const MEMO_LENGTH = 640
/** The last long ones, up to 128 Ki characters: some 4 MB at worst. */
const LONG_MEMO_SIZE = 32
const LONG_MEMO_LENGTH = 131_072

interface Analysis {
  readonly line: CommandLine
  readonly names: readonly NameCandidate[]
  readonly tells: readonly TellMatch[]
  readonly handlings: readonly Handling[]
  readonly origins: readonly FoundOrigin[]
}

/** By arguments, then by binary: two look-ups of strings that exist cost less than making one of both. */
interface ExecMemo {
  size: number
  readonly byArguments: Map<string, Map<string, Analysis | undefined>>
}

interface LongAnswer {
  readonly binary: string
  readonly args: string
  readonly analysis: Analysis | undefined
}

/** Answers by catalogue; a memory of a pure function, so that nothing can be seen of it but the time. */
const MEMOS = new WeakMap<ToolCatalogue, ExecMemo>()
const LONG_MEMOS = new WeakMap<ToolCatalogue, LongAnswer[]>()

/**
 * All that one process gives away, at most one sighting of a kind. Never throws; bounded time, whatever the strings
 * hold.
 */
export function inspectExec(catalogue: ToolCatalogue, facts: ExecFacts): readonly ExecSighting[] {
  const analysis = recall(catalogue, facts.binary, facts.arguments ?? '')
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

function recall(catalogue: ToolCatalogue, binary: string, args: string): Analysis | undefined {
  if (binary.length + args.length > MEMO_LENGTH) return recallLong(catalogue, binary, args)
  const memo = memoOf(catalogue)
  const known = memo.byArguments.get(args)
  const answer = known?.get(binary)
  if (answer !== undefined || known?.has(binary) === true) return answer
  const analysis = analyse(catalogue, binary, args)
  if (memo.size >= MEMO_SIZE) {
    memo.byArguments.clear()
    memo.size = 0
  }
  const sameArguments = memo.byArguments.get(args) ?? new Map<string, Analysis | undefined>()
  memo.byArguments.set(args, sameArguments.set(binary, analysis))
  memo.size += 1
  return analysis
}

/** A service with a long class path has the very same one at each start; comparing is far cheaper than hashing. */
function recallLong(catalogue: ToolCatalogue, binary: string, args: string): Analysis | undefined {
  if (binary.length + args.length > LONG_MEMO_LENGTH) return analyse(catalogue, binary, args)
  const memo = LONG_MEMOS.get(catalogue) ?? []
  LONG_MEMOS.set(catalogue, memo)
  const known = memo.find(each => each.args === args && each.binary === binary)
  if (known !== undefined) return known.analysis
  const analysis = analyse(catalogue, binary, args)
  memo.unshift({ binary, args, analysis })
  if (memo.length > LONG_MEMO_SIZE) memo.pop()
  return analysis
}

function memoOf(catalogue: ToolCatalogue): ExecMemo {
  const known = MEMOS.get(catalogue)
  if (known !== undefined) return known
  const memo: ExecMemo = { size: 0, byArguments: new Map() }
  MEMOS.set(catalogue, memo)
  return memo
}

function analyse(catalogue: ToolCatalogue, binary: string, args: string): Analysis | undefined {
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
  const isNothing = names.length + tells.length + handlings.length + origins.length === 0
  return isNothing ? undefined : { line, names, tells, handlings, origins }
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

/** A tell of one program's arguments speaks of that program; one that stands alone speaks of the tool that it names. */
function isAbout({ tell }: TellMatch, { tool }: NameMatch): boolean {
  return tell.tool === tool || (tell.commands !== undefined && !tell.isAlone)
}

/** The surest first; where they are equal, the outermost. */
function toolsOf(catalogue: ToolCatalogue, { names, tells }: Analysis, facts: ExecFacts): readonly ToolMatch[] {
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
