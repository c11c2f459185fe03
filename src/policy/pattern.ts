/**
 * Patterns: what a policy author writes to name images, `host/path[:tag][@digest]`.
 *
 * They are normalised by the rules of image references, so that `nginx` means `docker.io/library/nginx` here too.
 * A final slash-star is a prefix: everything below it, at any depth. Elsewhere `*` stays inside one path segment, and a
 * segment of two stars stands for any number of segments. Everything that would be slow to match, or that reads as
 * more than it means, is refused here, with the reason and the position.
 */

import { cutReference, DOCKER_HUB, normalRegistry, normalRepository, splitName } from './image-reference.js'
import {
  fault,
  faultOfDigest,
  faultOfHost,
  faultOfPath,
  faultOfTag,
  faultOfText,
  MAX_SEGMENTS,
  type PatternFault,
} from './pattern-fault.js'

/** Registries where anybody may publish: to allow one whole is to allow everybody. */
const PUBLIC_REGISTRIES: ReadonlySet<string> = new Set([
  'docker.io',
  'quay.io',
  'ghcr.io',
  'gcr.io',
  'us.gcr.io',
  'eu.gcr.io',
  'asia.gcr.io',
  'public.ecr.aws',
  'registry.gitlab.com',
  'ttl.sh',
])
/** `*.` over these admits registries of any customer of the provider, or of a whole top-level domain. */
const PUBLIC_SUFFIXES = /^(?:[^.]+|pkg\.dev|azurecr\.io|gcr\.io|amazonaws\.com|dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com)$/

/** Nearly all patterns: a host in lower case without a port, a path without stars but for the end of a prefix. */
const PLAIN_HOST = '[a-z0-9]+(?:-+[a-z0-9]+)*(?:\\.[a-z0-9]+(?:-+[a-z0-9]+)*)+'
const PLAIN_SEGMENT = '[a-z0-9]+(?:(?:\\.|__?|-+)[a-z0-9]+)*'
const PLAIN = new RegExp(`^(${PLAIN_HOST})/(${PLAIN_SEGMENT}(?:/${PLAIN_SEGMENT})*)(/\\*)?$`)
/** Shorter than what any part may have. */
const PLAIN_LENGTH = 200

const ANY_DEPTH = { kind: 'any-depth' } as const
const ANY_TAG = { kind: 'any' } as const
const NO_WARNINGS: readonly PatternFault[] = []

/** One segment; a string stands for itself. */
export type PathPart =
  | string
  | { readonly kind: 'glob'; readonly text: string }
  /** Any number of segments, none included. */
  | { readonly kind: 'any-depth' }

/** A missing tag and a lone star both mean any tag or digest. */
export type TagRule =
  | { readonly kind: 'any' }
  | { readonly kind: 'exact'; readonly tag: string }
  | { readonly kind: 'glob'; readonly text: string }

export interface Pattern {
  /** As the policy writes it. */
  readonly text: string
  /** The same in normal form, for comparing and for people. */
  readonly normalised: string
  /** The registry, lower case with its port; behind a wildcard, what follows the `*.`. */
  readonly host: string
  readonly isHostWildcard: boolean
  /** The path without the final star of a prefix. */
  readonly parts: readonly PathPart[]
  /** Whether everything below the parts is meant. */
  readonly isPrefix: boolean
  readonly tag: TagRule
  readonly digest: string | undefined
}

export type ParsedPattern =
  | { readonly ok: true; readonly pattern: Pattern; readonly warnings: readonly PatternFault[] }
  | { readonly ok: false; readonly fault: PatternFault }

/** Read one pattern. Never throws. */
export function parsePattern(text: string): ParsedPattern {
  const plain = parsePlain(text)
  if (plain !== undefined) return { ok: true, pattern: plain, warnings: NO_WARNINGS }
  const whole = faultOfText(text)
  if (whole !== undefined) return { ok: false, fault: whole }
  const { name, tag, digest, tagAt, digestAt } = cutReference(text)
  const { host, path } = splitName(name)
  const pathAt = name.length - path.length
  const fault =
    faultOfHost(name, host) ?? faultOfPath(path, pathAt) ?? faultOfTag(tag, tagAt) ?? faultOfDigest(digest, digestAt)
  if (fault !== undefined) return { ok: false, fault }

  const pattern = normalise({ text, host, path, tag, digest })
  const portAt = host === undefined ? -1 : host.lastIndexOf(':')
  return { ok: true, pattern, warnings: warningsOf(pattern, { portAt, tag, tagAt }) }
}

/** What the rest of this file would make of it, in a third of the time; undefined for what it must look at itself. */
function parsePlain(text: string): Pattern | undefined {
  const [, host, path, star] = text.length <= PLAIN_LENGTH ? (PLAIN.exec(text) ?? []) : []
  if (host === undefined || path === undefined || host.endsWith(DOCKER_HUB)) return undefined
  const parts = path.split('/')
  if (parts.length >= MAX_SEGMENTS) return undefined
  const isPrefix = star !== undefined
  return { text, normalised: text, host, isHostWildcard: false, parts, isPrefix, tag: ANY_TAG, digest: undefined }
}

interface WrittenParts {
  readonly text: string
  readonly host: string | undefined
  readonly path: string
  readonly tag: string | undefined
  readonly digest: string | undefined
}

function normalise({ text, host, path, tag, digest }: WrittenParts): Pattern {
  const registry = normalRegistry(host)
  const isHostWildcard = registry.startsWith('*.')
  const isWholeBelow = path === '*' || path === '**'
  const repository = isWholeBelow ? path : normalRepository(registry, path)
  const segments = repository.split('/')
  const last = segments.at(-1)
  const isPrefix = last === '*' || last === '**'
  if (isPrefix) segments.pop()
  const suffix = `${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`
  return {
    text,
    // Most are written so. The same string again needs no memory, and no second look when it is a key.
    normalised: registry === host && repository === path ? text : `${registry}/${repository}${suffix}`,
    host: isHostWildcard ? registry.slice(2) : registry,
    isHostWildcard,
    parts: repository.includes('*') ? segments.map(segment => toPart(segment)) : segments,
    isPrefix,
    tag: tagRuleOf(tag),
    digest,
  }
}

function tagRuleOf(tag: string | undefined): TagRule {
  if (tag === undefined || tag === '*') return ANY_TAG
  return tag.includes('*') ? { kind: 'glob', text: tag } : { kind: 'exact', tag }
}

function toPart(segment: string): PathPart {
  if (segment === '**') return ANY_DEPTH
  return segment.includes('*') ? { kind: 'glob', text: segment } : segment
}

/** Whether an allow entry of this pattern would admit what anybody can publish. */
export function admitsPublicRegistry(pattern: Pattern): boolean {
  const isWholeHost = pattern.isPrefix && pattern.parts.every(part => part === ANY_DEPTH)
  if (!isWholeHost || pattern.digest !== undefined) return false
  return pattern.isHostWildcard ? PUBLIC_SUFFIXES.test(pattern.host) : PUBLIC_REGISTRIES.has(pattern.host)
}

interface WrittenPlaces {
  readonly portAt: number
  readonly tag: string | undefined
  readonly tagAt: number
}

function warningsOf(pattern: Pattern, places: WrittenPlaces): readonly PatternFault[] {
  if (places.portAt === -1 && pattern.digest === undefined) return NO_WARNINGS
  const warnings: PatternFault[] = []
  const port = /:([0-9]+)$/.exec(pattern.host)?.[1]
  if (port !== undefined && (port.length > 5 || Number(port) > 65535 || Number(port) === 0)) {
    warnings.push(fault(`has port ${port}, which can never be reached`, places.portAt + 1))
  }
  if (pattern.digest !== undefined && places.tag !== undefined) {
    warnings.push(fault('has a tag beside a digest; the digest alone decides', places.tagAt, 'remove the tag'))
  }
  return warnings
}
