/**
 * The one place where picomatch decides what a `*` means: inside one path segment, one tag or one name.
 *
 * picomatch turns a glob into a backtracking regular expression, and the strings that meet it are the attacker's: five
 * `*` cost 88 s on a segment of 255 characters. So a glob never holds more than two, and every text is bounded.
 */

import picomatch from 'picomatch'

export const MAX_STARS = 2
/** Longer texts match no glob: no segment, tag or namespace may be longer. */
const MAX_TEXT_LENGTH = 255

const OPTIONS = {
  nonegate: true,
  noextglob: true,
  nobracket: true,
  nobrace: true,
  noglobstar: true,
  dot: true,
  strictSlashes: true,
} as const

export type GlobMatcher = (text: string) => boolean
/** Makes matchers of checked globs: `compileGlob`, or what `createGlobCompiler` gives. */
export type GlobCompiler = (glob: string) => GlobMatcher

/** How many `*` a text holds. */
export function countStars(text: string): number {
  let stars = 0
  for (const character of text) if (character === '*') stars += 1
  return stars
}

/** Compiles each glob once: the same few stand in thousands of patterns, and an expression takes 30 µs to make. */
export function createGlobCompiler(): GlobCompiler {
  const known = new Map<string, GlobMatcher>()
  return glob => {
    const matcher = known.get(glob) ?? compileGlob(glob)
    known.set(glob, matcher)
    return matcher
  }
}

/**
 * A matcher for a glob whose only special character is `*`; the caller has checked its characters.
 * Throws a RangeError on more than two stars: that is a bug of the caller, not a user's mistake.
 */
export function compileGlob(glob: string): GlobMatcher {
  if (!glob.includes('*')) return text => text === glob
  if (glob === '*') return text => text !== '' && text.length <= MAX_TEXT_LENGTH
  if (countStars(glob) > MAX_STARS) throw new RangeError(`a glob holds at most ${MAX_STARS} stars`)
  // Made when a text first fits its ends: most globs of a policy and of the catalogue never see one.
  let expression: RegExp | undefined
  const [first = '', ...middle] = glob.split('*')
  const last = middle.pop() ?? ''
  // The same segment is asked again and again: at several places of one tree, and in each list of the policy.
  let asked: string | undefined
  let answer = false
  return text => {
    if (text === asked) return answer
    if (!text.startsWith(first) || !text.endsWith(last) || text.length > MAX_TEXT_LENGTH) return false
    asked = text
    expression ??= picomatch.makeRe(glob, OPTIONS)
    answer = holdsBetween(text, first.length, middle, text.length - last.length) && expression.test(text)
    return answer
  }
}

/**
 * Whether the literals occur one after the other between two places. Linear. The expression would backtrack only where
 * this fails, or where the ends do not fit: what is left for it, it matches at the first attempt.
 */
function holdsBetween(text: string, from: number, literals: readonly string[], to: number): boolean {
  let end = from
  for (const literal of literals) {
    const at = text.indexOf(literal, end)
    if (at === -1) return false
    end = at + literal.length
  }
  return end <= to
}
