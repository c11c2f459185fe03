/** Findings for tests: whole ones, of which a test changes what it is about. */

import { FINDING_SCHEMA, type Finding } from '../../src/correlator/finding.js'

export function findingOf(changes: Partial<Finding> = {}): Finding {
  return {
    schema: FINDING_SCHEMA,
    kind: 'non-allowlisted-image',
    code: 'not-allowed',
    fingerprint: '0123456789abcdef',
    title: 'docker.io/library/redis:7 runs in Deployment team-a/web and is not allowed',
    status: 'open',
    severity: 'medium',
    certainty: 'likely',
    emission: 1,
    count: 3,
    suppressedCount: 0,
    firstSeen: '2026-11-21T23:22:05.250Z',
    lastSeen: '2026-11-21T23:30:05.500Z',
    risk: {
      score: 20,
      objects: [{ field: 'pod_name', name: 'web-1', type: 'system', score: 20 }],
      threats: [{ field: 'process_name', name: 'sh', type: 'process_name' }],
    },
    attack: ['T1204.003', 'T1610'],
    image: 'docker.io/library/redis:7',
    owner: { kind: 'Deployment', name: 'web' },
    container: 'app',
    pod_image_name: 'docker.io/library/redis:7',
    pod_namespace: 'team-a',
    pod_name: 'web-1',
    process_name: 'sh',
    process: '/bin/sh -c id',
    parent_process_name: 'containerd-shim',
    process_exec: '/bin/sh',
    process_id: 4711,
    container_id: 'c'.repeat(31),
    node_name: 'node-1',
    cluster_name: 'cluster-1',
    samples: { processes: ['/bin/sh -c id'], pods: ['web-1'] },
    policy: { name: 'production', revision: '8f3c2a1' },
    verdict: undefined,
    tool: undefined,
    admission: undefined,
    suppression: undefined,
    remarks: [],
    remedy: 'add it to the allowlist, or remove it',
    nextCommand: 'sallyport explain docker.io/library/redis:7',
    ...changes,
  }
}

/** A fingerprint of a number. */
export function fingerprintOf(number: number): string {
  return number.toString(16).padStart(16, '0')
}
