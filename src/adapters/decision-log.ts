/** The audit log: one decision record a line (NDJSON), apart from the operational log. */

import { openSync } from 'node:fs'
import { KnownError } from '../errors.js'
import { createLineWriter } from '../logger.js'
import type { DecisionRecorder } from '../webhook/ports.js'

/** Decision records name users and images: readable by the owner and the group, writable by the owner. */
const FILE_MODE = 0o640

export interface DecisionLog extends DecisionRecorder {
  /** Records that were not written, since the start. */
  readonly dropped: number
  /** Write what is buffered. */
  close(): Promise<void>
}

/**
 * Append to a file. Lines appear within 0.2 s; a full disk drops and counts them, the webhook goes on.
 *
 * @param onProblem told once of each failed write.
 * @throws KnownError FILE_UNREADABLE when the file cannot be opened for appending.
 */
export function openDecisionLog(path: string, onProblem: (error: Error) => void): DecisionLog {
  let fd: number
  try {
    fd = openSync(path, 'a', FILE_MODE)
  } catch (cause) {
    throw new KnownError('FILE_UNREADABLE', `${path}: the audit log cannot be opened for appending`, { cause })
  }
  return createDecisionLog(fd, onProblem)
}

/** Write to an open descriptor, say 1 for stdout. */
export function createDecisionLog(fd: number, onProblem: (error: Error) => void): DecisionLog {
  let dropped = 0
  const lines = createLineWriter(fd, problem => {
    if (problem === 'dropped') dropped += 1
    else onProblem(problem)
  })
  return {
    get dropped() {
      return dropped
    },
    record: (_decisionRecord, json) => lines.write(`${json}\n`),
    close: () => lines.close(),
  }
}

/** Write to a stream that the caller owns and closes. */
export function createStreamDecisionLog(stream: NodeJS.WritableStream): DecisionLog {
  return {
    dropped: 0,
    record: (_decisionRecord, json) => {
      stream.write(`${json}\n`)
    },
    close: () => Promise.resolve(),
  }
}
