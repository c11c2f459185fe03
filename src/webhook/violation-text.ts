/** How a judged image reads in one clause of English: the words that denials, warnings and causes share. */

import type { ImageList, JudgedImage, NamespaceScope, Verdict, WorkloadImage } from '../policy/index.js'
import { escapeForeign, formatImageReference } from '../policy/index.js'

/** How many containers of a group are named before "+N more". */
const MAX_NAMED_PLACES = 3
/** A container name is a DNS label of at most 63 characters; a longer one is forged. */
const MAX_NAME_RUNES = 63
const MAX_KIND_LENGTH = 32
const ASCII = /^[\x20-\x7e]*$/
/** Patterns and reasons are the operator's own words, in an operator's own length. */
const MAX_WORDS_RUNES = 120
const SINGULAR: Readonly<Record<ImageList, string>> = {
  containers: 'container',
  initContainers: 'initContainer',
  ephemeralContainers: 'ephemeralContainer',
  volumes: 'volume',
}

/** The object that a message is about. */
export interface DecisionSubject {
  /** `Pod`, `Deployment`, … */
  readonly kind: string
  /** With the labels that the decision was made with, so that "allowed here" tells the truth. */
  readonly namespace: NamespaceScope
  /** Ends in `*` when the API server has yet to generate it. */
  readonly name: string
}

/** `full` for denials; `brief` drops what was written; `bare` names image and place only. */
export type Detail = 'full' | 'brief' | 'bare'

/** One image with one reason, and everywhere it stands in the object. */
export interface ViolationGroup {
  readonly verdict: Verdict
  readonly places: readonly WorkloadImage[]
}

/** The same image with the same reason becomes one group, in the order of first appearance. */
export function groupByImage(judged: readonly JudgedImage[]): readonly ViolationGroup[] {
  const groups = new Map<string, { verdict: Verdict; places: WorkloadImage[] }>()
  for (const { image, verdict } of judged) {
    const normal = verdict.reference === undefined ? verdict.written : formatImageReference(verdict.reference)
    const key = `${verdict.reason} ${normal}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { verdict, places: [image] })
    else group.places.push(image)
  }
  return [...groups.values()]
}

/** `container app (containers[0]): docker.io/library/redis:7 (written "redis:7") is not allowed; try …` */
export function describeGroup(group: ViolationGroup, detail: Detail, maxImageRunes: number): string {
  const image = describeImage(group.verdict, maxImageRunes)
  const subject = `${describePlaces(group.places)}: ${image}${detail === 'full' ? describeWritten(group) : ''}`
  return detail === 'bare' ? subject : `${subject} ${describeReason(group.verdict)}`
}

/** `container app (containers[0]), initContainer setup (initContainers[0])` */
export function describePlaces(places: readonly WorkloadImage[]): string {
  const named = places.slice(0, MAX_NAMED_PLACES).map(describePlace).join(', ')
  const rest = places.length - MAX_NAMED_PLACES
  return rest > 0 ? `${named} (+${rest} more)` : named
}

/** The normal form, or the written string in quotes when it cannot be read. */
export function describeImage(verdict: Verdict, maxRunes: number): string {
  return verdict.reference === undefined
    ? `"${escapeForeign(verdict.written, maxRunes)}"`
    : escapeForeign(formatImageReference(verdict.reference), maxRunes)
}

/** What is the matter with an image and what to do about it, as the rest of a sentence that the image begins. */
export function describeReason(verdict: Verdict): string {
  const { reason, suggestion } = verdict
  const entry = words(verdict.entry)
  const detail = words(verdict.detail)
  const remedy = suggestion === undefined ? '' : `; try ${words(suggestion)}`
  switch (reason) {
    case 'allow-entry':
      return 'is allowed'
    case 'exception':
      return `is admitted by exception ${entry}`
    case 'image-placeholder':
      return 'is a placeholder; whatever fills it in must be allowed'
    case 'image-unreadable':
      return `cannot be read: ${detail}`
    case 'deny-entry':
      return `is denied by ${entry}${detail === '' ? '' : ` (${detail})`}${remedy}`
    case 'not-allowed':
      return `is not allowed${remedy || describeClosest(verdict)}`
    case 'digest-not-covered':
      return `is not allowed: beside a digest a tag proves nothing; ${digestRemedy(verdict)}`
    case 'tag-denied':
      return `uses a tag that is denied here${remedy || '; use a version tag or a digest'}`
    case 'digest-required':
      return `must be pinned by digest here${remedy || '; write it as …@sha256:…'}`
  }
}

/** `Deployment team-a/web` */
export function describeSubject({ kind, namespace, name }: DecisionSubject, maxNameLength: number): string {
  const place = namespace.name === '' ? '' : `${describeName(namespace.name, maxNameLength)}/`
  return `${describeName(kind, MAX_KIND_LENGTH)} ${place}${describeName(name, maxNameLength)}`
}

/** A name in at most so many bytes: Kubernetes' names are ASCII, and a forged one takes four bytes a character. */
export function describeName(name: string, maxLength: number): string {
  return escapeForeign(name, ASCII.test(name) ? maxLength : maxLength / 4)
}

/** `containers[0]` of `spec.template.spec.containers[0].image`. */
export function describeField(image: WorkloadImage): string {
  const start = image.field.lastIndexOf(`${image.list}[`)
  const end = image.field.indexOf(']', start)
  return start === -1 || end === -1 ? image.list : image.field.slice(start, end + 1)
}

function describePlace(image: WorkloadImage): string {
  const name = image.name === '' ? '' : ` ${escapeForeign(image.name, MAX_NAME_RUNES)}`
  return `${SINGULAR[image.list]}${name} (${describeField(image)})`
}

/** Shown only where people would not find the normal form in their manifest. */
function describeWritten({ verdict, places }: ViolationGroup): string {
  if (verdict.reference === undefined || verdict.written === formatImageReference(verdict.reference)) return ''
  if (places.some(place => place.written !== verdict.written)) return ''
  return ` (written "${escapeForeign(verdict.written, MAX_WORDS_RUNES)}")`
}

function describeClosest({ closest }: Verdict): string {
  if (closest === undefined) return ''
  return `; closest entry ${words(closest.pattern)} differs at "${words(closest.differsAt)}"`
}

function digestRemedy({ closest, entry }: Verdict): string {
  const pattern = entry ?? closest?.pattern
  return pattern === undefined ? 'allow the digest' : `allow the digest, or drop the tag from ${words(pattern)}`
}

function words(text: string | undefined): string {
  return text === undefined ? '' : escapeForeign(text, MAX_WORDS_RUNES)
}
