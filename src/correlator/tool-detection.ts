/**
 * What a process in a container gives away of tools: one that runs, one that is fetched or installed, a program that
 * comes from no file. The code is the tool's name, or where the program came from.
 */

import {
  type CompiledPolicy,
  type Confidence,
  EXEC_ORIGINS,
  type ExecFacts,
  type ExecSighting,
  escapeForeign,
  findMaintenance,
  inspectExec,
  isLive,
  type SightingKind,
  type ToolMatch,
} from '../policy/index.js'
import type { DetectionContext } from './detection-context.js'
import type { ExecEvent } from './exec-event.js'
import { explainAdmission } from './explain-admission.js'
import { describePodCommand, inspectContainerCommand } from './next-command.js'
import type { Observation, Severity, Suppression } from './observation.js'

/** ATT&CK techniques of the kinds that are no run of a tool: reflective loading, deletion, transfer, discovery. */
const ATTACK: Readonly<Record<Exclude<SightingKind, 'offensive-tool'>, readonly string[]>> = {
  'fileless-exec': ['T1620'],
  'unlinked-exec': ['T1070.004'],
  'tool-install': ['T1105'],
  'tool-staging': ['T1105'],
  'tool-enumeration': ['T1518'],
}

/** What is said of one process. @param sightings all that it gives away. */
export function detectTool(
  event: ExecEvent,
  context: DetectionContext,
  sightings: readonly ExecSighting[] = inspectExec(context.tools.catalogue, factsOf(event)),
): readonly Observation[] {
  // Processes of the node itself are out of scope: administrators work there.
  if (event.pod === undefined && event.docker === undefined) return []
  return sightings.map(sighting => observationOf(sighting, event, context))
}

/** One process, as far as a tool can be told from it. */
export function factsOf({ binary, arguments: args, parent, hardLinks, isInInitTree, pod }: ExecEvent): ExecFacts {
  const container = pod?.container
  return {
    binary,
    arguments: args,
    parentBinary: parent?.binary,
    hardLinks,
    isExecProbe: container?.isExecProbe === true,
    isInInitTree,
    image: container?.imageName,
  }
}

function observationOf(sighting: ExecSighting, event: ExecEvent, context: DetectionContext): Observation {
  const { kind, code, tool } = sighting
  const { pod, docker = '' } = event
  const isImageDenied = context.use?.verdict.outcome === 'denied'
  const [severity, risk] = weigh(sighting, isImageDenied)
  return {
    kind,
    code,
    severity,
    risk,
    // Neither a name nor arguments are proof: any program may bear the one and take the other.
    certainty: sighting.confidence === 'low' ? 'unknown' : 'likely',
    attack: kind === 'offensive-tool' ? (tool?.attack ?? []) : ATTACK[kind],
    title: titleOf(sighting, event),
    image: context.use?.image,
    verdict: context.use?.verdict,
    tool,
    admission: admissionOf(sighting, event, context),
    suppression: suppress(context.tools.policy, kind, tool, pod?.namespace, context.now),
    remarks: remarksOn(event, sighting),
    remedy: remedyFor(sighting),
    nextCommand: pod === undefined ? inspectContainerCommand(docker) : describePodCommand(pod.namespace, pod.name),
  }
}

/** Where a program lies that is no file is part of its story; how the image came in is that of a tool. */
function admissionOf(
  { kind, code }: ExecSighting,
  event: ExecEvent,
  context: DetectionContext,
): Observation['admission'] {
  if (kind === 'offensive-tool') return context.admission
  const origin = EXEC_ORIGINS.find(each => each === code)
  if (context.evidence === undefined || origin === undefined || !kind.endsWith('-exec')) return undefined
  return explainAdmission({ ...context.evidence, program: { origin, path: event.binary } })
}

function weigh({ kind, tool, confidence }: ExecSighting, isImageDenied: boolean): readonly [Severity, number] {
  switch (kind) {
    case 'offensive-tool':
      return weighTool(tool, confidence, isImageDenied)
    case 'fileless-exec':
    case 'unlinked-exec':
      if (confidence === 'low') return ['low', 10]
      return tool === undefined ? ['medium', confidence === 'high' ? 40 : 30] : ['high', 60]
    case 'tool-staging':
      return ['medium', 25]
    case 'tool-install':
      return tool?.dualUse === true ? ['low', 10] : ['medium', 25]
    case 'tool-enumeration':
      return ['info', 5]
  }
}

function weighTool(
  tool: ToolMatch | undefined,
  confidence: Confidence,
  isImageDenied: boolean,
): readonly [Severity, number] {
  // A name that says little wants a second signal, and an image that nobody allowed is one.
  if (confidence === 'low') return isImageDenied ? ['medium', 35] : ['low', 15]
  const isProved = confidence === 'high' && (tool?.tells.length ?? 0) > 0
  if (!isProved && (tool?.dualUse === true || confidence === 'medium')) return ['medium', 35]
  return ['high', 60]
}

function titleOf({ kind, code, tool }: ExecSighting, event: ExecEvent): string {
  const { pod, docker } = event
  const where = escapeForeign(pod === undefined ? `container ${docker}` : `${pod.namespace}/${pod.name}`, 300)
  switch (kind) {
    case 'offensive-tool':
      return `${code} (${tool?.category}) runs in ${where}`
    case 'fileless-exec':
      return `a program runs from no file (${code}) in ${where}`
    case 'unlinked-exec':
      return `a program whose file is gone runs in ${where}`
    case 'tool-install':
      return `${code} is installed in ${where}`
    case 'tool-staging':
      return `${code} is fetched in ${where}`
    case 'tool-enumeration':
      return `somebody looks for ${code} in ${where}`
  }
}

function remedyFor({ kind, code, tool }: ExecSighting): string {
  if (kind === 'offensive-tool' || kind.startsWith('tool-')) {
    return `ask the owner of the workload; a sanctioned use gets an exception with tools: [${code}]`
  }
  const known = tool === undefined ? '' : `, which is perhaps ${tool.tool}`
  return `find out what was run${known}, and make the container's file systems read-only`
}

/** What makes it no alert: an exception for every tool that the process gave away, or an announced maintenance. */
function suppress(
  policy: CompiledPolicy,
  kind: SightingKind,
  tool: ToolMatch | undefined,
  namespace: string | undefined,
  now: number,
): Suppression | undefined {
  if (namespace === undefined) return undefined
  const tools = tool === undefined ? [] : [tool.tool, ...tool.alsoTools]
  const covering = tools.map(name =>
    policy.exceptions.find(each => each.isTool(name.toLowerCase()) && isLive(each, namespace, now)),
  )
  const [exception] = covering
  if (exception !== undefined && !covering.includes(undefined)) {
    const { id, owner, reason, expires } = exception
    return { by: 'exception', exception: id, owner, reason, expires: new Date(expires).toISOString() }
  }
  const open = findMaintenance(policy.maintenance, { kind, tools, namespace }, now)
  if (open === undefined) return undefined
  const { id, owner, reason } = open.window
  return { by: 'maintenance', exception: id, owner, reason, expires: new Date(open.until).toISOString() }
}

function remarksOn(event: ExecEvent, { tool, confidence }: ExecSighting): readonly string[] {
  const remarks = new Set<string>()
  if (event.pod === undefined) {
    remarks.add('the agent could not name the pod of this container: namespace, image and exceptions are not known')
  }
  if (tool?.isWeak === true && confidence === 'low') {
    remarks.add('the name alone says little: innocent programs have it too')
  }
  for (const reason of tool?.because ?? []) remarks.add(reason)
  if (tool?.dualUse === true) remarks.add('administrators use this tool as well')
  if (event.pod?.container?.isExecProbe === true) remarks.add('the agent takes it for a probe of the kubelet')
  if (event.flags.includes('truncArgs') || event.flags.includes('errorArgs')) {
    remarks.add('the agent did not read all of the arguments')
  }
  return [...remarks]
}
