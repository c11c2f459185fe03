/** Commands that fetch, install or look for a tool: signs of what is to come, and no run of it. */

import type { Command } from './command.js'
import { skipOptions, skipSubcommand } from './command-options.js'
import { type CommandWrappers, findByName } from './command-wrappers.js'
import { packageName } from './package-name.js'
import { matchName, type NameMatch, type ToolCatalogue } from './tool-catalogue.js'
import { basename } from './tool-name.js'

/** Words of one command that are looked at. */
const MAX_SUBJECTS = 256
const MAX_URL = 2_048
const MAX_SEGMENTS = 12
const ARCHIVE = /\.(?:tar|tgz|tbz2?|txz|zip|gz|bz2|xz|zst|7z|deb|rpm|apk|whl|git)$/
/** What a tool wrote, or was written about it. */
const RESULTS = /\.(?:xml|json|csv|html?|pdf|md|ya?ml|log|gnmap|png|svg)$/i
const SCHEME = /^(?:[a-z]{2,8}:\/\/|git@)/i
/** Most of what git is told is about files and branches, which may have any name. */
const GIT = 'git'
const GIT_FETCHES = new Set(['clone', 'submodule', 'remote', 'fetch', 'pull', 'ls-remote'])
const IS_PLACE = /^[^-].*[:/]/
/** The shells' own, which asks with an option alone. */
const COMMAND = 'command'
/** Hosts of code, where the path names the project. */
const CODE_HOST = /^(?:raw\.githubusercontent\.com|(?:www\.)?github\.com|gitlab\.com|codeberg\.org|bitbucket\.org)$/i

export type HandlingKind = 'tool-install' | 'tool-staging' | 'tool-enumeration'

export interface Handling {
  readonly kind: HandlingKind
  /** The tools in the order in which they stand; at least one. */
  readonly tools: readonly NameMatch[]
  readonly command: Command
}

/** Whether a program of that name, in lower case, may fetch, install or look for one. */
export function isHandler(wrappers: CommandWrappers, name: string): boolean {
  const { installers, downloaders, lookups } = wrappers
  return findByName(installers, name) !== undefined || downloaders.has(name) || lookups.has(name) || name === COMMAND
}

/** What one command does to tools; a command does one of the three at most. */
export function findHandling(catalogue: ToolCatalogue, command: Command): Handling | undefined {
  const { wrappers } = catalogue.rules
  const name = (command.names[0] ?? '').toLowerCase()
  const installer = findByName(wrappers.installers, name)
  if (installer !== undefined) {
    const { words } = command
    // `pacman -S`, `dpkg -i`: the subcommand may look like an option.
    const at = skipSubcommand(words, 0, installer) ?? skipSubcommand(words, skipOptions(words, 0, installer), installer)
    if (at === undefined) return undefined
    const subjects = positionals(command, skipOptions(words, at, installer), at)
    const packages = subjects.map(packageOf).map(each => wrappers.packageNames.get(each) ?? each)
    return handlingOf(catalogue, 'tool-install', packages, command)
  }
  if (wrappers.downloaders.has(name)) {
    const words = command.words.slice(0, MAX_SUBJECTS).map(({ text }) => text)
    if (name === GIT && !words.some(word => GIT_FETCHES.has(word))) return undefined
    const names = words.filter(word => name !== GIT || IS_PLACE.test(word)).flatMap(namesInAddress)
    return handlingOf(catalogue, 'tool-staging', names, command)
  }
  const isLookup = wrappers.lookups.has(name) || (name === COMMAND && /^-[vV]$/.test(command.words[0]?.text ?? ''))
  if (isLookup) return handlingOf(catalogue, 'tool-enumeration', positionals(command, 0, 0), command)
  return undefined
}

function handlingOf(
  catalogue: ToolCatalogue,
  kind: HandlingKind,
  names: readonly string[],
  command: Command,
): Handling | undefined {
  const tools: NameMatch[] = []
  for (const name of names) {
    const match = matchName(catalogue, name)
    // A package is named exactly; a weak word in an address or a question says nothing.
    if (match === undefined || (match.isWeak && kind !== 'tool-install')) continue
    if (!tools.some(({ tool }) => tool === match.tool)) tools.push(match)
  }
  return tools.length === 0 ? undefined : { kind, tools, command }
}

function positionals({ words }: Command, from: number, atLeast: number): readonly string[] {
  return words
    .slice(Math.max(from, atLeast), Math.max(from, atLeast) + MAX_SUBJECTS)
    .map(({ text }) => text)
    .filter(text => text !== '' && !text.startsWith('-'))
}

/** `nmap=7.94`, `nmap:amd64`, `./nmap_7.94_amd64.deb`, `@scope/nmap@1`. */
function packageOf(written: string): string {
  const plain = packageName(withoutArchive(written.slice(0, MAX_URL)))
  const colon = plain.indexOf(':')
  return colon > 0 ? plain.slice(0, colon) : plain
}

function namesInAddress(written: string): readonly string[] {
  if (written.length > MAX_URL || written.startsWith('-')) return []
  const hasScheme = SCHEME.test(written)
  const path = (written.replace(SCHEME, '').split(/[?#]/, 1)[0] ?? '').split(/[/:]/).slice(0, MAX_SEGMENTS)
  const name = basename(path.at(-1) ?? '')
  if (RESULTS.test(name)) return []
  const last = withoutArchive(name)
  if (path.length === 1) return hasScheme ? [] : [last]
  const isCode = CODE_HOST.test(path[0] ?? '')
  return isCode ? [last, ...path.slice(2, 3).map(withoutArchive)] : [last]
}

function withoutArchive(name: string): string {
  return name.replace(ARCHIVE, '').replace(ARCHIVE, '')
}
