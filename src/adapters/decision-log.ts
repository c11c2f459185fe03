/** The audit log: one decision record a line (NDJSON), apart from the operational log. */

import { createLineWriter } from '../logger.js'
import type { DecisionRecorder } from '../webhook/ports.js'
import { openLogFile } from './log-file.js'

export interface DecisionLog extends DecisionRecorder {
  /** Records that were not written, since the start. */
  readonly dropped: number
  /** The file was rotated: go on in the one that its path leads to now. Does nothing for a stream. */
  reopen(): void
  /** Write what is buffered. */
  close(): Promise<void>
}

/**
 * Append to a file. Lines appear within 0.2 s. A full disk makes them wait, up to a bound, and then drops and counts
 * them; the webhook goes on. A rotation by rename is followed at `reopen`, and without it within 3 s.
 *
 * @param onProblem told in half a sentence of each failed attempt and each dropped record.
 * @throws KnownError FILE_UNWRITABLE when the file cannot be opened for appending.
 */
export async function openDecisionLog(path: string, onProblem: (problem: string) => void): Promise<DecisionLog> {
  const file = await openLogFile(path, { onProblem })
  return {
    get dropped() {
      return file.dropped
    },
    record: (_decisionRecord, json) => file.append(`${json}\n`),
    reopen: () => file.reopen(),
    close: () => file.close(),
  }
}

/** Write to an open descriptor, say 1 for stdout; what becomes of it is the business of whoever reads it. */
export function createDecisionLog(fd: number, onProblem: (problem: string) => void): DecisionLog {
  let dropped = 0
  const lines = createLineWriter(fd, problem => {
    const isLoss = 'droppedLines' in problem
    if (isLoss) dropped += problem.droppedLines
    onProblem(isLoss ? 'too many records wait for the reader' : problem.message)
  })
  return {
    get dropped() {
      return dropped
    },
    record: (_decisionRecord, json) => lines.write(`${json}\n`),
    reopen: () => {},
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
    reopen: () => {},
    close: () => Promise.resolve(),
  }
}
