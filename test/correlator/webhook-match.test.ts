import t from 'tap'
import { matchWebhook, type ReviewableRequest, type WebhookMatch } from '../../src/correlator/webhook-match.js'
import { assertProperty, fc } from '../support/properties.js'

type Webhook = Parameters<typeof matchWebhook>[0]
type Rule = Webhook['rules'][number]

const ruleOf = (changes: Partial<Rule> = {}): Rule => ({
  apiGroups: [''],
  apiVersions: ['v1'],
  resources: ['pods'],
  operations: ['CREATE', 'UPDATE'],
  scope: '*',
  ...changes,
})

const webhookOf = (changes: Partial<Webhook> = {}): Webhook => ({
  rules: [ruleOf()],
  namespaceSelector: undefined,
  objectSelector: undefined,
  matchPolicy: 'Equivalent',
  matchConditions: 0,
  ...changes,
})

const requestOf = (changes: Partial<ReviewableRequest> = {}): ReviewableRequest => ({
  operation: 'CREATE',
  group: '',
  version: 'v1',
  resource: 'pods',
  subresource: '',
  namespace: 'team-a',
  namespaceLabels: { 'kubernetes.io/metadata.name': 'team-a', env: 'prod' },
  objectLabels: [{ app: 'web' }],
  ...changes,
})

const outcomeOf = (match: WebhookMatch) => (match.called === 'yes' ? 'yes' : `${match.called}: ${match.because}`)
const selects = (key: string, operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist', ...values: readonly string[]) => ({
  matchExpressions: [{ key, operator, values }],
})

t.test('each filter decides as the API server does', async t => {
  const NAME = 'kubernetes.io/metadata.name'
  const DEPLOYMENT = { group: 'apps', resource: 'deployments' }
  const cases: readonly (readonly [string, Partial<Webhook>, Partial<ReviewableRequest>, string])[] = [
    ['a plain rule', {}, {}, 'yes'],
    ['no rules at all', { rules: [] }, {}, 'no: rules'],
    ['another resource', {}, { resource: 'services' }, 'no: rules'],
    ['another operation', {}, { operation: 'DELETE' }, 'no: rules'],
    ['any operation', { rules: [ruleOf({ operations: ['*'] })] }, { operation: 'DELETE' }, 'yes'],
    ['another group', {}, { group: 'metrics.k8s.io' }, 'no: rules'],
    ['any group', { rules: [ruleOf({ apiGroups: ['*'] })] }, { group: 'metrics.k8s.io' }, 'yes'],
    ['a second rule', { rules: [ruleOf({ resources: ['services'] }), ruleOf()] }, {}, 'yes'],
    ['a subresource under the plain name', {}, { subresource: 'ephemeralcontainers' }, 'no: rules'],
    [
      'a star is no subresource either',
      { rules: [ruleOf({ resources: ['*'] })] },
      { subresource: 'status' },
      'no: rules',
    ],
    ['a star is any resource', { rules: [ruleOf({ resources: ['*'] })] }, { resource: 'services' }, 'yes'],
    [
      'the subresource by its name',
      { rules: [ruleOf({ resources: ['pods/ephemeralcontainers'] })] },
      { subresource: 'ephemeralcontainers' },
      'yes',
    ],
    ['which is not the pod itself', { rules: [ruleOf({ resources: ['pods/status'] })] }, {}, 'no: rules'],
    ['any subresource', { rules: [ruleOf({ resources: ['pods/*'] })] }, { subresource: 'binding' }, 'yes'],
    ['any subresource, or none', { rules: [ruleOf({ resources: ['pods/*'] })] }, {}, 'yes'],
    ['everything', { rules: [ruleOf({ resources: ['*/*'] })] }, { subresource: 'status' }, 'yes'],
    ['one subresource of everything', { rules: [ruleOf({ resources: ['*/scale'] })] }, { subresource: 'scale' }, 'yes'],
    ['namespaced scope', { rules: [ruleOf({ scope: 'Namespaced' })] }, {}, 'yes'],
    ['cluster scope', { rules: [ruleOf({ scope: 'Cluster' })] }, {}, 'no: rules'],
    [
      'a node is of the cluster',
      { rules: [ruleOf({ scope: 'Cluster', resources: ['*'] })] },
      { resource: 'nodes', namespace: '' },
      'yes',
    ],
    [
      'a namespace is of the cluster, though it bears its own name',
      { rules: [ruleOf({ scope: 'Namespaced', resources: ['*'] })] },
      { resource: 'namespaces' },
      'no: rules',
    ],
    [
      'the webhook configurations are out of reach',
      { rules: [ruleOf({ apiGroups: ['*'], apiVersions: ['*'], resources: ['*/*'] })] },
      { group: 'admissionregistration.k8s.io', resource: 'validatingwebhookconfigurations', namespace: '' },
      'no: exempt',
    ],

    ['an empty namespace selector', { namespaceSelector: {} }, { namespaceLabels: undefined }, 'yes'],
    ['a label that fits', { namespaceSelector: { matchLabels: { env: 'prod' } } }, {}, 'yes'],
    ['a label that does not', { namespaceSelector: { matchLabels: { env: 'dev' } } }, {}, 'no: namespace-selector'],
    ['NotIn', { namespaceSelector: selects(NAME, 'NotIn', 'kube-system', 'team-a') }, {}, 'no: namespace-selector'],
    ['NotIn another', { namespaceSelector: selects(NAME, 'NotIn', 'kube-system') }, {}, 'yes'],
    [
      'NotIn holds where the label is missing, as on Kubernetes 1.20',
      { namespaceSelector: selects(NAME, 'NotIn', 'kube-system') },
      { namespace: 'kube-system', namespaceLabels: {} },
      'yes',
    ],
    ['In', { namespaceSelector: selects('env', 'In', 'dev', 'prod') }, {}, 'yes'],
    ['In, label missing', { namespaceSelector: selects('tier', 'In', '') }, {}, 'no: namespace-selector'],
    ['Exists', { namespaceSelector: selects('env', 'Exists') }, {}, 'yes'],
    ['DoesNotExist', { namespaceSelector: selects('env', 'DoesNotExist') }, {}, 'no: namespace-selector'],
    [
      'labels that nobody has set, though every object inherits them',
      { namespaceSelector: selects('constructor', 'Exists') },
      {},
      'no: namespace-selector',
    ],
    [
      'unknown labels',
      { namespaceSelector: selects('env', 'Exists') },
      { namespaceLabels: undefined },
      'unknown: namespace-labels',
    ],
    [
      'unknown labels, and rules that say no',
      { namespaceSelector: selects('env', 'Exists'), rules: [] },
      { namespaceLabels: undefined },
      'no: rules',
    ],
    [
      'what is in no namespace is never excluded by one',
      { rules: [ruleOf({ resources: ['nodes'] })], namespaceSelector: { matchLabels: { env: 'dev' } } },
      { resource: 'nodes', namespace: '', namespaceLabels: undefined },
      'yes',
    ],
    [
      'a namespace is, by the labels it would have',
      { rules: [ruleOf({ resources: ['namespaces'] })], namespaceSelector: { matchLabels: { env: 'dev' } } },
      { resource: 'namespaces', namespace: '' },
      'no: namespace-selector',
    ],

    ['an object selector', { objectSelector: { matchLabels: { app: 'web' } } }, {}, 'yes'],
    ['another', { objectSelector: { matchLabels: { app: 'db' } } }, {}, 'no: object-selector'],
    [
      'the object before it',
      { objectSelector: { matchLabels: { app: 'db' } } },
      { objectLabels: [{}, { app: 'db' }] },
      'yes',
    ],
    ['neither has labels, and none is wanted', { objectSelector: {} }, { objectLabels: [] }, 'yes'],
    [
      'no object to select',
      { objectSelector: selects('x', 'DoesNotExist') },
      { objectLabels: [] },
      'no: object-selector',
    ],
    [
      'labels of one not known',
      { objectSelector: { matchLabels: { app: 'db' } } },
      { objectLabels: [{ app: 'web' }, undefined] },
      'unknown: object-labels',
    ],
    [
      'known to fit',
      { objectSelector: { matchLabels: { app: 'web' } } },
      { objectLabels: [undefined, { app: 'web' }] },
      'yes',
    ],
    ['a selector of the future', { objectSelector: 'unreadable' }, {}, 'unknown: selector-unreadable'],
    ['the same for namespaces', { namespaceSelector: 'unreadable' }, {}, 'unknown: selector-unreadable'],

    [
      'another version of the group',
      { rules: [ruleOf({ apiGroups: ['batch'], resources: ['cronjobs'] })] },
      { group: 'batch', version: 'v1beta1', resource: 'cronjobs' },
      'unknown: equivalent-version',
    ],
    [
      'which Exact does not count',
      { matchPolicy: 'Exact', rules: [ruleOf({ apiGroups: ['batch'], resources: ['cronjobs'] })] },
      { group: 'batch', version: 'v1beta1', resource: 'cronjobs' },
      'no: rules',
    ],
    [
      'another group of the same objects',
      { rules: [ruleOf({ apiGroups: ['extensions'], apiVersions: ['v1beta1'], resources: ['deployments'] })] },
      DEPLOYMENT,
      'unknown: equivalent-version',
    ],
    [
      'another group of other objects',
      { rules: [ruleOf({ apiGroups: ['extensions'], resources: ['statefulsets'] })] },
      { group: 'apps', resource: 'statefulsets' },
      'no: rules',
    ],
    ['a version of pods that never was', { rules: [ruleOf({ apiVersions: ['v2'] })] }, {}, 'no: rules'],
    [
      'an equivalent for another operation',
      { rules: [ruleOf({ apiGroups: ['extensions'], resources: ['deployments'], operations: ['DELETE'] })] },
      DEPLOYMENT,
      'no: rules',
    ],

    ['conditions are not evaluated', { matchConditions: 2 }, {}, 'unknown: match-conditions'],
    ['where a rule says no, they do not matter', { matchConditions: 2, rules: [] }, {}, 'no: rules'],
  ]
  for (const [title, webhook, request, expected] of cases) {
    t.equal(outcomeOf(matchWebhook(webhookOf(webhook), requestOf(request))), expected, title)
  }
})

t.test('knowing more never turns a certain answer round', async t => {
  const key = fc.constantFrom('a', 'b')
  const value = fc.constantFrom('x', 'y')
  const labels = fc.dictionary(key, value)
  const selector = fc.record({
    matchLabels: labels,
    matchExpressions: fc.array(
      fc.record({
        key,
        operator: fc.constantFrom('In', 'NotIn', 'Exists', 'DoesNotExist'),
        values: fc.array(value, { maxLength: 2 }),
      }),
      { maxLength: 2 },
    ),
  })
  const property = fc.property(
    selector,
    selector,
    labels,
    labels,
    (namespaceSelector, objectSelector, known, object) => {
      const webhook = webhookOf({ namespaceSelector, objectSelector })
      const blind = matchWebhook(webhook, requestOf({ namespaceLabels: undefined, objectLabels: [undefined] }))
      const seeing = matchWebhook(webhook, requestOf({ namespaceLabels: known, objectLabels: [object] }))
      t.not(seeing.called, 'unknown')
      if (blind.called !== 'unknown') t.equal(seeing.called, blind.called)
    },
  )
  t.doesNotThrow(() => assertProperty(property))
})
