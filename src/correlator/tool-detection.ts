/** Kind `offensive-tool`: a tool of the catalogue runs in a container. The code is the tool's name. */

import { type CompiledPolicy, escapeForeign, isLive, matchTool, type ToolMatch } from '../policy/index.js'
import type { DetectionContext } from './detection-context.js'
import type { ExecEvent } from './exec-event.js'
import { describePodCommand, inspectContainerCommand } from './next-command.js'
import type { Observation, Severity, Suppression } from './observation.js'

/** Processes of the node itself are out of scope: administrators work there. */
export function detectTool(event: ExecEvent, context: DetectionContext): readonly Observation[] {
  const { pod, docker } = event
  if (pod === undefined && docker === undefined) return []
  const match = matchTool(context.tools.catalogue, event.binary)
  if (match === undefined) return []
  const isImageDenied = context.use?.verdict.outcome === 'denied'
  const [severity, risk] = weigh(match, isImageDenied)
  const suppression = pod === undefined ? undefined : suppress(context.tools.policy, match, pod.namespace, context.now)
  const where = pod === undefined ? `container ${docker}` : `${pod.namespace}/${pod.name}`
  return [
    {
      kind: 'offensive-tool',
      code: match.tool,
      severity,
      risk,
      // A name is never proof: any program may bear it.
      certainty: match.confidence === 'low' ? 'unknown' : 'likely',
      attack: match.attack,
      title: `${match.tool} (${match.category}) runs in ${escapeForeign(where, 300)}`,
      image: context.use?.image,
      verdict: context.use?.verdict,
      tool: match,
      admission: context.admission,
      suppression,
      remarks: remarksOn(event, match),
      remedy: `ask the owner of the workload; a sanctioned use gets an exception with tools: [${match.tool}]`,
      nextCommand:
        pod === undefined ? inspectContainerCommand(docker ?? '') : describePodCommand(pod.namespace, pod.name),
    },
  ]
}

function weigh({ dualUse, isWeak, confidence }: ToolMatch, isImageDenied: boolean): readonly [Severity, number] {
  // A weak name wants a second signal, and an image that nobody allowed is one.
  if (isWeak || confidence === 'low') return isImageDenied ? ['medium', 35] : ['low', 15]
  if (dualUse || confidence === 'medium') return ['medium', 35]
  return ['high', 60]
}

function suppress(policy: CompiledPolicy, match: ToolMatch, namespace: string, now: number): Suppression | undefined {
  const exception = policy.exceptions.find(
    each => each.isTool(match.tool.toLowerCase()) && isLive(each, namespace, now),
  )
  if (exception === undefined) return undefined
  const { id, owner, reason, expires } = exception
  return { exception: id, owner, reason, expires: new Date(expires).toISOString() }
}

function remarksOn(event: ExecEvent, match: ToolMatch): readonly string[] {
  const remarks: string[] = []
  if (event.pod === undefined) {
    remarks.push('the agent could not name the pod of this container: namespace, image and exceptions are not known')
  }
  if (match.isWeak) remarks.push('the name alone says little: innocent programs have it too')
  if (match.dualUse) remarks.push('administrators use this tool as well')
  if (event.pod?.container?.isExecProbe === true) remarks.push('the agent takes it for a probe of the kubelet')
  return remarks
}
