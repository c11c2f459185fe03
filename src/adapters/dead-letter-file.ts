/** Findings that could not be delivered, one JSON object a line, in a file of bounded size. */

import { appendFileSync, renameSync, statSync } from 'node:fs'
import type { DeadLetters } from '../correlator/delivery.js'
import { jsonLine } from '../correlator/json-line.js'
import { endsTorn } from './line-end.js'
import { reasonOf } from './text-file.js'

/** Then the file becomes `NAME.1`, and the former `NAME.1` goes: at most twice as much is kept. */
const MAX_BYTES = 64 * 1024 * 1024

export interface DeadLetterOptions {
  /** Called with half a sentence when a line cannot be written; once, until it works again. */
  readonly onProblem: (problem: string) => void
  readonly maxBytes?: number
}

/**
 * Written at once and before anything is forgotten: `{"time","sink","reason","problem","finding"}`. Readable by the owner
 * alone. Writing is rare, so the file is opened for each portion, and may be moved away at any time.
 */
export function createDeadLetterFile(
  path: string,
  { onProblem, maxBytes = MAX_BYTES }: DeadLetterOptions,
): DeadLetters {
  let hasProblem = false
  return {
    write(letters) {
      try {
        const lines = letters.map(({ at, ...letter }) => jsonLine({ time: new Date(at).toISOString(), ...letter }))
        const text = lines.join('')
        if (sizeOf(path) + Buffer.byteLength(text) > maxBytes) renameIfThere(path)
        // A full disk or a kill may have left a part of a line.
        appendFileSync(path, endsTorn(path) ? `\n${text}` : text, { mode: 0o600 })
        hasProblem = false
        return true
      } catch (cause) {
        if (!hasProblem) onProblem(reasonOf(cause))
        hasProblem = true
        return false
      }
    },
  }
}

/** Where no file was named: what is given up is counted, and no more. */
export const NO_DEAD_LETTERS: DeadLetters = { write: () => false }

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

function renameIfThere(path: string): void {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) renameSync(path, `${path}.1`)
}
