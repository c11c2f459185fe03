import { readFileSync } from 'node:fs'
import t from 'tap'
import { createWebhookMetrics, type WebhookState } from '../../src/adapters/metrics.js'
import { decide, parseWorkload } from '../../src/policy/index.js'
import { createOpsServer, type ReadinessCheck } from '../../src/webhook/ops-server.js'
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
  const exposed = [...text.matchAll(/^# TYPE (sallyport_\S+) (\S+)$/gm)].map(([, name, type]) => {
    const sample = new RegExp(`^${name}(?:_bucket)?\\{([^}]*)\\}`, 'm').exec(text)?.[1] ?? ''
    const labels = [...sample.matchAll(/([a-z]+)="/g)].map(match => match[1]).filter(label => label !== 'le')
    return `${name} | ${type} | ${labels.join(', ')}`
  })
  const rows = readFileSync('docs/metrics.md', 'utf8').matchAll(/^\| `(sallyport_\w+)` \| (\w+) \|([^|]*)\|/gm)
  const documented = [...rows].map(([, name, type, labels = '']) => `${name} | ${type} | ${labels.trim()}`)
  t.ok(documented.length > 10)
  t.strictSame(exposed.sort(), documented.sort())
})

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
