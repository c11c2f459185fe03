/** How sure a match is, after all that stands beside the name: arguments, collisions, the way that led there. */

import type { Command } from './command.js'
import type { Confidence, NameMatch, ToolCatalogue } from './tool-catalogue.js'
import { type Collision, compareWithTool, type Likeness } from './tool-collision.js'
import type { TellMatch } from './tool-tell.js'

const CONFIDENCES: readonly Confidence[] = ['low', 'medium', 'high']

/** Administrators start these all day; to come in from outside, or by a package runner, is no sign. */
const ADMINISTRATIVE = new Set(
  'build-tool package-manager k8s-client network-utility remote-access load-test reversing'.split(' '),
)

/** What is known of a process beside its binary and arguments. */
export interface ExecCircumstances {
  /** The agent takes it for a probe of the kubelet. */
  readonly isExecProbe: boolean
  /** False: it came into the container from outside (`kubectl exec`, a debugger); undefined: not known. */
  readonly isInInitTree: boolean | undefined
  /** The image of its container, as written; undefined: not known. */
  readonly image: string | undefined
}

export interface Score {
  readonly confidence: Confidence
  /** Whole sentences: what made it surer or less sure. */
  readonly because: readonly string[]
  /** The arguments were needed: the name alone does not count in every profile. */
  readonly needsTell: boolean
}

/** A name that was found for a command, in the profile or beyond it. */
export interface NameCandidate {
  readonly command: Command
  readonly name: NameMatch
  /** The name counts alone only in a stricter profile. */
  readonly isBeyond: boolean
  /** Tells of the same command that speak of this tool. */
  readonly tells: readonly TellMatch[]
}

/** Undefined: nothing to report. */
export function scoreName(
  catalogue: ToolCatalogue,
  candidate: NameCandidate,
  circumstances: ExecCircumstances,
): Score | undefined {
  const { command, name, isBeyond, tells } = candidate
  const { isExecProbe, image } = circumstances
  const collision = catalogue.rules.collisions.get(name.matchedName)
  const likeness = collision && compareWithTool(collision, command.text, image)
  const isProved = tells.some(({ tell }) => tell.isProof || tell.isAlone)
  const isLikely = isProved || likeness === 'tool'
  if (!isLikely && (likeness === 'innocent' || !counts(candidate, circumstances))) return undefined
  const isCertain = isProved || (likeness === 'tool' && !isBeyond)
  const capped = capBySteps(isCertain ? 'high' : isLikely ? 'medium' : name.confidence, command)
  return {
    confidence: isExecProbe ? lower(capped) : capped,
    because: reasonsOf(candidate, isProved, collision, likeness, isExecProbe),
    needsTell: isProved && name.profile === 'strict',
  }
}

function reasonsOf(
  { command, tells }: NameCandidate,
  isProved: boolean,
  collision: Collision | undefined,
  likeness: Likeness | undefined,
  isExecProbe: boolean,
): readonly string[] {
  const because: string[] = []
  if (isProved) because.push(`its arguments are those of the tool: ${tells.map(({ tell }) => tell.id).join(', ')}`)
  else if (likeness === 'tool') because.push('only the tool takes such arguments')
  else if (collision !== undefined) because.push(`innocent programs have the name too: ${collision.legit}`)
  if (command.isDoubtful) because.push('a quote stands in front of the command, and the text may have ended there')
  if (isExecProbe) because.push('the agent takes it for a probe of the kubelet')
  return because
}

/** How sure arguments alone make it: a renamed tool is never certain. */
export function scoreTell({ command }: TellMatch, { isExecProbe }: ExecCircumstances): Confidence {
  const confidence = command.isDoubtful ? 'low' : 'medium'
  return isExecProbe ? lower(confidence) : confidence
}

export function compareConfidence(one: Confidence, other: Confidence): number {
  return CONFIDENCES.indexOf(one) - CONFIDENCES.indexOf(other)
}

/** Whether the name alone is worth a word. */
function counts(candidate: NameCandidate, circumstances: ExecCircumstances): boolean {
  const { name, isBeyond } = candidate
  if (circumstances.isExecProbe && (name.isWeak || name.dualUse)) return false
  return !isBeyond || isLifted(candidate, circumstances)
}

/** What else makes a name of a stricter profile count. */
function isLifted({ command, name }: NameCandidate, { isInInitTree, isExecProbe }: ExecCircumstances): boolean {
  if (name.isWeak || ADMINISTRATIVE.has(name.category)) return false
  const isFetched = command.steps.at(-1)?.kind === 'pkg-runner'
  return isFetched || (isInInitTree === false && !isExecProbe)
}

/** A shell may never reach a command; a module or package of that name may be another one. */
function capBySteps(confidence: Confidence, { steps, source, isDoubtful }: Command): Confidence {
  if (isDoubtful) return 'low'
  const last = steps.at(-1)
  const isCapped = source === undefined || last?.part === 'module' || last?.kind === 'pkg-runner'
  return isCapped && confidence === 'high' ? 'medium' : confidence
}

function lower(confidence: Confidence): Confidence {
  return CONFIDENCES[Math.max(0, CONFIDENCES.indexOf(confidence) - 1)] ?? 'low'
}
