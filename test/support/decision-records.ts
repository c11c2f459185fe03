/** Decision records for tests: whole ones, of which a test changes what it is about. */

import { DECISION_RECORD_SCHEMA, type DecisionRecord, type RecordedImage } from '../../src/webhook/decision-record.js'

export const RECORDED_AT = Date.parse('2026-11-22T08:00:00Z')

export function recordedImageOf(changes: Partial<RecordedImage> = {}): RecordedImage {
  return {
    list: 'containers',
    container: 'app',
    field: 'spec.containers[0].image',
    written: 'redis:7',
    image: 'docker.io/library/redis:7',
    outcome: 'denied',
    reason: 'not-allowed',
    entry: null,
    exception: null,
    changed: true,
    ...changes,
  }
}

/** A pod of a ReplicaSet with one image that is not allowed, admitted in warn mode. */
export function decisionRecordOf(changes: Partial<DecisionRecord> = {}): DecisionRecord {
  return {
    schema: DECISION_RECORD_SCHEMA,
    id: 'AbcdefghijklmnopqrstuV',
    time: new Date(RECORDED_AT).toISOString(),
    cluster: null,
    requestUid: 'request-1',
    objectUid: 'uid-1',
    kind: 'Pod',
    subResource: null,
    namespace: 'team-a',
    name: 'web-5d9c7-x1',
    generateName: 'web-5d9c7-',
    topOwner: { kind: 'ReplicaSet', name: 'web-5d9c7', uid: 'rs-1' },
    operation: 'CREATE',
    dryRun: false,
    user: 'jane',
    mode: 'warn',
    action: 'warn',
    allowed: true,
    policy: 'production',
    revision: '8f3c2a1',
    images: [recordedImageOf()],
    imagesOmitted: 0,
    unreadable: null,
    waived: null,
    exceptions: [],
    warnings: [],
    ...changes,
  }
}

export const ndjson = (records: readonly object[]): string =>
  records.map(record => `${JSON.stringify(record)}\n`).join('')
