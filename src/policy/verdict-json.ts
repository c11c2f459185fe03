/** One verdict as the commands, records and findings print it: a contract that scripts rely on (docs/json.md). */

import type { CompiledPolicy } from './compiled-policy.js'
import type { NamespaceScope } from './namespace-rules.js'
import type { Mode, Outcome, Reason, Verdict } from './verdict.js'

export interface VerdictJson {
  readonly written: string
  readonly reference: {
    readonly registry: string
    readonly repository: string
    readonly tag: string | null
    readonly digest: string | null
  } | null
  readonly outcome: Outcome
  readonly reason: Reason
  readonly entry: string | null
  readonly namespace: string
  readonly mode: Mode
  readonly policy: string
  readonly revision: string
  readonly closest: string | null
  readonly suggestion: string | null
}

export function toVerdictJson(policy: CompiledPolicy, verdict: Verdict, namespace: NamespaceScope): VerdictJson {
  const { reference } = verdict
  return {
    written: verdict.written,
    reference:
      reference === undefined
        ? null
        : {
            registry: reference.registry,
            repository: reference.repository,
            tag: reference.tag ?? null,
            digest: reference.digest ?? null,
          },
    outcome: verdict.outcome,
    reason: verdict.reason,
    entry: verdict.entry ?? null,
    namespace: namespace.name,
    mode: policy.modeFor(namespace),
    policy: policy.name,
    revision: policy.revision,
    closest: verdict.closest?.pattern ?? null,
    suggestion: verdict.suggestion ?? null,
  }
}
