/** Policies from files and directories: read, merged, compiled and given their revision. */

import { createHash } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { KnownError } from '../errors.js'
import { type CompiledPolicy, compilePolicy } from '../policy/index.js'
import { readTextFile, reasonOf, unreadable } from './text-file.js'
import { parsePolicyText } from './yaml.js'

const EXTENSION = /\.(?:ya?ml|json)$/i

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

/** The files that a path of `--policy` stands for. */
export async function expandPath(path: string): Promise<readonly string[]> {
  let isDirectory: boolean
  try {
    isDirectory = (await stat(path)).isDirectory()
  } catch (cause) {
    throw unreadable(path, reasonOf(cause), cause)
  }
  if (!isDirectory) return [path]
  const names = (await readdir(path)).filter(name => EXTENSION.test(name) && !name.startsWith('.')).sort()
  if (names.length === 0) throw unreadable(path, 'the directory holds no .yaml, .yml or .json file')
  return names.map(name => join(path, name))
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
