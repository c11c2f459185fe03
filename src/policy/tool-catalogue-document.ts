/** The catalogue of offensive tools as its file holds it (policies/offensive-tools.json): shape, and what names may be. */

import * as z from 'zod'
import { countStars, MAX_STARS } from './glob.js'
import { type RuleSource, readRuleFile, ruleFileError } from './rule-file.js'
import { MAX_NAME_LENGTH } from './tool-name.js'

/** From the fewest findings to the most; each profile holds the one before. */
export const TOOL_PROFILES = ['quiet', 'default', 'strict'] as const
export type ToolProfile = (typeof TOOL_PROFILES)[number]

/** A glob with fewer letters would take whole families of innocent names with it. */
const FEWEST_LITERALS = 3
/** An ATT&CK technique's id. */
export const TECHNIQUE = /^T\d{4}(?:\.\d{3})?$/
/** Lower case, and nothing that a glob compiler could read as more than itself, but for `*`. */
const NAME_PATTERN = /^[a-z0-9._+*-]+$/

export interface CatalogueTool {
  /** Unique; what `runtime.tools.remove` and exceptions name. */
  readonly name: string
  /** The smallest profile that holds the tool. */
  readonly profile: ToolProfile
  readonly category: string
  /** ATT&CK technique ids. */
  readonly attack: readonly string[]
  /** Administrators run it as well. */
  readonly dualUse: boolean
  /** Vendors whose published detections list the tool. */
  readonly listedBy: readonly string[]
  /** Names of its program, in lower case; at most two `*` in each. */
  readonly patterns: readonly string[]
  /** Those patterns that say little alone (`nc`, `john`): they never count in the profile `quiet`. */
  readonly weak: readonly string[]
  /** Those weak patterns that count in the profile `strict` alone. */
  readonly strictOnly: readonly string[]
}

export interface ToolCatalogueDocument {
  readonly file: string
  readonly tools: readonly CatalogueTool[]
}

/**
 * Read a catalogue. An operator may ship one of their own, so it is judged like a policy.
 *
 * @throws KnownError POLICY_INVALID that names the file, the tool and the field; the first problem only.
 */
export function parseToolCatalogue(source: RuleSource): ToolCatalogueDocument {
  const { file } = source
  const document = readRuleFile(schemaOfCatalogue, source)
  const tools = document.tools.map(tool => ({ ...tool, weak: tool.weak ?? [], strictOnly: tool.strictOnly ?? [] }))
  if (source.isChecked !== true) checkTools(tools, file)
  return { file, tools }
}

/** Why a name pattern cannot be used, as half a sentence; undefined when it can. */
export function problemOfToolPattern(pattern: string): string | undefined {
  if (!NAME_PATTERN.test(pattern)) return 'holds a character other than a-z 0-9 . _ + - and *'
  const stars = countStars(pattern)
  if (stars > MAX_STARS) return `holds more than ${MAX_STARS} stars`
  if (stars > 0 && pattern.length - stars < FEWEST_LITERALS) return `names fewer than ${FEWEST_LITERALS} characters`
  return undefined
}

/** What the schema cannot say: each name and pattern once, patterns that are sound, and lists that hold each other. */
function checkTools(tools: readonly CatalogueTool[], file: string): void {
  const names = new Set<string>()
  const owners = new Map<string, string>()
  for (const entry of tools) {
    if (names.has(entry.name)) throw ruleFileError(file, entry.name, 'the tool stands here twice')
    names.add(entry.name)
    for (const pattern of entry.patterns) {
      const problem = problemOfToolPattern(pattern) ?? problemOfOwner(owners.get(pattern))
      if (problem !== undefined) throw ruleFileError(file, `${entry.name}: pattern ${JSON.stringify(pattern)}`, problem)
      owners.set(pattern, entry.name)
    }
    checkSubset(file, entry, 'weak', entry.weak, 'patterns', entry.patterns)
    checkSubset(file, entry, 'strictOnly', entry.strictOnly, 'weak', entry.weak)
  }
}

function schemaOfCatalogue() {
  const name = z.string().min(1).max(MAX_NAME_LENGTH)
  const tool = z.strictObject({
    name: z.string().min(1).max(100),
    profile: z.enum(TOOL_PROFILES),
    category: z.string().min(1).max(100),
    attack: z.array(z.string().regex(TECHNIQUE, 'is no ATT&CK technique id')),
    dualUse: z.boolean(),
    listedBy: z.array(z.string().min(1)),
    patterns: z.array(name).min(1),
    weak: z.array(name).optional(),
    strictOnly: z.array(name).optional(),
  })
  return z.strictObject({ version: z.literal(1), description: z.string(), tools: z.array(tool) })
}

function problemOfOwner(owner: string | undefined): string | undefined {
  return owner === undefined ? undefined : `already belongs to ${owner}`
}

function checkSubset(
  file: string,
  entry: CatalogueTool,
  field: string,
  part: readonly string[],
  wholeField: string,
  whole: readonly string[],
): void {
  const stray = part.find(pattern => !whole.includes(pattern))
  if (stray !== undefined) {
    throw ruleFileError(file, `${entry.name}: ${field}`, `${JSON.stringify(stray)} is not among its ${wholeField}`)
  }
}
