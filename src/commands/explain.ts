/** `sallyport explain`: how one image is read and judged, and by which entry; or what a process really runs. */

import { Command, Option } from 'commander'
import { jsonLine } from '../correlator/json-line.js'
import { bytesOf, LineSplitter } from '../correlator/line-splitter.js'
import { KnownError } from '../errors.js'
import {
  type CompiledPolicy,
  escapeForeign,
  evaluate,
  formatImageReference,
  formatOrigin,
  type NamespaceScope,
  toVerdictJson,
  type Verdict,
} from '../policy/index.js'
import type { CommandIo } from './command-io.js'
import { explainExec } from './explain-exec.js'
import { addNamespaceOptions, addPolicyOption, loadPolicyAloud, parseTime, scopeOf } from './policy-options.js'

const HELP = `
Example:
  sallyport explain --policy policies/starter.yaml -n payments nginx:1.27 gcr.io/distroless/static
  cut -f2 images.tsv | sallyport explain --policy policies/ -
  sallyport explain --policy policies/starter.yaml --exec /usr/bin/env --args 'python3 /opt/Responder.py -I eth0'

With -, one image a line is read from standard input and one JSON object a line is printed.
--exec takes the binary and the arguments as an event shows them, and says which offensive tool they are.
Exit status: 0 every image allowed or excepted, no tool found; 1 one is not, or one is; 64 usage; 78 a bad file or policy.`

/** Far beyond the 4,096 characters of the longest readable reference; longer lines are an error of the input. */
const MAX_LINE_BYTES = 64 * 1024

interface ExplainOptions {
  readonly policy: readonly string[]
  readonly namespace?: string
  readonly namespaceLabels?: Readonly<Record<string, string>>
  readonly output: 'text' | 'json'
  readonly asOf?: number
  readonly exec?: string
  readonly args?: string
}

export function explainCommand(io: CommandIo): Command {
  const command = new Command('explain').description('Show how images are read and judged, and by which entry.')
  addPolicyOption(command, 'one')
    .argument('[image...]', 'image references as manifests write them, or - for standard input')
    .addOption(new Option('-o, --output <format>', 'text or json').choices(['text', 'json']).default('text'))
    .addOption(new Option('--as-of <time>', 'judge as of this time (default: now)').argParser(parseTime))
    .option('--exec <binary>', 'explain a process instead of an image: the path of its binary')
    .option('--args <text>', 'its arguments, as one text (with --exec)')
    .addHelpText('after', HELP)
    .action(async (images: readonly string[], options: ExplainOptions) => explain(images, options, io))
  return addNamespaceOptions(command, 'the namespace to judge for (default: "default")')
}

async function explain(images: readonly string[], options: ExplainOptions, io: CommandIo): Promise<void> {
  refuseMixture(images, options)
  const policy = await loadPolicyAloud(options.policy, io)
  if (options.exec !== undefined) {
    const question = { binary: options.exec, arguments: options.args ?? '' }
    const { text, isFound } = await explainExec(policy, question, options.output)
    io.stdout.write(text)
    io.setExitCode(isFound ? 1 : 0)
    return
  }
  const namespace = scopeOf(options.namespace ?? 'default', options.namespaceLabels)
  const context = { namespace, now: options.asOf ?? io.now() }
  const isStream = images[0] === '-'
  const asJson = isStream || options.output === 'json'
  let isAllAdmitted = true
  for await (const image of isStream ? linesOf(io.stdin) : images) {
    const verdict = evaluate(policy, image, context)
    if (verdict.outcome === 'denied') isAllAdmitted = false
    io.stdout.write(asJson ? jsonLine(toVerdictJson(policy, verdict, namespace)) : describe(policy, verdict, namespace))
  }
  io.setExitCode(isAllAdmitted ? 0 : 1)
}

function refuseMixture(images: readonly string[], { exec, args }: ExplainOptions): void {
  if (images.includes('-') && images.length > 1) throw new KnownError('USAGE', 'name images, or - alone')
  if (exec === undefined && args !== undefined) throw new KnownError('USAGE', '--args goes with --exec')
  if (exec === undefined && images.length === 0)
    throw new KnownError('USAGE', 'name an image, or a process with --exec')
  if (exec !== undefined && images.length > 0) throw new KnownError('USAGE', 'name images, or a process with --exec')
}

/** The lines of standard input that are not empty; a carriage return at the end belongs to the line break. */
async function* linesOf(stdin: NodeJS.ReadableStream): AsyncGenerator<string> {
  const splitter = new LineSplitter(MAX_LINE_BYTES)
  let number = 0
  const take = function* (lines: ReturnType<LineSplitter['push']>): Generator<string> {
    for (const line of lines) {
      number += 1
      if (line.type === 'too-long') {
        throw new KnownError(
          'FILE_UNREADABLE',
          `standard input: line ${number} is longer than ${MAX_LINE_BYTES / 1024} KiB`,
        )
      }
      const text = bytesOf(line).toString('utf8').replace(/\r$/, '')
      if (text !== '') yield text
    }
  }
  for await (const chunk of stdin) yield* take(splitter.push(Buffer.from(chunk)))
  yield* take(splitter.end())
}

function describe(policy: CompiledPolicy, verdict: Verdict, namespace: NamespaceScope): string {
  const { reference } = verdict
  const rows: [string, string | undefined][] = [
    ['read as', reference === undefined ? undefined : formatImageReference(reference)],
    ['registry', reference?.registry],
    ['repository', reference?.repository],
    ['tag', reference?.tag],
    ['digest', reference?.digest],
    ['outcome', `${verdict.outcome} (${verdict.reason})`],
    ['because', verdict.detail],
    ['entry', entryOf(verdict)],
    [
      'closest entry',
      verdict.closest && `${verdict.closest.pattern} differs at "${escapeForeign(verdict.closest.differsAt)}"`,
    ],
    ['try', verdict.suggestion],
    ['namespace', `${namespace.name} (mode ${policy.modeFor(namespace)})`],
    ['policy', `${policy.name}, rev ${policy.revision}`],
  ]
  const lines = rows.flatMap(([name, value]) =>
    value === undefined ? [] : [`  ${name.padEnd(14)}${escapeForeign(value)}\n`],
  )
  return `${escapeForeign(verdict.written, 300)}\n${lines.join('')}`
}

function entryOf(verdict: Verdict): string | undefined {
  if (verdict.entry === undefined) return undefined
  return verdict.origin === undefined ? verdict.entry : `${verdict.entry} (${formatOrigin(verdict.origin)})`
}
