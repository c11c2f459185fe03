/** How V8 keeps house in a process that reads for ever. */

import { getHeapStatistics, setFlagsFromString } from 'node:v8'

/** So many percent more than what is live may the heap hold before it is collected as a whole. */
const GROWING_PERCENT = 25

/** From this size on, in bytes, the heap is worth the time to keep it together: a twelfth of what `replay` takes. */
const LARGE_HEAP = 64 * 1024 * 1024
const LOOK_MS = 1_000

/**
 * By the engine's major version, what makes it wait longer before it compiles a function for the last time. The first
 * seconds of a stream say little of the rest: V8 compiles early, throws away, and compiles again, which took a sixth of
 * the CPU time of 800 MB with Node 20, a tenth with Node 24. Flags come and go: other versions are left alone.
 */
const PATIENCE: ReadonlyMap<string, string> = new Map([
  // Node 20. In bytes of bytecode; without it 67,584.
  ['11', '--interrupt-budget=600000'],
  // Node 24. In calls; without it 3,000.
  ['13', '--invocation-count-for-turbofan=20000'],
])

/**
 * Collect earlier than V8 would, move what is left closer together, and compile later.
 *
 * It lets a small heap grow to several times what is live in it, which for a stream of events that are all forgotten
 * again is memory for nothing. And pages stay of which old findings hold a half: once the heap is large, it is set for
 * size, and moves together what lies in pages a fifth of which is free, six megabytes at a time, so that a collection
 * needs little room of its own. Bench group `replay` says what this saves, and costs. The engine reads these flags when
 * it collects and when it counts, so that they may be set while it runs, unlike those for sizes.
 */
export function settleForStream(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWING_PERCENT}`)
  const patience = PATIENCE.get(process.versions.v8.split('.', 1)[0] ?? '')
  if (patience !== undefined) setFlagsFromString(patience)
  const look = setInterval(() => {
    if (getHeapStatistics().total_physical_size < LARGE_HEAP) return
    setFlagsFromString('--optimize-for-size')
    clearInterval(look)
  }, LOOK_MS)
  look.unref()
}
