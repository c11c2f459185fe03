/**
 * Image references, read as the kubelet reads them.
 *
 * The grammar is that of distribution/reference (v0.6), which the kubelet and containerd use:
 *
 *   reference  := name [ ":" tag ] [ "@" digest ]
 *   name       := [ host "/" ] path
 *   host       := ( domain-name | IPv4 | "[" IPv6 "]" ) [ ":" port ]
 *   domain-name:= component ( "." component )*       component := alnum ( ( alnum | "-" )* alnum )?
 *   path       := segment ( "/" segment )*           segment   := [a-z0-9]+ ( ( "." | "_" | "__" | "-"+ ) [a-z0-9]+ )*
 *   tag        := [A-Za-z0-9_] [A-Za-z0-9_.-]{0,127}
 *   digest     := algorithm ":" hex{32,}             (sha256: 64 hex, sha384: 96, sha512: 128; no other is registered)
 *
 * Two things differ from Docker's habits, both on purpose: an unreadable first part that looks like a host
 * (`evil_host.com/app`) is never moved to Docker Hub, and a host is lower-cased, because DNS has no case.
 */

/** A reference in its normal form. Compare these fields, never the written string. */
export interface ImageReference {
  /** Exactly what stood in the manifest; for display, and only after escaping. */
  readonly written: string
  /** Lower-case host with its port, if one is written; `docker.io` when no host is written. */
  readonly registry: string
  /** The path below the registry, with `library/` added on Docker Hub. */
  readonly repository: string
  /** The effective tag: the written one, or `latest` when neither a tag nor a digest is written. */
  readonly tag: string | undefined
  /** `algorithm:hex`, lower case. */
  readonly digest: string | undefined
}

export type ParsedImageReference =
  | { readonly ok: true; readonly reference: ImageReference }
  /** `problem` is half a sentence that follows "cannot be read: "; it quotes nothing from the input. */
  | { readonly ok: false; readonly problem: string }

/** Longer strings are refused unread, whatever they hold. */
export const MAX_REFERENCE_LENGTH = 4096

export const DOCKER_HUB = 'docker.io'
export const DEFAULT_TAG = 'latest'

/** distribution/reference: the path (with `library/`, without the host) may hold 255 characters. */
export const MAX_REPOSITORY_LENGTH = 255
const HEX_LENGTHS = new Map([
  ['sha256', 64],
  ['sha384', 96],
  ['sha512', 128],
])
/** Printable ASCII without the blank: whatever else stands in a reference makes it unreadable. */
const PRINTABLE = /^[\x21-\x7e]*$/
const BARE_ID = /^[0-9a-f]{64}$/
/** A segment, and a path of them. Alphanumerics and separators have no character in common: no backtracking. */
const SEGMENT = /^[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*$/
const PATH = /^[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*)*$/
/** Components joined by dots; alphanumerics, dashes and dots have no character in common: no backtracking. */
const DOMAIN_NAME = /^[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*(?:\.[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*)*$/
const IPV6 = /^\[[0-9A-Fa-f:]+\]$/
const PORT = /^[0-9]+$/
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/
const HEX = /^[0-9a-f]+$/
const PATH_CHARACTERS = /^[a-z0-9._-]+$/

/**
 * Read one image reference. Never throws; linear in the length of the input.
 *
 * @param written the string of a manifest or an event, untouched (no trimming: surrounding blanks are an error).
 */
export function parseImageReference(written: string): ParsedImageReference {
  const problem = problemOfWhole(written)
  if (problem !== undefined) return unreadable(problem)

  const { name, tag, digest } = cutReference(written)
  const suffixProblem =
    problemOfDigest(digest) ?? (tag !== undefined && !TAG.test(tag) ? 'the tag is malformed' : undefined)
  if (suffixProblem !== undefined) return unreadable(suffixProblem)
  if (name === '') return unreadable('there is no repository name')

  const { host, path } = splitName(name)
  const registry = normalRegistry(host)
  const repository = normalRepository(registry, path)
  if (repository.length > MAX_REPOSITORY_LENGTH) {
    return unreadable(`the repository is longer than ${MAX_REPOSITORY_LENGTH} characters`)
  }
  const nameProblem = (host === undefined ? undefined : problemOfHost(host)) ?? problemOfPath(path)
  if (nameProblem !== undefined) return unreadable(nameProblem)

  const effectiveTag = tag ?? (digest === undefined ? DEFAULT_TAG : undefined)
  return { ok: true, reference: { written, registry, repository, tag: effectiveTag, digest } }
}

/** The normal form as one string: `registry/repository[:tag][@digest]`; parses back to the same fields. */
export function formatImageReference(reference: Omit<ImageReference, 'written'>): string {
  const tag = reference.tag === undefined ? '' : `:${reference.tag}`
  const digest = reference.digest === undefined ? '' : `@${reference.digest}`
  return `${reference.registry}/${reference.repository}${tag}${digest}`
}

/** The parts of a reference, or of a pattern, as they are written. */
export interface CutReference {
  readonly name: string
  readonly tag: string | undefined
  readonly digest: string | undefined
  /** Where the tag and the digest begin, in characters; meaningless without one. */
  readonly tagAt: number
  readonly digestAt: number
}

/** Split at the first `@` and at the first `:` behind the last `/` in front of it: a port is no tag. */
export function cutReference(written: string): CutReference {
  const at = written.indexOf('@')
  const named = at === -1 ? written : written.slice(0, at)
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1)
  return {
    name: colon === -1 ? named : named.slice(0, colon),
    tag: colon === -1 ? undefined : named.slice(colon + 1),
    digest: at === -1 ? undefined : written.slice(at + 1),
    tagAt: colon + 1,
    digestAt: at + 1,
  }
}

/** Whether a name's first part is a host: it holds `.` or `:`, is `localhost`, or has an upper-case letter. */
export function isHost(firstPart: string): boolean {
  return /[.:A-Z]/.test(firstPart) || firstPart === 'localhost'
}

/** Split `host/path`; the host is undefined where Docker Hub is meant. */
export function splitName(name: string): { readonly host: string | undefined; readonly path: string } {
  const slash = name.indexOf('/')
  const first = slash === -1 ? name : name.slice(0, slash)
  if (slash === -1 || !isHost(first)) return { host: undefined, path: name }
  return { host: first, path: name.slice(slash + 1) }
}

/** The registry in normal form: Docker Hub's old name and the missing host both mean `docker.io`. */
export function normalRegistry(host: string | undefined): string {
  if (host === undefined) return DOCKER_HUB
  const lower = host.toLowerCase()
  return lower === 'index.docker.io' ? DOCKER_HUB : lower
}

/** The repository in normal form: a single segment on Docker Hub is one of its official images. */
export function normalRepository(registry: string, path: string): string {
  return registry === DOCKER_HUB && !path.includes('/') ? `library/${path}` : path
}

/** Why a host is malformed, or undefined. */
export function problemOfHost(host: string): string | undefined {
  const portAt = host.startsWith('[') ? host.indexOf(':', host.indexOf(']')) : host.indexOf(':')
  const name = portAt === -1 ? host : host.slice(0, portAt)
  if (portAt !== -1 && !PORT.test(host.slice(portAt + 1))) return "the registry's port is malformed"
  if (name.startsWith('[')) return IPV6.test(name) ? undefined : "the registry's IPv6 address is malformed"
  return DOMAIN_NAME.test(name) ? undefined : 'the registry host is malformed'
}

/** Whether a path holds nothing but well-formed segments. */
export function isPath(path: string): boolean {
  return PATH.test(path)
}

/** Why one path segment is malformed, or undefined. */
export function problemOfSegment(segment: string): string | undefined {
  if (SEGMENT.test(segment)) return undefined
  if (segment === '') return 'a path segment is empty'
  if (segment === '.' || segment === '..') return 'a path segment is a dot segment'
  if (/[A-Z]/.test(segment)) return 'the repository must be lower case'
  if (!PATH_CHARACTERS.test(segment)) return 'the repository holds a character that no repository may hold'
  return 'a path segment starts, ends or is joined by a misplaced separator'
}

/** Why a digest is malformed, or undefined; a missing one is well-formed. */
export function problemOfDigest(digest: string | undefined): string | undefined {
  if (digest === undefined) return undefined
  const colon = digest.indexOf(':')
  const algorithm = colon === -1 ? digest : digest.slice(0, colon)
  const length = HEX_LENGTHS.get(algorithm)
  if (colon === -1 || length === undefined) return 'the digest names no registered algorithm (sha256, sha384, sha512)'
  const hex = digest.slice(colon + 1)
  if (hex.length !== length || !HEX.test(hex)) {
    return `a ${algorithm} digest has ${length} lower-case hexadecimal characters`
  }
  return undefined
}

function unreadable(problem: string): ParsedImageReference {
  return { ok: false, problem }
}

function problemOfWhole(written: string): string | undefined {
  if (written === '') return 'it is empty'
  if (written.length > MAX_REFERENCE_LENGTH) return `it is longer than ${MAX_REFERENCE_LENGTH} characters`
  if (!PRINTABLE.test(written)) return 'it holds a blank, a control character or a character outside ASCII'
  if (written.includes('://')) return 'it is a URL; remove the scheme'
  if (BARE_ID.test(written)) return 'it is a bare image ID'
  if (/^sha(?:256|384|512):/.test(written)) return 'it is a bare digest without a repository'
  return undefined
}

function problemOfPath(path: string): string | undefined {
  if (isPath(path)) return undefined
  for (const [index, segment] of path.split('/').entries()) {
    const problem = problemOfSegment(segment)
    if (problem === undefined) continue
    // An underscore beside a dot in front of the first slash is a mistyped host, and nobody's Docker Hub account.
    return index === 0 && path.includes('/') && isHost(segment) ? 'the registry host is malformed' : problem
  }
  return undefined
}
