/** The shipped catalogue of offensive tools and the rules beside it, as one policy sees them. */

import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { KnownError } from '../errors.js'
import { ownFile } from '../own-files.js'
import {
  compileToolCatalogue,
  compileToolRules,
  parseToolCatalogue,
  type RuleSource,
  type RuntimeTools,
  type ToolCatalogue,
} from '../policy/index.js'
import { readTextFile } from './text-file.js'

/** Put there by scripts/build.ts: what `digestRules` gave. Under a loader there is none, and each start checks the files. */
declare const CHECKED_RULES: string | undefined
const CHECKED = typeof CHECKED_RULES === 'undefined' ? '' : CHECKED_RULES

/** @throws KnownError when the policy removes a tool that does not exist, or a shipped file is damaged. */
export async function loadToolCatalogue(runtime: RuntimeTools): Promise<ToolCatalogue> {
  const { tools, wrappers, tells, collisions } = await readAll()
  const rules = compileToolRules({ wrappers, tells, collisions })
  return compileToolCatalogue(parseToolCatalogue(tools), runtime, rules)
}

/** For the build: names and digests of the files, which were read without a fault. @throws as `loadToolCatalogue`. */
export async function digestRules(): Promise<string> {
  await loadToolCatalogue({ profile: 'strict', add: [], remove: [] })
  const files = Object.values(await readAll())
  return files.map(({ seal }) => seal).join('')
}

async function readAll() {
  const [tools, wrappers, tells, collisions] = await Promise.all([
    readShipped('offensive-tools.json'),
    readShipped('command-wrappers.json'),
    readShipped('argument-tells.json'),
    readShipped('name-collisions.json'),
  ])
  return { tools, wrappers, tells, collisions }
}

interface ShippedRules extends RuleSource {
  /** Its name, and the SHA-256 of its text. */
  readonly seal: string
}

async function readShipped(name: string): Promise<ShippedRules> {
  const file = fileURLToPath(ownFile(`policies/${name}`))
  try {
    const text = await readTextFile(file)
    const seal = `${name} ${createHash('sha256').update(text).digest('hex')}\n`
    return { data: JSON.parse(text), file, seal, isChecked: CHECKED.includes(seal) }
  } catch (cause) {
    if (cause instanceof KnownError) throw cause
    throw new KnownError('POLICY_INVALID', `${file}: is no valid JSON`, { cause })
  }
}
