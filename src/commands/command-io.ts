/** What a command may touch of the world around it; the tests hand in their own. */

export interface CommandIo {
  readonly stdin: NodeJS.ReadableStream
  /** Data only: what a script would read. */
  readonly stdout: NodeJS.WritableStream
  /** Words and logs. */
  readonly stderr: NodeJS.WritableStream
  /** The status with which the process will end; 0 until set. */
  setExitCode(code: number): void
  /** Sallyport's own. */
  readonly version: string
  /** Milliseconds since the epoch. */
  now(): number
  /** Aborts at SIGINT or SIGTERM: stop, drain, end well. */
  readonly signal: AbortSignal
  /** Call at each SIGHUP, which then no longer ends the process. Absent where there is no process to signal. */
  readonly onHangup?: (listener: () => void) => void
}
