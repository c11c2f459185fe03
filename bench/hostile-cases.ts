/**
 * The worst that both sides can bring: patterns that the loader still accepts, and images that somebody chose to be slow.
 *
 * What is dear is a segment that a glob of two stars almost matches: every place of the first star is tried with every
 * place of the second. It is paid for each part of the pattern that gets to ask, so the dearest images let the parts in
 * front match, and a digest has the allow entries asked a second time (for the sentence that names the tag).
 */

/** The repository of an image holds 255 characters, its tag 128, the whole string 4,096. */
const MAX_REPOSITORY = 255
const HOST = 'h.io'
const DIGEST = `@sha256:${'0'.repeat(64)}`

/** Each within the loader's bounds: 16 segments, two stars a segment, two `**`, 255 characters of path. */
export const HOSTILE_PATTERNS: readonly string[] = [
  `${HOST}/*`,
  `${HOST}/**`,
  `${HOST}/*a*b`,
  `${HOST}/a*a*`,
  `${HOST}/*a*/*`,
  `${HOST}/*a*b/**/*a*b`,
  `${HOST}/**/*a*b`,
  `${HOST}/**/*a*b/*`,
  `${HOST}/**/*a*b/**/*a*b/*`,
  `${HOST}/**/*a*b/**/*a*b`,
  `${HOST}/**/${repeat('*a*b', 15)}`,
  `${HOST}/**/${repeat('*a*ab', 15)}`,
  `${HOST}/**/${repeat('*a*b', 14)}/*`,
  `${HOST}/**/*a*b/**/${repeat('*a*b', 13)}`,
  `${HOST}/**/${repeat('*', 14)}/*a*b`,
  `${HOST}/${repeat('*a*b', 16)}`,
  `${HOST}/${repeat('*a*', 16)}`,
  `${HOST}/${repeat('*', 16)}`,
  `${HOST}/**/${repeat('*-*x', 15)}`,
  `${HOST}/**/*${'a'.repeat(100)}*${'a'.repeat(100)}b`,
  `${HOST}/**/*a*${'a'.repeat(60)}b/**/*a*${'a'.repeat(60)}b`,
  `*.io/**/${repeat('*a*b', 15)}`,
  `*.io/*a*b:*a*b`,
  `${HOST}/app:*a*b`,
  `${HOST}/app:a*a*`,
  `${HOST}/app:*aaaa*aaab`,
  `${HOST}/*:*a*b`,
  `${HOST}/**/*a*b:*a*b`,
  `docker.io/**/${repeat('*a*b', 15)}:*a*b`,
  `${HOST}/app${DIGEST}`,
  `*a*b`,
]

/** What stands at `path` on the hosts that the patterns name; with a tag, with a digest, and with both. */
export function hostileImages(): readonly string[] {
  const paths = [
    'a'.repeat(250),
    `${'a'.repeat(249)}b`,
    repeat('a', 127),
    repeat('b', 127),
    repeat('ab', 85),
    `${repeat('ab', 5)}/${'a'.repeat(230)}`,
    `${repeat('ab', 13)}/${'a'.repeat(212)}`,
    `${repeat('ab', 14)}/${'a'.repeat(210)}`,
    `${repeat('ab', 15)}/${'a'.repeat(205)}`,
    `${repeat('aab', 14)}/${'a'.repeat(190)}`,
    `${repeat('ab', 7)}/${'a'.repeat(110)}/${repeat('ab', 7)}/${'a'.repeat(90)}`,
    `${'a'.repeat(120)}/${'a'.repeat(120)}`,
    repeat('aaaaaaaaaaaaaaa', 15),
    repeat('a-x', 60),
    `${repeat('a-x', 14)}/${'a-'.repeat(90)}a`,
    `a${'-'.repeat(240)}a`,
    `${'a.'.repeat(120)}a`,
    `${'a__'.repeat(80)}a`,
    'app',
  ]
  const tagged = ['a'.repeat(128), `${'a'.repeat(127)}b`, 'ab'.repeat(64), `a${'.'.repeat(127)}`].map(tag => `:${tag}`)
  const suffixes = ['', DIGEST, ...tagged, ...tagged.map(tag => `${tag}${DIGEST}`)]
  const hosts = [`${HOST}/`, 'x.io/', '']
  const wellFormed = hosts.flatMap(host => paths.flatMap(path => suffixes.map(suffix => `${host}${path}${suffix}`)))
  return [...wellFormed, ...unreadableImages()]
}

/** Strings that no grammar accepts; each must be refused in next to no time. */
function unreadableImages(): readonly string[] {
  return [
    '',
    'a'.repeat(4_096),
    '/'.repeat(4_096),
    ':'.repeat(4_096),
    '@'.repeat(4_096),
    '-'.repeat(4_096),
    `${'a-'.repeat(2_000)}.io/app`,
    `${'a.'.repeat(2_000)}io/app`,
    `a${'-'.repeat(4_000)}.io/app`,
    `[${':'.repeat(4_000)}]/app`,
    `h.io:${'9'.repeat(4_000)}/app`,
    `${HOST}/a${'-'.repeat(4_000)}`,
    `${HOST}/a${'_'.repeat(4_000)}a`,
    `${HOST}/${'a/'.repeat(2_000)}a`,
    `${HOST}/${'a/'.repeat(2_000)}-`,
    `${HOST}/${'a-a/'.repeat(1_000)}A`,
    `${HOST}/${'a._-'.repeat(1_000)}a`,
    `${HOST}/app:${'a'.repeat(4_000)}`,
    `${HOST}/app@sha256:${'0'.repeat(4_000)}`,
    'ä'.repeat(4_096),
    '\u{202e}'.repeat(4_096),
    '\u{1f600}'.repeat(2_048),
    '\0'.repeat(4_096),
    'a'.repeat(1_000_000),
  ]
}

/** A pattern and an image, made to be slow for each other. */
export interface HostilePair {
  readonly pattern: string
  readonly image: string
}

/** Every glob is another expression, all match the short segments, and none the long one: much to interpret at first. */
export const MANY_EXPRESSIONS: HostilePair = {
  pattern: `${HOST}/**/${['a', 'aa', 'aaa'].flatMap(first => ['b', 'ab', 'aab', 'aaab', 'aaaab'].map(second => `*${first}*${second}`)).join('/')}`,
  image: `${HOST}/${repeat('aaaaaaab', 14)}/${'a'.repeat(125)}${DIGEST}`,
}

/**
 * Pairs from a seeded generator, the same ones in every run: a pattern of globs that share a few letters, and an image
 * whose segments match some of them and nearly match the others.
 */
export function* breedPairs(count: number): Generator<HostilePair> {
  const random = createRandom(20_261_122)
  for (let made = 0; made < count; made += 1) {
    const first = letters(1 + below(4, random), random)
    const second = `${letters(below(6, random), random)}b`
    const globs = 1 + below(15, random)
    const parts = breedParts(below(6, random) === 0 ? `${first}*${second}*` : `*${first}*${second}`, globs, random)
    const matching = repeat(`${first}${second}`, below(globs + 2, random))
    const room = MAX_REPOSITORY - matching.length - 1
    const length = below(4, random) === 0 ? 1 + below(Math.max(1, room), random) : room
    const path = [matching, 'a'.repeat(Math.max(1, length))].filter(part => part !== '').join('/')
    yield { pattern: `${HOST}/${parts.join('/')}`, image: `${HOST}/${path}${below(2, random) === 0 ? DIGEST : ''}` }
  }
}

/** Up to 16 parts: the glob many times, a few plain stars, up to two `**`, and perhaps a prefix's star. */
function breedParts(glob: string, globs: number, random: () => number): readonly string[] {
  const parts = Array.from({ length: globs }, () => (below(20, random) === 0 ? '*' : glob))
  if (below(4, random) > 0) parts.unshift('**')
  if (below(4, random) === 0) parts.splice(1 + below(parts.length, random), 0, '**')
  if (below(3, random) === 0) parts.push('*')
  return parts.slice(0, 16)
}

function letters(length: number, random: () => number): string {
  return Array.from({ length }, () => (below(8, random) === 0 ? 'b' : 'a')).join('')
}

/** A whole number from 0 to below the limit. */
function below(limit: number, random: () => number): number {
  return Math.floor(random() * limit)
}

/** The same pair in other letters: equal work for expressions that the engine has never seen. */
export function inOtherLetters({ pattern, image }: HostilePair, variant: number): HostilePair {
  const alphabet = 'cdefgjklmnpqrstuvwxyz'
  const first = alphabet.charAt(variant % alphabet.length)
  const second = alphabet.charAt((variant + 1 + Math.floor(variant / alphabet.length)) % alphabet.length)
  const swap = (text: string): string => {
    const slash = text.indexOf('/') + 1
    const end = text.includes('@') ? text.indexOf('@') : text.length
    const path = text.slice(slash, end).replaceAll('a', first).replaceAll('b', second)
    return text.slice(0, slash) + path + text.slice(end)
  }
  return { pattern: swap(pattern), image: swap(image) }
}

function repeat(segment: string, count: number): string {
  return Array.from({ length: count }, () => segment).join('/')
}

/** mulberry32: small, seeded, and good enough to vary with. */
function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
