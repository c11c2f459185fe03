/** The journal as the detections ask it: absent, empty or recording; answers are remembered for a few seconds. */

import type { AdmissionJournal, PodIdentity, RecordedAdmission } from './admission-journal.js'
import type { AdmissionEvidence } from './explain-admission.js'

/** A pod's processes come in bursts; its records hardly ever change after its start. */
const REMEMBERED_MS = 5_000
const MAX_REMEMBERED = 10_000

/** The same question gets the very same objects, as long as the answer is remembered: callers compare them by identity. */
export interface AdmissionLookup {
  recordsOf(pod: PodIdentity): readonly RecordedAdmission[]
  state(): AdmissionEvidence['journal']
}

const NO_RECORDS: readonly RecordedAdmission[] = []
const NO_JOURNAL: AdmissionEvidence['journal'] = { status: 'absent' }
const ABSENT: AdmissionLookup = { recordsOf: () => NO_RECORDS, state: () => NO_JOURNAL }

/** @param now the clock of this machine, in milliseconds since the epoch. */
export function createAdmissionLookup(journal: AdmissionJournal | undefined, now: () => number): AdmissionLookup {
  if (journal === undefined) return ABSENT
  const records = new Map<string, Remembered<readonly RecordedAdmission[]>>()
  let state: Remembered<AdmissionEvidence['journal']> | undefined
  return {
    recordsOf(pod) {
      const key = pod.uid ?? `${pod.namespace}/${pod.name}`
      const known = records.get(key)
      if (known !== undefined && isFresh(known, now())) return known.value
      if (records.size >= MAX_REMEMBERED) records.clear()
      const value = journal.findAdmissions({ uid: pod.uid, namespace: pod.namespace, name: pod.name })
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

function stateOf(journal: AdmissionJournal): AdmissionEvidence['journal'] {
  const spans = journal.coverageSpans()
  return spans.length === 0 ? { status: 'empty' } : { status: 'recording', spans }
}
