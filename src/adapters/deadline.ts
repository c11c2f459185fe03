/** Work that has so long, and no longer. */

/**
 * Hands a signal to the work that fires after `ms` milliseconds, or with `signal`. Unlike AbortSignal.any it leaves nothing
 * behind on a signal that lives as long as the process.
 *
 * @throws whatever the work throws; when its time was over, an error that says so.
 */
export async function withDeadline<Value>(
  signal: AbortSignal,
  ms: number,
  work: (signal: AbortSignal) => Promise<Value>,
): Promise<Value> {
  const controller = new AbortController()
  const abort = (): void => controller.abort(signal.reason)
  let isOver = false
  const timer = setTimeout(() => {
    isOver = true
    controller.abort()
  }, ms)
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  try {
    return await work(controller.signal)
  } catch (cause) {
    throw isOver ? new Error(`no answer within ${ms / 1_000} s`, { cause }) : cause
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
  }
}
