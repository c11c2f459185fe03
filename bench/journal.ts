/** Group `journal`: what a decision record costs in the journal, against making it and keeping it nowhere. */

import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DecisionRecorder } from '../src/webhook/ports.js'
import { compile, readReviews } from './admission.js'
import { policyOf } from './generated-policy.js'
import {
  alternate,
  type Contender,
  formatMicros,
  type GroupReport,
  median,
  type Plan,
  spreadOf,
  toRows,
  totalMicros,
} from './measure.js'

const SLICE_MS = 600
const QUICK_SLICE_MS = 300
/** The journal's last batch of a slice is written by then. */
const REST_MS = 150
/** At even distances, a millisecond apart: what comes at once would be written at once. */
const RECORDS_A_SECOND = 8_000
const WARM_UP_RECORDS = 30_000
/** As many as are recorded: of each the same one comes again. */
const REVIEWS = 6
const NOWHERE = 'a record made, kept nowhere'
const JOURNAL = 'a record made and kept in the journal'
const RETRY = 'a retry, counted in the journal'

/** Makes a record as the webhook does and hands it on. `number` is in its ids. */
type Record = (recorder: DecisionRecorder, number: number) => void

export async function measureJournal(plan: Plan): Promise<GroupReport> {
  plan.progress('compiling')
  compile()
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-bench-'))
  const record = await createRecord()
  const journal = await openJournal(folder)
  try {
    plan.progress('warming up')
    for (let number = 0; number < WARM_UP_RECORDS; number += 1) record({ record() {} }, number)
    const series = await alternate(contendersOf(record, journal, plan), plan)
    if (journal.dropped > 0) throw new Error(`the journal dropped ${journal.dropped} records`)
    const [nowhere = [], kept = []] = series.map(({ slices }) => slices)
    const added = spreadOf(kept.map((cost, cycle) => cost - (nowhere[cycle] ?? Number.NaN)))
    return {
      rows: toRows(
        series,
        cost => cost,
        costs => `${formatMicros(median(costs))} CPU a record`,
      ),
      notes: [
        `the journal adds ${formatMicros(added.median)} a record (${formatMicros(added.min)} to ${formatMicros(added.max)}), its thread and the collector's included`,
        `${RECORDS_A_SECOND} records a second of the recorded reviews, each decoded and judged anew`,
      ],
    }
  } finally {
    await journal.close()
    await rm(folder, { recursive: true, force: true })
  }
}

function contendersOf(record: Record, journal: DecisionRecorder, { isQuick }: Plan): readonly Contender<number>[] {
  const millis = isQuick ? QUICK_SLICE_MS : SLICE_MS
  const nobody: DecisionRecorder = { record() {} }
  let made = WARM_UP_RECORDS
  const next = (): number => {
    made += 1
    return made
  }
  return [
    { name: NOWHERE, baseline: NOWHERE, slice: () => microsPerRecord(() => record(nobody, next()), millis) },
    { name: JOURNAL, baseline: NOWHERE, slice: () => microsPerRecord(() => record(journal, next()), millis) },
    { name: RETRY, baseline: NOWHERE, slice: () => microsPerRecord(() => record(journal, next() % REVIEWS), millis) },
  ]
}

/** CPU time of all threads, until what was recorded is written. */
async function microsPerRecord(work: () => void, millis: number): Promise<number> {
  const before = process.cpuUsage()
  const start = performance.now()
  let made = 0
  for (let passed = 0; passed < millis; passed = performance.now() - start) {
    for (const due = (passed * RECORDS_A_SECOND) / 1_000; made < due; made += 1) work()
    await new Promise(resolve => setTimeout(resolve, 1))
  }
  await new Promise(resolve => setTimeout(resolve, REST_MS))
  return totalMicros(process.cpuUsage(before)) / made
}

/** The compiled program's modules, with the types of their sources: a TypeScript loader wraps every closure. */
function compiled(path: string): Promise<unknown> {
  return import(new URL(`../build/${path}`, import.meta.url).href)
}

async function openJournal(folder: string) {
  const { openJournalWriter } = (await compiled(
    'adapters/journal-writer.js',
  )) as typeof import('../src/adapters/journal-writer.js')
  return openJournalWriter(folder, {
    now: Date.now,
    runId: 'bench',
    onProblem: problem => process.stderr.write(`journal: ${problem}\n`),
  })
}

async function createRecord(): Promise<Record> {
  const { decodeAdmissionReview } = (await compiled(
    'webhook/admission-review.js',
  )) as typeof import('../src/webhook/admission-review.js')
  const { judge } = (await compiled('webhook/judge.js')) as typeof import('../src/webhook/judge.js')
  const { DecisionWriter } = (await compiled(
    'webhook/decision-writer.js',
  )) as typeof import('../src/webhook/decision-writer.js')
  const { createRecordIds } = (await compiled('webhook/record-id.js')) as typeof import('../src/webhook/record-id.js')
  const { compilePolicy } = (await compiled('policy/index.js')) as typeof import('../src/policy/index.js')
  const policy = policyOf(['evil.example/*', 'docker.io/library/nginx'], {}, compilePolicy)
  const reviews = (await readReviews()).map(review => review.split('############'))
  const [writer, ids] = [new DecisionWriter(), createRecordIds(randomBytes)]
  const labels = { labelsOf: () => undefined }
  return (recorder, number) => {
    const parts = reviews[number % reviews.length] ?? []
    const decoded = decodeAdmissionReview(JSON.parse(parts.join(String(number).padStart(12, '0'))))
    if (!decoded.ok) throw new Error(decoded.problem)
    const now = Date.now()
    const judgement = judge(policy, decoded.request, labels, now)
    if (judgement.status !== 'judged') throw new Error('a recorded review is not judged')
    const { metadata, decision } = judgement
    const context = { id: ids(now), now, cluster: undefined, policy, warnings: [], isPlain: true }
    const { record, json } = writer.write(decoded.request, metadata, decision, context)
    recorder.record(record, json)
  }
}
