/** Something to wait for that is rung from elsewhere, or until a time is over. */

export interface Bell {
  ring(): void
  /** At most so long, in milliseconds. */
  wait(ms: number): Promise<void>
}

/** A ring while nobody waits is heard by the next who does. */
export function createBell(): Bell {
  let hasRung = false
  let wake = (): void => {}
  return {
    ring() {
      hasRung = true
      wake()
    },
    async wait(ms) {
      if (!hasRung) {
        await new Promise<void>(resolve => {
          const timer = setTimeout(resolve, ms)
          wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
      hasRung = false
    },
  }
}
