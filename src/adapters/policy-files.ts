/** Policies from files and directories: read, merged, compiled and given their revision. */

import { createHash } from 'node:crypto'
import { KnownError } from '../errors.js'
import { type CompiledPolicy, compilePolicy } from '../policy/index.js'
import { expandPath, readTextFile } from './text-file.js'
import { parsePolicyText } from './yaml.js'

/**
 * Load one policy from all of the paths, in their order; a directory stands for its *.yaml, *.yml and *.json files in
 * the order of their names (not for those below it, and not for hidden ones, such as the `..data` of a ConfigMap mount).
 *
 * @throws KnownError FILE_UNREADABLE or POLICY_INVALID.
 */
export async function loadPolicy(paths: readonly string[]): Promise<CompiledPolicy> {
  const files = (await Promise.all(paths.map(expandPath))).flat()
  const sources = []
  for (const file of files) {
    const documents = parsePolicyText(await readTextFile(file), file)
    if (documents.length === 0)
      throw new KnownError('POLICY_INVALID', `${file}:1:1: is empty; an ImagePolicy was expected`)
    sources.push(...documents)
  }
  return compilePolicy(sources, sha256)
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
