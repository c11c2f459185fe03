/** Work that can be done in slices, so that whoever runs it can do other things in between. */

/** Yields nothing, now and then, at most a millisecond or so apart; returns its result. */
export type Steps<Result> = Generator<undefined, Result>

/** How many small things (an entry compiled, an entry indexed) are done in one step. */
const STEP_SIZE = 128

/** Whether to yield in front of the item of this index. */
export function endsStep(index: number): boolean {
  return index % STEP_SIZE === STEP_SIZE - 1
}

/** All of it at once. */
export function runSteps<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
  }
}
