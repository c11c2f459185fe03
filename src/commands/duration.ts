/** Lengths of time as they are written on a command line: `90s`, `15m`, `24h`, `7d`. */

import { InvalidArgumentError } from 'commander'

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const DURATION = /^(\d{1,6})([smhd])$/

/** In milliseconds; more than 0. @throws InvalidArgumentError for anything else. */
export function parseDuration(text: string): number {
  const [, digits = '', unit = ''] = DURATION.exec(text) ?? []
  const duration = Number(digits) * (UNITS[unit] ?? 0)
  if (duration === 0) throw new InvalidArgumentError('write a length of time such as 90s, 15m, 24h or 7d')
  return duration
}

/** Rounded, as `parseDuration` reads it: in whole seconds up to two minutes, then in minutes, and from two hours on in hours. */
export function describeDuration(ms: number): string {
  const seconds = Math.round(ms / 1_000)
  if (seconds < 120) return `${seconds}s`
  const minutes = Math.round(seconds / 60)
  return minutes < 120 ? `${minutes}m` : `${Math.round(minutes / 60)}h`
}
