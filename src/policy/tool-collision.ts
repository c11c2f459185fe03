/** Names that a tool shares with an innocent program (policies/name-collisions.json), and how to tell the two apart. */

import * as z from 'zod'
import { type RuleSource, readRuleFile } from './rule-file.js'
import { compileExpression, MAX_TEXT, schemaOfExpression } from './tool-expression.js'

interface Innocence {
  readonly args: readonly RegExp[]
  readonly unless: readonly RegExp[]
  readonly images: readonly string[]
}

export interface Collision {
  readonly tool: string
  /** What remarks call it. */
  readonly rule: string
  readonly names: readonly string[]
  /** Who else has the name. */
  readonly legit: string
  readonly innocent: readonly Innocence[]
  /** Arguments that only the tool takes, any of them; empty: none are known. */
  readonly requires: readonly RegExp[]
}

/** By the name that a tool was matched on. */
export type Collisions = ReadonlyMap<string, Collision>

/**
 * - `innocent`: the other program; nothing is reported.
 * - `tool`: only the tool takes such arguments.
 * - `open`: neither is proved.
 */
export type Likeness = 'innocent' | 'tool' | 'open'

/** @throws KnownError POLICY_INVALID that names the file and the field; the first problem only. */
export function compileCollisions(source: RuleSource): Collisions {
  const parsed = readRuleFile(schemaOfCollisions, source)
  const compiled = new Map<string, Collision>()
  for (const { innocent = [], requires = [], ...rest } of parsed.collisions) {
    const each: Collision = {
      ...rest,
      innocent: innocent.map(one => ({
        args: (one.arguments ?? []).map(compileExpression),
        unless: (one.unless ?? []).map(compileExpression),
        images: one.images ?? [],
      })),
      requires: requires.map(compileExpression),
    }
    for (const name of each.names) compiled.set(name, each)
  }
  return compiled
}

/**
 * @param args the arguments as one text.
 * @param image the image that the container runs, as written; undefined when it is not known.
 */
export function compareWithTool(collision: Collision, args: string, image: string | undefined): Likeness {
  const text = args.length > MAX_TEXT ? args.slice(0, MAX_TEXT) : args
  const isInnocent = collision.innocent.some(
    ({ args: expressions, unless, images }) =>
      (expressions.some(each => each.test(text)) ||
        (image !== undefined && images.some(repository => isImageOf(repository, image)))) &&
      !unless.some(each => each.test(text)),
  )
  if (isInnocent) return 'innocent'
  return collision.requires.some(each => each.test(text)) ? 'tool' : 'open'
}

function schemaOfCollisions() {
  const expression = schemaOfExpression()
  const innocence = z.strictObject({
    arguments: z.array(expression).min(1).optional(),
    unless: z.array(expression).optional(),
    images: z
      .array(z.string().regex(/^[a-z0-9._/-]+$/))
      .min(1)
      .optional(),
  })
  const collision = z.strictObject({
    tool: z.string().min(1).max(100),
    rule: z.string().regex(/^[a-z0-9-]+$/),
    names: z.array(z.string().min(1).max(100)).min(1),
    legit: z.string(),
    innocent: z.array(innocence).optional(),
    requires: z.array(expression).optional(),
  })
  return z.strictObject({ version: z.literal(1), description: z.string(), collisions: z.array(collision) })
}

/** Whether an image is one of a repository, in whichever registry or mirror. */
function isImageOf(repository: string, image: string): boolean {
  const [name = ''] = image.slice(0, 1024).split('@')
  const colon = name.lastIndexOf(':')
  const bare = colon > name.lastIndexOf('/') ? name.slice(0, colon) : name
  return bare === repository || bare.endsWith(`/${repository}`)
}
