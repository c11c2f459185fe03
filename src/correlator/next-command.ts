/** The commands that findings suggest: complete, and quoted so that nothing in a name can run. */

import { escapeForeign } from '../policy/index.js'

const PLAIN_WORD = /^[A-Za-z0-9_@%+=:,./-]+$/

/** How the policy reads and judges an image. */
export function explainImageCommand(policyPaths: readonly string[], namespace: string, image: string): string {
  const policies = policyPaths.flatMap(path => ['--policy', path])
  return commandLine(['sallyport', 'explain', ...policies, '-n', namespace, '--', image])
}

/** The pod as it is now: its owner, its containers, its events. */
export function describePodCommand(namespace: string, name: string): string {
  return commandLine(['kubectl', '-n', namespace, 'describe', 'pod', '--', name])
}

/** What the runtime of the node knows about a container. */
export function inspectContainerCommand(containerId: string): string {
  return commandLine(['crictl', 'inspect', '--', containerId])
}

function commandLine(words: readonly string[]): string {
  return words.map(quote).join(' ')
}

/** POSIX: within single quotes nothing is special but the single quote. */
function quote(word: string): string {
  const safe = escapeForeign(word, 512)
  return PLAIN_WORD.test(safe) ? safe : `'${safe.replaceAll("'", "'\\''")}'`
}
