/** Which offensive tool a program's name stands for, under the policy's profile, additions and removals. */

import { KnownError } from '../errors.js'
import { compileGlob, type GlobMatcher } from './glob.js'
import { ownText } from './own-text.js'
import type { RuntimeTools } from './policy-draft.js'
import { nearestWord, type Origin } from './policy-problem.js'
import {
  type CatalogueTool,
  problemOfToolPattern,
  TOOL_PROFILES,
  type ToolCatalogueDocument,
  type ToolProfile,
} from './tool-catalogue-document.js'
import { basename, MAX_NAME_LENGTH, type NameVariant, nameVariants, plainName } from './tool-name.js'
import { NO_RULES, type ToolRules } from './tool-rules.js'
import { indexTells, type TellIndex } from './tool-tell.js'

/** Programs whose answer is kept. A cluster runs some hundreds of different ones; a hostile pod can make up more. */
const MEMO_SIZE = 4_096
/** Longer paths are judged anew each time, so that the memo's memory is bounded. */
const MEMO_PATH_LENGTH = 512

export type Confidence = 'high' | 'medium' | 'low'

/** What a bare name says. The evidence is complete: `steps` lead from the name as it came to `matchedName`. */
export interface NameMatch {
  readonly tool: string
  readonly category: string
  /** ATT&CK technique ids; may be empty. */
  readonly attack: readonly string[]
  /** Administrators run it as well. */
  readonly dualUse: boolean
  /** The name says little alone; wants a second signal. */
  readonly isWeak: boolean
  /** The smallest profile in which the name counts alone. */
  readonly profile: ToolProfile
  /** As the catalogue or the policy writes it. */
  readonly pattern: string
  /** The form of the name that met the pattern. */
  readonly matchedName: string
  /** `lower-case`, `extension .sh`, `version -7.94`, `architecture 64`, `marks`, `deleted`, `invisible characters`, `look-alike letters`. */
  readonly steps: readonly string[]
  /**
   * `low`: a weak name. `medium`: completed by a wildcard, or made to look like another one, or a
   * tool that only the strict profile lists. `high`: the rest. The arguments may change it later.
   */
  readonly confidence: Confidence
}

/** Names and what they stand for; whole ones and those with a wildcard. */
export interface NameTable {
  readonly exact: ReadonlyMap<string, ToolName>
  readonly globs: readonly ToolGlob[]
  /** Answers by path; a memory of a pure function, so that nothing can be seen of it but the time. */
  readonly memo: Map<string, NameMatch | undefined>
}

/** Made by `compileToolCatalogue`, read by `matchTool`, `matchName` and `inspectExec`; of no use to others. */
export interface ToolCatalogue extends NameTable {
  /**
   * Names that count alone only in a stricter profile, and here with a second signal beside them. Empty in the profile
   * `quiet`, which wants no such guesses.
   */
  readonly beyond: NameTable
  /** The catalogue's tools by name, the removed ones left out. */
  readonly tools: ReadonlyMap<string, CatalogueTool>
  readonly rules: ToolRules
  /** The rules' tells, those that the profile holds. */
  readonly tells: TellIndex
}

export interface ToolName {
  readonly tool: CatalogueTool
  readonly pattern: string
  readonly isWeak: boolean
}

export interface ToolGlob extends ToolName {
  readonly matches: GlobMatcher
}

/**
 * The catalogue as one policy sees it. `remove` takes tools out of the catalogue, then `add` puts the policy's own in:
 * so a tool that is removed and added again is replaced. An added tool counts in every profile, and its pattern wins
 * over the catalogue's.
 *
 * @throws KnownError POLICY_INVALID: an unknown name to remove, an added tool whose name is taken, a bad pattern.
 */
export function compileToolCatalogue(
  document: ToolCatalogueDocument,
  runtime: RuntimeTools,
  rules: ToolRules = NO_RULES,
): ToolCatalogue {
  const removed = new Set(runtime.remove)
  checkRemoved(document, rules, runtime)
  const kept = document.tools.filter(tool => !removed.has(tool.name))
  const added = addedTools(runtime, kept)
  const counting = newTable()
  const beyond = newTable()
  for (const tool of added) {
    for (const pattern of tool.patterns) addPattern({ tool, pattern, isWeak: false }, counting)
  }
  const level = TOOL_PROFILES.indexOf(runtime.profile)
  for (const tool of kept) {
    for (const pattern of tool.patterns) {
      if (counting.exact.has(pattern)) continue
      const table = levelOf(tool, pattern) > level ? beyond : counting
      addPattern({ tool, pattern, isWeak: tool.weak.includes(pattern) }, table)
    }
  }
  const tells = rules.tells.filter(tell => !removed.has(tell.tool) && TOOL_PROFILES.indexOf(tell.profile) <= level)
  return {
    ...counting,
    beyond: runtime.profile === 'quiet' ? newTable() : beyond,
    tools: new Map([...kept, ...added].map(tool => [tool.name, tool])),
    rules,
    tells: indexTells(tells),
  }
}

/**
 * The tool that a process is by the name of its binary.
 *
 * @param binary the path as Tetragon gives it: never resolved, never cleaned. Bounded time, whatever it holds.
 */
export function matchTool(table: NameTable, binary: string): NameMatch | undefined {
  if (binary.length > MEMO_PATH_LENGTH) return matchName(table, basename(binary))
  const { memo } = table
  const known = memo.get(binary)
  if (known !== undefined || memo.has(binary)) return known
  const own = ownText(binary)
  const match = matchName(table, basename(own))
  if (memo.size >= MEMO_SIZE) memo.clear()
  memo.set(own, match)
  return match
}

/** The tool that a bare name stands for: a script, an applet or the word of a command line, without its directory. */
export function matchName(table: NameTable, name: string): NameMatch | undefined {
  const plain = plainName(name)
  if (plain === undefined) return undefined
  const variants = nameVariants(plain)
  // Whole names first, in every form: `impacket-psexec.py` is impacket's psexec, not merely something of `impacket-*`.
  for (const variant of variants) {
    const found = table.exact.get(variant.name)
    if (found !== undefined) return matchOf(found, variant, plain.isDisguised)
  }
  for (const variant of variants) {
    const found = table.globs.find(glob => glob.matches(variant.name))
    if (found !== undefined) return matchOf(found, variant, plain.isDisguised)
  }
  return undefined
}

function checkRemoved(document: ToolCatalogueDocument, { tells }: ToolRules, { remove, origins }: RuntimeTools): void {
  const names = new Set([...document.tools.map(({ name }) => name), ...tells.map(({ tool }) => tool)])
  for (const [at, name] of remove.entries()) {
    if (names.has(name)) continue
    const near = nearestWord(name.slice(0, MAX_NAME_LENGTH), names)
    const hint = near === undefined ? '' : ` (did you mean ${JSON.stringify(near)}?)`
    throw invalid('remove', `the catalogue has no tool ${JSON.stringify(name)}${hint}`, origins?.remove[at])
  }
}

function addedTools(runtime: RuntimeTools, kept: readonly CatalogueTool[]): readonly CatalogueTool[] {
  const taken = new Set(kept.map(tool => tool.name))
  return runtime.add.map(({ name, patterns, category, attack = [] }, at) => {
    const origin = runtime.origins?.add[at]
    if (taken.has(name))
      throw invalid('add', `the tool ${JSON.stringify(name)} exists; remove it to replace it`, origin)
    taken.add(name)
    const lower = patterns.map(pattern => pattern.toLowerCase())
    for (const pattern of lower) {
      const problem = problemOfToolPattern(pattern)
      if (problem !== undefined) throw invalid('add', `${name}: pattern ${JSON.stringify(pattern)} ${problem}`, origin)
    }
    return {
      name,
      profile: 'quiet',
      category,
      attack,
      dualUse: false,
      listedBy: [],
      patterns: lower,
      weak: [],
      strictOnly: [],
    }
  })
}

function newTable(): { exact: Map<string, ToolName>; globs: ToolGlob[]; memo: NameTable['memo'] } {
  return { exact: new Map(), globs: [], memo: new Map() }
}

function addPattern(entry: ToolName, { exact, globs }: ReturnType<typeof newTable>): void {
  if (entry.pattern.includes('*')) globs.push({ ...entry, matches: compileGlob(entry.pattern) })
  else exact.set(entry.pattern, entry)
}

/** The first profile, by its index, in which a pattern counts. */
function levelOf(tool: CatalogueTool, pattern: string): number {
  if (tool.strictOnly.includes(pattern)) return TOOL_PROFILES.indexOf('strict')
  const level = TOOL_PROFILES.indexOf(tool.profile)
  return tool.weak.includes(pattern) ? Math.max(level, TOOL_PROFILES.indexOf('default')) : level
}

function matchOf(found: ToolName, variant: NameVariant, isDisguised: boolean): NameMatch {
  const { tool, pattern, isWeak } = found
  const { name, category, attack, dualUse } = tool
  const isDoubtful = isDisguised || pattern.includes('*') || tool.profile === 'strict'
  const confidence = isWeak ? 'low' : isDoubtful ? 'medium' : 'high'
  return {
    tool: name,
    category,
    attack,
    dualUse,
    isWeak,
    profile: TOOL_PROFILES[levelOf(tool, pattern)] ?? 'strict',
    pattern,
    matchedName: variant.name,
    steps: variant.steps,
    confidence,
  }
}

function invalid(field: string, problem: string, origin: Origin | undefined): KnownError {
  const place = origin === undefined ? '' : `${origin.file}:${origin.line}:${origin.column}: `
  return new KnownError('POLICY_INVALID', `${place}spec.runtime.tools.${field}: ${problem}`)
}
