/** Where decision records go: the journal and the audit log, opened and closed together. */

import {
  createDecisionLog,
  createStreamDecisionLog,
  type DecisionLog,
  openDecisionLog,
} from '../adapters/decision-log.js'
import { type JournalWriter, openJournalWriter } from '../adapters/journal-writer.js'
import type { Logger } from '../logger.js'

/** A disk that refuses every batch must not fill the log as well. */
const PROBLEM_INTERVAL_MS = 10_000
const STDOUT_FD = 1

export interface RecorderSettings {
  /** The journal's folder; undefined keeps none. */
  readonly journal?: string | undefined
  /** A file's path, or a stream; undefined writes none. */
  readonly auditLog?: string | NodeJS.WritableStream | undefined
  readonly log: Logger
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

export interface Recorders {
  readonly journal: JournalWriter | undefined
  readonly auditLog: DecisionLog | undefined
}

/** @throws KnownError JOURNAL_UNUSABLE or FILE_UNWRITABLE; nothing is left open then. */
export async function openRecorders(settings: RecorderSettings, runId: string): Promise<Recorders> {
  const { log, now } = settings
  const report = (recorder: string) =>
    atMostEvery(PROBLEM_INTERVAL_MS, now, problem => {
      log.error({ recorder, problem }, 'Decision records could not be written')
    })
  const auditLog = await openAuditLog(settings.auditLog, report('audit-log'))
  try {
    const journal =
      settings.journal === undefined
        ? undefined
        : await openJournalWriter(settings.journal, { now, runId, onProblem: report('journal') })
    return { journal, auditLog }
  } catch (error) {
    await auditLog?.close()
    throw error
  }
}

/** Write what waits. */
export async function closeRecorders({ journal, auditLog }: Recorders): Promise<void> {
  await journal?.close()
  await auditLog?.close()
}

async function openAuditLog(
  target: RecorderSettings['auditLog'],
  onProblem: (problem: string) => void,
): Promise<DecisionLog | undefined> {
  if (target === undefined) return undefined
  if (typeof target === 'string') return openDecisionLog(target, onProblem)
  // The process's own stdout is written through a buffer; another stream is its owner's business.
  return 'fd' in target && target.fd === STDOUT_FD
    ? createDecisionLog(STDOUT_FD, onProblem)
    : createStreamDecisionLog(target)
}

function atMostEvery(
  intervalMs: number,
  now: () => number,
  tell: (problem: string) => void,
): (problem: string) => void {
  let last = Number.NEGATIVE_INFINITY
  return problem => {
    if (now() - last < intervalMs) return
    last = now()
    tell(problem)
  }
}
