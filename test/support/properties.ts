/**
 * The one door to fast-check. From which seed properties are made, and how often they are run, is the environment's to say
 * (docs/testing.md): a change is judged by the same examples each time, and new ones are looked for by `npm run fuzz`.
 */

import { randomInt } from 'node:crypto'
import fc from 'fast-check'

export { fc }

const USUAL_RUNS = 100
const MAX_SEED = 2 ** 31 - 1

/** A new one for each process where `SALLYPORT_TEST_SEED` names none. All that is random in a test comes from it. */
export const TEST_SEED = wholeNumber('SALLYPORT_TEST_SEED') ?? randomInt(MAX_SEED)
/** `SALLYPORT_TEST_TIMES`: how many times as often as usual properties are run. Default 1. */
export const TEST_TIMES = wholeNumber('SALLYPORT_TEST_TIMES') ?? 1

// A counterexample names its seed; a count over all examples that is too low does not.
process.once('exit', status => {
  if (status !== 0) process.stderr.write(`SALLYPORT_TEST_SEED=${TEST_SEED}\n`)
})

/** As `fc.assert`. `numRuns` is what a usual run of the tests can afford. */
export function assertProperty<Ts>(property: fc.IProperty<Ts>, options: fc.Parameters<Ts> = {}): void {
  fc.assert(property, withSeedAndRuns(options))
}

/** As `fc.assert` of an asynchronous property. `numRuns` is what a usual run of the tests can afford. */
export async function assertAsyncProperty<Ts>(
  property: fc.IAsyncProperty<Ts>,
  options: fc.Parameters<Ts> = {},
): Promise<void> {
  await fc.assert(property, withSeedAndRuns(options))
}

function withSeedAndRuns<Ts>(options: fc.Parameters<Ts>): fc.Parameters<Ts> {
  return { seed: TEST_SEED, ...options, numRuns: (options.numRuns ?? USUAL_RUNS) * TEST_TIMES }
}

function wholeNumber(variable: string): number | undefined {
  const text = process.env[variable]
  if (text === undefined || text === '') return undefined
  if (!/^-?\d+$/.test(text)) throw new Error(`${variable} is not a whole number: ${JSON.stringify(text)}`)
  return Number(text)
}
