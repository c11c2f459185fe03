/** Findings that `correlate --state` keeps, read beside it: nothing is written, and nothing is taken over. */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'libsql'
import type { Finding } from '../correlator/finding.js'
import { parseFinding } from '../correlator/finding-schema.js'
import { KnownError } from '../errors.js'
import { escapeForeign } from '../policy/index.js'
import { FINDINGS_FILE } from './finding-store-file.js'
import { reasonOf } from './text-file.js'

const BUSY_TIMEOUT_MS = 5_000

/**
 * All that is kept, the longest unseen first; what this version cannot read is left out.
 *
 * @throws KnownError FILE_UNREADABLE without a state there; STATE_UNUSABLE when it is none.
 */
export function readFindings(directory: string): readonly Finding[] {
  const path = join(directory, FINDINGS_FILE)
  if (!existsSync(path)) throw new KnownError('FILE_UNREADABLE', `${escapeForeign(path, 300)}: there is no state`)
  let database: Database.Database | undefined
  try {
    database = new Database(path)
    database.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`)
    database.pragma('query_only = ON')
    const rows: unknown[] = database.prepare('SELECT finding FROM findings ORDER BY last_seen').raw(true).all()
    return rows.flatMap(row => findingIn(row) ?? [])
  } catch (cause) {
    const problem = `${escapeForeign(path, 300)}: the state cannot be read: ${reasonOf(cause)}`
    throw new KnownError('STATE_UNUSABLE', problem, { cause })
  } finally {
    database?.close()
  }
}

function findingIn(row: unknown): Finding | undefined {
  const json: unknown = Array.isArray(row) ? row[0] : undefined
  return typeof json === 'string' ? parseFinding(JSON.parse(json)) : undefined
}
