/** `sallyport check`: judge manifests offline, with the very functions that the webhook calls. */

import { Command, Option } from 'commander'
import { type Manifest, readManifests } from '../adapters/manifests.js'
import { jsonLine } from '../correlator/json-line.js'
import { KnownError } from '../errors.js'
import {
  type CompiledPolicy,
  type Decision,
  decide,
  escapeForeign,
  type Mode,
  parseWorkload,
  toVerdictJson,
  type VerdictJson,
} from '../policy/index.js'
import { type DecisionSubject, describeDenial, describeWarnings } from '../webhook/answer.js'
import type { CommandIo } from './command-io.js'
import { addNamespaceOptions, addPolicyOption, loadPolicyAloud, scopeOf } from './policy-options.js'

const HELP = `
Judges Pods, their controllers, CronJobs and PodTemplates; other kinds are skipped. An object's own namespace counts
before -n. Nothing is sent anywhere, and no cluster is asked.

Example:
  sallyport check --policy policies/ -f deploy/ -n payments
  kustomize build overlays/prod | sallyport check --policy policies/ -f -

Exit status: 0 all admitted; 1 something denied; 64 usage; 78 a bad file or policy.`

/** One object's answer, as \`-o json\` prints it. */
interface CheckedObject {
  readonly file: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly allowed: boolean
  readonly mode: Mode
  /** The denial as kubectl would show it; null when admitted. */
  readonly message: string | null
  readonly warnings: readonly string[]
  readonly images: readonly (VerdictJson & { readonly container: string; readonly field: string })[]
}

interface CheckOptions {
  readonly policy: readonly string[]
  readonly file: readonly string[]
  readonly namespace?: string
  readonly namespaceLabels?: Readonly<Record<string, string>>
  readonly output: 'text' | 'json'
}

export function checkCommand(io: CommandIo): Command {
  const command = new Command('check').description('Judge Kubernetes manifests offline, as the webhook would.')
  addPolicyOption(command, 'many')
    .addOption(
      new Option('-f, --file <path...>', 'manifest file or directory, or - for standard input').makeOptionMandatory(),
    )
    .addOption(new Option('-o, --output <format>', 'text or json').choices(['text', 'json']).default('text'))
    .addHelpText('after', HELP)
    .action(async (options: CheckOptions) => check(options, io))
  return addNamespaceOptions(command, 'namespace of objects that name none (default: "default")')
}

async function check(options: CheckOptions, io: CommandIo): Promise<void> {
  const policy = await loadPolicyAloud(options.policy, io)
  const manifests: Manifest[] = []
  for (const source of options.file) manifests.push(...(await readManifests(source, io.stdin)))
  if (manifests.length === 0) {
    throw new KnownError('MANIFEST_INVALID', `${options.file.join(', ')}: no Kubernetes object was found`)
  }
  const objects = manifests.flatMap(manifest => checkObject(policy, manifest, options, io.now()))
  const skipped = manifests.length - objects.length
  if (skipped > 0)
    io.stderr.write(`skipped ${skipped} of ${manifests.length} objects: their kinds run no images that are judged\n`)
  const allowed = objects.every(object => object.allowed)
  io.stdout.write(options.output === 'json' ? jsonLine({ allowed, objects }) : objects.map(describe).join(''))
  io.setExitCode(allowed ? 0 : 1)
}

function checkObject(
  policy: CompiledPolicy,
  manifest: Manifest,
  options: CheckOptions,
  now: number,
): readonly CheckedObject[] {
  const { file, kind, object } = manifest
  const workload = parseWorkload(object, kind)
  if (workload.status === 'other-kind') return []
  const { name, namespace } = identityOf(object)
  const scope = scopeOf(namespace ?? options.namespace ?? 'default', options.namespaceLabels)
  const decision = decide(policy, { workload, before: undefined, namespace: scope, now, isMirrorPod: false })
  const subject: DecisionSubject = { kind, name, namespace: scope }
  return [
    {
      file,
      kind,
      namespace: scope.name,
      name,
      allowed: decision.allowed,
      mode: decision.mode,
      message: decision.allowed ? null : describeDenial(decision, subject, policy),
      warnings: describeWarnings(decision, subject, policy),
      images: imagesOf(policy, decision, scope),
    },
  ]
}

function imagesOf(
  policy: CompiledPolicy,
  decision: Decision,
  scope: DecisionSubject['namespace'],
): CheckedObject['images'] {
  return decision.judged.map(({ image, verdict }) => ({
    ...toVerdictJson(policy, verdict, scope),
    container: image.name,
    field: image.field,
  }))
}

/** A manifest is the author's file, but its fields may still have any shape. */
function identityOf(object: Readonly<Record<string, unknown>>): {
  readonly name: string
  readonly namespace: string | undefined
} {
  const metadata = object['metadata']
  const field = (key: string): string | undefined => {
    if (typeof metadata !== 'object' || metadata === null || !(key in metadata)) return undefined
    const value: unknown = Reflect.get(metadata, key)
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  const generated = field('generateName')
  return { name: field('name') ?? (generated === undefined ? '' : `${generated}*`), namespace: field('namespace') }
}

function describe(object: CheckedObject): string {
  const subject = escapeForeign(`${object.kind} ${object.namespace}/${object.name}`, 200)
  const images = object.images.length === 1 ? '1 image' : `${object.images.length} images`
  const head = `${object.allowed ? 'admitted' : 'DENIED'}  ${subject}  (${images}, mode ${object.mode}; ${escapeForeign(object.file, 200)})\n`
  const body = [
    ...(object.message === null ? [] : object.message.split('\n')),
    ...object.warnings.map(line => `warning: ${line}`),
  ]
  return head + body.map(line => `  ${line}\n`).join('')
}
