/** Reports as objects; what the API server makes of them is tested with a real one (test/e2e/sinks.test.ts). */

import t from 'tap'
import { mergeResult, type Report, resultOf } from '../../src/adapters/sink-report-object.js'
import { findingOf, fingerprintOf } from '../support/findings.js'

t.test('a report stays an object that the API server takes, however long its texts are', async t => {
  const owner = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'team-a', name: 'web', uid: 'u' }
  const target = { apiVersion: 'openreports.io/v1alpha1', kind: 'Report', owner, maxResults: 1_000 }
  const long = '€'.repeat(1_024)
  const result = (number: number) =>
    resultOf(findingOf({ fingerprint: fingerprintOf(number), title: long, process: long, remedy: long }), '')
  const full = Array.from({ length: 999 }, (_, number) => result(number + 1))
  const report: Report | undefined = mergeResult({ metadata: {}, results: full }, result(0), target)
  const kept = report?.results.length ?? 0
  t.ok(Buffer.byteLength(JSON.stringify(report)) < 1_100_000, 'as etcd takes it')
  t.ok(kept > 50 && kept < 1_000, `${kept} results`)
  t.match(report, {
    metadata: { annotations: { 'sallyport.dev/omitted-results': String(1_000 - kept) } },
    summary: { fail: kept },
  })
})
