/** Kubernetes objects from files, directories and standard input, Lists taken apart. */

import { KnownError } from '../errors.js'
import { decodeText, expandPath, readTextFile, unreadable } from './text-file.js'
import { parseManifestText } from './yaml.js'

/** Standard input is held in memory while it is parsed. */
const MAX_STDIN_BYTES = 64 * 1024 * 1024
/** A List may hold Lists; nobody nests them deeper. */
const MAX_LIST_DEPTH = 4

export interface Manifest {
  readonly file: string
  /** Where the object's document begins, from 1. */
  readonly line: number
  readonly kind: string
  readonly object: Readonly<Record<string, unknown>>
}

/**
 * Every object of a source, in order.
 *
 * @param source a file, a directory (its *.yaml, *.yml and *.json files, not those below it), or `-`.
 * @throws KnownError FILE_UNREADABLE or MANIFEST_INVALID with file and line.
 */
export async function readManifests(source: string, stdin: NodeJS.ReadableStream): Promise<readonly Manifest[]> {
  if (source === '-') return parseManifests(await readAll(stdin), 'standard input')
  const files = await expandPath(source)
  const manifests = []
  for (const file of files) manifests.push(...parseManifests(await readTextFile(file), file))
  return manifests
}

function parseManifests(text: string, file: string): readonly Manifest[] {
  return parseManifestText(text, file).flatMap(({ value, line }) => flatten(value, file, line, 0))
}

function flatten(value: unknown, file: string, line: number, depth: number): readonly Manifest[] {
  if (value === null) return []
  const kind = isRecord(value) ? value['kind'] : undefined
  if (!isRecord(value) || typeof kind !== 'string' || kind === '') {
    throw new KnownError('MANIFEST_INVALID', `${file}:${line}: is no Kubernetes object: it has no "kind"`)
  }
  const items = value['items']
  if (!kind.endsWith('List') || !Array.isArray(items)) return [{ file, line, kind, object: value }]
  if (depth >= MAX_LIST_DEPTH) throw new KnownError('MANIFEST_INVALID', `${file}:${line}: nests Lists too deeply`)
  return items.flatMap(item => flatten(item, file, line, depth + 1))
}

async function readAll(stdin: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of stdin) {
    const buffer = Buffer.from(chunk)
    bytes += buffer.length
    if (bytes > MAX_STDIN_BYTES)
      throw unreadable('standard input', `it is larger than ${MAX_STDIN_BYTES / 1024 / 1024} MiB`)
    chunks.push(buffer)
  }
  return decodeText(Buffer.concat(chunks), 'standard input')
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
