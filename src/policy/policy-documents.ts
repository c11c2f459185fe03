/** The documents of one policy, once their shape is right: what comes between the files and the compilation. */

import { KnownError } from '../errors.js'
import { readDocument } from './document-problems.js'
import type { PolicyDocument } from './policy-document.js'
import { type PolicySource, ProblemList, type ValueLocator } from './policy-problem.js'

export interface PlacedDocument<Source = ValueLocator> {
  readonly source: Source
  readonly document: PolicyDocument
}

export interface PolicyDocuments<Source = ValueLocator> {
  readonly placed: readonly PlacedDocument<Source>[]
  /** Seven hexadecimal characters over all that the documents say. */
  readonly revision: string
}

/**
 * Judge the shape of every document.
 *
 * @param hash a cryptographic digest as lower-case hex.
 * @throws KnownError POLICY_INVALID with every problem at its place, one a line.
 */
export function readPolicyDocuments<Source extends PolicySource>(
  sources: readonly Source[],
  hash: (text: string) => string,
): PolicyDocuments<Source> {
  if (sources.length === 0) throw new KnownError('POLICY_INVALID', 'no policy document was given')
  const problems = new ProblemList()
  const placed = sources.flatMap(source => {
    const document = readDocument(source, problems)
    return document === undefined ? [] : [{ source, document }]
  })
  problems.throwIfAny()
  return { placed, revision: hash(JSON.stringify(placed.map(({ document }) => document))).slice(0, 7) }
}
