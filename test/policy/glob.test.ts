import picomatch from 'picomatch'
import t from 'tap'
import { editDistance } from '../../src/policy/edit-distance.js'
import { compileGlob } from '../../src/policy/glob.js'
import { assertProperty, fc } from '../support/properties.js'

const OPTIONS = {
  nonegate: true,
  noextglob: true,
  nobracket: true,
  nobrace: true,
  noglobstar: true,
  dot: true,
  strictSlashes: true,
}
const letters = fc.string({ unit: fc.constantFrom('a', 'b', '.', '-'), maxLength: 6 })
const glob = fc.array(letters, { minLength: 2, maxLength: 3 }).map(parts => parts.join('*'))

t.test('a glob means what picomatch says, also where the linear look comes first', async () => {
  assertProperty(
    fc.property(
      glob,
      fc.string({ unit: fc.constantFrom('a', 'b', '.', '-'), minLength: 1, maxLength: 12 }),
      (pattern, text) => {
        fc.pre(pattern !== '*' && !pattern.includes('**'))
        return compileGlob(pattern)(text) === picomatch.makeRe(pattern, OPTIONS).test(text)
      },
    ),
    { numRuns: 5000 },
  )
})

t.test('more than two stars are a bug of the caller', async t => {
  t.throws(() => compileGlob('a*b*c*'), RangeError)
  t.notOk(compileGlob('a*')('a'.repeat(256)), 'too long for any segment')
})

t.test('a limited distance is the distance, or above the limit', async () => {
  assertProperty(
    fc.property(letters, letters, fc.nat({ max: 4 }), (left, right, limit) => {
      const whole = editDistance(left, right, 20)
      const limited = editDistance(left, right, limit)
      return whole === editDistance(right, left, 20) && (whole <= limit ? limited === whole : limited > limit)
    }),
    { numRuns: 2000 },
  )
})
