/** Kind `coverage`: what could not be seen of one process. A gap is no clean bill. */

import { escapeForeign } from '../policy/index.js'
import type { DetectionContext } from './detection-context.js'
import type { ExecEvent } from './exec-event.js'
import { describePodCommand, inspectContainerCommand } from './next-command.js'
import type { Observation, Severity } from './observation.js'

/** What the agent writes where it could not read a path. */
const UNREAD = '<enomem>'

export function detectCoverage(event: ExecEvent, _context: DetectionContext): readonly Observation[] {
  const { pod, docker } = event
  if (pod === undefined && docker === undefined) return []
  const gaps: Observation[] = []
  if (isBlind(event)) {
    const where = pod === undefined ? `container ${docker}` : `${pod.namespace}/${pod.name}`
    const title = `a process was started in ${escapeForeign(where, 300)}, and what it ran could not be read`
    const remark = 'over 327,360 bytes of arguments, or a lost event of the kernel: nobody honest passes so many'
    gaps.push(gapOf(event, 'blind-exec', 'low', 10, title, [remark]))
  }
  if (pod === undefined) {
    const title = `container ${escapeForeign(docker ?? '', 300)} runs, and the agent could not name its pod`
    const remark = 'a pod that has just started, or a container that the API server does not know'
    gaps.push(gapOf(event, 'podless-container', 'info', 0, title, [remark]))
  }
  return gaps
}

/** The arguments were lost, or the very path. */
export function isBlind({ binary, arguments: args, flags }: ExecEvent): boolean {
  if (binary === '' || binary.startsWith(UNREAD)) return true
  return args === undefined && flags.includes('dataArgs')
}

function gapOf(
  event: ExecEvent,
  code: string,
  severity: Severity,
  risk: number,
  title: string,
  remarks: readonly string[],
): Observation {
  const { pod, docker = '' } = event
  return {
    kind: 'coverage',
    code,
    severity,
    risk,
    certainty: 'proved',
    attack: [],
    title,
    image: pod?.container?.imageName,
    verdict: undefined,
    tool: undefined,
    admission: undefined,
    suppression: undefined,
    remarks,
    remedy: 'look at the container itself: its process list, its file system, the logs of its runtime',
    nextCommand: pod === undefined ? inspectContainerCommand(docker) : describePodCommand(pod.namespace, pod.name),
  }
}
