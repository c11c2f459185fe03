/** One pod's events out of a stream: what its containers started, and what there is to say of it. */

import type { PodIdentity } from './admission-journal.js'
import type { DetectionTools } from './detection-context.js'
import { createDetector } from './detector.js'
import type { EventSource } from './event-source.js'
import { readExecEvents } from './event-stream.js'
import type { EventPod, ExecEvent } from './exec-event.js'
import type { Finding } from './finding.js'
import { FindingStore } from './finding-store.js'
import { sampleOf } from './finding-text.js'
import type { SeenContainer } from './pod-trace.js'
import type { StreamStats } from './stream-stats.js'

const MAX_SAMPLES = 8
/** A forged stream must not fill the memory: a real pod has a handful. */
const MAX_CONTAINERS = 256

export interface WatchedPod {
  /** The pod as its last event has it; undefined: it was not seen. */
  readonly pod: EventPod | undefined
  readonly nodeName: string | undefined
  readonly seen: ReadonlyMap<string, SeenContainer>
  readonly findings: readonly Finding[]
}

/** Whether an event's pod is the one in question: by uid where both have one, else by name. */
export function isPod(pod: PodIdentity, wanted: Partial<PodIdentity>): boolean {
  if (wanted.uid !== undefined && pod.uid !== undefined) return wanted.uid === pod.uid
  return wanted.name !== undefined && wanted.name === pod.name && wanted.namespace === pod.namespace
}

/** Reads the source to its end. */
export async function watchPod(
  source: EventSource,
  wanted: Partial<PodIdentity>,
  tools: DetectionTools,
  stats: StreamStats,
): Promise<WatchedPod> {
  const detect = createDetector(tools)
  const store = new FindingStore(tools.policy)
  const seen = new Map<string, SeenContainer>()
  let last: { readonly pod: EventPod; readonly nodeName: string | undefined } | undefined
  for await (const { events } of readExecEvents(source, stats)) {
    for (const event of events) {
      const { pod } = event
      if (pod === undefined || !isPod(pod, wanted)) continue
      // Without a uid the first one that bears the name is meant, and no other one of that name.
      if (last?.pod.uid !== undefined && pod.uid !== undefined && last.pod.uid !== pod.uid) continue
      last = { pod, nodeName: event.nodeName }
      note(seen, event, pod)
      for (const observation of detect(event)) store.observe(event, observation)
    }
  }
  return { pod: last?.pod, nodeName: last?.nodeName, seen, findings: store.takeUpdates() }
}

function note(seen: Map<string, SeenContainer>, event: ExecEvent, { container }: EventPod): void {
  if (container?.name === undefined) return
  const known = seen.get(container.name)
  if (known === undefined && seen.size >= MAX_CONTAINERS) return
  const time = new Date(event.time).toISOString()
  const { count = 0, firstSeen = time, lastSeen = time, processes = [] } = known?.execs ?? {}
  const sample = sampleOf(event)
  const isNew = sample !== '' && processes.length < MAX_SAMPLES && !processes.includes(sample)
  seen.set(container.name, {
    // The present one: a container that was started again has another image, perhaps.
    container: lastSeen > time ? (known?.container ?? container) : container,
    execs: {
      count: count + 1,
      firstSeen: firstSeen < time ? firstSeen : time,
      lastSeen: lastSeen > time ? lastSeen : time,
      processes: isNew ? [...processes, sample] : processes,
    },
  })
}
