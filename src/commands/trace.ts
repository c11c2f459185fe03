/** `sallyport trace`: the whole life of one pod's images on one screen. */

import { Command, Option } from 'commander'
import { writeText } from '../adapters/write-text.js'
import { jsonLine } from '../correlator/json-line.js'
import { tracePod } from '../correlator/pod-trace.js'
import { escapeForeign } from '../policy/index.js'
import type { CommandIo } from './command-io.js'
import { addClusterOptions, collectFiles } from './open-cluster.js'
import { addPolicyOption, loadPolicyAloud, parseNamespace, parseTime } from './policy-options.js'
import { isTerminal } from './stream-words.js'
import { gatherMaterial } from './trace-material.js'
import { openTraceSources, type TraceSourceOptions } from './trace-sources.js'
import { parseTarget } from './trace-target.js'
import { renderTrace } from './trace-text.js'

const HELP = `
TARGET is a pod (NAME or NAMESPACE/NAME), a pod's uid, or the fingerprint of a finding (with --state).

Example:
  sallyport trace --policy policies/ --journal journal/ --kubeconfig ~/.kube/config -n team-a web-5d9c7-x1
  kubectl get pods,ns,validatingwebhookconfigurations -A -o json --show-managed-fields > cluster.json
  sallyport trace --policy policies/ --journal journal/ --inventory cluster.json --events tetragon.log 1b4e28ba-2fa1-11d2-883f-0016d3cca427

Each source adds to what can be said; docs/trace.md says what each is for. Nothing is written anywhere.
Exit status: 0 the pod is known, whatever is said of it; 1 none of the sources knows it; 64 usage; 78 a bad file or policy.`

interface TraceOptions extends TraceSourceOptions {
  readonly policy: readonly string[]
  readonly namespace?: string
  readonly asOf?: number
  readonly output: 'text' | 'json'
}

export function traceCommand(io: CommandIo): Command {
  const command = new Command('trace').description("Show one pod's images: who let them in, what ran, what was found.")
  return addClusterOptions(addPolicyOption(command, 'one'))
    .argument('<target>', 'a pod, its uid, or the fingerprint of a finding')
    .option('-n, --namespace <name>', 'the namespace of the pod (default: "default")', parseNamespace)
    .option('--journal <dir>', 'the journal of the webhook')
    .option('--kubeconfig <file>', 'ask the API server instead of a file')
    .option('--in-cluster', 'ask the API server of this very cluster')
    .option('--events <file>', 'an export file of Tetragon, or - for standard input; may be repeated', collectFiles)
    .option('--state <dir>', 'the findings that correlate keeps')
    .addOption(new Option('--as-of <time>', 'judge as of this time (default: now)').argParser(parseTime))
    .addOption(new Option('-o, --output <format>', 'text or json').choices(['text', 'json']).default('text'))
    .addHelpText('after', HELP)
    .action(async (target: string, options: TraceOptions) => trace(target, options, io))
}

async function trace(text: string, options: TraceOptions, io: CommandIo): Promise<void> {
  const target = parseTarget(text, options.namespace, options.state !== undefined)
  const policy = await loadPolicyAloud(options.policy, io)
  const sources = await openTraceSources(options, policy, io)
  try {
    const material = await gatherMaterial(target, sources, options, io)
    if (material === undefined) {
      const where = sources.names.length === 0 ? 'no source was given' : `looked in: ${sources.names.join(', ')}`
      io.stderr.write(`sallyport: nothing is known of ${escapeForeign(text, 300)}; ${where}\n`)
      io.setExitCode(1)
      return
    }
    const traced = tracePod(sources.tools, material, options.asOf ?? io.now())
    const output =
      options.output === 'json' ? jsonLine(traced) : renderTrace(traced, { hasColors: isTerminal(io.stdout) })
    await writeText(io.stdout, output)
  } finally {
    await sources.close()
  }
}
