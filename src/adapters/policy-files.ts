/** Policies from files and directories: read, merged, compiled and given their revision. */

import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { KnownError } from '../errors.js'
import {
  assemblePolicy,
  type CompiledPolicy,
  compileDraft,
  type PolicyDraft,
  readPolicyDocuments,
  runSteps,
} from '../policy/index.js'
import { expandPath, readTextFile } from './text-file.js'
import { type ParsedDocument, parsePolicyText, toPolicySource } from './yaml.js'

/** So long, in milliseconds, what must not hold up anything goes on before it lets others have their turn. */
const SLICE_MS = 5

/**
 * Load one policy from all of the paths, in their order; a directory stands for its *.yaml, *.yml and *.json files in
 * the order of their names (not for those below it, and not for hidden ones, such as the `..data` of a ConfigMap mount).
 *
 * @throws KnownError FILE_UNREADABLE or POLICY_INVALID.
 */
export async function loadPolicy(paths: readonly string[]): Promise<CompiledPolicy> {
  return runSteps(assemblePolicy(await draftPolicy(paths)))
}

/** All but the last step: what takes long, and gives nothing but data. @throws as `loadPolicy`. */
export async function draftPolicy(paths: readonly string[]): Promise<PolicyDraft> {
  const files = (await Promise.all(paths.map(expandPath))).flat()
  const parsed: ParsedDocument[] = []
  for (const file of files) {
    const documents = parsePolicyText(await readTextFile(file), file)
    if (documents.length === 0)
      throw new KnownError('POLICY_INVALID', `${file}:1:1: is empty; an ImagePolicy was expected`)
    parsed.push(...documents)
  }
  return compileDraft(readPolicyDocuments(parsed.map(toPolicySource), sha256))
}

/** The last step, in slices of a few milliseconds. */
export async function assembleBetweenTurns(draft: PolicyDraft, signal: AbortSignal): Promise<CompiledPolicy> {
  const steps = assemblePolicy(draft)
  for (;;) {
    const end = performance.now() + SLICE_MS
    do {
      const { done, value } = steps.next()
      if (done === true) return value
    } while (performance.now() < end)
    await nextTurn(undefined, { signal })
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
