/** Any receiver of JSON over HTTP, one finding a message: by default in the form that falcosidekick takes. */

import { deliveryIdOf, type FindingReceiver } from '../correlator/delivery.js'
import type { Finding } from '../correlator/finding.js'
import { jsonLine } from '../correlator/json-line.js'
import type { Severity } from '../correlator/observation.js'
import { escapeForeign } from '../policy/index.js'
import { openHttpTarget, outcomeOfStatus } from './sink-http.js'
import type { WebhookSink } from './sink-spec.js'

/** Falco's words. */
const PRIORITIES: Readonly<Record<Severity, string>> = {
  high: 'Critical',
  medium: 'Warning',
  low: 'Notice',
  info: 'Informational',
}

/** @throws KnownError FILE_UNREADABLE for the token or the CA. */
export async function openWebhookSink(sink: WebhookSink): Promise<FindingReceiver> {
  const target = await openHttpTarget(sink)
  return {
    maxBatch: 1,
    async send([finding], signal) {
      if (finding === undefined) return { type: 'delivered' }
      const body = encodeWebhook(finding, sink)
      const headers = { 'content-type': 'application/json', 'x-sallyport-delivery': deliveryIdOf(finding) }
      const posted = await target.post({ url: sink.url, body, headers }, 'Bearer', signal)
      return posted.ok ? outcomeOfStatus(posted.answer) : posted.outcome
    },
    close: () => target.close(),
  }
}

/** One line of JSON. */
export function encodeWebhook(finding: Finding, { format }: Pick<WebhookSink, 'format'>): string {
  return jsonLine(format === 'falco' ? falcoAlertOf(finding) : { ...finding, delivery_id: deliveryIdOf(finding) })
}

/** falcosidekick forwards `output_fields` and `tags` as labels, so these are few, flat, and text or numbers. */
function falcoAlertOf(finding: Finding): object {
  const { title, severity, status, kind, code, lastSeen, node_name: hostname, attack } = finding
  return {
    uuid: uuidOf(deliveryIdOf(finding)),
    output: status === 'open' ? title : `${status}: ${title}`,
    // What is resolved, or covered by an exception, alarms nobody.
    priority: status === 'open' ? PRIORITIES[severity] : PRIORITIES.info,
    rule: `sallyport ${kind}`,
    time: lastSeen,
    source: 'sallyport',
    ...(hostname !== undefined && { hostname: escapeForeign(hostname, 253) }),
    tags: [kind, code, status, ...attack].map(tag => escapeForeign(tag, 100)),
    output_fields: outputFieldsOf(finding),
  }
}

/** Falco's names where it has them. */
function outputFieldsOf(finding: Finding): Readonly<Record<string, string | number>> {
  const fields: Readonly<Record<string, string | number | undefined>> = {
    'k8s.ns.name': finding.pod_namespace,
    'k8s.pod.name': finding.pod_name,
    'k8s.node.name': finding.node_name,
    'container.id': finding.container_id,
    'container.name': finding.container,
    'container.image': finding.image ?? finding.pod_image_name,
    'proc.name': finding.process_name,
    'proc.cmdline': finding.process,
    'proc.exepath': finding.process_exec,
    'proc.pname': finding.parent_process_name,
    'proc.pid': finding.process_id,
    'sallyport.cluster': finding.cluster_name,
    'sallyport.owner': finding.owner === undefined ? undefined : `${finding.owner.kind}/${finding.owner.name}`,
    'sallyport.kind': finding.kind,
    'sallyport.code': finding.code,
    'sallyport.status': finding.status,
    'sallyport.severity': finding.severity,
    'sallyport.certainty': finding.certainty,
    'sallyport.count': finding.count,
    'sallyport.first_seen': finding.firstSeen,
    'sallyport.risk_score': finding.risk.score,
    'sallyport.fingerprint': finding.fingerprint,
    'sallyport.policy': `${finding.policy.name} ${finding.policy.revision}`,
    'sallyport.how_it_got_in': finding.admission?.summary,
    'sallyport.remedy': finding.remedy,
  }
  const known: Record<string, string | number> = {}
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined && value !== '')
      known[name] = typeof value === 'string' ? escapeForeign(value, 1_024) : value
  }
  return known
}

/** The same for a repeated delivery, in the form of a UUID (version 8, of one's own making). */
function uuidOf(id: string): string {
  return `${id.slice(0, 8)}-${id.slice(8, 12)}-8${id.slice(13, 16)}-a${id.slice(17, 20)}-${id.slice(20, 32)}`
}
