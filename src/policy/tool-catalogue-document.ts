/** The catalogue of offensive tools as its file holds it (policies/offensive-tools.json): shape, and what names may be. */

import { z } from 'zod'
import { KnownError } from '../errors.js'
import { CHECKED_ONCE } from './checked-once.js'
import { countStars, MAX_STARS } from './glob.js'
import { MAX_NAME_LENGTH } from './tool-name.js'

/** From the fewest findings to the most; each profile holds the one before. */
export const TOOL_PROFILES = ['quiet', 'default', 'strict'] as const
export type ToolProfile = (typeof TOOL_PROFILES)[number]

/** A glob with fewer letters would take whole families of innocent names with it. */
const FEWEST_LITERALS = 3
/** Lower case, and nothing that a glob compiler could read as more than itself, but for `*`. */
const NAME_PATTERN = /^[a-z0-9._+*-]+$/

const name = z.string().min(1).max(MAX_NAME_LENGTH)
const tool = z.strictObject({
  name: z.string().min(1).max(100),
  profile: z.enum(TOOL_PROFILES),
  category: z.string().min(1).max(100),
  attack: z.array(z.string().regex(/^T\d{4}(?:\.\d{3})?$/, 'is no ATT&CK technique id')),
  dualUse: z.boolean(),
  listedBy: z.array(z.string().min(1)),
  patterns: z.array(name).min(1),
  weak: z.array(name).optional(),
  strictOnly: z.array(name).optional(),
})
const catalogue = z.strictObject({ version: z.literal(1), description: z.string(), tools: z.array(tool) })

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
 * @param data the decoded JSON.
 * @param file its name, for messages.
 * @throws KnownError POLICY_INVALID that names the file, the tool and the field; the first problem only.
 */
export function parseToolCatalogue(data: unknown, file: string): ToolCatalogueDocument {
  const parsed = catalogue.safeParse(data, CHECKED_ONCE)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw invalid(file, fieldOf(data, issue?.path ?? []), issue?.message ?? 'is not a tool catalogue')
  }
  const tools = parsed.data.tools.map(({ weak = [], strictOnly = [], ...rest }) => ({ ...rest, weak, strictOnly }))
  const names = new Set<string>()
  const owners = new Map<string, string>()
  for (const entry of tools) {
    if (names.has(entry.name)) throw invalid(file, entry.name, 'the tool stands here twice')
    names.add(entry.name)
    for (const pattern of entry.patterns) {
      const problem = problemOfToolPattern(pattern) ?? problemOfOwner(owners.get(pattern))
      if (problem !== undefined) throw invalid(file, `${entry.name}: pattern ${JSON.stringify(pattern)}`, problem)
      owners.set(pattern, entry.name)
    }
    checkSubset(file, entry, 'weak', entry.weak, 'patterns', entry.patterns)
    checkSubset(file, entry, 'strictOnly', entry.strictOnly, 'weak', entry.weak)
  }
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
    throw invalid(file, `${entry.name}: ${field}`, `${JSON.stringify(stray)} is not among its ${wholeField}`)
  }
}

/** `tools[3] (nmap).patterns[0]`: an index alone is hard to find in a file of hundreds of lines. */
function fieldOf(data: unknown, path: readonly PropertyKey[]): string {
  let text = ''
  let value = data
  for (const step of path) {
    text += typeof step === 'number' ? `[${step}]` : `${text === '' ? '' : '.'}${String(step)}`
    value = childOf(value, step)
    const named = childOf(value, 'name')
    if (typeof step === 'number' && typeof named === 'string') text += ` (${named.slice(0, 100)})`
  }
  return text
}

function childOf(value: unknown, key: PropertyKey): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined
}

function invalid(file: string, where: string, problem: string): KnownError {
  return new KnownError('POLICY_INVALID', `${file}: ${where === '' ? '' : `${where}: `}${problem}`)
}
