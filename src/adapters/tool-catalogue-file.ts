/** The shipped catalogue of offensive tools and the rules beside it, as one policy sees them. */

import { fileURLToPath } from 'node:url'
import { KnownError } from '../errors.js'
import { ownFile } from '../own-files.js'
import {
  compileToolCatalogue,
  compileToolRules,
  parseToolCatalogue,
  type RuntimeTools,
  type ToolCatalogue,
} from '../policy/index.js'
import { readTextFile } from './text-file.js'

/** @throws KnownError when the policy removes a tool that does not exist, or a shipped file is damaged. */
export async function loadToolCatalogue(runtime: RuntimeTools): Promise<ToolCatalogue> {
  const [tools, wrappers, tells, collisions] = await Promise.all([
    readShipped('offensive-tools.json'),
    readShipped('command-wrappers.json'),
    readShipped('argument-tells.json'),
    readShipped('name-collisions.json'),
  ])
  const rules = compileToolRules({ wrappers, tells, collisions })
  return compileToolCatalogue(parseToolCatalogue(tools.data, tools.file), runtime, rules)
}

async function readShipped(name: string): Promise<{ readonly data: unknown; readonly file: string }> {
  const file = fileURLToPath(ownFile(`policies/${name}`))
  try {
    return { data: JSON.parse(await readTextFile(file)), file }
  } catch (cause) {
    if (cause instanceof KnownError) throw cause
    throw new KnownError('POLICY_INVALID', `${file}: is no valid JSON`, { cause })
  }
}
