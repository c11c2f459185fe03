/** How far two names are apart, for telling a typing error from another name. */

/**
 * Levenshtein's distance (insertions, deletions and substitutions, each one) as far as it matters: `limit + 1` stands for
 * everything beyond the limit. What both begin and end with is left out, and only a band of `limit` cells on either side
 * of the diagonal is filled: the cost is the length times the limit, and next to nothing for names that differ early.
 */
export function editDistance(left: string, right: string, limit: number): number {
  if (Math.abs(left.length - right.length) > limit) return limit + 1
  let start = 0
  while (start < left.length && start < right.length && left[start] === right[start]) start += 1
  let cut = 0
  const spare = Math.min(left.length, right.length) - start
  while (cut < spare && left[left.length - 1 - cut] === right[right.length - 1 - cut]) cut += 1
  return distanceInBand(left.slice(start, left.length - cut), right.slice(start, right.length - cut), limit)
}

function distanceInBand(left: string, right: string, limit: number): number {
  const beyond = limit + 1
  let previous: number[] = []
  for (let column = 0; column <= right.length; column += 1) previous.push(Math.min(column, beyond))
  for (let row = 1; row <= left.length; row += 1) {
    const current = new Array<number>(right.length + 1).fill(beyond)
    current[0] = Math.min(row, beyond)
    let least = current[0]
    for (let column = Math.max(1, row - limit); column <= Math.min(right.length, row + limit); column += 1) {
      const substituted = (previous[column - 1] ?? beyond) + (left[row - 1] === right[column - 1] ? 0 : 1)
      const cell = Math.min(substituted, (previous[column] ?? beyond) + 1, (current[column - 1] ?? beyond) + 1, beyond)
      current[column] = cell
      least = Math.min(least, cell)
    }
    if (least > limit) return beyond
    previous = current
  }
  return previous[right.length] ?? beyond
}
