/** What can go wrong through an operator's doing: a stable code, one sentence, an exit status. */

/** sysexits: the command line was wrong. */
export const EXIT_USAGE = 64
/** sysexits: a file that the operator named is missing, unreadable or wrong. */
export const EXIT_CONFIG = 78

/** Stable codes; docs/errors.md lists each one, and a test keeps the two in step. */
export const KNOWN_ERROR_CODES = [
  'USAGE',
  'FILE_UNREADABLE',
  'FILE_UNWRITABLE',
  'FILE_EXISTS',
  'POLICY_INVALID',
  'MANIFEST_INVALID',
  'JOURNAL_UNUSABLE',
  'STATE_UNUSABLE',
  'TLS_INVALID',
  'LISTEN_FAILED',
  'KUBERNETES_UNUSABLE',
] as const

export type KnownErrorCode = (typeof KNOWN_ERROR_CODES)[number]

/**
 * An operator's mistake: its message names the file, line and field and is shown as it stands, without a stack.
 * Anything else that is thrown is a bug and is not caught to be hidden.
 */
export class KnownError extends Error {
  override readonly name = 'KnownError'
  readonly code: KnownErrorCode

  constructor(code: KnownErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }

  /** The exit status of a command that ends with this error: 64 for usage, 78 for everything configured. */
  get exitCode(): number {
    return this.code === 'USAGE' ? EXIT_USAGE : EXIT_CONFIG
  }
}
