/** Policy reports: one a workload, as the state of its findings, in whichever of the two report APIs is installed. */

import type { FindingReceiver, SendOutcome } from '../correlator/delivery.js'
import type { Finding } from '../correlator/finding.js'
import { withDeadline } from './deadline.js'
import { type KubernetesClient, KubernetesStatusError } from './kubernetes-client.js'
import { createPace, DEADLINE_MS, isNotFound, isNotServed, outcomeOfKubernetes } from './sink-kubernetes.js'
import { mergeResult, reportNameOf, resultOf } from './sink-report-object.js'
import type { ReportSink } from './sink-spec.js'
import { createSubjects, LOOK_UPS, type Subject } from './sink-subject.js'

/** The one that is further on first. */
const APIS: readonly ReportApi[] = [
  {
    apiVersion: 'openreports.io/v1alpha1',
    namespaced: { kind: 'Report', resource: 'reports' },
    clustered: { kind: 'ClusterReport', resource: 'clusterreports' },
  },
  {
    apiVersion: 'wgpolicyk8s.io/v1alpha2',
    namespaced: { kind: 'PolicyReport', resource: 'policyreports' },
    clustered: { kind: 'ClusterPolicyReport', resource: 'clusterpolicyreports' },
  },
]
const NEEDS = `get, create and update on reports (openreports.io) or policyreports (wgpolicyk8s.io), ${LOOK_UPS}`
/** Correlators on other nodes may write the same report at the same time. */
const MAX_CONFLICTS = 5
/** Writes a minute; each is a read and, where something changed, a write. */
const RATE = 300

interface ReportKind {
  readonly kind: string
  readonly resource: string
}

interface ReportApi {
  readonly apiVersion: string
  readonly namespaced: ReportKind
  readonly clustered: ReportKind
}

/** A report belongs to its workload, so that it goes with it. */
export function openReportSink(sink: ReportSink, client: KubernetesClient): FindingReceiver {
  const subjects = createSubjects(client)
  const pace = createPace(RATE)
  let api: ReportApi | undefined
  const report = async (finding: Finding, signal: AbortSignal): Promise<SendOutcome> => {
    api ??= await findApi(client, signal)
    if (api === undefined) {
      const names = APIS.map(({ apiVersion }) => apiVersion).join(' nor ')
      return { type: 'refused', problem: `the API server serves neither ${names}` }
    }
    const owner = await subjects.ownerOf(finding, signal)
    if (owner === undefined) return { type: 'skipped', problem: 'the workload is not there' }
    await pace.turn(signal)
    await write(sink, client, api, owner, finding, signal)
    return { type: 'delivered' }
  }
  return {
    maxBatch: 1,
    async send([finding], stop) {
      if (finding === undefined) return { type: 'delivered' }
      try {
        return await withDeadline(stop, DEADLINE_MS, signal => report(finding, signal))
      } catch (error) {
        // The API was taken away, and perhaps another one installed.
        if (isNotServed(error)) api = undefined
        return isNotServed(error)
          ? { type: 'retry', problem: 'the report API is gone' }
          : outcomeOfKubernetes(error, NEEDS)
      }
    },
    close() {},
  }
}

async function findApi(client: KubernetesClient, signal: AbortSignal): Promise<ReportApi | undefined> {
  for (const api of APIS) {
    try {
      await client.read(`/apis/${api.apiVersion}`, {}, signal)
      return api
    } catch (error) {
      if (!isNotFound(error)) throw error
    }
  }
  return undefined
}

/** Read, merge, write under the version that was read; from the start when somebody else was faster. */
async function write(
  { maxResults, reporter, isDryRun }: ReportSink,
  client: KubernetesClient,
  { apiVersion, namespaced, clustered }: ReportApi,
  owner: Subject,
  finding: Finding,
  signal: AbortSignal,
): Promise<void> {
  const { kind, resource } = owner.namespace === undefined ? clustered : namespaced
  const scope = owner.namespace === undefined ? '' : `/namespaces/${owner.namespace}`
  const path = `/apis/${apiVersion}${scope}/${resource}`
  const own = `${path}/${reportNameOf(owner)}`
  const query: Readonly<Record<string, string>> = isDryRun ? { dryRun: 'All' } : {}
  const result = resultOf(finding, reporter)
  for (let conflicts = 0; ; conflicts += 1) {
    const present = await readIfThere(client, own, signal)
    const body = mergeResult(present, result, { apiVersion, kind, owner, maxResults })
    if (body === undefined) return
    try {
      if (present === undefined) await client.send('POST', path, { query, body }, signal)
      else await client.send('PUT', own, { query, body }, signal)
      return
    } catch (error) {
      const isConflict = error instanceof KubernetesStatusError && error.status === 409
      if (!isConflict || conflicts >= MAX_CONFLICTS) throw error
    }
  }
}

async function readIfThere(client: KubernetesClient, path: string, signal: AbortSignal): Promise<unknown> {
  try {
    return await client.read(path, {}, signal)
  } catch (error) {
    if (isNotFound(error) && !isNotServed(error)) return undefined
    throw error
  }
}
