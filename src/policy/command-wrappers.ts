/** Programs that run another program (policies/command-wrappers.json): what the file may hold, and how it is looked up. */

import * as z from 'zod'
import type { CodeDialect } from './command-code.js'
import { type RuleSource, readRuleFile } from './rule-file.js'
import { plainName } from './tool-name.js'

const MAX_NAME_LENGTH = 64

export type WrapperKind = 'shell' | 'interpreter' | 'launcher' | 'pkg-runner' | 'multicall'

/** How one wrapper's arguments are read. */
export interface Wrapper {
  readonly kind: WrapperKind
  /** Options whose value is the next word. */
  readonly values: ReadonlySet<string>
  /** One or two words that must stand in front of the command; an interpreter's may be missing. */
  readonly subcommands: readonly string[]
  /** Words between the options and the command: a duration, a user, a lock file. */
  readonly positionals: number
  /** `NAME=value` may stand among the options. */
  readonly hasAssignments: boolean
  /** Only its options run anything … */
  readonly hasNoCommand: boolean
  /** … unless one of these stands there too. */
  readonly commandWith: ReadonlySet<string>
  /** With one of these it only asks about the command, and runs nothing. */
  readonly questions: ReadonlySet<string>
  /** All that stands behind its options is one text for a shell. */
  readonly isShellText: boolean
  /** Options whose value is a text for a shell, wherever they stand. */
  readonly shellText: ReadonlySet<string>
  /** Words that the command follows, wherever they stand. */
  readonly after: ReadonlySet<string>
  /** Options whose value is a package that is fetched, too. */
  readonly packages: ReadonlySet<string>
  /** Options whose value is a script's path, a module's name, or code. */
  readonly script: ReadonlySet<string>
  readonly module: ReadonlySet<string>
  readonly code: ReadonlySet<string>
  /** The first word that is no option is code. */
  readonly isCode: boolean
  readonly dialect: CodeDialect
  /** A text for a shell follows these within a word; with `^` in front, at its beginning. */
  readonly behind: readonly string[]
  /** PowerShell: `-EncodedCommand` takes a text in base64. */
  readonly isEncoded: boolean
}

type EntryDocument = z.infer<ReturnType<typeof schemaOfWrappers>>['launchers'][number]

type NameTable<Value> = {
  readonly exact: ReadonlyMap<string, Value>
  readonly prefixes: readonly (readonly [string, Value])[]
}

/** What is known of programs that handle other programs. */
export interface CommandWrappers {
  readonly runners: NameTable<Wrapper>
  readonly installers: NameTable<Wrapper>
  /** Packages that are called otherwise than the program they hold. */
  readonly packageNames: ReadonlyMap<string, string>
  readonly downloaders: ReadonlySet<string>
  readonly lookups: ReadonlySet<string>
  /** Their arguments are text or files, and never run. */
  readonly inert: ReadonlySet<string>
}

/** @throws KnownError POLICY_INVALID that names the file and the field; the first problem only. */
export function compileCommandWrappers(source: RuleSource): CommandWrappers {
  const parsed = readRuleFile(schemaOfWrappers, source)
  const { shells, interpreters, launchers, packageRunners, multicall, installers, ...rest } = parsed
  return {
    runners: tableOf([
      ...launchers.flatMap(each => wrappersOf(each, 'launcher')),
      ...interpreters.flatMap(each => wrappersOf(each, 'interpreter')),
      ...packageRunners.flatMap(each => wrappersOf(each, 'pkg-runner')),
      ...shells.flatMap(each => wrappersOf(each, 'shell')),
      ...wrappersOf({ names: multicall, values: [] }, 'multicall'),
    ]),
    installers: tableOf(installers.flatMap(each => wrappersOf(each, 'launcher'))),
    packageNames: new Map(Object.entries(rest.packageNames)),
    downloaders: new Set(rest.downloaders),
    lookups: new Set(rest.lookups),
    inert: new Set(rest.inert),
  }
}

/** Nothing is known: every program stands for itself. */
export const NO_WRAPPERS: CommandWrappers = {
  runners: tableOf<Wrapper>([]),
  installers: tableOf<Wrapper>([]),
  packageNames: new Map(),
  downloaders: new Set(),
  lookups: new Set(),
  inert: new Set(),
}

/** The wrapper that a program is. @param written its name, as it came. */
export function runnerOf({ runners }: CommandWrappers, written: string): Wrapper | undefined {
  const plain = plainName(written)
  return plain && findByName(runners, plain.name)
}

/** @param plain a program's name in lower case; `python3.12` is also `python`. */
export function findByName<Value>(table: NameTable<Value>, plain: string): Value | undefined {
  if (plain.length > MAX_NAME_LENGTH) return undefined
  const found = table.exact.get(plain)
  if (found !== undefined) return found
  const stem = withoutVersion(plain)
  if (stem !== plain && table.exact.has(stem)) return table.exact.get(stem)
  return table.prefixes.find(([prefix]) => plain.startsWith(prefix))?.[1]
}

/** Without the digits and dots at its end, and the `-` in front of them. */
export function withoutVersion(plain: string): string {
  let end = plain.length
  while (end > 0 && '0123456789.'.includes(plain[end - 1] ?? '')) end -= 1
  if (end < plain.length && plain[end - 1] === '-') end -= 1
  return plain.slice(0, end)
}

function schemaOfWrappers() {
  const word = z.string().min(1).max(MAX_NAME_LENGTH)
  /** Lower case; a `*` only at the end. */
  const name = z
    .string()
    .max(MAX_NAME_LENGTH)
    .regex(/^[a-z0-9[][a-z0-9._+[-]*\*?$/, 'is no name of a program')
  const words = z.array(word)
  const entry = z.strictObject({
    names: z.array(name).min(1),
    values: words,
    subcommands: words.optional(),
    positionals: z.int().min(1).max(4).optional(),
    assignments: z.boolean().optional(),
    noCommand: z.boolean().optional(),
    commandWith: words.optional(),
    questions: words.optional(),
    isShellText: z.boolean().optional(),
    shellText: words.optional(),
    after: words.optional(),
    script: words.optional(),
    packages: words.optional(),
    module: words.optional(),
    code: words.optional(),
    isCode: z.boolean().optional(),
    backticks: z.boolean().optional(),
    bareCalls: z.boolean().optional(),
    behind: words.optional(),
    encoded: z.boolean().optional(),
  })
  return z.strictObject({
    version: z.literal(1),
    description: z.string(),
    shells: z.array(entry),
    interpreters: z.array(entry),
    launchers: z.array(entry),
    packageRunners: z.array(entry),
    multicall: z.array(name),
    installers: z.array(entry),
    packageNames: z.record(z.string(), word),
    downloaders: z.array(name),
    lookups: z.array(name),
    inert: z.array(name),
  })
}

function tableOf<Value>(entries: readonly (readonly [string, Value])[]): NameTable<Value> {
  return {
    exact: new Map(entries.filter(([key]) => !key.endsWith('*'))),
    prefixes: entries.filter(([key]) => key.endsWith('*')).map(([key, value]) => [key.slice(0, -1), value]),
  }
}

function wrappersOf(each: EntryDocument, kind: WrapperKind): readonly (readonly [string, Wrapper])[] {
  const wrapper: Wrapper = {
    kind,
    values: new Set(each.values),
    subcommands: each.subcommands ?? [],
    positionals: each.positionals ?? 0,
    hasAssignments: each.assignments ?? false,
    hasNoCommand: each.noCommand ?? false,
    commandWith: new Set(each.commandWith),
    questions: new Set(each.questions),
    isShellText: each.isShellText ?? false,
    shellText: new Set(each.shellText),
    after: new Set(each.after),
    packages: new Set(each.packages),
    script: new Set(each.script),
    module: new Set(each.module),
    code: new Set(each.code),
    isCode: each.isCode ?? false,
    dialect: { hasBackticks: each.backticks ?? false, isBare: each.bareCalls ?? false },
    behind: each.behind ?? [],
    isEncoded: each.encoded ?? false,
  }
  return each.names.map(key => [key, wrapper])
}
