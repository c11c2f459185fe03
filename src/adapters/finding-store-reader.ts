/** Findings that `correlate --state` keeps, read beside it: nothing is written, and nothing is taken over. */

import { join } from 'node:path'
import type { Finding } from '../correlator/finding.js'
import { parseFinding } from '../correlator/finding-schema.js'
import { FINDINGS, FINDINGS_FILE } from './finding-store-file.js'
import { openForReading, unusable } from './sqlite-file.js'
import { reasonOf } from './text-file.js'

/**
 * All that is kept, the longest unseen first; what this version cannot read is left out.
 *
 * @throws KnownError FILE_UNREADABLE without a state there; STATE_UNUSABLE when it is none, or a newer one.
 */
export function readFindings(directory: string): readonly Finding[] {
  const path = join(directory, FINDINGS_FILE)
  const database = openForReading(path, FINDINGS)
  try {
    const rows: unknown[] = database.prepare('SELECT finding FROM findings ORDER BY last_seen').raw(true).all()
    return rows.flatMap(row => findingIn(row) ?? [])
  } catch (cause) {
    throw unusable(path, FINDINGS, reasonOf(cause), cause)
  } finally {
    database.close()
  }
}

function findingIn(row: unknown): Finding | undefined {
  const json: unknown = Array.isArray(row) ? row[0] : undefined
  return typeof json === 'string' ? parseFinding(JSON.parse(json)) : undefined
}
