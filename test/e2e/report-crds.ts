/** Minimal definitions of the two report APIs: the fields that they document, as far as a report of ours has them. */

const TEXT = { type: 'string' }
const TEXTS = { type: 'object', additionalProperties: TEXT }
const COUNT = { type: 'integer' }
const object = (properties: object, required: readonly string[] = []) => ({
  type: 'object',
  properties,
  ...(required.length > 0 && { required }),
})
const REFERENCE = object({
  apiVersion: TEXT,
  kind: TEXT,
  namespace: TEXT,
  name: TEXT,
  uid: TEXT,
  resourceVersion: TEXT,
  fieldPath: TEXT,
})
const RESULT = object(
  {
    source: TEXT,
    policy: TEXT,
    rule: TEXT,
    category: TEXT,
    severity: { type: 'string', enum: ['critical', 'high', 'low', 'medium', 'info'] },
    result: { type: 'string', enum: ['pass', 'fail', 'warn', 'error', 'skip'] },
    scored: { type: 'boolean' },
    message: TEXT,
    timestamp: object({ seconds: { type: 'integer', format: 'int64' }, nanos: { type: 'integer', format: 'int32' } }, [
      'nanos',
      'seconds',
    ]),
    resources: { type: 'array', items: REFERENCE },
    properties: TEXTS,
  },
  ['policy'],
)
const SCHEMA = object({
  apiVersion: TEXT,
  kind: TEXT,
  metadata: { type: 'object' },
  source: TEXT,
  scope: REFERENCE,
  summary: object({ pass: COUNT, fail: COUNT, warn: COUNT, error: COUNT, skip: COUNT }),
  results: { type: 'array', items: RESULT },
})

function definition(group: string, version: string, kind: string, plural: string, isNamespaced: boolean): object {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${plural}.${group}`,
      // Groups of the Kubernetes community ask for a word on where they come from.
      annotations: { 'api-approved.kubernetes.io': 'unapproved, a test' },
    },
    spec: {
      group,
      scope: isNamespaced ? 'Namespaced' : 'Cluster',
      names: { kind, listKind: `${kind}List`, plural, singular: kind.toLowerCase() },
      versions: [{ name: version, served: true, storage: true, schema: { openAPIV3Schema: SCHEMA } }],
    },
  }
}

export const OPEN_REPORTS = [
  definition('openreports.io', 'v1alpha1', 'Report', 'reports', true),
  definition('openreports.io', 'v1alpha1', 'ClusterReport', 'clusterreports', false),
]
export const POLICY_REPORTS = [
  definition('wgpolicyk8s.io', 'v1alpha2', 'PolicyReport', 'policyreports', true),
  definition('wgpolicyk8s.io', 'v1alpha2', 'ClusterPolicyReport', 'clusterpolicyreports', false),
]
