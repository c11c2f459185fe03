/** The tool names of Splunk's macro, from the shipped policies/splunk-offensive-tools.json. */

import { fileURLToPath } from 'node:url'
import { KnownError } from '../errors.js'
import { ownFile } from '../own-files.js'
import { readTextFile } from './text-file.js'

const SHIPPED = fileURLToPath(ownFile('policies/splunk-offensive-tools.json'))

/** @throws KnownError when the shipped file is missing or damaged. */
export async function loadSplunkToolNames(): Promise<readonly string[]> {
  const names = namesIn(await readTextFile(SHIPPED))
  if (names === undefined) throw new KnownError('POLICY_INVALID', `${SHIPPED}: holds no list of names`)
  return names
}

function namesIn(text: string): readonly string[] | undefined {
  let file: unknown
  try {
    file = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof file !== 'object' || file === null || !('names' in file) || !Array.isArray(file.names)) return undefined
  const names: readonly unknown[] = file.names
  return names.length > 0 && names.every(name => typeof name === 'string') ? names : undefined
}
