/** Argument tells (policies/argument-tells.json): what a tool is told to do betrays it under any name. */

import * as z from 'zod'
import type { Command } from './command.js'
import type { CommandLine } from './command-line.js'
import { type CommandWrappers, withoutVersion } from './command-wrappers.js'
import { type RuleSource, readRuleFile } from './rule-file.js'
import { TOOL_PROFILES, type ToolProfile } from './tool-catalogue-document.js'
import { compileExpression, MAX_TEXT, schemaOfExpression } from './tool-expression.js'

/** Where the system keeps its programs: an `ls` from elsewhere is not taken for one that only handles text. */
const SYSTEM_PATH = /^(?:\/(?:usr\/(?:local\/)?)?s?bin\/)?[^/]*$/

export interface Tell {
  readonly id: string
  /** The tool of the catalogue, or a technique that no single tool stands for. */
  readonly tool: string
  readonly profile: ToolProfile
  readonly attack: readonly string[]
  /** Betrays a program whatever its name. */
  readonly isAlone: boolean
  /** Makes a weak or dual-use name certain. */
  readonly isProof: boolean
  /** The text of a shell is looked at as a whole: what betrays it may be spread over a pipeline. */
  readonly isForScripts: boolean
  /** Programs that only handle text are looked at too. */
  readonly isForInert: boolean
  /** In the arguments of these programs only; undefined: of any. */
  readonly commands: ReadonlySet<string> | undefined
  readonly except: ReadonlySet<string>
  readonly literals: readonly string[]
  readonly all: readonly RegExp[]
  readonly not: readonly RegExp[]
}

export interface TellMatch {
  readonly tell: Tell
  readonly command: Command
}

/** @throws KnownError POLICY_INVALID that names the file, the tell and the field; the first problem only. */
export function compileTells(source: RuleSource): readonly Tell[] {
  const parsed = readRuleFile(schemaOfTells, source)
  return parsed.tells.map(each => ({
    id: each.id,
    tool: each.tool,
    profile: each.profile,
    attack: each.attack,
    isAlone: each.alone ?? false,
    isProof: each.proof ?? false,
    isForScripts: each.script ?? false,
    isForInert: each.inert ?? false,
    commands: each.commands === undefined ? undefined : new Set(each.commands),
    except: new Set(each.except),
    literals: each.literals,
    all: each.all.map(compileExpression),
    not: (each.not ?? []).map(compileExpression),
  }))
}

/** Whether a text holds all that a tell asks for. Time in proportion to the text, of which 64 KiB are looked at. */
export function isTold(tell: Tell, text: string): boolean {
  const seen = text.length > MAX_TEXT ? text.slice(0, MAX_TEXT) : text
  return (
    tell.literals.some(literal => seen.includes(literal)) &&
    tell.all.every(each => each.test(seen)) &&
    !tell.not.some(each => each.test(seen))
  )
}

/** Tells in the order in which they are asked. */
export interface TellIndex {
  readonly ofAny: readonly Tell[]
  readonly ofScripts: readonly Tell[]
  /** By the program that they are about. */
  readonly byCommand: ReadonlyMap<string, readonly Tell[]>
  /** Finds any literal of `ofAny`: nearly every text holds none, and is done with. */
  readonly quick: RegExp
  readonly quickScripts: RegExp
}

export function indexTells(tells: readonly Tell[]): TellIndex {
  const ofAny = tells.filter(({ commands }) => commands === undefined)
  const ofScripts = tells.filter(({ isForScripts }) => isForScripts)
  const byCommand = new Map<string, Tell[]>()
  for (const tell of tells) {
    for (const name of tell.commands ?? []) byCommand.set(name, [...(byCommand.get(name) ?? []), tell])
  }
  return { ofAny, ofScripts, byCommand, quick: anyLiteral(ofAny), quickScripts: anyLiteral(ofScripts) }
}

/** All that the arguments of a process and of what it runs give away. */
export function findTells(index: TellIndex, line: CommandLine, wrappers: CommandWrappers): readonly TellMatch[] {
  const found: TellMatch[] = []
  for (const command of line.commands) {
    for (const tell of askedOf(index, command, line, wrappers)) {
      if (isTold(tell, command.text)) found.push({ tell, command })
    }
  }
  for (const { text, command } of line.shellTexts) {
    if (!index.quickScripts.test(text)) continue
    for (const tell of index.ofScripts) {
      if (!found.some(match => match.tell === tell) && isTold(tell, text)) found.push({ tell, command })
    }
  }
  return found
}

/** Those that are asked of one program alone. @param name in lower case. */
export function tellsAbout({ byCommand }: TellIndex, name: string): readonly Tell[] {
  return byCommand.get(name) ?? byCommand.get(withoutVersion(name)) ?? []
}

/** Whether a text, or any part of it, may be one by which any program is told. */
export function mayTell({ quick }: TellIndex, text: string): boolean {
  return quick.test(text)
}

function schemaOfTells() {
  const expression = schemaOfExpression()
  const strings = z.array(z.string().min(1).max(100))
  const tell = z.strictObject({
    id: z.string().regex(/^[a-z0-9]+(?:[.-][a-z0-9]+)*$/),
    tool: z.string().min(1).max(100),
    profile: z.enum(TOOL_PROFILES),
    attack: z.array(z.string().regex(/^T\d{4}(?:\.\d{3})?$/)),
    sources: strings,
    alone: z.boolean().optional(),
    proof: z.boolean().optional(),
    script: z.boolean().optional(),
    inert: z.boolean().optional(),
    commands: strings.optional(),
    except: strings.optional(),
    literals: strings.min(1),
    all: z.array(expression).min(1),
    not: z.array(expression).optional(),
  })
  return z.strictObject({ version: z.literal(1), description: z.string(), tells: z.array(tell) })
}

function askedOf(index: TellIndex, command: Command, line: CommandLine, { inert }: CommandWrappers): readonly Tell[] {
  if (command.text === '') return []
  const name = (command.names[0] ?? '').toLowerCase()
  const own = tellsAbout(index, name)
  if (!line.leaves.has(command) || !mayTell(index, command.text)) return own
  const isInert = inert.has(name) && SYSTEM_PATH.test(command.program)
  return [...own, ...index.ofAny.filter(tell => (!isInert || tell.isForInert) && !tell.except.has(name))]
}

function anyLiteral(tells: readonly Tell[]): RegExp {
  const literals = new Set(tells.flatMap(tell => tell.literals))
  // Nothing at all is found by an expression without alternatives.
  if (literals.size === 0) return /(?!)/
  return new RegExp([...literals].map(literal => literal.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|'))
}
