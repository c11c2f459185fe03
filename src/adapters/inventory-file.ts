/**
 * The inventory of a cluster as kubectl wrote it:
 *
 *     kubectl get pods,namespaces,validatingwebhookconfigurations -A -o json --show-managed-fields
 *
 * One List or several, single objects, or one object a line; plain or gzipped, of any size: one object is held at a time.
 */

import { stat } from 'node:fs/promises'
import type { Inventory, KnownNamespace, KnownPod } from '../correlator/inventory.js'
import { KnownError } from '../errors.js'
import { escapeForeign } from '../policy/index.js'
import { type EventFileOptions, readEventFiles, STDIN_PATH } from './event-file.js'
import { InventoryIndex } from './inventory-index.js'
import { JsonObjectSplitter, type SplitObject } from './json-objects.js'
import { type Decoded, isRecord } from './kubernetes-metadata.js'
import { decodePod } from './kubernetes-pod.js'
import { decodeNamespace, decodeWebhookConfiguration, type WebhookConfiguration } from './kubernetes-registration.js'
import { reasonOf, unreadable } from './text-file.js'

/** No cluster has more. */
const MAX_PODS = 300_000
const MAX_SHOWN_PROBLEMS = 10
const COMMAND = 'kubectl get pods,ns,validatingwebhookconfigurations -A -o json'

export interface InventoryFileOptions extends EventFileOptions {
  /** The clock of this machine, in milliseconds since the epoch: what comes by standard input is as of then. */
  readonly now: () => number
  /** The configuration whose webhooks are ours; undefined: see `Inventory.webhooks`. */
  readonly webhookConfiguration?: string | undefined
}

export interface InventoryFileReport {
  readonly pods: number
  readonly namespaces: number
  readonly configurations: number
  /** Objects of other kinds. */
  readonly others: number
  /** Objects that could not be read. */
  readonly unreadable: number
  /** The first of them, `FILE:LINE: problem`; safe to print. */
  readonly problems: readonly string[]
}

export interface FileInventory extends Inventory {
  readonly report: InventoryFileReport
}

/**
 * Read files, all of the same cluster, to their ends. The state is a snapshot as of the oldest file's last change.
 *
 * @param paths `-` is standard input.
 * @throws KnownError FILE_UNREADABLE for a file that cannot be read, or that holds no pod, namespace or configuration.
 */
export async function loadInventoryFiles(
  paths: readonly string[],
  options: InventoryFileOptions,
): Promise<FileInventory> {
  const at = Math.min(...(await Promise.all(paths.map(path => timeOf(path, options)))))
  const index = new InventoryIndex(options)
  const reading = new Reading(index, at, options.webhookConfiguration)
  for (const path of paths) {
    const before = reading.known
    const splitter = new JsonObjectSplitter()
    for await (const part of readEventFiles([path], options)) {
      if (part.type === 'bytes') reading.take(path, splitter.push(part.bytes))
      else if (part.type === 'end') reading.take(path, splitter.end())
    }
    if (reading.known === before && !options.signal.aborted) throw strangerOf(path, reading.report.problems)
  }
  const { report } = reading
  const state = { status: 'snapshot', at } as const
  return {
    podOf: (pod, containerId) => index.podOf(pod, containerId),
    pods: () => index.pods(),
    namespaceOf: name => index.namespaceOf(name),
    // Without any configuration in it, the file was not asked for them: a cluster has some.
    webhooks: () => (report.configurations === 0 ? undefined : index.webhooks()),
    nodeName: undefined,
    state: () => state,
    report,
  }
}

async function timeOf(path: string, { now }: InventoryFileOptions): Promise<number> {
  if (path === STDIN_PATH) return now()
  try {
    return (await stat(path)).mtimeMs
  } catch (cause) {
    throw unreadable(path, reasonOf(cause), cause)
  }
}

function strangerOf(path: string, problems: readonly string[]): KnownError {
  const [first] = problems
  const reason = first === undefined ? '' : ` (${first})`
  const sentence = `${escapeForeign(path, 300)} is no inventory${reason}: write it with ${COMMAND}`
  return new KnownError('FILE_UNREADABLE', sentence)
}

/** Sorts objects by their kind, and counts. */
class Reading {
  readonly #index: InventoryIndex
  readonly #at: number
  readonly #configuration: string | undefined
  readonly #counts = { pods: 0, namespaces: 0, configurations: 0, others: 0, unreadable: 0 }
  readonly #problems: string[] = []

  constructor(index: InventoryIndex, at: number, configuration: string | undefined) {
    this.#index = index
    this.#at = at
    this.#configuration = configuration
  }

  get known(): number {
    return this.#counts.pods + this.#counts.namespaces + this.#counts.configurations
  }

  get report(): InventoryFileReport {
    return { ...this.#counts, problems: this.#problems }
  }

  take(path: string, objects: readonly SplitObject[]): void {
    for (const split of objects) {
      const problem = split.type === 'problem' ? split.problem : this.#read(split.bytes)
      if (problem !== undefined) this.#complain(`${escapeForeign(path, 300)}:${split.line}: ${problem}`)
    }
  }

  #complain(sentence: string): void {
    this.#counts.unreadable += 1
    if (this.#problems.length < MAX_SHOWN_PROBLEMS) this.#problems.push(sentence)
  }

  /** @returns what is wrong with it, in half a sentence. */
  #read(bytes: Buffer): string | undefined {
    const object = parse(bytes)
    if (!isRecord(object)) return 'it is no JSON object'
    switch (object['kind']) {
      case 'Pod':
        return this.#put(decodePod(object, this.#at), pod => this.#putPod(pod))
      case 'Namespace':
        return this.#put(decodeNamespace(object, this.#at), namespace => this.#putNamespace(namespace))
      case 'ValidatingWebhookConfiguration': {
        const decoded = decodeWebhookConfiguration(object, this.#configuration, this.#at)
        return this.#put(decoded, configuration => this.#putConfiguration(configuration))
      }
      default:
        this.#counts.others += 1
        return undefined
    }
  }

  #put<Value>(decoded: Decoded<Value>, put: (value: Value) => string | undefined): string | undefined {
    return decoded.ok ? put(decoded.value) : decoded.problem
  }

  #putPod(pod: KnownPod): string | undefined {
    if (this.#index.size >= MAX_PODS) return `it is one of more than ${MAX_PODS} pods`
    this.#counts.pods += 1
    this.#index.putPod(pod)
    return undefined
  }

  #putNamespace(namespace: KnownNamespace): undefined {
    this.#counts.namespaces += 1
    this.#index.putNamespace(namespace)
  }

  #putConfiguration(configuration: WebhookConfiguration): undefined {
    this.#counts.configurations += 1
    this.#index.putConfiguration(configuration)
  }
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}
