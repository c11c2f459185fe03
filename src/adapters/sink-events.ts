/** Kubernetes Events: on the pod that a finding is about, and once on the workload that owns it. */

import type { FindingReceiver } from '../correlator/delivery.js'
import type { Finding } from '../correlator/finding.js'
import { escapeForeign } from '../policy/index.js'
import { withDeadline } from './deadline.js'
import { type KubernetesClient, KubernetesStatusError } from './kubernetes-client.js'
import { createPace, DEADLINE_MS, isNotFound, outcomeOfKubernetes } from './sink-kubernetes.js'
import type { EventsSink } from './sink-spec.js'
import { createSubjects, LOOK_UPS, type Subject } from './sink-subject.js'

const NEEDS = `create and patch on events, ${LOOK_UPS}`
/** Events of objects without a namespace stand here. */
const DEFAULT_NAMESPACE = 'default'
const COMPONENT = 'sallyport'
/** What `kubectl describe` can show; later kinds of events allow 1,024 bytes. */
const MAX_MESSAGE = 1_000
/** Of so many findings it is remembered that their owner was told. */
const MAX_TOLD = 10_000

/**
 * An event has a name made of the finding and the object, so that an update of the finding, from a later run too, raises
 * the event's count and is no further event. Core v1, which every version of the API server serves and kubectl shows.
 */
export function openEventsSink(
  { rate, isDryRun }: EventsSink,
  client: Pick<KubernetesClient, 'read' | 'send'>,
  deadlineMs = DEADLINE_MS,
): FindingReceiver {
  const subjects = createSubjects(client)
  const pace = createPace(rate)
  const query: Readonly<Record<string, string>> = isDryRun ? { dryRun: 'All' } : {}
  const toldOwners = new Set<string>()
  const write = async (subject: Subject, finding: Finding, stop: AbortSignal, isUpdated: boolean): Promise<void> => {
    // Outside of the deadline: at a low rate a turn is longer in coming than any answer.
    await pace.turn(stop)
    await withDeadline(stop, deadlineMs, signal =>
      writeEvent(client, eventOf(finding, subject), { query, isUpdated, signal }),
    )
  }
  const tellOwner = async (owner: Subject, finding: Finding, stop: AbortSignal): Promise<void> => {
    if (toldOwners.has(finding.fingerprint)) return
    await write(owner, finding, stop, false)
    if (toldOwners.size >= MAX_TOLD) toldOwners.clear()
    toldOwners.add(finding.fingerprint)
  }
  const tell = async (finding: Finding, stop: AbortSignal): Promise<boolean> => {
    const pod = await withDeadline(stop, deadlineMs, signal => subjects.podOf(finding, signal))
    const owner = await withDeadline(stop, deadlineMs, signal => subjects.ownerOf(finding, signal))
    if (pod !== undefined) await write(pod, finding, stop, true)
    if (owner !== undefined && owner.uid !== pod?.uid) await tellOwner(owner, finding, stop)
    return pod !== undefined || owner !== undefined
  }
  return {
    maxBatch: 1,
    async send([finding], stop) {
      if (finding === undefined) return { type: 'delivered' }
      try {
        return (await tell(finding, stop))
          ? { type: 'delivered' }
          : { type: 'skipped', problem: 'neither the pod nor its owner is there' }
      } catch (error) {
        return outcomeOfKubernetes(error, NEEDS)
      }
    },
    close() {},
  }
}

interface EventWriting {
  readonly query: Readonly<Record<string, string>>
  /** Whether one that is there already is brought up to date, or left. */
  readonly isUpdated: boolean
  readonly signal: AbortSignal
}

async function writeEvent(
  client: Pick<KubernetesClient, 'send'>,
  event: ReturnType<typeof eventOf>,
  { query, isUpdated, signal }: EventWriting,
): Promise<void> {
  const path = `/api/v1/namespaces/${event.metadata.namespace}/events`
  const { count, lastTimestamp, message, reason, type } = event
  const patch = { body: { count, lastTimestamp, message, reason, type }, contentType: 'application/merge-patch+json' }
  const create = async (): Promise<'created' | 'present'> => {
    try {
      await client.send('POST', path, { query, body: event }, signal)
      return 'created'
    } catch (error) {
      if (error instanceof KubernetesStatusError && error.reason === 'AlreadyExists') return 'present'
      throw error
    }
  }
  if ((await create()) === 'created' || !isUpdated) return
  try {
    await client.send('PATCH', `${path}/${event.metadata.name}`, { query, ...patch }, signal)
  } catch (error) {
    if (!isNotFound(error)) throw error
    // It expired in between.
    await create()
  }
}

/** The event as it is created. */
export function eventOf(finding: Finding, subject: Subject) {
  const { fingerprint, kind, status, severity, title, remedy, count, firstSeen, lastSeen, node_name: host } = finding
  const isAlarming = status === 'open' && (severity === 'high' || severity === 'medium')
  const state = status === 'open' ? '' : `${status}: `
  const namespace = subject.namespace ?? DEFAULT_NAMESPACE
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `sallyport-${fingerprint}-${shortOf(subject.uid)}`, namespace },
    involvedObject: subject,
    type: isAlarming ? 'Warning' : 'Normal',
    reason: `${camelCase(kind)}${status === 'resolved' ? 'Resolved' : ''}`,
    message: escapeForeign(`${state}${title}. ${remedy}`, MAX_MESSAGE),
    count: Math.max(1, count),
    firstTimestamp: wholeSeconds(firstSeen),
    lastTimestamp: wholeSeconds(lastSeen),
    source: { component: COMPONENT, ...(host !== undefined && { host: escapeForeign(host, 253) }) },
    reportingComponent: COMPONENT,
    reportingInstance: '',
  }
}

/** A uid is foreign too: only what may stand in a name. */
function shortOf(uid: string): string {
  return uid
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '')
    .slice(0, 12)
}

/** `non-allowlisted-image` → `NonAllowlistedImage` */
function camelCase(words: string): string {
  return words.replace(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

/** Kubernetes' own times know no fractions. */
function wholeSeconds(time: string): string {
  return `${new Date(time).toISOString().slice(0, 19)}Z`
}
