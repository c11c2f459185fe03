/**
 * Maintenance windows: announced times, once or every week, in which what runs in some namespaces is no alert.
 *
 * Weekly ones are told by the wall clock of a time zone, as their owners think of them. `Intl` knows the zones; the time
 * to judge at comes in.
 */

import type { GlobMatcher } from './glob.js'
import type { MaintenanceDocument } from './policy-document.js'

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS

/** Kinds of what a process can raise. */
export type MaintainedKind = NonNullable<MaintenanceDocument['kinds']>[number]

export interface WeeklySchedule {
  readonly type: 'weekly'
  /** 0 is Sunday: the days on which it begins. */
  readonly days: ReadonlySet<number>
  /** Since midnight, by the wall clock. A start that summer time leaves out is an hour later. */
  readonly startMinutes: number
  readonly durationMs: number
  readonly clock: WallClock
}

/** Milliseconds since the epoch; open from `from` until just before `until`. */
export interface SingleSchedule {
  readonly type: 'once'
  readonly from: number
  readonly until: number
}

export interface MaintenanceWindow {
  readonly id: string
  readonly reason: string
  readonly owner: string
  readonly isNamespace: GlobMatcher
  /** Undefined: all tools, and what is no tool. */
  readonly isTool: GlobMatcher | undefined
  /** Undefined: all kinds. */
  readonly kinds: ReadonlySet<MaintainedKind> | undefined
  readonly schedule: SingleSchedule | WeeklySchedule
}

/** What is seen, as far as a window is concerned. */
export interface MaintainedSighting {
  readonly kind: MaintainedKind
  /** All the tools that one process gave away. */
  readonly tools: readonly string[]
  readonly namespace: string
}

/** The first window that covers all of it at this time, and until when it does. */
export function findMaintenance(
  windows: readonly MaintenanceWindow[],
  { kind, tools, namespace }: MaintainedSighting,
  now: number,
): { readonly window: MaintenanceWindow; readonly until: number } | undefined {
  for (const window of windows) {
    const { isTool, kinds, isNamespace, schedule } = window
    if (!isNamespace(namespace) || kinds?.has(kind) === false) continue
    if (isTool !== undefined && (tools.length === 0 || !tools.every(tool => isTool(tool.toLowerCase())))) continue
    const until = openUntil(schedule, now)
    if (until !== undefined) return { window, until }
  }
  return undefined
}

/** When the window that is open at this time ends, in milliseconds since the epoch; undefined: none is open. */
export function openUntil(schedule: SingleSchedule | WeeklySchedule, now: number): number | undefined {
  if (schedule.type === 'once') return schedule.from <= now && now < schedule.until ? schedule.until : undefined
  const { days, startMinutes, durationMs, clock } = schedule
  const today = Math.floor(clock.wallAt(now) / DAY_MS) * DAY_MS
  // It may have begun some days ago.
  for (let day = today; day >= today - durationMs - DAY_MS; day -= DAY_MS) {
    if (!days.has(new Date(day).getUTCDay())) continue
    const start = clock.instantOf(day + startMinutes * MINUTE_MS)
    if (start <= now && now < start + durationMs) return start + durationMs
  }
  return undefined
}

/** Between instants and what a wall clock shows, the latter as if it were UTC; both in milliseconds since the epoch. */
export interface WallClock {
  wallAt(instant: number): number
  instantOf(wall: number): number
}

/** @param timeZone a name of the IANA data base. @throws RangeError for any other. */
export function createWallClock(timeZone: string): WallClock {
  const digits = { year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric' } as const
  const format = new Intl.DateTimeFormat('en-US', { timeZone, hourCycle: 'h23', ...digits })
  const wallAt = (instant: number): number => {
    const parts = new Map(format.formatToParts(instant).map(({ type, value }) => [type, Number(value)]))
    const part = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0
    const minute = Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'))
    return minute + (((instant % MINUTE_MS) + MINUTE_MS) % MINUTE_MS)
  }
  return {
    wallAt,
    instantOf(wall) {
      // The offset there is nearly that here; a second look settles it.
      const near = wall - (wallAt(wall) - wall)
      return wall - (wallAt(near) - near)
    },
  }
}
