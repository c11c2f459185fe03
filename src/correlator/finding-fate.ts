/** What becomes of a finding as time goes by without a sighting. */

import { escapeForeign } from '../policy/index.js'
import type { FindingEntry } from './finding-entry.js'
import type { WatchClock } from './watch-clock.js'

/** How long a resolved finding is remembered, as a multiple of the time after which it was resolved. */
export const REMEMBERED_WINDOWS = 30

export type Fate = { readonly type: 'resolve'; readonly epilogue: string } | { readonly type: 'forget' }

/** Undefined: it stays as it is. @param resolveAfterMs of a watch without a gap. */
export function fateOf(entry: FindingEntry, watch: WatchClock, resolveAfterMs: number): Fate | undefined {
  const unseenMs = watch.unseenFor(entry.lastSeen)
  if (entry.status === 'resolved') {
    return unseenMs > REMEMBERED_WINDOWS * resolveAfterMs ? { type: 'forget' } : undefined
  }
  const { suppression, suppressedCount, status } = entry
  if (status === 'suppressed' && suppression !== undefined && watch.until >= Date.parse(suppression.expires)) {
    const id = escapeForeign(suppression.exception, 100)
    const words = suppression.by === 'maintenance' ? `maintenance window ${id}` : `exception ${id}`
    return { type: 'resolve', epilogue: `${words} has ended; it covered ${countOf(suppressedCount)}` }
  }
  if (unseenMs <= resolveAfterMs) return undefined
  return {
    type: 'resolve',
    epilogue: 'resolved because it has not been seen again, which does not prove that it is gone',
  }
}

function countOf(execs: number): string {
  return execs === 1 ? '1 exec' : `${execs.toLocaleString('en-US')} execs`
}
