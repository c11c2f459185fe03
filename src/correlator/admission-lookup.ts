/** The journal as the detections ask it: absent, empty or recording; answers are remembered for a few seconds. */

import type { AdmissionJournal, PodIdentity, RecordedAdmission } from './admission-journal.js'
import type { JournalEvidence } from './drift-evidence.js'

/** A pod's processes come in bursts; its records hardly ever change after its start. */
const REMEMBERED_MS = 5_000
const MAX_REMEMBERED = 10_000
/** A namespace and a name of an API server have 317 characters at most. */
const MAX_KEY = 512

/** The same question gets the very same objects, as long as the answer is remembered: callers compare them by identity. */
export interface AdmissionLookup {
  recordsOf(pod: PodIdentity): readonly RecordedAdmission[]
  state(): JournalEvidence
}

const NO_RECORDS: readonly RecordedAdmission[] = []
const NO_JOURNAL: JournalEvidence = { status: 'absent' }
const ABSENT: AdmissionLookup = { recordsOf: () => NO_RECORDS, state: () => NO_JOURNAL }

/** @param now the clock of this machine, in milliseconds since the epoch. */
export function createAdmissionLookup(journal: AdmissionJournal | undefined, now: () => number): AdmissionLookup {
  if (journal === undefined) return ABSENT
  const records = new Map<string, Remembered<readonly RecordedAdmission[]>>()
  let state: Remembered<JournalEvidence> | undefined
  return {
    recordsOf(pod) {
      const key = pod.uid ?? `${pod.namespace}/${pod.name}`
      const known = records.get(key)
      if (known !== undefined && isFresh(known, now())) return known.value
      const value = journal.findAdmissions({ uid: pod.uid, namespace: pod.namespace, name: pod.name })
      if (key.length > MAX_KEY) return value
      if (records.size >= MAX_REMEMBERED) records.clear()
      records.set(key, { value, at: now() })
      return value
    },
    state() {
      if (state === undefined || !isFresh(state, now())) state = { value: stateOf(journal), at: now() }
      return state.value
    },
  }
}

interface Remembered<Value> {
  readonly value: Value
  readonly at: number
}

function isFresh({ at }: Remembered<unknown>, now: number): boolean {
  // A clock that was set back must not keep an old answer alive.
  return now >= at && now - at < REMEMBERED_MS
}

function stateOf(journal: AdmissionJournal): JournalEvidence {
  const spans = journal.coverageSpans()
  if (spans.length === 0) return { status: 'empty' }
  return { status: 'recording', spans, lossySpans: journal.lossySpans?.() ?? [] }
}
