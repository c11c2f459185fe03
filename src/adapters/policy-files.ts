/** Policies from files and directories: read, merged, compiled and given their revision. */

import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { KnownError } from '../errors.js'
import {
  type CompiledPolicy,
  compileDocuments,
  type DocumentPath,
  type PolicyDocument,
  readPolicyDocuments,
  runSteps,
  type Steps,
} from '../policy/index.js'
import { type DocumentPlaces, locateValue } from './document-places.js'
import { expandPath, readTextFile } from './text-file.js'
import { type ParsedDocument, parsePolicyText, toPolicySource } from './yaml.js'

/** So long, in milliseconds, a compilation that must not hold up anything goes on before it lets others have their turn. */
const SLICE_MS = 5

/** What the files say, in its right shape and with the places of all its parts: data that can cross threads. */
export interface PolicyFiles {
  readonly documents: readonly {
    readonly file: string
    readonly document: PolicyDocument
    readonly places: DocumentPlaces
  }[]
  readonly revision: string
}

/**
 * Load one policy from all of the paths, in their order; a directory stands for its *.yaml, *.yml and *.json files in
 * the order of their names (not for those below it, and not for hidden ones, such as the `..data` of a ConfigMap mount).
 *
 * @throws KnownError FILE_UNREADABLE or POLICY_INVALID.
 */
export async function loadPolicy(paths: readonly string[]): Promise<CompiledPolicy> {
  return runSteps(compileFiles(await readPolicyFiles(paths)))
}

/** Read, parse and judge the shape: what takes longest, and needs nothing that is in memory. @throws as `loadPolicy`. */
export async function readPolicyFiles(paths: readonly string[]): Promise<PolicyFiles> {
  const files = (await Promise.all(paths.map(expandPath))).flat()
  const parsed: ParsedDocument[] = []
  for (const file of files) {
    const documents = parsePolicyText(await readTextFile(file), file)
    if (documents.length === 0)
      throw new KnownError('POLICY_INVALID', `${file}:1:1: is empty; an ImagePolicy was expected`)
    parsed.push(...documents)
  }
  const { placed, revision } = readPolicyDocuments(parsed.map(toPolicySource), sha256)
  const documents = placed.map(({ source: { file, places }, document }) => ({ file, document, places }))
  return { documents, revision }
}

/** In slices, each but a few milliseconds long. @throws KnownError POLICY_INVALID. */
export async function compileBetweenTurns(files: PolicyFiles, signal: AbortSignal): Promise<CompiledPolicy> {
  const steps = compileFiles(files)
  for (;;) {
    const end = performance.now() + SLICE_MS
    do {
      const { done, value } = steps.next()
      if (done === true) return value
    } while (performance.now() < end)
    await nextTurn(undefined, { signal })
  }
}

function compileFiles({ documents, revision }: PolicyFiles): Steps<CompiledPolicy> {
  const placed = documents.map(({ file, document, places }) => ({
    document,
    source: { file, locate: (path: DocumentPath, offset?: number) => locateValue(places, document, path, offset) },
  }))
  return compileDocuments({ placed, revision })
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
