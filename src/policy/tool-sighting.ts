/** What is said of one process: the evidence of each match, complete, in the words of the findings. */

import type { Command } from './command.js'
import { cutRunes } from './escape-foreign.js'
import { type ExecOrigin, isRuntimeInit } from './exec-origin.js'
import type { Confidence, NameMatch } from './tool-catalogue.js'
import type { Handling } from './tool-handling.js'
import { basename } from './tool-name.js'
import type { ExecCircumstances, NameCandidate, Score } from './tool-score.js'
import type { TellMatch } from './tool-tell.js'

const MAX_SHOWN = 200
/** Category of a tell that no tool of the catalogue stands for. */
const TECHNIQUE = 'technique'

/** One exec, as far as a tool can be told from it. */
export interface ExecFacts extends ExecCircumstances {
  readonly binary: string
  /** Tetragon's text of argv[1..]; undefined when there are none, or they were lost. */
  readonly arguments: string | undefined
  readonly parentBinary: string | undefined
  /** How many names the file has; 0: it was deleted, or never had one. Undefined: not known. */
  readonly hardLinks: number | undefined
}

/** A tool, and all that led to it. Text is as it came in, cut to a bound. */
export interface ToolMatch extends NameMatch {
  /**
   * The steps and the part that gave it away: `binary.basename`, `shell.command`, `launcher>interpreter.script`,
   * `pkg-runner`, `multicall.applet`, `arg-tell`, `binary.basename+arg-tell`, `path+arg-tell`, `argument`.
   */
  readonly matchedOn: string
  /** The program that was matched, as written. */
  readonly command: string
  /** The wrappers that were taken off, from the process on: `env (launcher)`. */
  readonly unwrapped: readonly string[]
  /** Argument tells that speak of it. */
  readonly tells: readonly string[]
  /** What else the same process gave away. */
  readonly alsoTools: readonly string[]
  /** Whole sentences: what made it surer or less sure. */
  readonly because: readonly string[]
}

export type SightingKind =
  | 'offensive-tool'
  | 'fileless-exec'
  | 'unlinked-exec'
  | 'tool-install'
  | 'tool-staging'
  | 'tool-enumeration'

export interface ExecSighting {
  readonly kind: SightingKind
  /** The tool's name, or where the program came from. */
  readonly code: string
  readonly tool: ToolMatch | undefined
  readonly matchedOn: string
  readonly confidence: Confidence
}

export interface FoundOrigin {
  readonly command: Command
  readonly origin: ExecOrigin
}

/** A name, with what the score made of it. */
export function toNameMatch({ command, name, tells }: NameCandidate, score: Score): ToolMatch {
  const { confidence, because, needsTell } = score
  const ids = tells.map(({ tell }) => tell.id)
  const matchedOn = `${wordOf(command)}${needsTell ? '+arg-tell' : ''}`
  return { ...name, confidence, matchedOn, ...evidenceOf(command, ids, because) }
}

/** Arguments that speak of a tool, under a name that does not. @param category of the tool, when the catalogue has it. */
export function toTellMatch(
  { tell, command }: TellMatch,
  category: string | undefined,
  confidence: Confidence,
): ToolMatch {
  return {
    tool: tell.tool,
    category: category ?? TECHNIQUE,
    attack: tell.attack,
    dualUse: false,
    isWeak: false,
    profile: tell.profile,
    pattern: tell.id,
    matchedName: basename(command.program).slice(0, MAX_SHOWN),
    steps: [],
    confidence,
    matchedOn: 'arg-tell',
    ...evidenceOf(command, [tell.id], ['only its arguments tell: the program may be a renamed tool']),
  }
}

/** The first, with the others' names. */
export function strongest([first, ...rest]: readonly ToolMatch[]): ToolMatch | undefined {
  return (
    first && { ...first, alsoTools: [...new Set(rest.map(({ tool }) => tool))].filter(tool => tool !== first.tool) }
  )
}

/** Where a program came from, when that is worth a word; `tools` may hold what its arguments tell. */
export function toOriginSighting(
  facts: ExecFacts,
  found: FoundOrigin | undefined,
  tools: readonly ToolMatch[],
): ExecSighting | undefined {
  const { hardLinks, parentBinary } = facts
  if (found === undefined && hardLinks !== 0) return undefined
  const parent = parentBinary === undefined ? undefined : basename(parentBinary)
  if (isRuntimeInit(facts.arguments ?? '', parent)) return undefined
  const told = tools.find(({ matchedOn }) => matchedOn === 'arg-tell')
  const tool = told && { ...told, matchedOn: 'path+arg-tell', confidence: 'high' as const }
  const origin = found?.origin ?? 'deleted'
  return {
    kind: origin === 'deleted' ? 'unlinked-exec' : 'fileless-exec',
    code: origin,
    tool,
    matchedOn: tool?.matchedOn ?? placeOf(found),
    confidence: sureness(found, hardLinks === 0 || tool !== undefined),
  }
}

/** A tool that is fetched, installed or looked for. */
export function toHandlingSighting({ kind, tools, command }: Handling): ExecSighting {
  const [first] = tools
  const confidence = command.isDoubtful || kind === 'tool-enumeration' ? 'low' : 'medium'
  const tool: ToolMatch | undefined = first && {
    ...first,
    confidence,
    matchedOn: 'argument',
    ...evidenceOf(command, [], []),
    alsoTools: tools.slice(1).map(each => each.tool),
  }
  return { kind, code: first?.tool ?? '', tool, matchedOn: 'argument', confidence }
}

function placeOf(found: FoundOrigin | undefined): string {
  if (found === undefined) return 'binary_properties'
  return found.command.steps.length === 0 ? 'path' : wordOf(found.command)
}

/** `bash <(…)` reads an open file too: a script is no proof. */
function sureness(found: FoundOrigin | undefined, isConfirmed: boolean): Confidence {
  if (found !== undefined && found.command.steps.length > 0) return 'low'
  return isConfirmed || found?.origin === 'memfd' ? 'high' : 'medium'
}

function evidenceOf(command: Command, tells: readonly string[], because: readonly string[]) {
  return {
    command: cutRunes(command.program.slice(0, 2 * MAX_SHOWN), MAX_SHOWN),
    unwrapped: command.steps.map(({ wrapper, kind }) => `${wrapper} (${kind})`),
    tells,
    alsoTools: [],
    because,
  }
}

/** `launcher>interpreter.script`: what was taken off, and the part that was left. */
function wordOf({ steps }: Command): string {
  const last = steps.at(-1)
  if (last === undefined) return 'binary.basename'
  const word = last.part === '' ? last.kind : `${last.kind}.${last.part}`
  // A script that is itself a wrapper only names that wrapper: `node npx x` is `npx x`.
  const outer = steps.slice(0, -1).filter(({ part }) => part !== 'script' && part !== 'module')
  const kinds = outer.map(({ kind }) => kind).filter((kind, at, all) => kind !== (all[at + 1] ?? last.kind))
  return [...kinds, word].join('>')
}
