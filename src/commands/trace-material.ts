/** Everything that the sources of `sallyport trace` know of its target, joined by uid, else by name. */

import { readEventFiles } from '../adapters/event-file.js'
import { readFindings } from '../adapters/finding-store-reader.js'
import type { AdmissionJournal, PodIdentity, RecordedAdmission } from '../correlator/admission-journal.js'
import type { Finding } from '../correlator/finding.js'
import { recordsOfPod } from '../correlator/governing-admission.js'
import type { KnownPod } from '../correlator/inventory.js'
import type { TraceMaterial } from '../correlator/pod-trace.js'
import { type WatchedPod, watchPod } from '../correlator/pod-watch.js'
import { createStreamStats } from '../correlator/stream-stats.js'
import type { CommandIo } from './command-io.js'
import { describeStream } from './stream-words.js'
import type { TraceSources } from './trace-sources.js'
import type { TraceTarget } from './trace-target.js'

/** What a Deployment puts behind the names of its ReplicaSets. */
const TEMPLATE_HASH = /-[a-z0-9]{5,10}$/
const NOT_SEEN: WatchedPod = { pod: undefined, nodeName: undefined, seen: new Map(), findings: [] }

interface MaterialOptions {
  readonly events?: readonly string[]
  readonly state?: string
}

/** Undefined: no source knows the target. */
export async function gatherMaterial(
  target: TraceTarget,
  sources: TraceSources,
  options: MaterialOptions,
  io: CommandIo,
): Promise<TraceMaterial | undefined> {
  const kept = options.state === undefined ? [] : readFindings(options.state)
  const wanted = wantedPod(target, kept)
  const known = knownPod(sources, wanted)
  const watched = await watchEvents({ ...wanted, uid: wanted.uid ?? known?.uid }, sources, options, io)
  const recorded = recordedBy(sources.journal, wanted, known, watched)
  const identity = identityOf(wanted, known, watched, recorded)
  if (identity === undefined) return undefined
  const findings = findingsOf(identity, watched.findings, kept)
  const requests = sources.audit?.requestsOf(identity) ?? []
  const isKnown = [known, watched.pod, recorded[0], findings[0], requests[0]].some(each => each !== undefined)
  if (!isKnown) return undefined
  const pod = known ?? sources.inventory?.podOf(identity)
  const records = recordsOfPod(recorded, identity)
  return {
    identity,
    pod,
    namespaceLabels: sources.inventory?.namespaceOf(identity.namespace)?.labels,
    records,
    workloadRecords: workloadRecords(sources.journal, identity, pod, records, watched),
    requests,
    spans: sources.journal?.coverageSpans() ?? [],
    seen: watched.seen,
    event: { workload: watched.pod?.workload, workloadKind: watched.pod?.workloadKind, nodeName: watched.nodeName },
    findings,
  }
}

/** A finding leads to the pod that raised it. One that nobody keeps may be a pod of that name. */
function wantedPod(target: TraceTarget, kept: readonly Finding[]): Partial<PodIdentity> {
  switch (target.type) {
    case 'uid':
      return { uid: target.uid }
    case 'pod':
      return { namespace: target.namespace, name: target.name }
    case 'finding': {
      const finding = kept.find(({ fingerprint }) => fingerprint === target.fingerprint)
      return { namespace: finding?.pod_namespace ?? target.namespace, name: finding?.pod_name ?? target.fingerprint }
    }
  }
}

function knownPod({ inventory }: TraceSources, wanted: Partial<PodIdentity>): KnownPod | undefined {
  const { uid, namespace = '', name = '' } = wanted
  return inventory?.podOf({ uid, namespace, name })
}

async function watchEvents(
  wanted: Partial<PodIdentity>,
  { tools }: TraceSources,
  { events }: MaterialOptions,
  { stdin, stderr, signal }: CommandIo,
): Promise<WatchedPod> {
  if (events === undefined) return NOT_SEEN
  const stats = createStreamStats()
  const watched = await watchPod(readEventFiles(events, { stdin, signal }), wanted, tools, stats)
  stderr.write(describeStream(stats))
  return watched
}

function recordedBy(
  journal: AdmissionJournal | undefined,
  wanted: Partial<PodIdentity>,
  known: KnownPod | undefined,
  { pod }: WatchedPod,
): readonly RecordedAdmission[] {
  const uid = wanted.uid ?? known?.uid ?? pod?.uid
  const namespace = wanted.namespace ?? known?.namespace ?? pod?.namespace ?? ''
  const name = wanted.name ?? known?.name ?? pod?.name ?? ''
  const found = journal?.findAdmissions({ uid, namespace, name }) ?? []
  if (uid !== undefined || found.length === 0) return found
  // By name alone: of all pods that bore it, the last one that was let in is meant, else the last that was refused.
  const ofPods = recordsOfPod(found, { uid: undefined }).filter(({ dryRun }) => !dryRun)
  const last = ofPods.findLast(({ allowed }) => allowed) ?? ofPods.at(-1)
  return last === undefined ? [] : found.filter(record => record.uid === undefined || record.uid === last.uid)
}

function identityOf(
  wanted: Partial<PodIdentity>,
  known: KnownPod | undefined,
  { pod }: WatchedPod,
  recorded: readonly RecordedAdmission[],
): PodIdentity | undefined {
  const [record] = recordsOfPod(recorded, { uid: wanted.uid })
  const namespace = wanted.namespace ?? known?.namespace ?? pod?.namespace ?? record?.namespace
  const name = wanted.name ?? known?.name ?? pod?.name ?? record?.name
  if (namespace === undefined || name === undefined) return undefined
  return { uid: wanted.uid ?? known?.uid ?? pod?.uid ?? record?.uid, namespace, name }
}

/** What correlate keeps knows more of the past; what these very events show beside it is newer, or the same. */
function findingsOf(
  { namespace, name }: PodIdentity,
  found: readonly Finding[],
  kept: readonly Finding[],
): readonly Finding[] {
  const ofPod = kept.filter(({ pod_namespace, pod_name, samples }) => {
    return pod_namespace === namespace && (pod_name === name || samples.pods.includes(name))
  })
  const fingerprints = new Set(ofPod.map(({ fingerprint }) => fingerprint))
  return [...ofPod, ...found.filter(({ fingerprint }) => !fingerprints.has(fingerprint))]
}

/** The human stands only on the workload's own decisions: pods are made by controllers. */
function workloadRecords(
  journal: AdmissionJournal | undefined,
  { namespace }: PodIdentity,
  pod: KnownPod | undefined,
  records: readonly RecordedAdmission[],
  watched: WatchedPod,
): readonly RecordedAdmission[] {
  const owners = [pod?.topOwner, pod?.controller, ...records.map(({ topOwner }) => topOwner)].flatMap(
    owner => owner ?? [],
  )
  const ofEvent = watched.pod?.workload
  const names = new Map(owners.map(({ kind, name }) => [`${kind}/${name}`, { kind, name }]))
  if (ofEvent !== undefined) {
    const kind = watched.pod?.workloadKind ?? 'Deployment'
    names.set(`${kind}/${ofEvent}`, { kind, name: ofEvent })
  }
  for (const { kind, name } of [...names.values()]) {
    if (kind !== 'ReplicaSet' || !TEMPLATE_HASH.test(name)) continue
    const deployment = { kind: 'Deployment', name: name.replace(TEMPLATE_HASH, '') }
    names.set(`Deployment/${deployment.name}`, deployment)
  }
  return [...names.values()].flatMap(({ kind, name }) => {
    const found = journal?.findAdmissions({ uid: undefined, namespace, name }) ?? []
    return found.filter(record => record.kind === kind)
  })
}
