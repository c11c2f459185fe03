/** The policy in force: loaded at the start, replaced when its files change for the better. */

import type { KnownError } from '../errors.js'
import type { Logger } from '../logger.js'
import { type CompiledPolicy, formatProblem } from '../policy/index.js'
import type { FileWatchOptions } from './file-watch.js'
import { type KeptState, keepLoaded } from './kept-value.js'
import { loadPolicy } from './policy-files.js'
import { loadPolicyAside } from './policy-thread.js'

/** So many warnings of a reloaded policy are logged. */
const MAX_LOGGED_WARNINGS = 10

export interface PolicyWatchOptions extends FileWatchOptions {
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Another policy is in force; not called for the first, nor for one of the same revision. */
  readonly onReload?: (policy: CompiledPolicy) => void
  /** The files cannot be used; called once for a problem, however often it is met. */
  readonly onReject?: (error: KnownError) => void
}

export interface OpenPolicy {
  /** The last good policy. */
  current(): CompiledPolicy
  /** `isRejected`: the files as they stand were refused, and an older policy is in force. */
  state(): KeptState
  /** Look now, say on SIGHUP. Never rejects. */
  reload(): Promise<void>
  close(): void
}

/**
 * Load a policy and follow its files. A change is in force within a second, plus the time that the load takes; requests
 * are answered meanwhile, by the policy that was in force before.
 *
 * @throws KnownError FILE_UNREADABLE or POLICY_INVALID when there is no good policy to begin with.
 */
export async function openPolicy(paths: readonly string[], options: PolicyWatchOptions): Promise<OpenPolicy> {
  const { log, onReload, onReject, ...rest } = options
  const closed = new AbortController()
  const kept = await keepLoaded<CompiledPolicy>({
    ...rest,
    paths,
    // At the start nobody waits but us, and there is nothing to hold up.
    load: former => (former === undefined ? loadPolicy(paths) : loadPolicyAside(paths, closed.signal)),
    // Comments and layout are no change, but they move the lines that messages name: the object is replaced all the same.
    isSame: (next, former) => next.revision === former.revision && next.name === former.name,
    // A policy that is wrong stays wrong until somebody edits it, and a large one takes long to read.
    mayPass: error => error.code === 'FILE_UNREADABLE',
    onReload: (policy, former) => {
      log.info(
        { policy: policy.name, revision: policy.revision, formerRevision: former.revision },
        'Another policy is in force',
      )
      for (const warning of policy.warnings.slice(0, MAX_LOGGED_WARNINGS)) {
        log.warn({ problem: formatProblem(warning) }, 'The policy holds something doubtful')
      }
      onReload?.(policy)
    },
    onReject: (error, { revision }) => {
      log.error(
        { code: error.code, problem: error.message, revision },
        'The policy files cannot be used: the last good policy stays in force',
      )
      onReject?.(error)
    },
    onMend: ({ revision }) => log.info({ revision }, 'The policy files can be used again'),
    onFault: error => log.error({ err: error }, 'A reload of the policy failed: the last good policy stays in force'),
  })
  return {
    ...kept,
    close: () => {
      kept.close()
      closed.abort()
    },
  }
}
