/** `--journal`, for the commands that explain how an image got in. The database is loaded by who needs it. */

import type { AdmissionJournal } from '../correlator/admission-journal.js'

/** @throws KnownError as `openJournalReader`. The caller closes it. */
export async function openJournal(
  directory: string | undefined,
): Promise<(AdmissionJournal & { close(): void }) | undefined> {
  if (directory === undefined) return undefined
  const { openJournalReader } = await import('../adapters/journal-reader.js')
  return openJournalReader(directory)
}
