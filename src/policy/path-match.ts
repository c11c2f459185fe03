/** Whether the segments of a repository are what a pattern's parts describe. */

import type { PathPart } from './pattern.js'

/**
 * Match path segments from `from` on against parts, to the end of both (or below the parts, for a prefix).
 *
 * Each (part, segment) pair is looked at once, so the cost is bounded by 16 parts times 128 segments, whatever the
 * strings: no backtracking over segments.
 */
export function matchesPath(
  parts: readonly PathPart[],
  isPrefix: boolean,
  segments: readonly string[],
  from: number,
): boolean {
  // reachable[i]: the parts seen so far can end just before segment from + i.
  let reachable = new Array<boolean>(segments.length - from + 1).fill(false)
  reachable[0] = true
  for (const part of parts) reachable = advance(part, reachable, segments, from)
  if (!isPrefix) return reachable.at(-1) === true
  return reachable.slice(0, -1).includes(true)
}

function advance(part: PathPart, reachable: readonly boolean[], segments: readonly string[], from: number): boolean[] {
  const next = new Array<boolean>(reachable.length).fill(false)
  for (let index = 0; index < reachable.length; index += 1) {
    if (part.kind === 'any-depth') {
      next[index] = reachable[index] === true || (index > 0 && next[index - 1] === true)
      continue
    }
    const segment = segments[from + index]
    if (reachable[index] !== true || segment === undefined) continue
    next[index + 1] = part.kind === 'literal' ? part.text === segment : part.matches(segment)
  }
  return next
}
