// The heap after a full collection: without one a figure says when the collector last ran, not what is held.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Bytes of the JavaScript heap that are still reachable; collects first, whatever flags this process was started with. */
export function settledHeap(): number {
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext('gc')
  if (typeof collect !== 'function') throw new Error('this Node offers no gc')
  collect()
  collect()
  return process.memoryUsage().heapUsed
}
