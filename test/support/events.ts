/** Exec events and decision records for tests: whole ones, of which a test changes what it is about. */

import type {
  AdmissionJournal,
  CoverageSpan,
  RecordedAdmission,
  RecordedImage,
} from '../../src/correlator/admission-journal.js'
import type { EventSource, SourcePart } from '../../src/correlator/event-source.js'
import type { EventContainer, EventPod, ExecEvent } from '../../src/correlator/exec-event.js'

export const START = '2026-11-21T23:21:58Z'
export const AFTER_START = Date.parse('2026-11-21T23:22:05Z')
export const BEFORE_START = Date.parse('2026-11-21T23:21:55Z')

export function containerOf(changes: Partial<EventContainer> = {}): EventContainer {
  const imageId = `docker.io/library/redis@sha256:${'a'.repeat(64)}`
  return {
    id: `containerd://${'c'.repeat(64)}`,
    name: 'app',
    imageId,
    imageName: 'docker.io/library/redis:7',
    startTime: START,
    isExecProbe: false,
    ...changes,
  }
}

export function podOf(changes: Partial<EventPod> = {}): EventPod {
  return {
    namespace: 'team-a',
    name: 'web-1',
    uid: 'uid-1',
    workload: 'web',
    workloadKind: 'Deployment',
    container: containerOf(),
    ...changes,
  }
}

export function eventOf(changes: Partial<ExecEvent> = {}): ExecEvent {
  return {
    time: AFTER_START,
    nodeName: 'node-1',
    clusterName: 'cluster-1',
    pid: 4711,
    binary: '/usr/bin/true',
    arguments: undefined,
    flags: ['execve', 'clone'],
    docker: 'c'.repeat(31),
    pod: podOf(),
    parent: { binary: '/bin/sh', arguments: undefined, pid: 1 },
    isInInitTree: true,
    hardLinks: undefined,
    ...changes,
  }
}

/** The line of an export file that an event came from, as the agent would write it. */
export function lineOf(event: ExecEvent): string {
  const { pod, parent } = event
  const container = pod?.container
  return JSON.stringify({
    process_exec: {
      process: {
        exec_id: 'bm9kZS0xOjE6MQ==',
        pid: event.pid,
        binary: event.binary,
        arguments: event.arguments,
        flags: event.flags.join(' '),
        pod: pod && {
          namespace: pod.namespace,
          name: pod.name,
          uid: pod.uid,
          container: container && {
            id: container.id,
            name: container.name,
            image: { id: container.imageId, name: container.imageName },
            start_time: container.startTime,
            maybe_exec_probe: container.isExecProbe || undefined,
          },
          workload: pod.workload,
          workload_kind: pod.workloadKind,
        },
        docker: event.docker,
        binary_properties: event.hardLinks === undefined ? undefined : { file: { inode: { links: event.hardLinks } } },
        in_init_tree: event.isInInitTree,
      },
      parent,
    },
    node_name: event.nodeName,
    time: new Date(event.time).toISOString(),
    cluster_name: event.clusterName,
  })
}

export function imageRecord(changes: Partial<RecordedImage> = {}): RecordedImage {
  return {
    list: 'containers',
    container: 'app',
    written: 'redis:7',
    outcome: 'denied',
    reason: 'not-allowed',
    entry: undefined,
    exception: undefined,
    isChanged: true,
    ...changes,
  }
}

export function recordOf(changes: Partial<RecordedAdmission> = {}): RecordedAdmission {
  return {
    recordId: 'r-1',
    at: BEFORE_START,
    operation: 'CREATE',
    dryRun: false,
    kind: 'Pod',
    namespace: 'team-a',
    name: 'web-1',
    uid: 'uid-1',
    topOwner: undefined,
    user: 'jane',
    mode: 'warn',
    action: 'warn',
    allowed: true,
    policy: 'test',
    revision: '1111111',
    images: [imageRecord()],
    imagesOmitted: 0,
    waived: undefined,
    ...changes,
  }
}

/** A journal in memory; it was recording all day unless told otherwise. */
export function journalOf(
  records: readonly RecordedAdmission[],
  spans: readonly CoverageSpan[] = ALL_DAY,
): AdmissionJournal {
  return {
    findAdmissions: ({ uid, namespace, name }) =>
      records.filter(record =>
        uid === undefined ? record.namespace === namespace && record.name === name : record.uid === uid,
      ),
    coverageSpans: () => spans,
  }
}

const ALL_DAY: readonly CoverageSpan[] = [
  { from: Date.parse('2026-11-21T00:00:00Z'), to: Date.parse('2026-11-21T23:59:59Z') },
]

/** One finished source, cut at the given sizes; what is left over comes as one part. */
export async function* sourceOf(bytes: Buffer | string, sizes: readonly number[] = []): EventSource {
  let rest = Buffer.from(bytes)
  yield { type: 'begin', name: 'test' }
  for (const size of sizes) {
    // A copy: no test may pass because chunks share memory.
    const part: SourcePart = { type: 'bytes', bytes: Buffer.from(rest.subarray(0, size)) }
    yield part
    rest = rest.subarray(size)
  }
  yield { type: 'bytes', bytes: rest }
  yield { type: 'end' }
}
