/** `sallyport demo`: both gates at work on recorded input, on loopback, without a cluster. Leaves nothing behind. */

import { createReadStream } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { Agent } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { createCertificates } from '../adapters/certificates.js'
import { readEventFiles, STDIN_PATH } from '../adapters/event-file.js'
import { loadInventoryFiles } from '../adapters/inventory-file.js'
import { openJournalReader } from '../adapters/journal-reader.js'
import { loadPolicy } from '../adapters/policy-files.js'
import { loadToolCatalogue } from '../adapters/tool-catalogue-file.js'
import type { Finding } from '../correlator/finding.js'
import { correlate } from '../correlator/pipeline.js'
import { createStreamStats } from '../correlator/stream-stats.js'
import { createLogger } from '../logger.js'
import { ownFile } from '../own-files.js'
import type { CompiledPolicy } from '../policy/index.js'
import type { CommandIo } from './command-io.js'
import { type RecordedReview, renderAnswer, sendReview } from './demo-review.js'
import { renderFindings } from './finding-table.js'
import { type RunningWebhook, startWebhook } from './start-webhook.js'
import { describeStream, isTerminal } from './stream-words.js'

const HELP = `
Makes certificates, starts the webhook on loopback, sends it recorded AdmissionReviews of a real API server under two
policies (policies/demo-1-warn.yaml, then policies/demo-2-enforce.yaml), and runs the correlator over recorded Tetragon
events with the second policy, the journal that the webhook wrote and an inventory of the cluster. Everything is removed
at the end.

Example:
  sallyport demo`

const WARN_POLICY = 'policies/demo-1-warn.yaml'
const ENFORCE_POLICY = 'policies/demo-2-enforce.yaml'
const REVIEWS = 'test/fixtures/demo/reviews.json'
const EVENTS = 'test/fixtures/demo/events.jsonl'
const INVENTORY = 'test/fixtures/demo/inventory.json'
/** When the inventory was taken, by the recording's clock: a file's own time is that of its installation. */
const INVENTORY_AT = Date.parse('2026-11-21T23:25:00Z')
/** The recording's clock: the webhook is up before its first review, and the second policy comes minutes later. */
const BEFORE_FIRST_REVIEW_MS = 5_000
const SECOND_POLICY_AFTER_MS = 600_000

export function demoCommand(io: CommandIo): Command {
  return new Command('demo')
    .description('See both gates at work on recorded input, without a cluster.')
    .addHelpText('after', HELP)
    .action(async () => demo(io))
}

async function demo(io: CommandIo): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-demo-'))
  try {
    const journal = join(folder, 'journal')
    await showAdmissions(journal, io)
    await showFindings(journal, io)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** The first gate: every recorded review under the warning policy, then all of them again under the enforcing one. */
async function showAdmissions(journal: string, io: CommandIo): Promise<void> {
  const reviews = await readReviews()
  const clock = { now: timeOf(reviews[0]) - BEFORE_FIRST_REVIEW_MS }
  let policy = await loadPolicy([pathOf(WARN_POLICY)])
  const { webhook, agent } = await startOnLoopback(journal, () => policy, clock, io)
  try {
    io.stdout.write(`The webhook listens at ${webhook.url}; the client verifies its certificate.\n\n`)
    io.stdout.write(`1. Admission in warn mode (${WARN_POLICY}, rev ${policy.revision}): admitted, and said\n`)
    for (const review of reviews) {
      clock.now = timeOf(review)
      io.stdout.write(renderAnswer(review, await sendReview(webhook.url, agent, review), 'whole'))
    }
    policy = await loadPolicy([pathOf(ENFORCE_POLICY)])
    clock.now += SECOND_POLICY_AFTER_MS
    io.stdout.write(`\n2. The same requests under enforcement (${ENFORCE_POLICY}, rev ${policy.revision})\n`)
    for (const [index, review] of reviews.entries()) {
      const answer = await sendReview(webhook.url, agent, review)
      io.stdout.write(renderAnswer(review, answer, index === 0 ? 'whole' : 'brief'))
    }
  } finally {
    agent.destroy()
    await webhook.close()
  }
}

/** The second gate: the recorded events, under today's policy, explained by the first gate's journal and the inventory. */
async function showFindings(journalFolder: string, io: CommandIo): Promise<void> {
  const policy = await loadPolicy([pathOf(ENFORCE_POLICY)])
  const catalogue = await loadToolCatalogue(policy.runtime)
  const journal = openJournalReader(journalFolder)
  const { signal } = io
  const snapshot = createReadStream(pathOf(INVENTORY))
  const inventory = await loadInventoryFiles([STDIN_PATH], { stdin: snapshot, signal, now: () => INVENTORY_AT })
  const stats = createStreamStats()
  const source = readEventFiles([pathOf(EVENTS)], { stdin: io.stdin, signal })
  const findings: Finding[] = []
  const emit = { when: 'at-end' } as const
  const policyPaths = [ENFORCE_POLICY]
  try {
    for await (const finding of correlate(source, {
      policy,
      catalogue,
      journal,
      inventory,
      stats,
      now: io.now,
      policyPaths,
      emit,
    })) {
      findings.push(finding)
    }
  } finally {
    journal.close()
  }
  io.stdout.write(`\n3. What runs (${EVENTS}), and how it got in\n`)
  io.stderr.write(describeStream(stats))
  io.stdout.write(renderFindings(findings, { hasColors: isTerminal(io.stdout) }))
}

async function startOnLoopback(
  journal: string,
  policy: () => CompiledPolicy,
  clock: { readonly now: number },
  io: CommandIo,
): Promise<{ readonly webhook: RunningWebhook; readonly agent: Agent }> {
  const set = await createCertificates({ dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'], now: io.now() })
  const webhook = await startWebhook({
    policy,
    tls: { cert: set.certificate, key: set.key },
    listen: { host: '127.0.0.1', port: 0 },
    journal,
    log: createLogger({ level: 'warn', destination: io.stderr }),
    now: () => clock.now,
  })
  return { webhook, agent: new Agent({ keepAlive: true, ca: set.caCertificate }) }
}

/** The six reviews of the recording, in the order of their times. */
async function readReviews(): Promise<readonly RecordedReview[]> {
  const recorded: Readonly<Record<string, RecordedReview>> = JSON.parse(await readFile(pathOf(REVIEWS), 'utf8'))
  return Object.values(recorded).toSorted((one, other) => timeOf(one) - timeOf(other))
}

function timeOf(review: RecordedReview | undefined): number {
  return Date.parse(review?.request.object.metadata.creationTimestamp ?? '')
}

function pathOf(file: string): string {
  return fileURLToPath(ownFile(file))
}
