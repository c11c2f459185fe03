/** Maintenance windows (`spec.runtime.maintenance`): compiled, with their times read and their scopes checked. */

import type { Compilation, Placed } from './compile-entries.js'
import { compileNamespaceGlobs, compileToolGlobs, readTime } from './compile-exceptions.js'
import { createWallClock } from './maintenance.js'
import type { MaintenanceDocument } from './policy-document.js'
import type { MaintenanceDraft, ScheduleDraft } from './policy-draft.js'

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
const START = /^([01]\d|2[0-3]):([0-5]\d)$/
const DURATION = /^([1-9]\d{0,4})([mhd])$/
const UNIT_MS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const MAX_DURATION_MS = 7 * UNIT_MS.d
const FORMS = 'write "from" and "until", or "days", "start" and "duration"'

/** @param taken ids of exceptions: findings name either by its id. */
export function compileMaintenance(
  items: readonly Placed<MaintenanceDocument>[],
  taken: readonly string[],
  run: Compilation,
): readonly MaintenanceDraft[] {
  const ids = new Set(taken)
  return items.flatMap(item => {
    const { value, source, path } = item
    if (ids.has(value.id))
      run.errors.add(source, [...path, 'id'], `the id ${JSON.stringify(value.id)} is taken already`)
    ids.add(value.id)
    const namespaces = compileNamespaceGlobs(value.namespaces, source, [...path, 'namespaces'], run)
    const tools = value.tools && compileToolGlobs(value.tools, source, [...path, 'tools'], run)
    const schedule = scheduleOf(item, run)
    if (schedule === undefined) return []
    return [
      {
        id: value.id,
        reason: value.reason,
        owner: value.owner,
        namespaces,
        tools,
        kinds: value.kinds,
        schedule,
      },
    ]
  })
}

function scheduleOf(item: Placed<MaintenanceDocument>, run: Compilation): ScheduleDraft | undefined {
  const { from, until, days, start, duration, timeZone } = item.value
  const isOnce = from !== undefined && until !== undefined
  const isWeekly = days !== undefined && start !== undefined && duration !== undefined
  const isMixed = isOnce
    ? days !== undefined || start !== undefined || duration !== undefined || timeZone !== undefined
    : from !== undefined || until !== undefined
  if (isOnce === isWeekly || isMixed) {
    run.errors.add(item.source, item.path, 'it must be said when the window is open, in one way', FORMS)
    return undefined
  }
  return isOnce ? onceOf(item, from, until, run) : weeklyOf(item, run)
}

function onceOf({ source, path }: Placed<MaintenanceDocument>, from: string, until: string, run: Compilation) {
  const schedule: ScheduleDraft = {
    type: 'once',
    from: readTime(from, source, [...path, 'from'], run),
    until: readTime(until, source, [...path, 'until'], run),
  }
  if (schedule.from >= schedule.until) run.errors.add(source, [...path, 'until'], 'lies before "from"')
  return schedule
}

function weeklyOf({ value, source, path }: Placed<MaintenanceDocument>, run: Compilation): ScheduleDraft | undefined {
  const { days = [], start = '', duration = '', timeZone = 'UTC' } = value
  const [, hours, minutes] = START.exec(start) ?? []
  if (hours === undefined) {
    run.errors.add(source, [...path, 'start'], `${JSON.stringify(start)} is no time of day`, 'write e.g. "22:00"')
  }
  const durationMs = readDuration(duration)
  if (durationMs === undefined) {
    const hint = 'write e.g. 90m, 2h or 1d; 7d at most'
    run.errors.add(source, [...path, 'duration'], `${JSON.stringify(duration)} is no duration of a window`, hint)
  }
  const isZone = isTimeZone(timeZone)
  if (!isZone) {
    const hint = 'write e.g. UTC or Europe/Berlin'
    run.errors.add(source, [...path, 'timeZone'], `${JSON.stringify(timeZone)} is no time zone`, hint)
  }
  if (hours === undefined || durationMs === undefined || !isZone) return undefined
  const startMinutes = Number(hours) * 60 + Number(minutes)
  return { type: 'weekly', days: days.map(day => DAYS.indexOf(day)), startMinutes, durationMs, timeZone }
}

function readDuration(text: string): number | undefined {
  const [, count, unit] = DURATION.exec(text) ?? []
  if (unit !== 'm' && unit !== 'h' && unit !== 'd') return undefined
  const ms = Number(count) * UNIT_MS[unit]
  return ms <= MAX_DURATION_MS ? ms : undefined
}

function isTimeZone(timeZone: string): boolean {
  try {
    createWallClock(timeZone)
    return true
  } catch {
    return false
  }
}
