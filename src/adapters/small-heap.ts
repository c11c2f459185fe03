/** How V8 keeps house in a process that reads for ever. */

import { setFlagsFromString } from 'node:v8'

/** So many percent more than what is live may the heap hold before it is collected as a whole. */
const GROWING_PERCENT = 50

/**
 * Collect earlier than V8 would. It lets a small heap grow to several times what is live in it, which for a stream of
 * events that are all forgotten again is memory for nothing: bench group `replay` says what this saves, and costs.
 *
 * The engine reads this flag at each collection, so that it may be set while it runs, unlike those for sizes.
 */
export function keepHeapSmall(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWING_PERCENT}`)
}
