import { readFileSync } from 'node:fs'
import { Histogram, Registry } from 'prom-client'
import t from 'tap'
import { createDurationHistogram } from '../../src/adapters/duration-histogram.js'
import type { StateTrouble } from '../../src/adapters/finding-store-trouble.js'
import { createWebhookMetrics, type WebhookState } from '../../src/adapters/metrics.js'
import { createCorrelatorMetrics } from '../../src/adapters/metrics-correlator.js'
import type { DeliveryState } from '../../src/correlator/delivery.js'
import { createStreamStats } from '../../src/correlator/stream-stats.js'
import { decide, parseWorkload } from '../../src/policy/index.js'
import { createOpsServer, type ReadinessCheck } from '../../src/webhook/ops-server.js'
import { findingOf } from '../support/findings.js'
import { NOW, policyOf, scope } from '../support/policies.js'

const policy = policyOf({ mode: 'enforce', allow: ['gcr.io/*'] })

function metricsOf(state: Partial<WebhookState> = {}) {
  return createWebhookMetrics(
    {
      policy: () => policy,
      isPolicyRejected: () => false,
      policyLoadedAt: () => NOW,
      certificateExpiresAt: () => NOW,
      isCertificateRejected: () => false,
      areLabelsSynced: () => undefined,
      droppedRecords: () => ({ journal: 3, auditLog: 0 }),
      ...state,
    },
    '1.2.3',
  )
}

function decisionOn(image: string) {
  const workload = parseWorkload({ spec: { containers: [{ name: 'c', image }] } }, 'Pod')
  return decide(policy, { workload, before: undefined, namespace: scope(), now: NOW, isMirrorPod: false })
}

t.test('docs/metrics.md names every metric with its type and labels, and no other', async t => {
  const { observer, page, policyReloaded } = metricsOf({ areLabelsSynced: () => true })
  observer.judged({ kind: 'Pod', decision: decisionOn('nginx'), dryRun: false }, 0.001)
  observer.judged({ kind: 'Pod', decision: decisionOn('nginx'), dryRun: true }, 0.001)
  observer.passed('other-kind')
  observer.rejected('BODY_NOT_JSON')
  policyReloaded('rejected')
  const { text } = await page()
  t.ok(documentedIn('The webhook').length > 10)
  t.strictSame(exposedBy(text), documentedIn('The webhook'))
})

function documentedIn(section: string): readonly string[] {
  const [, text = ''] = readFileSync('docs/metrics.md', 'utf8').split(`## ${section}\n`)
  const rows = (text.split('\n## ')[0] ?? '').matchAll(/^\| `(sallyport_\w+)` \| (\w+) \|([^|]*)\|/gm)
  return [...rows].map(([, name, type, labels = '']) => `${name} | ${type} | ${labels.trim()}`).sort()
}

function exposedBy(text: string): readonly string[] {
  const types = [...text.matchAll(/^# TYPE (sallyport_\S+) (\S+)$/gm)]
  const lines = types.map(([, name, type]) => {
    const sample = new RegExp(`^${name}(?:_bucket)?\\{([^}]*)\\}`, 'm').exec(text)?.[1] ?? ''
    const labels = [...sample.matchAll(/([a-z]+)="/g)].map(match => match[1]).filter(label => label !== 'le')
    return `${name} | ${type} | ${labels.join(', ')}`
  })
  return lines.sort()
}

const SINK: DeliveryState = {
  name: 'hec',
  queued: 4,
  sent: 7,
  skipped: 1,
  failures: { retry: 2, refused: 3, rejected: 0 },
  deadLetters: { rejected: 5, overflow: 0, stopped: 0 },
  dropped: 6,
  isPaused: true,
  lastSuccessAt: NOW,
}

t.test(
  "the correlator's metrics stand in docs/metrics.md, and tell the state at the moment of the question",
  async t => {
    const stats = createStreamStats()
    let sinks = [SINK]
    const archive = { trouble: undefined as StateTrouble | undefined }
    const state = { policy, stats, sinks: () => sinks, archive, now: () => NOW }
    const { found, page } = createCorrelatorMetrics(state, '1.2.3')
    t.notMatch((await page()).text, /last_event_age_seconds \d/)
    found(findingOf())
    found(findingOf({ emission: 2, status: 'resolved' }))
    Object.assign(stats, { lines: 9, execEvents: 8, malformed: 1, lastEventAt: NOW - 90_000 })
    stats.otherEvents.set('process_exit', 2)
    const { text } = await page()
    t.strictSame(exposedBy(text), documentedIn('The correlator'))
    for (const line of [
      'sallyport_state_unwritable 0',
      'sallyport_events_total{type="exec"} 8',
      'sallyport_events_total{type="other"} 2',
      'sallyport_source_unread_lines_total{why="malformed"} 1',
      'sallyport_last_event_age_seconds 90',
      'sallyport_findings_total{kind="non-allowlisted-image",severity="medium"} 1',
      'sallyport_finding_updates_total{kind="non-allowlisted-image",status="resolved"} 1',
      'sallyport_sink_queued{sink="hec"} 4',
      'sallyport_sink_failures_total{sink="hec",class="refused"} 3',
      'sallyport_sink_dead_letters_total{sink="hec",reason="rejected"} 5',
      'sallyport_sink_dropped_total{sink="hec"} 6',
      'sallyport_sink_paused{sink="hec"} 1',
      `sallyport_sink_last_success_timestamp_seconds{sink="hec"} ${NOW / 1000}`,
    ]) {
      t.match(text, `${line}\n`)
    }
    sinks = [{ ...SINK, queued: 0, sent: 11, isPaused: false }]
    archive.trouble = { since: NOW, problem: 'full' }
    const later = (await page()).text
    t.match(later, 'sallyport_sink_sent_total{sink="hec"} 11\n', 'taken over, and not added up')
    t.match(later, 'sallyport_sink_paused{sink="hec"} 0\n')
    t.match(later, 'sallyport_state_unwritable 1\n')
  },
)

t.test('reviews, images and dry runs are counted apart, with labels from closed sets', async t => {
  const { observer, page } = metricsOf()
  observer.judged({ kind: 'Pod', decision: decisionOn('nginx'), dryRun: false }, 0.001)
  observer.judged({ kind: 'Pod', decision: decisionOn('gcr.io/x'), dryRun: false }, 0.001)
  observer.judged({ kind: 'A"\nforged', decision: decisionOn('gcr.io/x'), dryRun: false }, 0.001)
  observer.judged({ kind: 'Pod', decision: decisionOn('nginx'), dryRun: true }, 0.001)
  const { text } = await page()
  t.match(text, 'sallyport_admission_reviews_total{kind="Pod",action="deny",mode="enforce"} 1\n')
  t.match(text, 'sallyport_admission_reviews_total{kind="Pod",action="admit",mode="enforce"} 1\n')
  t.match(text, 'sallyport_admission_reviews_total{kind="other",action="admit",mode="enforce"} 1\n')
  t.match(text, 'sallyport_admission_dry_runs_total{action="deny"} 1\n')
  t.match(text, 'sallyport_admission_images_total{outcome="denied",reason="not-allowed"} 1\n')
  t.match(text, 'sallyport_records_dropped{recorder="journal"} 3\n')
  t.notMatch(text, 'forged')
})

t.test('durations are counted as the library would', async t => {
  const [name, help, bounds] = ['x_seconds', 'From here to there.', [0.001, 0.01, 1]] as const
  const registry = new Registry()
  const theirs = new Histogram({ name, help, buckets: [...bounds], registers: [registry] })
  const ours = createDurationHistogram(name, help, bounds)
  t.equal(ours.text().trimEnd(), (await registry.metrics()).trimEnd(), 'before any')
  for (const seconds of [0, 0.0005, 0.001, 0.0011, 0.25, 1, 1.5, 40]) {
    ours.observe(seconds)
    theirs.observe(seconds)
  }
  t.equal(ours.text().trimEnd(), (await registry.metrics()).trimEnd())
})

t.test('the gauges tell the state at the moment of the question', async t => {
  let isRejected = false
  let current = policy
  const { page } = metricsOf({ isPolicyRejected: () => isRejected, policy: () => current })
  t.match((await page()).text, 'sallyport_policy_rejected 0\n')
  isRejected = true
  current = policyOf({ mode: 'audit', allow: [] })
  const { text } = await page()
  t.match(text, 'sallyport_policy_rejected 1\n')
  t.match(text, `sallyport_policy_info{policy="test",revision="${current.revision}"} 1\n`)
  t.notMatch(text, policy.revision)
  t.match(text, 'sallyport_namespace_labels_synced 1\n')
})

t.test('the ops port answers liveness, readiness and metrics, and nothing else', async t => {
  let checks: readonly ReadinessCheck[] = [{ name: 'certificate', isReady: true, problem: undefined }]
  const server = createOpsServer({ readiness: () => checks, metrics: () => metricsOf().page() })
  t.teardown(() => server.close())
  const get = (url: string) => server.inject({ method: 'GET', url })
  t.match(await get('/livez'), { statusCode: 200, body: 'ok\n' })
  t.match(await get('/readyz'), { statusCode: 200, body: 'certificate: ok\n' })
  t.match(await get('/metrics'), { statusCode: 200, body: /sallyport_build_info\{version="1\.2\.3"\} 1/ })
  t.match(await get('/nothing'), { statusCode: 404 })
  checks = [...checks, { name: 'stopping', isReady: false, problem: 'asked to stop' }]
  t.match(await get('/readyz'), { statusCode: 503, body: 'certificate: ok\nstopping: asked to stop\n' })
  t.match(await get('/livez'), { statusCode: 200 })
})
