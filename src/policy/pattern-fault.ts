/** What makes a pattern unacceptable: the reason, the place and, where there is one, what to write instead. */

import { countStars, MAX_STARS } from './glob.js'
import { isPath, MAX_REPOSITORY_LENGTH, problemOfDigest, problemOfHost, problemOfSegment } from './image-reference.js'

export const MAX_SEGMENTS = 16
const MAX_ANY_DEPTH = 2
/** A DNS name holds 253 characters; with a port, 259. */
const MAX_HOST_LENGTH = 259
const MAX_PATTERN_LENGTH = 1024

/** What no pattern may hold anywhere, in the order in which it is looked for. */
const FORBIDDEN: readonly (readonly [RegExp, string, string | undefined])[] = [
  [/[\p{Cc} ]/u, 'holds a blank or a control character', undefined],
  [/[^\p{ASCII}]/u, 'holds a character outside ASCII, so it can match no image', undefined],
  [/["'`]/, 'has quotes inside its value', 'remove the inner quotes'],
]
/** What nearly all patterns are made of: none of the characters that are looked for below. */
const ORDINARY = /^[a-z0-9A-Z._/*:@-]*$/
const SPECIAL = /[!()[\]{}?+\\]/
const SEGMENT_WITH_STAR = /^[a-z0-9._*-]+$/
const TAG_WITH_STAR = /^[A-Za-z0-9_.*-]{1,128}$/
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/
const IPV6_HOST = /^\[[0-9A-Fa-f:]+\](?::[0-9]+)?(?=\/)/

export interface PatternFault {
  /** Half a sentence that follows the pattern. */
  readonly message: string
  readonly hint: string | undefined
  /** Characters from the start of the pattern. */
  readonly offset: number
}

export function fault(message: string, offset: number, hint?: string): PatternFault {
  return { message, hint, offset }
}

/** Faults of the pattern as a whole, before it is cut into its parts. */
export function faultOfText(text: string): PatternFault | undefined {
  return faultOfWhole(text) ?? (ORDINARY.test(text) ? undefined : (faultOfCharacters(text) ?? faultOfSpecial(text)))
}

/** @param name the pattern without tag and digest, of which `host` is the part in front, if it has one. */
export function faultOfHost(name: string, host: string | undefined): PatternFault | undefined {
  if (host === undefined) {
    const first = name.split('/', 1)[0] ?? ''
    const isOpen = first === '*' || first === '**' || (first.includes('*') && name.includes('/'))
    return isOpen ? fault('names no host', 0, `write the registry in front, e.g. docker.io/${name}`) : undefined
  }
  const fixed = host.startsWith('*.') ? host.slice(2) : host
  const star = fixed.indexOf('*')
  if (star !== -1) {
    const hint = 'a host is exact, or begins with "*." for one label; a star elsewhere would admit foreign hosts'
    return fault('has a wildcard inside the host', host.length - fixed.length + star, hint)
  }
  if (host.length > MAX_HOST_LENGTH) return fault(`has a host longer than ${MAX_HOST_LENGTH} characters`, 0)
  const problem = problemOfHost(fixed)
  return problem === undefined ? undefined : fault(`cannot match: ${problem}`, 0)
}

/** @param at where the path begins in the pattern. */
export function faultOfPath(path: string, at: number): PatternFault | undefined {
  if (path.length > MAX_REPOSITORY_LENGTH)
    return fault(`has a path longer than ${MAX_REPOSITORY_LENGTH} characters`, at)
  const segments = path.split('/')
  if (segments.length > MAX_SEGMENTS) return fault(`has more than ${MAX_SEGMENTS} path segments`, at)
  // Nearly all are literal, but for a star at the end.
  if (isPath(path.endsWith('/*') ? path.slice(0, -2) : path)) return undefined
  let anyDepth = 0
  let offset = at
  for (const segment of segments) {
    if (segment === '**') anyDepth += 1
    if (anyDepth > MAX_ANY_DEPTH) return fault(`holds more than ${MAX_ANY_DEPTH} "**"`, offset)
    const problem = segment === '**' ? undefined : faultOfPathSegment(segment, offset)
    if (problem !== undefined) return problem
    offset += segment.length + 1
  }
  return undefined
}

/** Why a tag, or a glob over tags, is malformed; offsets count from `at`. */
export function faultOfTag(tag: string | undefined, at: number): PatternFault | undefined {
  if (tag === undefined) return undefined
  if (!tag.includes('*')) {
    return TAG.test(tag)
      ? undefined
      : fault('the tag is malformed', at, 'a tag holds letters, digits, "_", "." and "-"')
  }
  if (!TAG_WITH_STAR.test(tag)) return fault('the tag is malformed', at, 'a tag pattern holds tag characters and "*"')
  if (countStars(tag) > MAX_STARS) return fault(`the tag holds more than ${MAX_STARS} "*"`, at)
  return undefined
}

export function faultOfDigest(digest: string | undefined, at: number): PatternFault | undefined {
  if (digest === undefined) return undefined
  if (digest.includes('*')) return fault('has a wildcard in the digest', at, 'a digest is exact; drop it to accept any')
  const problem = problemOfDigest(digest)
  return problem === undefined ? undefined : fault(`can never match: ${problem}`, at)
}

function faultOfWhole(text: string): PatternFault | undefined {
  if (text === '') return fault('is empty', 0, 'name a registry or a repository, e.g. registry.example.com/*')
  if (text.length > MAX_PATTERN_LENGTH) return fault(`is longer than ${MAX_PATTERN_LENGTH} characters`, 0)
  const scheme = text.indexOf('://')
  return scheme === -1 ? undefined : fault('has a scheme', 0, `remove "${text.slice(0, scheme + 3)}"`)
}

function faultOfCharacters(text: string): PatternFault | undefined {
  for (const [characters, message, hint] of FORBIDDEN) {
    const offset = text.search(characters)
    if (offset !== -1) return fault(message, offset, hint)
  }
  return undefined
}

function faultOfSpecial(text: string): PatternFault | undefined {
  // Brackets stand around an IPv6 host and nowhere else.
  const from = IPV6_HOST.exec(text)?.[0].length ?? 0
  const offset = text.slice(from).search(SPECIAL)
  if (offset === -1) return undefined
  const character = text.charAt(from + offset)
  return fault(`holds "${character}", which has no meaning here`, from + offset, 'only "*" is special in a pattern')
}

function faultOfPathSegment(segment: string, offset: number): PatternFault | undefined {
  if (!segment.includes('*')) {
    const problem = problemOfSegment(segment)
    return problem === undefined ? undefined : fault(`cannot match: ${problem}`, offset)
  }
  if (segment.includes('**')) return fault('has a "**" that is not a whole segment', offset, 'write "*", or "/**/"')
  if (countStars(segment) > MAX_STARS) return fault(`holds more than ${MAX_STARS} "*" in one segment`, offset)
  if (/[A-Z]/.test(segment)) return fault('cannot match: the repository must be lower case', offset)
  return SEGMENT_WITH_STAR.test(segment) ? undefined : fault('holds a character that no repository may hold', offset)
}
