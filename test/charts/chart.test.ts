import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { loadPolicy } from '../../src/adapters/policy-files.js'
import { CHART_PAGE, readValues, VALUES_FILE, withValuesTable } from '../support/chart-values.js'
import { runCommand } from '../support/run-command.js'
import type { ChartObject } from './helm.js'
import { CHART, helm, missingHelm, objectOf, render, renderText, valuesFiles } from './helm.js'

/** What the chart promises, without a cluster: it renders, refuses what is wrong, and says what the docs say. */

const IMAGE = { image: { repository: 'registry.corp.example/sallyport' } }
const ALL_ON = {
  ...IMAGE,
  networkPolicy: { enabled: true },
  metrics: { serviceMonitor: { enabled: true }, prometheusRule: { enabled: true }, dashboard: { enabled: true } },
}
const CONTROL_PLANE = ['kube-node-lease', 'kube-public', 'kube-system']
const page = (path: string) => readFileSync(path, 'utf8')
const skip = missingHelm() ?? false

t.test('every value is explained, and the table of the page says the same', async t => {
  const values = readValues(page(VALUES_FILE))
  t.ok(values.length > 80)
  for (const { path, meaning } of values) t.ok(meaning.length > 5, path)
  t.equal(page(CHART_PAGE), withValuesTable(page(CHART_PAGE), values), 'npm run chart')
})

t.test('the schema knows every value, and no other', async t => {
  const schema = JSON.parse(page(`${CHART}/values.schema.json`))
  const compare = (value: unknown, node: Record<string, unknown>, path: string): void => {
    const { properties } = node
    if (!isRecord(value) || !isRecord(properties)) return
    t.strictSame(Object.keys(properties).sort(), Object.keys(value).sort(), path)
    t.equal(node['additionalProperties'], path === '.global', `${path} is closed`)
    for (const [key, inner] of Object.entries(value)) compare(inner, properties[key] as never, `${path}.${key}`)
  }
  // An issuer is optional as a whole.
  const values = parse(page(VALUES_FILE))
  values.tls.certManager.issuerRef = { name: '', kind: '', group: '' }
  values.webhook.resources = undefined
  values.correlator.resources = undefined
  compare(values, schema, '')
})

t.test("the chart carries this package's version and the starter policy", async t => {
  const chart = parse(page(`${CHART}/Chart.yaml`))
  const { version } = JSON.parse(page('package.json'))
  t.match(chart, { version, appVersion: version })
  const carried: string = parse(page(VALUES_FILE)).policy.documents['policy.yaml']
  t.strictSame(parse(carried), parse(page('policies/starter.yaml')))
  const file = join(mkdtempSync(join(tmpdir(), 'sallyport-chart-')), 'policy.yaml')
  writeFileSync(file, carried)
  t.strictSame((await loadPolicy([file])).warnings, [])
})

t.test('helm lint finds nothing, whatever the values', { skip }, async t => {
  for (const file of valuesFiles()) {
    const { status, stdout, stderr } = await helm(['lint', '--strict', CHART, '-f', file])
    t.equal(status, 0, `${file}: ${stderr}`)
    t.notMatch(stdout + stderr, /\[(?:WARNING|ERROR)\]|level=(?:WARN|ERROR)|msg="funcMap fail"/, file)
  }
})

t.test('objects of every kind of values render, named and labelled alike', { skip }, async t => {
  for (const file of valuesFiles()) {
    const objects = await render({ files: [file] })
    t.ok(objects.length >= 6, file)
    const keys = objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`)
    t.equal(new Set(keys).size, keys.length, 'no object twice')
    for (const { kind, metadata } of objects) {
      t.ok(metadata.labels['app.kubernetes.io/instance'], `${file}: ${kind} ${metadata.name}`)
      t.ok(metadata.name.length <= 63)
    }
    t.notMatch(JSON.stringify(objects), /<no value>|%!|REPLACE/)
  }
})

t.test('the longest names still fit', { skip }, async t => {
  const objects = await render({ values: ALL_ON, release: 'r'.repeat(53), namespace: 'n'.repeat(63) })
  for (const { metadata } of objects) {
    if (metadata.namespace !== undefined) t.ok(metadata.name.length <= 63, metadata.name)
    for (const value of Object.values(metadata.labels)) t.ok(value.length <= 63, value)
  }
})

t.test('the webhook is never asked about the namespaces that it stands on', { skip }, async t => {
  for (const file of valuesFiles()) {
    const objects = await render({ files: [file], namespace: 'gates' })
    for (const { webhooks } of objects.filter(({ kind }) => kind === 'ValidatingWebhookConfiguration')) {
      t.equal(webhooks.length, 1)
      const [expression] = webhooks[0].namespaceSelector.matchExpressions
      t.match(expression, { key: 'kubernetes.io/metadata.name', operator: 'NotIn' })
      for (const name of [...CONTROL_PLANE, 'gates']) t.ok(expression.values.includes(name), `${file}: ${name}`)
    }
  }
})

t.test(
  'a first install is harmless: Ignore, 3 s, warn mode, an ordinary object without caBundle',
  { skip },
  async t => {
    const objects = await render({ values: IMAGE })
    const configuration = objectOf(objects, 'ValidatingWebhookConfiguration')
    const [webhook] = configuration['webhooks']
    t.match(webhook, { failurePolicy: 'Ignore', timeoutSeconds: 3, sideEffects: 'None', matchPolicy: 'Equivalent' })
    t.notOk('caBundle' in webhook.clientConfig)
    t.notOk(Object.keys(configuration.metadata.annotations ?? {}).some(key => key.startsWith('helm.sh/')))
    for (const { kind, metadata } of objects) {
      const isHook = metadata.annotations?.['helm.sh/hook'] !== undefined
      t.equal(isHook, metadata.labels['app.kubernetes.io/component'] === 'test', `${kind} ${metadata.name}`)
    }
    t.notMatch(page(`${CHART}/templates/webhook/configuration.yaml`), 'lookup "')
  },
)

t.test('a certificate of your own comes with its CA, or not at all', { skip }, async t => {
  const objects = await render({ files: [`${CHART}/ci/existing-secret-values.yaml`] })
  const { clientConfig } = objectOf(objects, 'ValidatingWebhookConfiguration')['webhooks'][0]
  t.match(Buffer.from(clientConfig.caBundle, 'base64').toString(), /^-----BEGIN CERTIFICATE-----/)
  const refused = await renderText({
    values: { ...IMAGE, tls: { mode: 'existingSecret', existingSecret: { name: 'x' } } },
  })
  t.match(refused, { status: 1, stderr: 'tls.existingSecret.caBundle' })
})

t.test('what is wrong is refused, with the name of the value', { skip }, async t => {
  const cases: readonly (readonly [object, string | RegExp])[] = [
    [{}, 'image.repository'],
    [{ webhook: { replica: 3 } }, 'replica'],
    [{ webhook: { failurePolicy: 'fail' } }, 'failurePolicy'],
    [{ webhook: { timeoutSeconds: 31 } }, 'timeoutSeconds'],
    [{ webhook: { replicas: 0 } }, 'replicas'],
    [{ webhook: { excludedNamespaces: ['Kube_System'] } }, 'excludedNamespaces'],
    [{ webhook: { podDisruptionBudget: { minAvailable: 1, maxUnavailable: 1 } } }, 'not both'],
    [{ webhook: { resources: { limits: { memory: 'lots' } } } }, 'memory'],
    [{ tls: { mode: 'none' } }, 'mode'],
    [{ tls: { mode: 'existingSecret' } }, 'tls.existingSecret'],
    [{ policy: { documents: { 'policy.txt': 'x' } } }, 'policy.txt'],
    [{ image: { digest: 'sha256:short' } }, 'digest'],
    [{ correlator: { source: { type: 'tcp' } } }, 'type'],
    [{ correlator: { sinks: [] } }, 'sinks'],
    [{ correlator: { staleAfter: '1 hour' } }, 'staleAfter'],
    [{ unknown: true }, 'unknown'],
  ]
  for (const [values, said] of cases) {
    const isComplete = Object.keys(values).length === 0 || 'image' in values
    const { status, stderr } = await renderText({ values: isComplete ? values : { ...IMAGE, ...values } })
    t.equal(status, 1, JSON.stringify(values))
    t.match(stderr, said, JSON.stringify(values))
  }
})

t.test('an older Kubernetes gets what it knows, and is told what it cannot have', { skip }, async t => {
  t.match(await renderText({ values: IMAGE, kubeVersion: '1.20.2' }), { status: 1, stderr: 'kubectl label namespace' })
  t.match(await renderText({ values: IMAGE, kubeVersion: '1.19.0' }), { status: 1, stderr: 'kubeVersion' })
  const conditions = { ...IMAGE, webhook: { matchConditions: [{ name: 'x', expression: 'true' }] } }
  t.match(await renderText({ values: conditions, kubeVersion: '1.27.9' }), { status: 1, stderr: 'matchConditions' })
  t.equal((await renderText({ values: conditions, kubeVersion: '1.28.0' })).status, 0)

  const budgets = async (kubeVersion: string) =>
    objectOf(
      await render({ values: { ...IMAGE, webhook: { namespaceNamesLabelled: true } }, kubeVersion }),
      'PodDisruptionBudget',
    )
  t.match(await budgets('1.20.2'), { apiVersion: 'policy/v1beta1', spec: { minAvailable: 1 } })
  t.match(await budgets('1.21.0'), { apiVersion: 'policy/v1' })
  t.match(await budgets('1.33.0'), { spec: { unhealthyPodEvictionPolicy: 'AlwaysAllow' } })
})

t.test('the pods hold "restricted", but for a correlator that reads files of the node', { skip }, async t => {
  for (const file of valuesFiles()) {
    for (const { kind, spec } of (await render({ files: [file] })).filter(isWorkload)) {
      const pod = kind === 'Pod' ? spec : spec.template.spec
      const [container] = pod.containers
      t.equal(pod.securityContext.seccompProfile.type, 'RuntimeDefault', file)
      t.match(container.securityContext, { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true }, file)
      t.strictSame(container.securityContext.capabilities, { drop: ['ALL'] }, file)
      const user = { ...pod.securityContext, ...container.securityContext }
      const readsNode = pod.volumes.some((volume: object) => 'hostPath' in volume)
      t.match(user, readsNode ? { runAsUser: 0 } : { runAsNonRoot: true }, `${file}: ${kind}`)
      t.ok(readsNode ? kind === 'DaemonSet' : user.runAsUser !== 0)
      for (const { name, readOnly } of container.volumeMounts) {
        t.equal(readOnly === true, !['journal', 'state', 'scratch'].includes(name), `${file}: ${name}`)
      }
    }
  }
})

t.test('rights are the least of each part, and no rule holds a star', { skip }, async t => {
  const rulesOf = (objects: readonly ChartObject[]) =>
    objects.filter(({ kind }) => kind.endsWith('Role')).flatMap(({ rules }) => rules)
  const rules = rulesOf(await render({ values: IMAGE }))
  t.ok(rules.length >= 4)
  for (const rule of rules) {
    t.notMatch(JSON.stringify(rule), '*')
    const writes = rule.verbs.filter((verb: string) => !['get', 'list', 'watch'].includes(verb))
    if (writes.length > 0) t.equal(rule.resourceNames?.length, 1, JSON.stringify(rule))
    t.notOk(rule.verbs.includes('create') || rule.verbs.includes('delete'))
    t.notOk(rule.resources.includes('events') || rule.resources.includes('policyreports'), 'without such a sink')
  }
  const secretRules = rulesOf(await render({ files: [`${CHART}/ci/cert-manager-values.yaml`] }))
  t.notMatch(JSON.stringify(secretRules), 'secrets', 'only a webhook that makes its own certificate sees a Secret')
})

t.test('the heap is 60 % of the memory limit', { skip }, async t => {
  const cases = { '512Mi': 307, '2Gi': 1228, '1000M': 572, '300000Ki': 175 }
  for (const [memory, expected] of Object.entries(cases)) {
    const values = { ...IMAGE, webhook: { resources: { limits: { memory } } } }
    const { env } = objectOf(await render({ values }), 'Deployment')['spec'].template.spec.containers[0]
    t.strictSame(env, [{ name: 'NODE_OPTIONS', value: `--max-old-space-size=${expected}` }], memory)
    const correlator = { correlator: { enabled: true, resources: { limits: { memory } } } }
    const both = await render({ values: { ...IMAGE, ...correlator } })
    const container = objectOf(both, 'DaemonSet')['spec'].template.spec.containers[0]
    const options = container.env.find(({ name }: { readonly name: string }) => name === 'NODE_OPTIONS')
    t.equal(options.value, `--max-semi-space-size=4 --max-old-space-size=${expected}`, memory)
  }
})

t.test('the commands know every flag that the chart gives them', { skip }, async t => {
  for (const file of valuesFiles()) {
    for (const { kind, spec } of (await render({ files: [file] })).filter(isWorkload)) {
      if (kind === 'Pod') continue
      const [command = '', ...args]: string[] = spec.template.spec.containers[0].args
      const { stdout } = await runCommand([command, '--help'])
      for (const flag of args.map(argument => argument.split('=')[0] ?? '')) {
        t.match(stdout, new RegExp(`(?:^|\\s)${flag}\\b`, 'm'), `${command} ${flag}`)
      }
    }
  }
})

t.test('alerts and dashboard use only metrics that there are', { skip }, async t => {
  const known = page('docs/metrics.md')
  const objects = await render({ values: ALL_ON })
  const alerts: readonly { readonly alert: string; readonly expr: string }[] = objectOf(objects, 'PrometheusRule')[
    'spec'
  ].groups[0].rules
  const dashboard = objectOf(objects, 'ConfigMap', 'dashboard')['data']['sallyport.json']
  t.ok(JSON.parse(dashboard).panels.length >= 8)
  const operations = page('docs/operations.md')
  for (const { alert } of alerts) t.match(operations, `\`${alert}\``, alert)
  const texts = [...alerts.map(({ expr }) => expr), dashboard]
  const names = new Set(texts.flatMap(text => text.match(/\bsallyport_[a-z_]+/g) ?? []))
  t.ok(names.size >= 10)
  for (const name of names) t.match(known, `\`${name.replace(/_(?:bucket|count|sum)$/, '')}\``, name)
})

t.test('promtool takes the alerts', { skip: skip || missingPromtool() }, async t => {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-alerts-'))
  const rules = join(folder, 'rules.json')
  writeFileSync(rules, JSON.stringify(objectOf(await render({ values: ALL_ON }), 'PrometheusRule')['spec']))
  t.match(execFileSync('promtool', ['check', 'rules', rules], { encoding: 'utf8' }), 'SUCCESS')
  const tests = {
    rule_files: [rules],
    evaluation_interval: '1m',
    tests: [
      {
        interval: '1m',
        input_series: [
          // A series that begins with its first event, as the API server's do.
          {
            series: 'apiserver_admission_webhook_fail_open_count{name="images.sallyport.dev",type="validating"}',
            values: '_x30 1x30',
          },
          { series: 'sallyport_policy_rejected{namespace="sallyport",pod="a"}', values: '0x20 1x20 0x20' },
          {
            series: 'sallyport_certificate_expiry_timestamp_seconds{namespace="sallyport"}',
            values: `${13 * 86_400}x200`,
          },
        ],
        promql_expr_test: [
          alertTest('SallyportFailsOpen', '29m', 0),
          alertTest('SallyportFailsOpen', '35m', 1),
          alertTest('SallyportFailsOpen', '59m', 0),
          alertTest('SallyportPolicyRejected', '15m', 0),
          alertTest('SallyportPolicyRejected', '30m', 1),
          alertTest('SallyportCertificateEndsIn14Days', '2h', 1),
          alertTest('SallyportCertificateEndsIn3Days', '2h', 0),
        ],
      },
    ],
  }
  const file = join(folder, 'tests.json')
  writeFileSync(file, JSON.stringify(tests))
  t.match(execFileSync('promtool', ['test', 'rules', file], { encoding: 'utf8' }), 'SUCCESS')
})

/** Whether an alert fires at that time of the made-up series. */
function alertTest(alert: string, at: string, firing: 0 | 1): object {
  const expr = `count(ALERTS{alertname="${alert}",alertstate="firing"}) or vector(0)`
  return { expr, eval_time: at, exp_samples: [{ labels: '{}', value: firing }] }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isWorkload({ kind }: ChartObject): boolean {
  return ['Deployment', 'DaemonSet', 'Pod'].includes(kind)
}

function missingPromtool(): string | false {
  try {
    execFileSync('promtool', ['--version'], { stdio: 'ignore' })
    return false
  } catch {
    return 'there is no promtool on the path'
  }
}
