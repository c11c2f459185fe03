/** Work that can be done in slices, so that whoever runs it can do other things in between. */

/** Yields nothing, now and then, at most a millisecond or so apart; returns its result. */
export type Steps<Result> = Generator<undefined, Result>

/** All of it at once. */
export function runSteps<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
  }
}
