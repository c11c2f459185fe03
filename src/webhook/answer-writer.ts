/**
 * Answers as they are nearly always: quickly. What an answer says of a policy, and what a denial says of its images, is
 * remembered: a controller whose pod was denied asks again and again. All else takes the plain way, which a test holds
 * this one to.
 */

import { type CompiledPolicy, type Decision, type JudgedImage, type Verdict, visibleJson } from '../policy/index.js'
import { encodeAdmissionReview, encodeReviewOf } from './admission-review.js'
import { type AnswerContext, answerDecision, exceptionsOf } from './answer.js'
import { copyOf, jsonText } from './json-text.js'
import type { DecisionSubject } from './violation-text.js'

/** Verdicts whose denials are remembered. The policy makes the same verdict for an image it has judged lately. */
const MAX_VERDICTS = 250
/** Objects with one denied image, the latest ones. */
const MAX_OBJECTS = 4
/** More images than this are nothing usual. */
const MAX_IMAGES = 8
const MAX_NAMES_LENGTH = 512
const MAX_IMAGE_LENGTH = 512
/** Of what is remembered for one object. */
const MAX_SAID_LENGTH = 4_096
const NONE: readonly never[] = []

/** What an answer says of the images that are not allowed, as JSON. */
interface Said {
  /** `,"status":{…}`; empty when they are admitted all the same. */
  readonly status: string
  /** `,"violations":"…"` */
  readonly violations: string
}

/** Everything that it depends on, beside the verdict of the first image. */
interface Remembered extends Said {
  readonly allowed: boolean
  readonly imageCount: number
  readonly subject: DecisionSubject
  readonly violators: readonly JudgedImage[]
}

/** Writes the answers of one webhook. What it remembers is bounded. */
export class AnswerWriter {
  readonly #said = new Map<Verdict, readonly Remembered[]>()
  #policy: CompiledPolicy | undefined
  #frame = { mode: '', action: '', text: '' }

  /** The same as `encodeAdmissionReview` makes of `answerDecision`. */
  write(decision: Decision, context: AnswerContext): string {
    if (!hasNothingUnusual(decision, context)) return encodeAdmissionReview(answerDecision(decision, context))
    const { requestUid, policy, recordId } = context
    if (policy !== this.#policy) this.#forget(policy)
    const [first] = decision.violations
    const said = first === undefined ? undefined : this.#saidOf(first.verdict, decision, context)
    return encodeReviewOf(
      `{"uid":${jsonText(requestUid)},"allowed":${decision.allowed ? 'true' : 'false'}${said?.status ?? ''},` +
        `${this.#frameOf(policy, decision)}${recordId}"${said?.violations ?? ''}}}`,
    )
  }

  /** Nothing is said of a policy that is gone, and it is not held on to. */
  #forget(policy: CompiledPolicy): void {
    this.#policy = policy
    this.#said.clear()
    this.#frame = { mode: '', action: '', text: '' }
  }

  #frameOf(policy: CompiledPolicy, { mode, action }: Decision): string {
    const frame = this.#frame
    if (frame.mode === mode && frame.action === action) return frame.text
    const name = jsonText(`${policy.name}@${policy.revision}`)
    const text = `"auditAnnotations":{"decision":"${action}","mode":"${mode}","policy":${name},"record":"`
    this.#frame = { mode, action, text }
    return text
  }

  #saidOf(verdict: Verdict, decision: Decision, context: AnswerContext): Said {
    const known = this.#said.get(verdict) ?? NONE
    const found = known.find(one => isSame(one, decision, context))
    if (found !== undefined) return found
    const { status, auditAnnotations } = answerDecision(decision, context)
    const said = {
      status: status === undefined ? '' : copyOf(`,"status":${visibleJson(status)}`),
      violations: copyOf(`,"violations":${visibleJson(auditAnnotations?.['violations'] ?? '')}`),
    }
    if (isShort(said, decision, context.subject)) {
      if (this.#said.size >= MAX_VERDICTS) this.#said.clear()
      this.#said.set(verdict, [remembered(said, decision, context), ...known.slice(0, MAX_OBJECTS - 1)])
    }
    return said
  }
}

/** Verdicts hold what was written, whole: it may be as long as a body. */
function isShort(said: Said, { violations }: Decision, { name, namespace }: DecisionSubject): boolean {
  return (
    said.status.length + said.violations.length <= MAX_SAID_LENGTH &&
    name.length + namespace.name.length <= MAX_NAMES_LENGTH &&
    violations.every(({ image, verdict }) => image.name.length + verdict.written.length <= MAX_IMAGE_LENGTH)
  )
}

function hasNothingUnusual(decision: Decision, { warnings }: AnswerContext): boolean {
  return (
    warnings.length === 0 &&
    decision.unreadable === undefined &&
    decision.judged.length <= MAX_IMAGES &&
    exceptionsOf(decision).length === 0
  )
}

function isSame(one: Remembered, { allowed, judged, violations }: Decision, context: AnswerContext): boolean {
  const { subject } = context
  return (
    one.allowed === allowed &&
    one.imageCount === judged.length &&
    one.subject.name === subject.name &&
    one.subject.kind === subject.kind &&
    one.subject.namespace.name === subject.namespace.name &&
    // What is allowed in a namespace depends on them; the source of labels gives the same object while they are the same.
    one.subject.namespace.labels === subject.namespace.labels &&
    one.violators.length === violations.length &&
    one.violators.every((violator, at) => isSameImage(violator, violations[at]))
  )
}

function isSameImage(one: JudgedImage, other: JudgedImage | undefined): boolean {
  return (
    other !== undefined &&
    one.verdict === other.verdict &&
    one.image.field === other.image.field &&
    one.image.name === other.image.name
  )
}

function remembered(said: Said, { allowed, judged, violations }: Decision, context: AnswerContext): Remembered {
  const { subject } = context
  const { kind, name, namespace } = subject
  return {
    ...said,
    allowed,
    imageCount: judged.length,
    subject: { kind, namespace: { ...namespace, name: copyOf(namespace.name) }, name: copyOf(name) },
    violators: violations.map(({ image, ...rest }) => ({ ...rest, image: { ...image, name: copyOf(image.name) } })),
  }
}
