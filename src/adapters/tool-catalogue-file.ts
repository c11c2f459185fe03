/** The shipped catalogue of offensive tools, as one policy sees it. */

import { fileURLToPath } from 'node:url'
import { KnownError } from '../errors.js'
import { compileToolCatalogue, parseToolCatalogue, type RuntimeTools, type ToolCatalogue } from '../policy/index.js'
import { readTextFile } from './text-file.js'

const SHIPPED = fileURLToPath(new URL('../../policies/offensive-tools.json', import.meta.url))

/** @throws KnownError when the policy removes a tool that does not exist, or the shipped file is damaged. */
export async function loadToolCatalogue(runtime: RuntimeTools): Promise<ToolCatalogue> {
  return compileToolCatalogue(parseToolCatalogue(parseJson(await readTextFile(SHIPPED)), SHIPPED), runtime)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new KnownError('POLICY_INVALID', `${SHIPPED}: is no valid JSON`, { cause })
  }
}
