/** What the webhook's journal says, read while the webhook writes. */

import type { CountedRecord } from '../../src/adapters/journal-reader.js'
import { openJournalReader } from '../../src/adapters/journal-reader.js'
import type { DecisionRecord } from '../../src/webhook/decision-record.js'
import { eventually } from './process-group.js'

/** All of it, oldest first. */
export function readJournal(directory: string): readonly CountedRecord[] {
  const reader = openJournalReader(directory)
  try {
    return [...reader.records({})]
  } finally {
    reader.close()
  }
}

/** The first record with these fields; records are written after the answer, so it may take a moment. */
export function findRecord(directory: string, fields: Partial<DecisionRecord>): Promise<CountedRecord> {
  const wanted = Object.entries(fields)
  const isWanted = ({ record }: CountedRecord) => wanted.every(([key, value]) => Reflect.get(record, key) === value)
  const find = () => readJournal(directory).find(isWanted)
  return eventually(`a record with ${JSON.stringify(fields)}`, find, {
    timeoutMs: 60_000,
    evidence: () =>
      readJournal(directory)
        .map(({ record }) => JSON.stringify(record))
        .slice(-10)
        .join('\n'),
  })
}
