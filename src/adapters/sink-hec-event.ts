/** A finding as an event of Splunk's HTTP Event Collector. */

import { deliveryIdOf } from '../correlator/delivery.js'
import type { Finding } from '../correlator/finding.js'
import { jsonLine } from '../correlator/json-line.js'
import type { HecSink } from './sink-spec.js'

/**
 * One line. The event is the finding as `correlate` writes it, with the fields of Splunk's risk framework and of the two
 * detections beside it (`risk_object` …, `annotations.mitre_attack`, `firstTime`, `lastTime`), so that their drill-downs
 * and risk rules work on it. Its time is when it was last seen.
 */
export function encodeHecEvent(finding: Finding, { index, source, sourcetype }: HecSink): string {
  const { node_name: host, firstSeen, lastSeen, risk, attack, title } = finding
  const [object] = risk.objects
  const [threat] = risk.threats
  return jsonLine({
    time: seconds(lastSeen),
    ...(host !== undefined && { host }),
    source,
    sourcetype,
    ...(index !== undefined && { index }),
    event: {
      ...finding,
      delivery_id: deliveryIdOf(finding),
      firstTime: seconds(firstSeen),
      lastTime: seconds(lastSeen),
      risk_message: title,
      risk_score: risk.score,
      ...(object !== undefined && {
        risk_object: object.name,
        risk_object_type: object.type,
        risk_object_field: object.field,
      }),
      ...(threat !== undefined && {
        threat_object: threat.name,
        threat_object_type: threat.type,
        threat_object_field: threat.field,
      }),
      'annotations.mitre_attack': attack,
    },
  })
}

/** Since the epoch, with milliseconds, as the collector takes them. */
function seconds(time: string): number {
  return Date.parse(time) / 1000
}
