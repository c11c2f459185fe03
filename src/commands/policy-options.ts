/** The options that several commands share: the policy, the namespace and its labels, a point in time. */

import { type Command, InvalidArgumentError, Option } from 'commander'
import { loadPolicy } from '../adapters/policy-files.js'
import { KnownError } from '../errors.js'
import { type CompiledPolicy, formatProblem, type NamespaceScope } from '../policy/index.js'
import type { CommandIo } from './command-io.js'

/** With a zone: what is meant must not depend on the machine. */
const TIME = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?$/
const NAMESPACE = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/**
 * `--policy`, needed once and repeatable. A command that takes arguments of its own reads one path per option, so that
 * `--policy prod.yaml nginx` means one policy and one image; the others also take `--policy a.yaml b.yaml`.
 */
export function addPolicyOption(command: Command, arity: 'one' | 'many'): Command {
  const [flags, description] =
    arity === 'many'
      ? ['-p, --policy <path...>', 'policy files or directories; several are merged']
      : ['-p, --policy <path>', 'policy file or directory; repeat it to merge several']
  return command.addOption(new Option(flags, description).makeOptionMandatory().argParser(collect))
}

export function addNamespaceOptions(command: Command, description: string): Command {
  return command
    .option('-n, --namespace <name>', description, parseNamespace)
    .option('--namespace-labels <k=v,…>', "the namespace's labels, for policies that select by labels", parseLabels)
}

/** Load the policy, and say on stderr what is doubtful about it. */
export async function loadPolicyAloud(paths: readonly string[], io: CommandIo): Promise<CompiledPolicy> {
  const policy = await loadPolicy(paths)
  for (const warning of policy.warnings) io.stderr.write(`warning: ${formatProblem(warning)}\n`)
  return policy
}

/**
 * The namespace as an offline command knows it: labels that nobody named cannot be read, so the strictest rules that
 * could apply hold, as in the webhook; a policy without selectors does not care.
 */
export function scopeOf(name: string, labels: NamespaceScope['labels']): NamespaceScope {
  return { name, labels }
}

/** An RFC 3339 time, or a date (its first moment in UTC), as milliseconds since the epoch. */
export function parseTime(text: string): number {
  const time = isRealDay(text) && TIME.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(time)) throw new InvalidArgumentError('write a time such as 2026-11-22T08:00:00Z')
  return time
}

/** `Date.parse` takes the 30th of February for the 2nd of March. */
function isRealDay(text: string): boolean {
  const day = text.slice(0, 10)
  const midnight = Date.parse(`${day}T00:00:00Z`)
  return !Number.isNaN(midnight) && new Date(midnight).toISOString().startsWith(day)
}

/** Commander repeats the parser for each value of a variadic option. */
function collect(value: string, former: unknown): string[] {
  if (value === '') throw new KnownError('USAGE', '--policy needs a path')
  return [...(Array.isArray(former) ? former : []), value]
}

export function parseNamespace(text: string): string {
  if (!NAMESPACE.test(text)) throw new InvalidArgumentError('it is no name of a namespace')
  return text
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = Object.create(null)
  for (const part of text.split(',')) {
    const equals = part.indexOf('=')
    if (equals < 1) throw new InvalidArgumentError('write key=value,key=value')
    labels[part.slice(0, equals)] = part.slice(equals + 1)
  }
  return { ...labels }
}
