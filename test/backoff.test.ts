/** The pauses between tries: bounded, growing, and spread. */

import t from 'tap'
import { backoffMs } from '../src/backoff.js'
import { assertProperty, fc } from './support/properties.js'

t.test('pauses double from the first failure on, up to their bound', async t => {
  const limits = { minMs: 500, maxMs: 30_000 }
  t.same(
    [0, 1, 2, 5, 6, 1_000].map(failures => backoffMs(limits, failures, 1)),
    [500, 1_000, 2_000, 16_000, 30_000, 30_000],
  )
})

t.test('from half of a pause to all of it is waited, whatever the limits', async t => {
  const limits = fc.record({ minMs: fc.integer({ min: 0, max: 1e6 }), maxMs: fc.integer({ min: 0, max: 1e6 }) })
  const random = fc.double({ min: 0, max: 1, noNaN: true })
  assertProperty(
    fc.property(limits, fc.nat(), random, ({ minMs, maxMs }, failures, random) => {
      const pauseMs = backoffMs({ minMs, maxMs }, failures, random)
      const longest = backoffMs({ minMs, maxMs }, failures, 1)
      return longest <= maxMs && pauseMs >= longest / 2 && pauseMs <= longest
    }),
  )
  t.pass()
})
