/** Maintenance windows: when they are open, what they cover, and what their authors are told. */

import t from 'tap'
import { KnownError } from '../../src/errors.js'
import { findMaintenance } from '../../src/policy/index.js'
import { policyOf } from '../support/policies.js'
import { assertProperty, fc } from '../support/properties.js'

const BASE = { id: 'MW-1', namespaces: ['team-a'], reason: 'drill', owner: 'dba' }
const WEEKLY = { ...BASE, days: ['Sat'], start: '22:00', duration: '4h', timeZone: 'Europe/Berlin' }
const HOUR = 3_600_000

function policyWith(...maintenance: object[]) {
  return policyOf({ allow: [], runtime: { maintenance } })
}

/** Until when a window is open; '' when none is. */
function openAt(window: object, time: string, sighting: object = {}): string {
  const { maintenance } = policyWith(window)
  const seen = { kind: 'offensive-tool', tools: ['nmap'], namespace: 'team-a', ...sighting } as const
  const open = findMaintenance(maintenance, seen, Date.parse(time))
  return open === undefined ? '' : new Date(open.until).toISOString()
}

t.test('when a window is open', async t => {
  const once = { ...BASE, from: '2026-11-21T10:00:00+01:00', until: '2026-11-21T12:00:00Z' }
  const long = { ...BASE, days: ['Mon', 'Wed'], start: '12:00', duration: '7d' }
  const rows: readonly (readonly [object, string, string])[] = [
    [once, '2026-11-21T08:59:59Z', ''],
    [once, '2026-11-21T09:00:00Z', '2026-11-21T12:00:00.000Z'],
    [once, '2026-11-21T12:00:00Z', ''],
    [WEEKLY, '2026-11-21T20:59:59Z', ''],
    [WEEKLY, '2026-11-21T21:00:00Z', '2026-11-22T01:00:00.000Z'],
    [WEEKLY, '2026-11-22T00:59:59Z', '2026-11-22T01:00:00.000Z'],
    [WEEKLY, '2026-11-22T01:00:00Z', ''],
    [WEEKLY, '2026-11-20T22:00:00Z', ''],
    // In summer the same wall clock is an hour earlier.
    [WEEKLY, '2026-07-11T20:00:00Z', '2026-07-12T00:00:00.000Z'],
    // The night in which summer time ends: it lasts as long as it says, not until the same figures.
    [WEEKLY, '2026-10-25T00:30:00Z', ''],
    [WEEKLY, '2026-10-24T20:00:00Z', '2026-10-25T00:00:00.000Z'],
    [{ ...WEEKLY, timeZone: undefined }, '2026-11-21T22:00:00Z', '2026-11-22T02:00:00.000Z'],
    [{ ...WEEKLY, timeZone: 'Pacific/Kiritimati' }, '2026-11-21T08:00:00Z', '2026-11-21T12:00:00.000Z'],
    [long, '2026-11-24T11:59:00Z', '2026-11-30T12:00:00.000Z'],
  ]
  for (const [window, time, until] of rows) t.equal(openAt(window, time), until, `${JSON.stringify(window)} ${time}`)
})

t.test('a weekly window is open for its length, once a week, in every zone', async t => {
  const zones = fc.constantFrom('UTC', 'America/New_York', 'Asia/Kolkata', 'Australia/Lord_Howe')
  const starts = fc.integer({ min: 0, max: 23 }).map(hour => `${String(hour).padStart(2, '0')}:30`)
  // Weeks without a change of the clock anywhere.
  const weeks = fc.constantFrom('2026-01-12T00:00:00Z', '2026-06-15T00:00:00Z', '2026-12-07T00:00:00Z')
  const property = fc.property(
    zones,
    starts,
    weeks,
    fc.integer({ min: 1, max: 30 }),
    (timeZone, start, week, hours) => {
      const { maintenance } = policyWith({ ...WEEKLY, timeZone, start, duration: `${hours}h` })
      const seen = { kind: 'offensive-tool', tools: ['nmap'], namespace: 'team-a' } as const
      const times = Array.from({ length: 7 * 24 * 2 }, (_, index) => Date.parse(week) + (index * HOUR) / 2)
      return times.filter(time => findMaintenance(maintenance, seen, time) !== undefined).length === hours * 2
    },
  )
  t.doesNotThrow(() => assertProperty(property, { numRuns: 40 }))
})

t.test('what a window covers', async t => {
  const time = '2026-11-21T22:00:00Z'
  const until = '2026-11-22T01:00:00.000Z'
  t.equal(openAt(WEEKLY, time, { namespace: 'team-b' }), '')
  t.equal(openAt(WEEKLY, time, { kind: 'fileless-exec', tools: [] }), until)
  t.equal(openAt({ ...WEEKLY, tools: ['nm*'] }, time, { tools: ['nmap'] }), until)
  t.equal(openAt({ ...WEEKLY, tools: ['nmap'] }, time, { tools: ['nmap', 'masscan'] }), '')
  t.equal(openAt({ ...WEEKLY, tools: ['nmap'] }, time, { kind: 'fileless-exec', tools: [] }), '')
  t.equal(openAt({ ...WEEKLY, kinds: ['tool-install'] }, time), '')
})

t.test('what cannot be meant is refused, with its place', async t => {
  const rows: readonly (readonly [object, RegExp])[] = [
    [BASE, /maintenance\[0\]: .*in one way \(write/],
    [{ ...WEEKLY, from: '2026-11-21T10:00:00Z' }, /in one way/],
    [{ ...WEEKLY, duration: undefined }, /in one way/],
    [{ ...BASE, from: '2026-11-21T10:00:00Z', until: '2026-11-21T09:00:00Z' }, /until: lies before/],
    [{ ...WEEKLY, start: '24:00' }, /start: "24:00" is no time of day/],
    [{ ...WEEKLY, duration: '8d' }, /duration: "8d" is no duration/],
    [{ ...WEEKLY, timeZone: 'Mars/Base' }, /timeZone: "Mars\/Base" is no time zone/],
    [{ ...WEEKLY, days: ['Sa'] }, /days\[0\]/],
    [{ ...WEEKLY, namespaces: ['Team'] }, /no name of a namespace/],
    [{ ...WEEKLY, kinds: ['coverage'] }, /kinds\[0\]/],
  ]
  for (const [window, message] of rows) {
    try {
      policyWith(window)
      t.fail(String(message))
    } catch (error) {
      t.ok(error instanceof KnownError && error.code === 'POLICY_INVALID', String(error))
      t.match(error instanceof Error ? error.message : '', message)
    }
  }
  t.throws(() => policyWith(WEEKLY, WEEKLY), { code: 'POLICY_INVALID' })
})
